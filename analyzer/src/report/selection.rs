//! What part of a trace a report is about.

use crate::model::{CpuId, FrameInterval, Machine, Moment, Pid, Span, Thread, ThreadIndex, Tid};
use crate::report::glob::Glob;
use crate::sources::Record;

/// What part of a trace a report is about. The model reads everything before it too, so that nothing is unknown at its
/// start.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Times.
    pub span: Span,
    /// CPUs; empty for all.
    pub cpus: Vec<CpuId>,
    /// Processes; empty for all.
    pub pids: Vec<Pid>,
    /// Names of threads; empty for all.
    pub comms: Vec<Glob>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            span: Span::ALL,
            cpus: Vec::new(),
            pids: Vec::new(),
            comms: Vec::new(),
        }
    }
}

impl Selection {
    /// Whether an event belongs to it.
    #[must_use]
    pub fn has_record(&self, record: &Record<'_>) -> bool {
        let context = record.context;
        self.span.contains(record.at)
            && self.has_cpu(record.cpu)
            && (self.pids.is_empty() || self.pids.contains(&context.pid))
            && self.has_comm(&context.comm)
    }

    /// Whether a CPU belongs to it.
    #[must_use]
    pub fn has_cpu(&self, cpu: CpuId) -> bool {
        self.cpus.is_empty() || self.cpus.contains(&cpu)
    }

    /// Whether what happens then and there belongs to it: in time, on its CPUs, while one of its threads runs.
    #[must_use]
    pub fn has_moment(&self, machine: &Machine, moment: Moment) -> bool {
        self.has_of(machine, moment, machine.current(moment.cpu))
    }

    /// The same of what has to do with that thread, whichever runs; with none, everything has.
    #[must_use]
    pub fn has_of(&self, machine: &Machine, moment: Moment, thread: Option<ThreadIndex>) -> bool {
        self.span.contains(moment.at)
            && self.has_cpu(moment.cpu)
            && thread.is_none_or(|thread| self.has_thread(&machine.threads()[thread]))
    }

    /// Whether a thread belongs to it.
    #[must_use]
    pub fn has_thread(&self, thread: &Thread) -> bool {
        let pid = thread.pid.unwrap_or(Pid(match thread.tid {
            Tid(number) => number,
        }));
        (self.pids.is_empty() || self.pids.contains(&pid)) && self.has_comm(&thread.comm)
    }

    /// Whether a system call, trap or interrupt of that thread ended within it.
    #[must_use]
    pub fn has_end(&self, interval: &FrameInterval<'_>, thread: &Thread) -> bool {
        self.span.contains(interval.span.end)
            && self.has_cpu(interval.cpu)
            && self.has_thread(thread)
    }

    fn has_comm(&self, comm: &[u8]) -> bool {
        self.comms.is_empty() || self.comms.iter().any(|glob| glob.matches(comm))
    }
}
