//! The reports there are.

use super::options::Options;
use super::table::Report;
use super::{interrupts, io, processes, sched, slowest, summary, syscalls};
use crate::sources::{Trace, TraceError};

/// A report that can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReportKind {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    make: fn(&Trace, &Options) -> Result<Report, TraceError>,
}

/// Every report.
pub const REPORTS: &[ReportKind] = &[
    ReportKind {
        name: "summary",
        doc: "What the trace holds: times, numbers of events, what the CPUs did.",
        make: summary::report,
    },
    ReportKind {
        name: "processes",
        doc: "Where each thread's life went: user code, system calls, traps, interrupts, waiting.",
        make: processes::report,
    },
    ReportKind {
        name: "syscalls",
        doc: "What system calls cost, how they failed, who made them.",
        make: syscalls::report,
    },
    ReportKind {
        name: "slowest",
        doc: "The system calls that took longest, and what they waited for.",
        make: slowest::report,
    },
    ReportKind {
        name: "irqs",
        doc: "Interrupts and the handlers of devices: how often, how long, where.",
        make: interrupts::irqs,
    },
    ReportKind {
        name: "softirqs",
        doc: "Softirqs: how often, how long, how long after they were raised.",
        make: interrupts::softirqs,
    },
    ReportKind {
        name: "traps",
        doc: "Exceptions, and page faults by what they were for and where.",
        make: interrupts::traps,
    },
    ReportKind {
        name: "sched",
        doc: "Who ran, who waited for a CPU and because of whom; migrations.",
        make: sched::sched,
    },
    ReportKind {
        name: "wakeups",
        doc: "Who wakes whom, and how long it takes until that runs.",
        make: sched::wakeups,
    },
    ReportKind {
        name: "io",
        doc: "Bytes that processes moved, and what the block devices did.",
        make: io::io,
    },
    ReportKind {
        name: "files",
        doc: "Files by the bytes that were read from them and written to them.",
        make: io::files,
    },
];

/// The report with that name.
#[must_use]
pub fn report_named(name: &str) -> Option<&'static ReportKind> {
    REPORTS.iter().find(|report| report.name == name)
}

impl ReportKind {
    /// Makes it from a trace.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn make(&self, trace: &Trace, options: &Options) -> Result<Report, TraceError> {
        (self.make)(trace, options)
    }
}
