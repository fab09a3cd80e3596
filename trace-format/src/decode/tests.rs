//! Columns that no writer makes: what passes the checksum is not trusted either.

use proptest::prelude::*;

use super::*;
use crate::chunk::Value;
use crate::column::{CONSTANT, DELTA, PLAIN, push_numbers};
use crate::columns::Columns;
use crate::record::RecordBuffer;
use crate::schema::{EventSchema, FieldKind, FieldSchema};
use crate::varint;

fn event(id: u16, kinds: &[FieldKind]) -> EventSchema {
    let field = |(index, kind): (usize, &FieldKind)| FieldSchema {
        name: format!("f{index}"),
        kind: kind.clone(),
        unit: None,
        doc: String::new(),
    };
    EventSchema {
        id: EventId(id),
        name: format!("e{id}"),
        category: String::new(),
        ltt: None,
        doc: String::new(),
        sticky: false,
        fields: kinds.iter().enumerate().map(field).collect(),
    }
}

/// Event 1 has a number and a text, event 2 has nothing.
fn schema() -> Schema {
    let events = vec![event(1, &[FieldKind::Hex, FieldKind::Text]), event(2, &[])];
    Schema {
        events,
        enums: Vec::new(),
    }
}

fn info(record_count: u32, first_tsc: u64, last_tsc: u64) -> ChunkInfo {
    ChunkInfo {
        cpu: 0,
        sequence: 0,
        first_tsc,
        last_tsc,
        record_count,
        sticky_count: 0,
        lost_before: 0,
        recording: 0,
        file: 0,
        offset: 0,
        length: 0,
    }
}

/// Columns as the writer makes them, and what the chunk's head says of them.
fn good() -> (ChunkInfo, Vec<u8>) {
    let mut buffer = RecordBuffer::new(0);
    for number in 0..12u64 {
        let mut record = buffer.begin(100 + number * number, EventId(1)).unwrap();
        record.push_number(number * 0x1000);
        record.push_bytes(if number % 4 == 3 { b"other" } else { b"text" });
        record.finish();
        buffer
            .begin(100 + number * number, EventId(2))
            .unwrap()
            .finish();
    }
    let mut data = Vec::new();
    let mut columns = Columns::new(&schema());
    columns.begin(0);
    for record in buffer.records() {
        columns.push(record.stamp, &record).unwrap();
    }
    let summary = columns.finish(&mut data).unwrap();
    (
        info(summary.record_count, summary.first_tsc, summary.last_tsc),
        data,
    )
}

/// Decodes, and looks at everything there is.
fn exhaust(info: ChunkInfo, data: Vec<u8>) -> Result<usize, ColumnError> {
    let chunk = decode(info, data, &schema())?;
    let fields = |record: crate::RecordRef<'_>| {
        (0..record.field_count() + 1)
            .filter(|index| record.field(*index) != Value::Missing)
            .count()
    };
    Ok(chunk.records().map(fields).sum())
}

/// A chunk of `rows` records of event 1, with columns made by `push`.
fn of_event_1(rows: u64, push: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut data = Vec::new();
    [1, 1, rows, 2]
        .into_iter()
        .for_each(|number| varint::push(&mut data, number));
    // Kind of each record, stamps, masks.
    (0..3).for_each(|_| push_numbers(&mut data, &[0]));
    push(&mut data);
    data
}

fn push_column(data: &mut Vec<u8>, encoding: u8, body: &[u8]) {
    data.push(encoding);
    varint::push(data, body.len() as u64);
    data.extend_from_slice(body);
}

#[test]
fn columns_of_the_writer_are_read() {
    let (info, data) = good();
    assert_eq!(exhaust(info, data), Ok(24));
}

#[test]
fn every_byte_may_be_any_other() {
    let (info, data) = good();
    for at in 0..data.len() {
        let _ = exhaust(info, data[..at].to_vec());
        for byte in 0..=u8::MAX {
            let mut data = data.clone();
            data[at] = byte;
            let _ = exhaust(info, data);
        }
    }
}

#[test]
fn memory_is_not_asked_for_by_a_few_bytes() {
    let claims = of_event_1(u64::from(u32::MAX), |data| {
        push_numbers(data, &[5]);
        push_column(data, BYTES, &[CONSTANT, 1, 0]);
    });
    assert_eq!(
        exhaust(info(u32::MAX, 7, 7), claims.clone()),
        Err(ColumnError::Memory)
    );
    // As many as a small file can make a reader decode at all.
    let rows = u32::try_from(DECODED_BYTES_MAX / 72).unwrap();
    let bounded = of_event_1(u64::from(rows), |data| {
        push_numbers(data, &[5]);
        push_column(data, BYTES, &[CONSTANT, 1, 0]);
    });
    assert_eq!(
        decode(info(rows, 7, 7), bounded, &schema()).map(|chunk| chunk.len()),
        Ok(rows as usize)
    );
}

#[test]
fn contradictions_are_refused() {
    use ColumnError::{Cut, Encoding, Event, LeftOver, Range};
    let run = Range("length of a run of bytes");
    let dictionary = |indices: &[u8], rest: &[u8]| {
        let mut body = vec![2];
        push_column(&mut body, PLAIN, indices);
        body.extend_from_slice(rest);
        body
    };
    let lengths = [PLAIN, 2, 1, 2];
    for (encoding, body, expected) in [
        (BYTES, [&lengths[..], b"abb"].concat(), Ok(4)),
        (BYTES, [&lengths[..], b"ab"].concat(), Err(run)),
        (BYTES, [&lengths[..], b"abbc"].concat(), Err(run)),
        (BYTES, vec![CONSTANT, 1, 2, b'a', b'b', b'c'], Err(run)),
        (
            BYTES,
            vec![
                PLAIN, 11, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, b'a',
            ],
            Err(run),
        ),
        (BYTES, vec![PLAIN, 1, 1], Err(Cut)),
        (BYTES, vec![PLAIN, 3, 1, 1, 1], Err(LeftOver(1))),
        (
            DICTIONARY,
            [dictionary(&[0, 1], &lengths), b"abb".to_vec()].concat(),
            Ok(4),
        ),
        (
            DICTIONARY,
            dictionary(&[0, 2], &lengths),
            Err(Range("position in a dictionary")),
        ),
        (DICTIONARY, vec![3], Err(Range("size of a dictionary"))),
        (CONSTANT, vec![0], Err(Encoding(CONSTANT))),
        (DELTA, vec![0, 0], Err(Encoding(DELTA))),
        (77, vec![], Err(Encoding(77))),
    ] {
        let data = of_event_1(2, |data| {
            push_numbers(data, &[5]);
            push_column(data, encoding, &body);
        });
        assert_eq!(
            exhaust(info(2, 7, 7), data),
            expected,
            "{encoding} {body:?}"
        );
    }
    let kinds = |numbers: &[u64]| {
        let mut data = Vec::new();
        numbers
            .iter()
            .for_each(|number| varint::push(&mut data, *number));
        exhaust(info(2, 7, 7), data)
    };
    assert_eq!(kinds(&[3]), Err(Range("number of kinds")));
    assert_eq!(kinds(&[1, 9, 2, 0]), Err(Event(9)));
    assert_eq!(kinds(&[1, 1, 2, 1]), Err(Event(1)));
    assert_eq!(kinds(&[1, 2, 0, 0]), Err(Event(2)));
    assert_eq!(kinds(&[2, 2, 1, 0, 1, 1, 2]), Err(Event(1)));
    assert_eq!(kinds(&[1, 2, 1, 0]), Err(Range("number of records")));
    assert_eq!(kinds(&[1, 2, 3, 0]), Err(Range("number of records")));
}

#[test]
fn stamps_keep_to_the_head() {
    let data = |deltas: &[u64]| {
        let mut data = Vec::new();
        [1, 2, 2, 0]
            .into_iter()
            .for_each(|number| varint::push(&mut data, number));
        push_numbers(&mut data, &[0]);
        push_numbers(&mut data, deltas);
        push_numbers(&mut data, &[0]);
        data
    };
    let wrong = Err(ColumnError::Range("stamp"));
    assert_eq!(exhaust(info(2, 7, 12), data(&[0, 5])), Ok(0));
    assert_eq!(exhaust(info(2, 7, 13), data(&[0, 5])), wrong);
    assert_eq!(exhaust(info(2, 7, 12), data(&[1, 4])), wrong);
    assert_eq!(exhaust(info(2, u64::MAX, u64::MAX), data(&[0, 5])), wrong);
}

proptest! {
    #[test]
    fn any_columns_are_survived(
        data in prop::collection::vec(prop_oneof![0..5u8, any::<u8>()], 0..200),
        records in 0..20u32,
    ) {
        let _ = exhaust(info(records, 0, 9), data);
    }

    #[test]
    fn any_change_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0..5u8, any::<u8>()]), 1..8),
    ) {
        let (info, mut data) = good();
        for (at, byte) in changes {
            let at = at.index(data.len());
            data[at] = byte;
        }
        let _ = exhaust(info, data);
    }
}
