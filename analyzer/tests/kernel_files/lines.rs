//! Events of a trace, as they come.

use std::path::Path;

use analyzer::sources::{Item, Range, Trace};
use trace_format::{FieldKind, Value};

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) ticks: u64,
    pub(crate) cpu: u32,
    pub(crate) tid: u32,
    pub(crate) event: String,
    pub(crate) fields: Vec<(String, Shown)>,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Missing,
    Number(u64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
}

/// Reads all events of a file; the losses by CPU and number, too.
pub(crate) fn read(path: &Path) -> (Vec<Line>, Vec<(u32, Option<u64>)>) {
    let trace = Trace::open(path).unwrap();
    let schema = trace.schema();
    let mut stream = trace.stream(&Range::default()).unwrap();
    let (mut lines, mut losses) = (Vec::new(), Vec::new());
    while let Some(item) = stream.next_item().unwrap() {
        let record = match item {
            Item::Loss(loss) => {
                losses.push((loss.cpu.0, loss.count));
                continue;
            }
            Item::Record(record) if record.is_context => continue,
            Item::Record(record) => record,
        };
        let event = schema.event(record.event).unwrap();
        let fields = event.fields.iter().enumerate().map(|(index, field)| {
            let shown = match record.fields.value(index) {
                Value::Missing => Shown::Missing,
                Value::Number(number) => Shown::Number(number),
                Value::Bytes(bytes) if field.kind == FieldKind::Text => Shown::Text(bytes.to_vec()),
                Value::Bytes(bytes) => Shown::Bytes(bytes.to_vec()),
            };
            (field.name.clone(), shown)
        });
        lines.push(Line {
            ticks: record.tsc,
            cpu: record.cpu.0,
            tid: record.context.tid.0,
            event: event.name.clone(),
            fields: fields.collect(),
        });
    }
    (lines, losses)
}

/// The events of a file, with their fields in lines behind them.
pub(crate) fn shown(file: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace");
    std::fs::write(&path, file).unwrap();
    let (lines, losses) = read(&path);
    let mut shown = String::new();
    for line in lines {
        shown += &format!("{} {} {} {}", line.ticks, line.cpu, line.tid, line.event);
        for (index, (name, value)) in line.fields.into_iter().enumerate() {
            shown += if index % 4 == 0 { "\n " } else { "" };
            shown += &match value {
                Shown::Missing => format!(" {name}=?"),
                Shown::Number(number) => format!(" {name}={}", number.cast_signed()),
                Shown::Text(text) => format!(" {name}={}", String::from_utf8_lossy(&text)),
                Shown::Bytes(bytes) => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!(" {name}={digits}")
                }
            };
        }
        shown.push('\n');
    }
    for (cpu, count) in losses {
        shown += &format!("lost on {cpu}: {count:?}\n");
    }
    shown
}
