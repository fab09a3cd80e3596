//! A record as a filter sees it.

use trace_format::{EventId, Value};

/// What is known of a record besides its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// CPU on which it happened; a number.
    Cpu,
    /// Process; a number.
    Pid,
    /// Thread; a number.
    Tid,
    /// Name of the thread; bytes.
    Comm,
    /// Nanoseconds since the start of the trace; a number.
    Time,
    /// The guest's TSC; a number.
    Tsc,
}

impl Context {
    /// Every context, in the order in which they are documented.
    pub const ALL: &[Self] = &[
        Self::Cpu,
        Self::Pid,
        Self::Tid,
        Self::Comm,
        Self::Time,
        Self::Tsc,
    ];

    /// Name in a filter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Pid => "pid",
            Self::Tid => "tid",
            Self::Comm => "comm",
            Self::Time => "time",
            Self::Tsc => "tsc",
        }
    }
}

/// A record that can be filtered.
pub trait Row {
    /// Kind of event.
    fn event(&self) -> EventId;

    /// What is known besides the fields; [`Value::Missing`] when it is not known.
    fn context(&self, context: Context) -> Value<'_>;

    /// The field at `index` of the event's schema.
    fn field(&self, index: usize) -> Value<'_>;
}
