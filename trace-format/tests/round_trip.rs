//! What is written comes back.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::cell::Cell;
use std::io::{self, Cursor, Seek, SeekFrom, Write};

use proptest::prelude::*;
use support::{
    Field, Sample, SampleChunk, event, header, push, read, read_all, sample, schema, small_chunks,
    text, trailer, write,
};
use trace_format::{
    ChunkMeta, EventId, FieldKind, ReadError, RecordBuffer, Schema, TraceFile, TraceWriter,
    WriteError, WriterOptions,
};

#[test]
fn complete_file_comes_back_whole() {
    let bytes = write(&schema(), &small_chunks(), Some(&trailer()));
    let file = TraceFile::from_bytes(bytes).unwrap();
    assert_eq!(file.diagnostics(), []);
    assert_eq!(file.verify(), []);
    assert_eq!(file.header(), &header(schema()));
    assert_eq!(file.trailer(), Some(&trailer()));
    assert_eq!(read_all(&file), small_chunks());
    let sequences: Vec<_> = file
        .chunks()
        .iter()
        .map(|chunk| (chunk.cpu, chunk.sequence))
        .collect();
    assert_eq!(sequences, [(0, 0), (1, 0), (0, 1)]);
}

#[test]
fn same_calls_give_the_same_bytes() {
    let once = || write(&schema(), &small_chunks(), Some(&trailer()));
    assert_eq!(once(), once());
}

#[test]
fn chunk_does_not_depend_on_those_before_it() {
    // The compressor is used again for each chunk: it must not remember.
    let chunks = small_chunks();
    let block = |chunks: &[SampleChunk]| {
        let bytes = write(&schema(), chunks, None);
        let info = *TraceFile::from_bytes(bytes.clone())
            .unwrap()
            .chunks()
            .last()
            .unwrap();
        bytes[usize::try_from(info.offset).unwrap()..].to_vec()
    };
    assert_eq!(block(&chunks[..2]), block(&chunks[1..2]));
}

#[test]
fn file_on_disk_is_mapped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.bin");
    std::fs::write(&path, write(&schema(), &small_chunks(), Some(&trailer()))).unwrap();
    let file = TraceFile::open(&path).unwrap();
    assert_eq!(read_all(&file), small_chunks());
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(TraceFile::open(&path), Err(ReadError::NotATrace)));
    assert!(matches!(
        TraceFile::open(directory.path().join("none")),
        Err(ReadError::Io { .. })
    ));
}

#[test]
fn loss_without_records_is_kept_and_nothing_is_not() {
    let chunk = |lost_before| SampleChunk {
        cpu: 3,
        lost_before,
        records: vec![],
    };
    let bytes = write(
        &schema(),
        &[chunk(0), chunk(17), chunk(0)],
        Some(&trailer()),
    );
    let file = TraceFile::from_bytes(bytes).unwrap();
    assert_eq!(read_all(&file), [chunk(17)]);
    assert_eq!(file.verify(), []);
}

#[test]
fn time_never_goes_back_on_a_cpu() {
    let tick = |tsc| sample(tsc, 1, []);
    let mut out = Cursor::new(Vec::new());
    let options = WriterOptions {
        compression_level: 1,
    };
    let mut writer = TraceWriter::new(&mut out, &header(schema()), options).unwrap();
    for (cpu, tscs) in [(0, [50, 60, 70]), (0, [65, 66, 90]), (1, [1, 1, 2])] {
        let mut buffer = RecordBuffer::new(0);
        tscs.iter()
            .for_each(|tsc| push(&mut buffer, &schema(), &tick(*tsc)).unwrap());
        let meta = ChunkMeta {
            cpu,
            lost_before: 0,
        };
        // The clock's correction moves 60 back.
        writer
            .write_chunk(&meta, &buffer, |stamp| if stamp == 60 { 40 } else { stamp })
            .unwrap();
    }
    assert_eq!(writer.clamped_count(), 3);
    writer.finish(&trailer()).unwrap();
    let file = TraceFile::from_bytes(out.into_inner()).unwrap();
    let tscs: Vec<_> = (0..3)
        .map(|index| file.read_chunk(index).unwrap().tscs().to_vec())
        .collect();
    assert_eq!(tscs, [[50, 50, 70], [70, 70, 90], [1, 1, 2]]);
}

#[test]
fn repeated_records_are_told_from_own_ones() {
    let mut first = RecordBuffer::new(0);
    push(
        &mut first,
        &schema(),
        &sample(10, 7, [Field::Number(3), Field::Missing]),
    )
    .unwrap();
    let mut second = RecordBuffer::new(0);
    second.repeat(20, &first.last_record().unwrap()).unwrap();
    push(&mut second, &schema(), &sample(30, 1, [])).unwrap();
    let mut out = Cursor::new(Vec::new());
    let options = WriterOptions {
        compression_level: 1,
    };
    let mut writer = TraceWriter::new(&mut out, &header(schema()), options).unwrap();
    for buffer in [&first, &second] {
        let meta = ChunkMeta {
            cpu: 0,
            lost_before: 0,
        };
        writer.write_chunk(&meta, buffer, |stamp| stamp).unwrap();
    }
    drop(writer);
    let file = TraceFile::from_bytes(out.into_inner()).unwrap();
    let counts: Vec<_> = file
        .chunks()
        .iter()
        .map(|chunk| (chunk.sticky_count, chunk.record_count))
        .collect();
    assert_eq!(counts, [(0, 1), (1, 2)]);
    let repeated = sample(20, 7, [Field::Number(3), Field::Missing]);
    assert_eq!(read(&file, 1).unwrap().records[0], repeated);
}

/// An output that fails once its budget is used up, until it is given more.
#[derive(Debug)]
struct FullDisk<'a> {
    out: Cursor<Vec<u8>>,
    budget: &'a Cell<usize>,
}

impl Write for FullDisk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.budget.get());
        if count == 0 && !bytes.is_empty() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.budget.set(self.budget.get() - count);
        self.out.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for FullDisk<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out.seek(to)
    }
}

#[test]
fn chunk_that_failed_on_a_full_disk_leaves_the_rest_whole() {
    let budget = Cell::new(usize::MAX);
    let out = FullDisk {
        out: Cursor::new(Vec::new()),
        budget: &budget,
    };
    let options = WriterOptions {
        compression_level: 3,
    };
    let mut writer = TraceWriter::new(out, &header(schema()), options).unwrap();
    let mut write = |records: &[Sample], room| {
        budget.set(room);
        let mut buffer = RecordBuffer::new(0);
        records
            .iter()
            .for_each(|record| push(&mut buffer, &schema(), record).unwrap());
        let meta = ChunkMeta {
            cpu: 0,
            lost_before: 0,
        };
        let result = writer.write_chunk(&meta, &buffer, |stamp| stamp);
        budget.set(usize::MAX);
        result
    };
    let (one, three) = (&small_chunks()[0].records, &small_chunks()[2].records);
    write(one, usize::MAX).unwrap();
    assert!(matches!(write(one, 30), Err(WriteError::Io(_))));
    write(three, usize::MAX).unwrap();
    let bytes = writer.finish(&trailer()).unwrap().out.into_inner();
    let file = TraceFile::from_bytes(bytes).unwrap();
    assert_eq!(file.verify(), []);
    let records: Vec<_> = read_all(&file)
        .into_iter()
        .map(|chunk| chunk.records)
        .collect();
    assert_eq!(records, [one.clone(), three.clone()]);
}

#[test]
fn records_that_do_not_fit_the_schema_are_refused() {
    let mut out = Cursor::new(Vec::new());
    let options = WriterOptions {
        compression_level: 1,
    };
    let mut writer = TraceWriter::new(&mut out, &header(schema()), options).unwrap();
    let mut write = |id, numbers| {
        let mut buffer = RecordBuffer::new(0);
        let mut record = buffer.begin(1, EventId(id)).unwrap();
        (0..numbers).for_each(|_| record.push_number(5));
        record.finish();
        let meta = ChunkMeta {
            cpu: 0,
            lost_before: 0,
        };
        writer.write_chunk(&meta, &buffer, |stamp| stamp)
    };
    for id in [0, 2, 41, u16::MAX] {
        assert!(matches!(write(id, 2), Err(WriteError::UnknownEvent { event }) if event == id));
    }
    for numbers in [0, 1, 3] {
        assert!(matches!(
            write(7, numbers),
            Err(WriteError::RecordShape { event: 7 })
        ));
    }
    write(7, 2).unwrap();
    writer.finish(&trailer()).unwrap();
    assert_eq!(
        TraceFile::from_bytes(out.into_inner())
            .unwrap()
            .chunks()
            .len(),
        1
    );
}

fn any_kind() -> impl Strategy<Value = FieldKind> {
    prop::sample::select(vec![
        FieldKind::Unsigned,
        FieldKind::Hex,
        FieldKind::Signed,
        FieldKind::Text,
    ])
}

fn any_schema() -> impl Strategy<Value = Schema> {
    let fields = prop::collection::vec(any_kind(), 0..6);
    prop::collection::btree_map(any::<u16>(), fields, 1..6).prop_map(|events| {
        let event = |(id, kinds): (u16, Vec<FieldKind>)| {
            let names: Vec<_> = (0..kinds.len()).map(|index| format!("f{index}")).collect();
            let fields: Vec<_> = names.iter().map(String::as_str).zip(kinds).collect();
            event(id, &format!("e{id}"), &fields)
        };
        Schema {
            events: events.into_iter().map(event).collect(),
            enums: Vec::new(),
        }
    })
}

fn any_field(kind: &FieldKind) -> BoxedStrategy<Field> {
    let number = prop_oneof![0..9u64, any::<u64>(), Just(u64::MAX)].prop_map(Field::Number);
    let run = prop_oneof![
        prop::sample::select(vec!["", "a", "swapper/0", "bash"]).prop_map(text),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Field::Bytes),
    ];
    let present = if kind.is_bytes() {
        run.boxed()
    } else {
        number.boxed()
    };
    prop_oneof![1 => Just(Field::Missing), 9 => present].boxed()
}

fn any_chunks(schema: &Schema) -> impl Strategy<Value = Vec<SampleChunk>> + use<> {
    let records = schema.events.iter().map(|event| {
        let id = event.id.0;
        let fields: Vec<_> = event
            .fields
            .iter()
            .map(|field| any_field(&field.kind))
            .collect();
        (prop_oneof![Just(0), 0..5000u64], fields)
            .prop_map(move |(delta, fields)| sample(delta, id, fields))
            .boxed()
    });
    let record = prop::strategy::Union::new(records.collect::<Vec<_>>());
    let chunk = (0..3u32, 0..2u64, prop::collection::vec(record, 1..40)).prop_map(
        |(cpu, lost_before, records)| SampleChunk {
            cpu,
            lost_before,
            records,
        },
    );
    prop::collection::vec(chunk, 0..6).prop_map(|mut chunks| {
        let mut tsc = 1 << 40;
        for record in chunks.iter_mut().flat_map(|chunk| &mut chunk.records) {
            tsc += record.tsc;
            record.tsc = tsc;
        }
        chunks
    })
}

proptest! {
    #[test]
    fn any_trace_comes_back(
        (schema, chunks) in any_schema().prop_flat_map(|schema| {
            let chunks = any_chunks(&schema);
            (Just(schema), chunks)
        }),
        end in any::<bool>(),
    ) {
        let trailer = trailer();
        let file = TraceFile::from_bytes(write(&schema, &chunks, end.then_some(&trailer))).unwrap();
        prop_assert_eq!(&file.header().schema, &schema);
        prop_assert_eq!(file.trailer(), end.then_some(&trailer));
        prop_assert_eq!(read_all(&file), chunks);
        prop_assert_eq!(file.verify().is_empty(), end);
    }
}

#[test]
fn largest_buffers_come_back() {
    let texts: Vec<_> = (0..32).map(|index| format!("f{index}")).collect();
    let texts: Vec<_> = texts
        .iter()
        .map(|name| (name.as_str(), FieldKind::Text))
        .collect();
    let schema = Schema {
        events: vec![event(1, "empty", &[]), event(2, "texts", &texts)],
        enums: Vec::new(),
    };
    for record in [
        sample(9, 1, []),
        sample(9, 2, vec![text(""); 32]),
        sample(9, 2, vec![text(&"x".repeat(2000)); 32]),
    ] {
        let mut buffer = RecordBuffer::new(usize::MAX);
        while push(&mut buffer, &schema, &record).is_ok() {}
        let mut out = Cursor::new(Vec::new());
        let options = WriterOptions {
            compression_level: 1,
        };
        let mut writer = TraceWriter::new(&mut out, &header(schema.clone()), options).unwrap();
        writer
            .write_chunk(
                &ChunkMeta {
                    cpu: 0,
                    lost_before: 0,
                },
                &buffer,
                |stamp| stamp,
            )
            .unwrap();
        drop(writer);
        let file = TraceFile::from_bytes(out.into_inner()).unwrap();
        let chunk = file.read_chunk(0).unwrap();
        assert_eq!(chunk.len(), buffer.record_count() as usize);
        let last = chunk.record(chunk.len() - 1);
        let fields: Vec<Field> = (0..last.field_count())
            .map(|index| last.field(index).into())
            .collect();
        assert_eq!(fields, record.fields);
    }
}
