//! What a trace of another tracer says of itself.

use trace_format::Schema;

use crate::model::{Aliases, Pid, Tid};
use crate::sources::{Clock, Finding};

/// What is known of a trace without reading its events.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// What kind of file it is, as people call it: `LTTng kernel trace (CTF 1.8)`.
    pub format: String,
    /// Events and fields by the names that the tracer gave them, with ids from 0 on. At most 65,534 events of 32 fields.
    pub schema: Schema,
    /// What they are to the model.
    pub aliases: Aliases,
    /// The clock of the stamps: `first_tsc` is the trace's start in ticks.
    pub clock: Clock,
    /// The last stamp, in ticks.
    pub last_ticks: u64,
    /// Nanoseconds from the epoch (1970, UTC) to tick 0, where the trace tells.
    pub epoch_nanos: Option<i128>,
    /// The machine that it is of, such as its host name; two traces of one machine have the same.
    pub machine: Option<String>,
    /// CPUs that it can have events of, from 0 on.
    pub cpu_count: u32,
    /// Names of kernel addresses as in the running kernel.
    pub symbols: Vec<(u64, String)>,
    /// Threads that it names apart from its events.
    pub threads: Vec<KnownThread>,
    /// What is lost or doubtful, as far as that is known before the events are read.
    pub findings: Vec<Finding>,
    /// What else it says: host, kernel, clock, tracer. Shown in this order.
    pub facts: Vec<Fact>,
}

/// One thing that a trace says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Short name, in lower case, with spaces.
    pub name: String,
    /// What it is, as text of the trace: hostile.
    pub value: String,
}

/// A thread that the trace names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownThread {
    /// Its number.
    pub tid: Tid,
    /// Its process, if known.
    pub pid: Option<Pid>,
    /// Its name.
    pub comm: Vec<u8>,
}

impl Description {
    /// When it began, in nanoseconds since 1970 (UTC), where it tells.
    #[must_use]
    pub fn start_nanos(&self) -> Option<i128> {
        let from_zero = Clock {
            first_tsc: 0,
            ..self.clock
        };
        let start = from_zero.nanos(self.clock.first_tsc);
        Some(self.epoch_nanos? + i128::from(start.0))
    }

    /// Adds a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.facts.push(Fact {
            name: name.to_owned(),
            value: value.into(),
        });
    }
}
