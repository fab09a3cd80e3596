//! Verdicts for programs.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::outcome::{Check, RunOutcome, Sums};

/// Writes them as one JSON object.
///
/// # Errors
/// When the output fails.
pub fn write_json(suite: &Path, outcomes: &[RunOutcome], out: &mut dyn Write) -> io::Result<()> {
    let sums = Sums::of(outcomes);
    let runs: Vec<Value> = outcomes.iter().map(run).collect();
    let whole = json!({
        "suite": suite.to_string_lossy(),
        "passed": sums.passed,
        "failed": sums.failed,
        "errors": sums.unmade,
        "cached": sums.cached,
        "runs": runs,
    });
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}

fn run(outcome: &RunOutcome) -> Value {
    let check = |check: &Check| {
        json!({
            "name": check.name,
            "verdict": check.verdict.name(),
            "lines": check.lines,
        })
    };
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let facts = outcome.facts;
    json!({
        "name": outcome.name,
        "line": outcome.line,
        "verdict": outcome.verdict().name(),
        "guest_ns": facts.map(|facts| nanos(facts.guest)),
        "events": facts.map(|facts| facts.events),
        "reproducible": facts.map(|facts| facts.is_reproducible),
        "wall_ns": outcome.wall.map(nanos),
        "recordings": outcome.recordings,
        "cached": outcome.is_cached,
        "key": outcome.key,
        "artifacts": outcome.artifacts.as_ref().map(|dir| dir.to_string_lossy()),
        "checks": outcome.checks.iter().map(check).collect::<Vec<_>>(),
    })
}
