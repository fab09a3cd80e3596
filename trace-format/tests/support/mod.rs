//! Traces for tests: a small schema, records as plain data, and their way through writer and reader.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Cursor;

use trace_format::{
    BufferFull, ChunkMeta, ClockInfo, ClockMode, EnumSchema, EventId, EventSchema, FieldKind,
    FieldSchema, Header, KernelInfo, MachineInfo, ReadError, RecordBuffer, Schema, TraceFile,
    TraceWriter, Trailer, Value, WriterOptions,
};

/// A field of a record, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Missing,
    Number(u64),
    Bytes(Vec<u8>),
}

impl From<Value<'_>> for Field {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Missing => Self::Missing,
            Value::Number(number) => Self::Number(number),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

/// A record, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) tsc: u64,
    pub(crate) event: u16,
    pub(crate) fields: Vec<Field>,
}

pub(crate) fn sample(tsc: u64, event: u16, fields: impl Into<Vec<Field>>) -> Sample {
    Sample {
        tsc,
        event,
        fields: fields.into(),
    }
}

pub(crate) fn text(text: &str) -> Field {
    Field::Bytes(text.as_bytes().to_vec())
}

/// A chunk, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SampleChunk {
    pub(crate) cpu: u32,
    pub(crate) lost_before: u64,
    pub(crate) records: Vec<Sample>,
}

pub(crate) fn event(id: u16, name: &str, fields: &[(&str, FieldKind)]) -> EventSchema {
    EventSchema {
        id: EventId(id),
        name: name.to_owned(),
        category: "test".to_owned(),
        ltt: None,
        doc: String::new(),
        sticky: false,
        fields: fields
            .iter()
            .map(|(name, kind)| FieldSchema {
                name: (*name).to_owned(),
                kind: kind.clone(),
                unit: None,
                doc: String::new(),
            })
            .collect(),
    }
}

pub(crate) fn schema() -> Schema {
    Schema {
        events: vec![
            event(1, "tick", &[]),
            event(
                7,
                "switch",
                &[
                    ("tid", FieldKind::Unsigned),
                    ("state", FieldKind::Enum("state".to_owned())),
                ],
            ),
            event(
                40,
                "open",
                &[("path", FieldKind::Text), ("result", FieldKind::Signed)],
            ),
        ],
        enums: vec![EnumSchema {
            name: "state".to_owned(),
            values: vec![(0, "running".to_owned())],
        }],
    }
}

pub(crate) fn header(schema: Schema) -> Header {
    Header {
        producer: "test".to_owned(),
        kernel: KernelInfo::default(),
        machine: MachineInfo::default(),
        clock: ClockInfo {
            mode: ClockMode::Deterministic,
            tsc_hz: 1_000_000_000,
        },
        schema,
        digests: Vec::new(),
        absent: Vec::new(),
        chunks: None,
    }
}

pub(crate) const SLIDE: u64 = u64::MAX - 0xFFF;

pub(crate) fn symbols() -> Vec<(u64, String)> {
    vec![(0x8100, "start".to_owned()), (0x8170, "stop".to_owned())]
}

pub(crate) fn trailer() -> Trailer {
    Trailer {
        end_reason: "power_off".to_owned(),
        kernel_slide: Some(SLIDE),
        ..Trailer::default()
    }
}

/// Appends a record to a buffer.
pub(crate) fn push(
    buffer: &mut RecordBuffer,
    schema: &Schema,
    record: &Sample,
) -> Result<(), BufferFull> {
    let mut encoder = buffer.begin(record.tsc, EventId(record.event))?;
    let kinds = &schema
        .event(EventId(record.event))
        .expect("sample fits its schema")
        .fields;
    for (field, kind) in record.fields.iter().zip(kinds) {
        match field {
            Field::Missing if kind.kind.is_bytes() => encoder.push_missing_bytes(),
            Field::Missing => encoder.push_missing_number(),
            Field::Number(number) => encoder.push_number(*number),
            Field::Bytes(bytes) => encoder.push_bytes(bytes),
        }
    }
    encoder.finish();
    Ok(())
}

/// The bytes of a trace with those chunks; without trailer when `trailer` is `None`.
pub(crate) fn write(schema: &Schema, chunks: &[SampleChunk], trailer: Option<&Trailer>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let options = WriterOptions {
        compression_level: 3,
    };
    let mut writer = TraceWriter::new(&mut bytes, &header(schema.clone()), options).unwrap();
    writer.write_symbols(SLIDE, &symbols()).unwrap();
    for chunk in chunks {
        let mut buffer = RecordBuffer::new(0);
        for record in &chunk.records {
            push(&mut buffer, schema, record).unwrap();
        }
        let meta = ChunkMeta {
            cpu: chunk.cpu,
            lost_before: chunk.lost_before,
        };
        writer.write_chunk(&meta, &buffer, |stamp| stamp).unwrap();
    }
    match trailer {
        Some(trailer) => {
            writer.finish(trailer).unwrap();
        }
        None => drop(writer),
    }
    bytes.into_inner()
}

/// A chunk of a file, as data.
pub(crate) fn read(file: &TraceFile, index: usize) -> Result<SampleChunk, ReadError> {
    let chunk = file.read_chunk(index)?;
    let record = |record: trace_format::RecordRef<'_>| Sample {
        tsc: record.tsc(),
        event: record.event().0,
        fields: (0..record.field_count())
            .map(|index| record.field(index).into())
            .collect(),
    };
    let info = file.chunks()[index];
    Ok(SampleChunk {
        cpu: info.cpu,
        lost_before: info.lost_before,
        records: chunk.records().map(record).collect(),
    })
}

/// The chunks that can be read.
pub(crate) fn read_all(file: &TraceFile) -> Vec<SampleChunk> {
    (0..file.chunks().len())
        .filter_map(|index| read(file, index).ok())
        .collect()
}

/// Three chunks of two CPUs with every kind of field.
pub(crate) fn small_chunks() -> Vec<SampleChunk> {
    use Field::{Missing, Number};
    vec![
        SampleChunk {
            cpu: 0,
            lost_before: 0,
            records: vec![
                sample(1000, 1, []),
                sample(1000, 7, [Number(12), Number(0)]),
                sample(1250, 40, [text("/etc/passwd"), Number(3)]),
                sample(1300, 7, [Number(u64::MAX), Missing]),
                sample(1301, 40, [Missing, Number(2u64.wrapping_neg())]),
            ],
        },
        SampleChunk {
            cpu: 1,
            lost_before: 5,
            records: vec![sample(900, 7, [Number(1), Number(9)])],
        },
        SampleChunk {
            cpu: 0,
            lost_before: 0,
            records: (0..10)
                .map(|n| sample(2000 + 7 * n, 40, [text("a"), Number(n)]))
                .collect(),
        },
    ]
}
