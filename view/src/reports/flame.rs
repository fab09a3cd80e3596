//! Where time went, as stacks.

use analyzer::causes::{FlameKind, flame as fold};
use serde::Serialize;

use super::reading::reading;
use super::selection;
use crate::answer::{Answer, Refusal};
use crate::query::Query;
use crate::served::Served;

/// Stacks that are told; of more the longest.
pub(crate) const STACKS_MAX: usize = 20_000;

/// Where time went.
#[derive(Debug, Serialize)]
pub(crate) struct Flame<'a> {
    unit: &'static str,
    stacks: Vec<(Vec<&'a str>, u64)>,
}

/// `api/T/flame`: stacks with the time that went to each, outermost first.
pub(crate) fn flame(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let kind = match query.text("waiting") {
        Some("true") => FlameKind::All,
        Some("false") | None => FlameKind::Cpu,
        Some(other) => {
            let text = format!("waiting is {other:?}: neither true nor false");
            return Err(Refusal::malformed(text));
        }
    };
    let selection = selection(query)?;
    let trace = reading(served, query);
    let folded = fold(&trace, &selection, kind)?;
    Answer::json(&stacks_of(&folded.lines, STACKS_MAX))
}

/// Lines of folded stacks, the longest of them if there are too many.
pub(crate) fn stacks_of(lines: &[String], stacks_max: usize) -> Flame<'_> {
    let mut stacks: Vec<_> = lines.iter().filter_map(|line| stack(line)).collect();
    if stacks.len() > stacks_max {
        stacks.sort_by(|(_, one), (_, other)| other.cmp(one));
        stacks.truncate(stacks_max);
        stacks.sort();
    }
    Flame { unit: "ns", stacks }
}

/// A line of folded stacks, taken apart.
fn stack(line: &str) -> Option<(Vec<&str>, u64)> {
    let (frames, time) = line.rsplit_once(' ')?;
    Some((frames.split(';').collect(), time.parse().ok()?))
}
