//! The part of the trace header that explains the events: derived from the table, never written by hand.

use guest_symbols::{Abi, Kernel};
use guesttrace_events::{EnumRow, EnumValues, EventRow, EventTable, FieldType};
use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, FieldSchema, Schema};

/// The schema of those events and of the enumerations that they need.
pub(crate) fn schema(kernel: &Kernel, table: &EventTable, rows: &[&EventRow]) -> Schema {
    let mut events: Vec<EventSchema> = rows.iter().map(|row| event_schema(row)).collect();
    events.sort_by_key(|event| event.id);
    let is_needed = |item: &&EnumRow| {
        rows.iter()
            .flat_map(|row| &row.fields)
            .any(|field| field.field_type == FieldType::Enum(item.name.clone()))
    };
    let enums = table
        .enums()
        .iter()
        .filter(is_needed)
        .map(|item| enumeration(kernel, item))
        .collect();
    Schema { events, enums }
}

/// What a trace says of an event of the table.
#[must_use]
pub fn event_schema(row: &EventRow) -> EventSchema {
    let fields = row.fields.iter().map(|field| FieldSchema {
        name: field.name.clone(),
        kind: field_kind(&field.field_type),
        unit: field.unit.clone(),
        doc: field.doc.clone(),
    });
    EventSchema {
        id: EventId(row.id),
        name: row.name.clone(),
        category: row.category.clone(),
        ltt: row.ltt.clone(),
        doc: row.doc.clone(),
        sticky: row.sticky,
        fields: fields.collect(),
    }
}

fn field_kind(field_type: &FieldType) -> FieldKind {
    match field_type {
        FieldType::Unsigned | FieldType::Tid | FieldType::Pid | FieldType::Cpu => {
            FieldKind::Unsigned
        }
        FieldType::Signed => FieldKind::Signed,
        FieldType::Hex => FieldKind::Hex,
        FieldType::Bool => FieldKind::Bool,
        FieldType::Text => FieldKind::Text,
        FieldType::Bytes => FieldKind::Bytes,
        FieldType::Stack => FieldKind::Addresses,
        FieldType::Enum(name) => FieldKind::Enum(name.clone()),
    }
}

fn enumeration(kernel: &Kernel, row: &EnumRow) -> EnumSchema {
    let values = match &row.values {
        EnumValues::Fixed(values) => values
            .iter()
            .map(|(value, name)| (*value, name.clone()))
            .collect(),
        EnumValues::SyscallsX64 => syscalls(kernel, Abi::X64),
        EnumValues::SyscallsIa32 => syscalls(kernel, Abi::Ia32),
    };
    EnumSchema {
        name: row.name.clone(),
        values,
    }
}

/// Numbers without names when the table cannot be found: an event is worth more than the name in it.
fn syscalls(kernel: &Kernel, abi: Abi) -> Vec<(u64, String)> {
    let calls = kernel.syscalls().unwrap_or_default();
    let mut values: Vec<_> = calls
        .iter()
        .filter(|call| call.abi == abi)
        .map(|call| (u64::from(call.number), call.name.clone()))
        .collect();
    values.sort();
    values.dedup_by_key(|(number, _)| *number);
    values
}
