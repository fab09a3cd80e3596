//! An event that is kept.

use guesttrace_filter::Row;
use trace_format::{EventId, Value};

use crate::model::{CpuId, GuestNanos, Pid, Tid};
use crate::sources::{Record, context_value};

/// An event with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, since the start of the trace.
    pub at: GuestNanos,
    /// When, as the guest would have read it.
    pub tsc: u64,
    /// Where.
    pub cpu: CpuId,
    /// What: an event of the trace's schema.
    pub id: EventId,
    /// The thread that ran there.
    pub tid: Tid,
    /// Its process.
    pub pid: Pid,
    /// Its name.
    pub comm: Vec<u8>,
    /// The fields, in the order of the schema.
    pub fields: Vec<FieldValue>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// It could not be fetched.
    Missing,
    /// The 64 bits of a number; what they mean is in the schema.
    Number(u64),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl FieldValue {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Missing => Value::Missing,
            Self::Number(number) => Value::Number(*number),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

impl Event {
    /// Keeps a record whose event has so many fields.
    pub(super) fn of(record: &Record<'_>, field_count: usize) -> Self {
        let field = |index| match record.fields.value(index) {
            Value::Missing => FieldValue::Missing,
            Value::Number(number) => FieldValue::Number(number),
            Value::Bytes(bytes) => FieldValue::Bytes(bytes.to_vec()),
        };
        Self {
            at: record.at,
            tsc: record.tsc,
            cpu: record.cpu,
            id: record.event,
            tid: record.context.tid,
            pid: record.context.pid,
            comm: record.context.comm.clone(),
            fields: (0..field_count).map(field).collect(),
        }
    }
}

/// An event can be filtered as a record can.
impl Row for Event {
    fn event(&self) -> EventId {
        self.id
    }

    fn context(&self, context: guesttrace_filter::Context) -> Value<'_> {
        let place = (self.at, self.tsc, self.cpu);
        context_value(context, place, (self.tid, self.pid, &self.comm))
    }

    fn field(&self, index: usize) -> Value<'_> {
        self.fields
            .get(index)
            .map_or(Value::Missing, FieldValue::value)
    }
}
