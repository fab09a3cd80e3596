//! The reports there are.

use super::options::Options;
use super::table::Report;
use super::{processes, summary};
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
