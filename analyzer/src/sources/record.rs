//! One record of a stream, with what it needs to be understood.

use trace_format::{EventId, RecordRef, Value};

use super::context::Context;
use super::foreign::{Laid, RawRow};
use crate::model::{CpuId, GuestNanos, Pid, Row, Tid};

/// What a stream yields.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// An event.
    Record(Record<'a>),
    /// Events are missing here.
    Loss(Loss),
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When, since the start of the trace.
    pub at: GuestNanos,
    /// When, as the guest would have read it.
    pub tsc: u64,
    /// Where.
    pub cpu: CpuId,
    /// What.
    pub event: EventId,
    /// Whose: the thread on that CPU before the event.
    pub context: &'a Context,
    /// Its fields.
    pub fields: Fields<'a>,
    /// It happened earlier, and was recorded again so that what follows can be understood: not an event to count.
    pub is_repeated: bool,
    /// It only says which thread runs: not an event of the kernel.
    pub is_context: bool,
}

/// Events of a CPU that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Of which CPU.
    pub cpu: CpuId,
    /// Time of the last event before it; `None` when there is none.
    pub since: Option<GuestNanos>,
    /// Time of the first event after it; of the last one before it when there is none after.
    pub at: GuestNanos,
    /// How many, if that is known.
    pub count: Option<u64>,
}

/// Fields of a record, by their position in the schema.
#[derive(Clone, Copy, Debug)]
pub enum Fields<'a> {
    /// In a trace of our own.
    Own(RecordRef<'a>),
    /// Decoded by whoever holds the record.
    Plain(&'a [Value<'a>]),
    /// At fixed places of a record of another tracer.
    Laid(Laid<'a>),
    /// Decoded by a source.
    Raw(RawRow<'a>),
    /// Of the thread that runs: tid, pid, comm.
    Context(&'a Context),
}

impl<'a> Fields<'a> {
    /// The field at `index`.
    #[must_use]
    #[inline]
    pub fn value(&self, index: usize) -> Value<'a> {
        match self {
            Self::Own(record) => record.field(index),
            Self::Plain(values) => values.get(index).copied().unwrap_or(Value::Missing),
            Self::Laid(laid) => laid.value(index),
            Self::Raw(row) => row.value(index),
            Self::Context(context) => match index {
                0 => Value::Number(u64::from(context.tid.0)),
                1 => Value::Number(u64::from(context.pid.0)),
                2 => Value::Bytes(&context.comm),
                _ => Value::Missing,
            },
        }
    }
}

impl Row for Fields<'_> {
    #[inline]
    fn field(&self, index: usize) -> Value<'_> {
        self.value(index)
    }
}

impl guesttrace_filter::Row for Record<'_> {
    fn event(&self) -> EventId {
        self.event
    }

    fn context(&self, context: guesttrace_filter::Context) -> Value<'_> {
        let (tid, pid) = (self.context.tid, self.context.pid);
        let place = (self.at, self.tsc, self.cpu);
        context_value(context, place, (tid, pid, &self.context.comm))
    }

    fn field(&self, index: usize) -> Value<'_> {
        self.fields.value(index)
    }
}

/// What a filter gets for a name that is no field: when and where an event was, and which thread ran there.
#[inline]
pub(crate) fn context_value(
    context: guesttrace_filter::Context,
    (at, tsc, cpu): (GuestNanos, u64, CpuId),
    (tid, pid, comm): (Tid, Pid, &[u8]),
) -> Value<'_> {
    use guesttrace_filter::Context as C;
    match context {
        C::Cpu => Value::Number(u64::from(cpu.0)),
        C::Pid => Value::Number(u64::from(pid.0)),
        C::Tid => Value::Number(u64::from(tid.0)),
        C::Comm => Value::Bytes(comm),
        C::Time => Value::Number(at.0),
        C::Tsc => Value::Number(tsc),
        // Only a running guest tells these: a filter that asks for them cannot be bound to a trace.
        C::Uid | C::Gid | C::Ppid | C::Pgrp | C::Sid | C::Cgroup | C::CgroupId | C::Followed => {
            Value::Missing
        }
    }
}
