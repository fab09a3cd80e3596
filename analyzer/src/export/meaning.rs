//! What each kind of event of a trace is to the model, whoever recorded it.

use trace_format::{EventId, EventSchema, Value};

use crate::model::{Alias, Aliases, Conversion, FieldSource};
use crate::sources::{Fields, Trace};

/// By kind of event.
#[derive(Debug)]
pub(super) struct Meanings(Aliases);

impl Meanings {
    pub(super) fn of(trace: &Trace) -> Self {
        Self(trace.aliases())
    }

    pub(super) fn get(&self, event: EventId) -> Option<&Alias> {
        self.0.get(event)
    }
}

/// Where a field of the model or, if it has none of that name, of the event itself is in its records.
pub(super) fn place(event: &EventSchema, alias: Option<&Alias>, field: &str) -> Option<usize> {
    match alias.and_then(|alias| alias.fields.get(field)) {
        Some(FieldSource::Field {
            index,
            conversion: Conversion::Plain,
        }) => Some(*index),
        Some(_) => None,
        None => event.field_index(field),
    }
}

/// A number of a record.
pub(super) fn number(fields: &Fields<'_>, place: Option<usize>) -> Option<u64> {
    match fields.value(place?) {
        Value::Number(number) => Some(number),
        Value::Missing | Value::Bytes(_) => None,
    }
}

/// A number of a record, if it has at most 32 bits.
pub(super) fn small(fields: &Fields<'_>, place: Option<usize>) -> Option<u32> {
    u32::try_from(number(fields, place)?).ok()
}
