//! Rows that no table has: made from the kernel's own tracepoints, and from probes on the command line.
//!
//! What comes out is an [`EventRow`](guesttrace_events::EventRow) like any other, so that nothing behind it knows the
//! difference.

mod field;
mod members;
mod probe;
mod spec;
mod tracepoint;

pub use probe::{ProbeError, add_probe};
pub use spec::{ProbeSpec, SpecError, SpecProblem};

pub(crate) use field::{is_char, scalar_field};
pub(crate) use tracepoint::tracepoint_rows;
