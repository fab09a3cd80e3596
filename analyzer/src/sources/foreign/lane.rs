//! Events of a trace in the order in which one of its files, buffers or CPUs has them.

use trace_format::EventId;

use crate::model::{CpuId, Pid, Tid};
use crate::sources::{Fields, Finding, TraceError};

/// Events in order of time, one at a time.
pub trait Lane {
    /// Goes to the next event or loss.
    ///
    /// # Errors
    /// When the file cannot be read any more. Damage is no error: the lane goes on behind it, or ends, and says so in
    /// [`findings`](Self::findings).
    fn advance(&mut self) -> Result<Step, TraceError>;

    /// Fields of the event at which the lane is.
    fn fields(&self) -> Fields<'_>;

    /// What was met so far: damage, events that could not be decoded.
    fn findings(&self) -> &[Finding];
}

/// What a lane came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An event.
    Event(Head),
    /// Events are missing before the next one.
    Loss(LaneLoss),
    /// There are no more.
    End,
}

/// What every event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Ticks of the trace's clock.
    pub ticks: u64,
    /// Where.
    pub cpu: CpuId,
    /// What, by its id in the schema of the description.
    pub event: EventId,
    /// The thread that the CPU ran, where the event itself says so.
    pub tid: Option<Tid>,
    /// Its process, where the event itself says so.
    pub pid: Option<Pid>,
}

/// Events of a CPU that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLoss {
    /// Of which CPU.
    pub cpu: CpuId,
    /// The last tick at which they can have been.
    pub ticks: u64,
    /// How many, if that is known.
    pub count: Option<u64>,
}
