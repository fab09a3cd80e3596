//! The traces that are exported, and what is in them.

use std::path::{Path, PathBuf};

use analyzer::export::{Job, Wanted};
use analyzer::sources::{Item, Range, Trace};
use trace_format::{EnumSchema, FieldKind, TraceFile, Value};

use crate::synthetic;

/// A trace from a script beside the golden ones.
pub(crate) fn golden(name: &str) -> Trace {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let script = std::fs::read_to_string(path.join(format!("{name}.script"))).unwrap();
    of_script(&script)
}

/// A trace from a script.
pub(crate) fn of_script(script: &str) -> Trace {
    Trace::Own(TraceFile::from_bytes(synthetic::trace(script, 7)).unwrap())
}

/// Traces of guests that other runs have left, or that are named in the environment: none where there are none.
pub(crate) fn recorded() -> Option<(PathBuf, Trace)> {
    let path = PathBuf::from(std::env::var_os("GUESTTRACE_EXPORT_TRACE")?);
    let trace = Trace::open(&path).unwrap();
    Some((path, trace))
}

/// The job to export all of a trace.
pub(crate) fn all<T>(trace: &Trace, export: impl FnOnce(Job<'_>) -> T) -> T {
    with(trace, &Wanted::default(), export)
}

/// The job to export a part of a trace.
pub(crate) fn with<T>(trace: &Trace, wanted: &Wanted, export: impl FnOnce(Job<'_>) -> T) -> T {
    export(Job {
        trace,
        wanted,
        progress: &|_| {},
    })
}

/// An event of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) tsc: u64,
    pub(crate) at: u64,
    pub(crate) cpu: u32,
    pub(crate) tid: u32,
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

/// A field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
    pub(crate) value: Held,
    /// Name of the value, if it is one of an enumeration's.
    pub(crate) label: Option<String>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Missing,
    Number(u64),
    Bytes(Vec<u8>),
}

impl Event {
    /// Value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&Held> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some(&field.value)
    }
}

/// The events of a trace, but those that only say which thread runs.
pub(crate) fn events(trace: &Trace) -> Vec<Event> {
    let schema = trace.schema();
    let names = |kind: &FieldKind| match kind {
        FieldKind::Enum(name) => schema.enumeration(name).cloned(),
        _ => None,
    };
    let mut stream = trace.stream(&Range::default()).unwrap();
    let mut events = Vec::new();
    while let Some(item) = stream.next_item().unwrap() {
        let Item::Record(record) = item else {
            continue;
        };
        if record.is_context || record.is_repeated {
            continue;
        }
        let event = schema.event(record.event).unwrap();
        let field = |(index, field): (usize, &trace_format::FieldSchema)| {
            let value = match record.fields.value(index) {
                Value::Missing => Held::Missing,
                Value::Number(number) => Held::Number(number),
                Value::Bytes(bytes) => Held::Bytes(bytes.to_vec()),
            };
            let names: Option<EnumSchema> = names(&field.kind);
            let label = match (&value, names) {
                (Held::Number(number), Some(names)) => names.name_of(*number).map(str::to_owned),
                _ => None,
            };
            Field {
                name: field.name.clone(),
                kind: field.kind.clone(),
                value,
                label,
            }
        };
        events.push(Event {
            tsc: record.tsc,
            at: record.at.0,
            cpu: record.cpu.0,
            tid: record.context.tid.0,
            pid: record.context.pid.0,
            name: event.name.clone(),
            fields: event.fields.iter().enumerate().map(field).collect(),
        });
    }
    events
}
