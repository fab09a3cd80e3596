//! Traces from scripts, with the schema of the built-in event table.
//!
//! A line is `TIME@CPU EVENT FIELD=VALUE ...`; a field that is not given is missing. `lost@CPU N` says that N records
//! are missing before the CPU's next one, `lost@CPU N CONTEXT` also that the thread runs that a context record names. Times are ticks of 1 ns after the start of the trace.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::BTreeMap;
use std::io::Cursor;

use guesttrace_events::{EnumValues, EventTable, FieldType};
use trace_format::{
    ChunkMeta, ClockInfo, ClockMode, EnumSchema, EventSchema, FieldKind, FieldSchema, Header,
    KernelInfo, MachineInfo, RecordBuffer, Schema, TraceWriter, Trailer, WriterOptions,
};

/// TSC of time 0.
pub(crate) const FIRST_TSC: u64 = 1_000_000;
const BUFFER_BYTES: usize = 1 << 20;

/// Schema of the built-in table; system calls have a few names.
pub(crate) fn schema() -> Schema {
    let table = EventTable::builtin();
    let kind = |field: &FieldType| match field {
        FieldType::Signed => FieldKind::Signed,
        FieldType::Hex => FieldKind::Hex,
        FieldType::Bool => FieldKind::Bool,
        FieldType::Text => FieldKind::Text,
        FieldType::Bytes => FieldKind::Bytes,
        FieldType::Stack => FieldKind::Addresses,
        FieldType::Enum(name) => FieldKind::Enum(name.clone()),
        FieldType::Unsigned | FieldType::Tid | FieldType::Pid | FieldType::Cpu => {
            FieldKind::Unsigned
        }
    };
    let mut events: Vec<EventSchema> = Vec::new();
    for row in table.events() {
        let fields = row.fields.iter().map(|field| FieldSchema {
            name: field.name.clone(),
            kind: kind(&field.field_type),
            unit: field.unit.clone(),
            doc: field.doc.clone(),
        });
        events.push(EventSchema {
            id: trace_format::EventId(row.id),
            name: row.name.clone(),
            category: row.category.clone(),
            ltt: row.ltt.clone(),
            doc: row.doc.clone(),
            sticky: row.sticky,
            fields: fields.collect(),
        });
    }
    events.sort_by_key(|event| event.id);
    let enums = table.enums().iter().map(|item| {
        let values: Vec<(u64, String)> = match &item.values {
            EnumValues::Fixed(values) => values
                .iter()
                .map(|(value, name)| (*value, name.clone()))
                .collect(),
            EnumValues::SyscallsX64 | EnumValues::SyscallsIa32 => [
                (0, "read"),
                (1, "write"),
                (2, "open"),
                (7, "poll"),
                (35, "nanosleep"),
                (41, "socket"),
                (44, "sendto"),
                (45, "recvfrom"),
                (56, "clone"),
                (59, "execve"),
                (61, "wait4"),
                (74, "fsync"),
                (202, "futex"),
                (231, "exit_group"),
                (313, "finit_module"),
            ]
            .map(|(value, name)| (value, name.to_owned()))
            .to_vec(),
        };
        EnumSchema {
            name: item.name.clone(),
            values,
        }
    });
    Schema {
        events,
        enums: enums.collect(),
    }
}

/// The header of every synthetic trace.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn header() -> Header {
    header_of(schema())
}

fn header_of(schema: Schema) -> Header {
    Header {
        producer: "a test".to_owned(),
        kernel: KernelInfo {
            release: "6.1.0-test".to_owned(),
            ..KernelInfo::default()
        },
        machine: MachineInfo {
            cpu_count: 2,
            memory_mib: 256,
            reproducible: true,
            ..MachineInfo::default()
        },
        clock: ClockInfo {
            mode: ClockMode::Deterministic,
            tsc_hz: 1_000_000_000,
        },
        schema,
        digests: Vec::new(),
        absent: vec![trace_format::AbsentEvent {
            event: "tasklet_entry".to_owned(),
            reason: "no tracepoint tasklet_entry".to_owned(),
        }],
        chunks: None,
    }
}

struct Cpu {
    buffer: RecordBuffer,
    lost_before: u64,
    context: Option<String>,
    own_records: usize,
}

/// Writes a script as a trace, with at most `chunk_records` events in a chunk.
pub(crate) fn trace(script: &str, chunk_records: usize) -> Vec<u8> {
    trace_of(script, chunk_records, schema())
}

/// Writes a script as a trace that knows only some events.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn trace_of(script: &str, chunk_records: usize, schema: Schema) -> Vec<u8> {
    let header = header_of(schema);
    let options = WriterOptions {
        compression_level: 1,
    };
    let mut writer = TraceWriter::new(Cursor::new(Vec::new()), &header, options).unwrap();
    let mut cpus: BTreeMap<u32, Cpu> = BTreeMap::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (place, rest) = line.split_once(' ').unwrap();
        let (time, cpu) = place.split_once('@').unwrap();
        let number: u32 = cpu.parse().unwrap();
        let cpu = cpus.entry(number).or_insert_with(|| Cpu {
            buffer: RecordBuffer::new(BUFFER_BYTES),
            lost_before: 0,
            context: None,
            own_records: 0,
        });
        if time == "lost" {
            flush(&mut writer, number, cpu);
            let (count, context) = rest.split_once(' ').unwrap_or((rest, ""));
            cpu.lost_before = count.parse().unwrap();
            if !context.is_empty() {
                cpu.context = Some(context.to_owned());
            }
            continue;
        }
        let stamp: u64 = time.parse().unwrap();
        if cpu.own_records == 0
            && let Some(context) = cpu.context.clone()
        {
            repeat(&mut cpu.buffer, &header.schema, stamp, &context);
        }
        push(&mut cpu.buffer, &header.schema, stamp, rest);
        cpu.own_records += 1;
        if rest.starts_with("thread_context ") {
            cpu.context = Some(rest.to_owned());
        }
        if cpu.own_records >= chunk_records {
            flush(&mut writer, number, cpu);
        }
    }
    for (number, cpu) in &mut cpus {
        flush(&mut writer, *number, cpu);
    }
    let trailer = Trailer {
        end_reason: "power_off".to_owned(),
        ..Trailer::default()
    };
    writer.finish(&trailer).unwrap().into_inner()
}

fn flush(writer: &mut TraceWriter<Cursor<Vec<u8>>>, number: u32, cpu: &mut Cpu) {
    let meta = ChunkMeta {
        cpu: number,
        lost_before: cpu.lost_before,
    };
    writer
        .write_chunk(&meta, &cpu.buffer, |stamp| FIRST_TSC + stamp)
        .unwrap();
    cpu.buffer.clear();
    (cpu.lost_before, cpu.own_records) = (0, 0);
}

fn repeat(buffer: &mut RecordBuffer, schema: &Schema, stamp: u64, line: &str) {
    let mut other = RecordBuffer::new(BUFFER_BYTES);
    push(&mut other, schema, stamp, line);
    let record = other.records().next().unwrap();
    buffer.repeat(stamp, &record).unwrap();
}

fn push(buffer: &mut RecordBuffer, schema: &Schema, stamp: u64, line: &str) {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let event = schema
        .event_named(name)
        .unwrap_or_else(|| panic!("no event {name}"));
    let values: BTreeMap<&str, &str> = words.map(|word| word.split_once('=').unwrap()).collect();
    for name in values.keys() {
        assert!(
            event.field_index(name).is_some(),
            "{} has no field {name}",
            event.name
        );
    }
    let mut record = buffer.begin(stamp, event.id).unwrap();
    for field in &event.fields {
        match (values.get(field.name.as_str()), field.kind.is_bytes()) {
            (Some(text), true) => record.push_bytes(text.as_bytes()),
            (Some(text), false) => record.push_number(number(schema, &field.kind, text)),
            (None, true) => record.push_missing_bytes(),
            (None, false) => record.push_missing_number(),
        }
    }
    record.finish();
}

fn number(schema: &Schema, kind: &FieldKind, text: &str) -> u64 {
    if let FieldKind::Enum(name) = kind
        && let Some((value, _)) = schema
            .enumeration(name)
            .unwrap()
            .values
            .iter()
            .find(|(_, name)| name == text)
    {
        return *value;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).unwrap();
    }
    text.parse::<i64>()
        .map(i64::cast_unsigned)
        .unwrap_or_else(|_| panic!("{text:?} is no number"))
}
