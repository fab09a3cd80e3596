//! Golden traces are renewed: what would change, and the change itself.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::judge::{has_same_bytes, words};
use crate::outcome::{RunOutcome, Verdict};
use crate::schedule::Prepared;
use crate::tools::{Tools, complaint};

/// Lines of a comparison that are shown of each golden trace.
const SHOWN_LINES: usize = 14;

/// A golden trace that would be another.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Name of the run that made it.
    pub run: String,
    /// The golden trace.
    pub golden: PathBuf,
    /// What it would be.
    pub trace: PathBuf,
    /// What changes, a line each.
    pub changes: Vec<String>,
}

/// Golden traces that are not what the runs gave; of several runs that name one, the first of the suite makes it.
///
/// Runs that did not end as they have to, or not always in the same way, renew nothing.
///
/// # Errors
/// When a golden trace is there and cannot be read.
pub fn renewals(
    prepared: &[Prepared],
    outcomes: &[RunOutcome],
    tools: &Tools<'_>,
) -> io::Result<Vec<Renewal>> {
    let mut seen = BTreeSet::new();
    let mut renewals = Vec::new();
    for (Prepared { run, .. }, outcome) in prepared.iter().zip(outcomes) {
        let Some(golden) = &run.holds.golden else {
            continue;
        };
        if !seen.insert(golden.clone()) {
            continue;
        }
        let is_sound = |check: &crate::Check| check.verdict == Verdict::Passed;
        // The first checks are those of the recording itself.
        let is_made = outcome.checks.first().is_some_and(is_sound);
        let differs = |check: &crate::Check| check.name.ends_with("are the same bytes");
        let is_same = !outcome
            .checks
            .iter()
            .any(|check| differs(check) && !is_sound(check));
        let Some(trace) = outcome.trace.as_ref().filter(|_| is_made && is_same) else {
            continue;
        };
        let changes = if golden.is_file() {
            if has_same_bytes(golden, trace)? {
                continue;
            }
            changes(golden, trace, tools)?
        } else {
            let events = outcome.facts.map_or(0, |facts| facts.events);
            vec![format!("new: {events} events")]
        };
        renewals.push(Renewal {
            run: run.name.clone(),
            golden: golden.clone(),
            trace: trace.clone(),
            changes,
        });
    }
    Ok(renewals)
}

/// What differs: events first, then the numbers of reports that differ most.
fn changes(golden: &Path, trace: &Path, tools: &Tools<'_>) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for words in [
        words!["diff", golden, trace, "--limit", "0", "--context", "2"].to_vec(),
        words!["compare", golden, trace, "--top", "10"].to_vec(),
    ] {
        let output = tools.ask(words)?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.trim().is_empty() {
            lines.push(complaint(&output.stderr));
            continue;
        }
        lines.extend(text.lines().take(SHOWN_LINES).map(str::to_owned));
    }
    Ok(lines)
}

/// Puts a trace into the place of a golden one; that is either the old or the new one at any time.
///
/// # Errors
/// When there is no room, for example.
pub fn write_golden(renewal: &Renewal) -> io::Result<()> {
    let dir = match renewal.golden.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    fs::create_dir_all(dir)?;
    // Such a file has the rights that others have, unlike a temporary one.
    let new = dir.join(format!(".{}.new", renewal.run));
    let copy = || -> io::Result<()> {
        io::copy(&mut File::open(&renewal.trace)?, &mut File::create(&new)?)?;
        fs::rename(&new, &renewal.golden)
    };
    copy().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}
