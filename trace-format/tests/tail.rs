//! A trace that arrives piece by piece gives what the whole file gives, and what does not fit is told and left out.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Cursor;

use support::{Sample, header, push, sample, schema, small_chunks, symbols, trailer, write};
use trace_format::{
    ChunkMeta, Diagnostic, Fault, Part, ReadError, RecordBuffer, Tail, TraceFile, TraceWriter,
    WriterOptions,
};

/// A line for each part that arrives, and the error that ends it.
fn arrive(pieces: &[&[u8]]) -> (Vec<String>, Option<ReadError>) {
    let mut tail = Tail::new();
    let mut lines = Vec::new();
    let schema = schema();
    for piece in pieces {
        tail.feed(piece);
        loop {
            match tail.next_part() {
                Ok(None) => break,
                Ok(Some(part)) => lines.push(line(&part, &tail, &schema)),
                Err(error) => return (lines, Some(error)),
            }
        }
    }
    (lines, None)
}

fn line(part: &Part, tail: &Tail, schema: &trace_format::Schema) -> String {
    match part {
        Part::Header(header) => format!("header {}", header.producer),
        Part::Chunk(chunk) => match chunk.decode(schema) {
            Ok(decoded) => format!("chunk {:?} {:?}", chunk.info(), decoded.tscs()),
            Err(error) => format!("damage {error}"),
        },
        Part::Symbols => format!("symbols {:?}", tail.symbols().symbols),
        Part::UpTo(tsc) => format!("up to {tsc}"),
        Part::Trailer(trailer) => format!("trailer {}", trailer.end_reason),
        Part::End => "end".to_owned(),
        Part::Damage(damage) => format!("damage {damage}"),
        other => panic!("{other:?}"),
    }
}

fn complete() -> Vec<u8> {
    write(&schema(), &small_chunks(), Some(&trailer()))
}

#[test]
fn pieces_give_what_the_file_gives() {
    let bytes = complete();
    let (whole, error) = arrive(&[&bytes]);
    assert!(error.is_none());
    let file = TraceFile::from_bytes(bytes.clone()).unwrap();
    let mut expected = vec!["header test".to_owned(), format!("symbols {:?}", symbols())];
    for (index, info) in file.chunks().iter().enumerate() {
        let chunk = file.read_chunk(index).unwrap();
        expected.push(format!("chunk {info:?} {:?}", chunk.tscs()));
    }
    expected.extend(["trailer power_off".to_owned(), "end".to_owned()]);
    assert_eq!(whole, expected);
    for cut in 0..=bytes.len() {
        let (parts, error) = arrive(&[&bytes[..cut], &bytes[cut..]]);
        assert!(error.is_none(), "cut at {cut}");
        assert_eq!(parts, whole, "cut at {cut}");
        let (parts, error) = arrive(&[&bytes[..cut]]);
        assert!(error.is_none(), "only {cut} bytes");
        assert_eq!(parts, whole[..parts.len()], "only {cut} bytes");
        assert!(parts.len() < whole.len() || cut == bytes.len());
    }
}

#[test]
fn a_flipped_bit_never_gives_other_events() {
    let bytes = complete();
    let (whole, _) = arrive(&[&bytes]);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (parts, error) = arrive(&[&bytes]);
        let is_told = |part: &&String| part.starts_with("damage ");
        let mut good = parts.iter().filter(|part| !is_told(part));
        let mut all = whole.iter();
        assert!(
            good.all(|part| all.any(|other| other == part)),
            "bit {bit}: {parts:?}"
        );
        let is_missing = parts.len() < whole.len();
        assert!(
            error.is_some() || !is_missing || parts.iter().any(|part| is_told(&part)),
            "bit {bit}: nothing is said of what is missing in {parts:?}"
        );
    }
}

fn buffer(records: &[Sample]) -> RecordBuffer {
    let mut buffer = RecordBuffer::new(0);
    for record in records {
        push(&mut buffer, &schema(), record).unwrap();
    }
    buffer
}

#[test]
fn what_is_late_is_left_out() {
    let options = WriterOptions {
        compression_level: 1,
    };
    let mut writer = TraceWriter::new(Cursor::new(Vec::new()), &header(schema()), options).unwrap();
    let meta = |cpu| ChunkMeta {
        cpu,
        lost_before: 0,
    };
    let chunk = |writer: &mut TraceWriter<_>, cpu, tsc| {
        let records = buffer(&[sample(tsc, 1, [])]);
        writer.write_chunk(&meta(cpu), &records, |tsc| tsc).unwrap();
    };
    chunk(&mut writer, 0, 10);
    writer.write_up_to(20).unwrap();
    chunk(&mut writer, 1, 20);
    chunk(&mut writer, 2, 19);
    let bytes = writer.finish(&trailer()).unwrap().into_inner();
    let (parts, error) = arrive(&[&bytes]);
    assert!(error.is_none());
    let kinds: Vec<_> = parts.iter().map(|part| part.split(' ').next()).collect();
    let expected = ["header", "chunk", "up", "chunk", "damage", "trailer", "end"];
    assert_eq!(kinds, expected.map(Some));
    // Whoever has the whole file needs no such mark; that it is wrong is told where somebody asks.
    let file = TraceFile::from_bytes(bytes).unwrap();
    assert_eq!((file.chunks().len(), file.diagnostics()), (3, &[][..]));
    let late = |finding: &Diagnostic| {
        let fault = &Fault::Late;
        matches!(finding, Diagnostic::Invalid { fault: found, .. } if found == fault)
    };
    let found = file.verify();
    assert!(found.len() == 1 && late(&found[0]), "{found:?}");
}

#[test]
fn what_is_no_trace_is_refused() {
    let (parts, error) = arrive(&[b"this is no trace at all"]);
    assert!(parts.is_empty());
    assert!(matches!(error, Some(ReadError::NotATrace)));
    // A later version, by its number.
    let mut bytes = complete();
    bytes[8] = 9;
    let checksum = crc32fast::hash(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&checksum);
    let (_, error) = arrive(&[&bytes]);
    assert!(matches!(error, Some(ReadError::Version { major: 9, .. })));
    // A block in place of the header.
    let bytes = complete();
    let second = 36 + u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize;
    let (_, error) = arrive(&[&bytes[..16], &bytes[second..]]);
    let is_kind = matches!(
        error,
        Some(ReadError::Damaged(Diagnostic::Invalid {
            fault: Fault::Kind,
            ..
        }))
    );
    assert!(is_kind, "{error:?}");
}
