//! Records as messages of `FtraceEvent`.

use std::collections::HashMap;

use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, Schema, Value, addresses};

use super::message::{push_bytes, push_number, push_text};
use super::table::{FieldType, GENERIC, SYS_ENTER, SYS_EXIT, ftrace_event};
use crate::export::meaning::{Meanings, number, place};
use crate::model::Alias;
use crate::sources::Record;

/// How each kind of event becomes a message.
#[derive(Debug)]
pub(super) struct Events {
    layouts: HashMap<EventId, Layout>,
    /// By thread, the number of the system call that it is in.
    calls: HashMap<u32, u64>,
    /// The message that is being made.
    message: Vec<u8>,
    field: Vec<u8>,
}

#[derive(Debug)]
enum Layout {
    /// A message of its own: its number, and its fields with their places.
    Known {
        number: u32,
        fields: Vec<(usize, u32, FieldType)>,
        /// Where the number of a system call is.
        call: Option<usize>,
    },
    /// The one for all others: its name, and the names of its fields.
    Generic { name: String, fields: Vec<Field> },
}

#[derive(Debug)]
struct Field {
    name: String,
    kind: FieldKind,
    names: Option<EnumSchema>,
}

/// Fields of `FtraceEvent`.
const TIMESTAMP: u32 = 1;
const PID: u32 = 2;

impl Events {
    pub(super) fn new(schema: &Schema, meanings: &Meanings) -> Self {
        let layout = |event: &EventSchema| {
            let layout = Layout::new(schema, event, meanings.get(event.id));
            (event.id, layout)
        };
        Self {
            layouts: schema.events.iter().map(layout).collect(),
            calls: HashMap::new(),
            message: Vec::new(),
            field: Vec::new(),
        }
    }

    /// Appends the content of the message of a record.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        push_number(out, TIMESTAMP, record.at.0);
        push_number(out, PID, u64::from(record.context.tid.0));
        self.message.clear();
        let number = match self.layouts.get(&record.event) {
            Some(Layout::Known {
                number,
                fields,
                call,
            }) => {
                for (place, field, kind) in fields {
                    if call != &Some(*place) {
                        push_field(
                            &mut self.message,
                            *field,
                            *kind,
                            record.fields.value(*place),
                        );
                    }
                }
                if let Some(nr) = call_number(&mut self.calls, *number, *call, record) {
                    push_number(&mut self.message, 1, nr);
                }
                *number
            }
            Some(Layout::Generic { name, fields }) => {
                push_text(&mut self.message, 1, name.as_bytes());
                for (index, field) in fields.iter().enumerate() {
                    self.field.clear();
                    if field.push(&mut self.field, record.fields.value(index)) {
                        push_bytes(&mut self.message, 2, &self.field);
                    }
                }
                GENERIC
            }
            None => {
                push_text(&mut self.message, 1, b"unknown_event");
                GENERIC
            }
        };
        push_bytes(out, number, &self.message);
    }
}

/// Number of the system call that a record is about. A signal handler's return forgets it; the thread's latest call was
/// that return.
fn call_number(
    calls: &mut HashMap<u32, u64>,
    message: u32,
    place: Option<usize>,
    record: &Record<'_>,
) -> Option<u64> {
    let nr = number(&record.fields, Some(place?))?;
    let tid = record.context.tid.0;
    match message {
        SYS_ENTER => {
            calls.insert(tid, nr);
        }
        SYS_EXIT => {
            let entered = calls.remove(&tid);
            if nr.cast_signed() < 0 {
                return entered;
            }
        }
        _ => {}
    }
    Some(nr)
}

impl Layout {
    fn new(schema: &Schema, event: &EventSchema, alias: Option<&Alias>) -> Self {
        let name = alias.map_or(event.name.as_str(), |alias| alias.is.as_str());
        let Some(known) = ftrace_event(name) else {
            let field = |field: &trace_format::FieldSchema| Field {
                name: field.name.clone(),
                kind: field.kind.clone(),
                names: match &field.kind {
                    FieldKind::Enum(name) => schema.enumeration(name).cloned(),
                    _ => None,
                },
            };
            return Self::Generic {
                name: event.name.clone(),
                fields: event.fields.iter().map(field).collect(),
            };
        };
        let fields = known.fields.iter();
        let fields = fields
            .filter_map(|(name, number, kind)| Some((place(event, alias, name)?, *number, *kind)));
        let is_call = matches!(known.number, SYS_ENTER | SYS_EXIT);
        Self::Known {
            number: known.number,
            fields: fields.collect(),
            call: is_call.then(|| place(event, alias, "nr")).flatten(),
        }
    }
}

fn push_field(out: &mut Vec<u8>, field: u32, kind: FieldType, value: Value<'_>) {
    match (kind, value) {
        (FieldType::Number, Value::Number(number)) => push_number(out, field, number),
        (FieldType::Low, Value::Number(number)) => {
            push_number(out, field, number & u64::from(u32::MAX));
        }
        (FieldType::Letters, Value::Number(op)) => push_text(out, field, letters(op)),
        (FieldType::Text | FieldType::Letters, Value::Bytes(text)) => push_text(out, field, text),
        (FieldType::Text, Value::Number(_))
        | (FieldType::Number | FieldType::Low, Value::Bytes(_))
        | (_, Value::Missing) => {}
    }
}

/// Letters by which the kernel's tracepoints tell the operation of a block request.
fn letters(op: u64) -> &'static [u8] {
    match op {
        0 => b"R",
        1 => b"W",
        2 => b"F",
        3 => b"D",
        5 => b"DE",
        _ => b"N",
    }
}

impl Field {
    /// Appends the content of `GenericFtraceEvent.Field`; false when there is no value.
    fn push(&self, out: &mut Vec<u8>, value: Value<'_>) -> bool {
        const TEXT: u32 = 3;
        const SIGNED: u32 = 4;
        const UNSIGNED: u32 = 5;
        push_text(out, 1, self.name.as_bytes());
        match value {
            Value::Missing => return false,
            Value::Number(number) => {
                let names = self.names.as_ref();
                match (names.and_then(|names| names.name_of(number)), &self.kind) {
                    (Some(name), _) => push_text(out, TEXT, name.as_bytes()),
                    (None, FieldKind::Signed | FieldKind::Enum(_)) => {
                        push_number(out, SIGNED, number);
                    }
                    (None, _) => push_number(out, UNSIGNED, number),
                }
            }
            Value::Bytes(bytes) => match self.kind {
                FieldKind::Bytes => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    push_text(out, TEXT, digits.as_bytes());
                }
                FieldKind::Addresses => {
                    let run: Vec<String> =
                        addresses(bytes).map(|addr| format!("{addr:#x}")).collect();
                    push_text(out, TEXT, run.join(" ").as_bytes());
                }
                _ => push_text(out, TEXT, bytes),
            },
        }
        true
    }
}
