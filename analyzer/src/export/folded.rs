//! Folded stacks: where time went, a line for each distinct stack, as flame graphs are made from.

use std::io::Write;

use super::job::{ExportError, Exported, Job};
use crate::causes::{FlameKind, flame};

/// Writes the stacks of all threads, running and waiting, with times in nanoseconds.
///
/// # Errors
/// When the trace cannot be read or the result cannot be written.
pub fn folded(job: Job<'_>, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let flame = flame(job.trace, &job.wanted.selection, FlameKind::All)?;
    for line in &flame.lines {
        writeln!(out, "{line}")?;
    }
    Ok(Exported {
        events: flame.lines.len() as u64,
        findings: flame.findings,
    })
}
