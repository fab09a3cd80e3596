//! Sums, rates and latencies of an interval.

use super::choice::{pixels, times};
use crate::answer::{Answer, Refusal};
use crate::index::{BUCKETS_MAX, Kind, LatencyKind, LatencyQuestion, RowId, StateId, Sums};
use crate::query::Query;
use crate::served::Served;

/// Cells of a picture.
const CELLS_MAX: u64 = 1 << 20;

/// Kinds with their time, those with none left out.
pub(crate) fn sums_of(sums: &Sums) -> Vec<(Kind, u64)> {
    let sums = Kind::ALL.iter().copied().zip(sums.iter().copied());
    sums.filter(|(kind, nanos)| *nanos > 0 && *kind != Kind::Nothing)
        .collect()
}

/// `histogram`: how much happened when.
pub(crate) fn histogram(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let index = served.index();
    let times = times(query, &index)?;
    let width = usize::try_from(pixels(query, "width")?).unwrap_or(1);
    let width = width.min(BUCKETS_MAX / 2);
    Answer::json(&index.overview.histogram.picture(times, width))
}

/// `statistics`: exact sums and counts of an interval.
pub(crate) fn statistics(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let span = query.span()?;
    let events = served.counts_of(span)?;
    let index = served.index();
    let (from, to) = times(query, &index)?;
    let idle = |kind: &Kind| !kind.runs() && *kind != Kind::Runnable;
    let mut rows = Vec::new();
    for (timeline, row) in index.timelines.iter().zip(0 as RowId..) {
        let (sums, begun) = timeline.sums_of((from, to), &index.states);
        let sums = sums_of(&sums);
        if !sums.iter().all(|(kind, _)| idle(kind)) {
            rows.push((row, sums, begun));
        }
    }
    Answer::json(&serde_json::json!({
        "from_ns": from, "to_ns": to, "events": events, "rows": rows,
    }))
}

/// `latencies`: how long things took.
pub(crate) fn latencies(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let name = query.text("kind").unwrap_or("");
    let found = LatencyKind::ALL.iter().find(|kind| kind.name() == name);
    let Some(kind) = found else {
        let names: Vec<&str> = LatencyKind::ALL.iter().map(|kind| kind.name()).collect();
        let text = format!("kind is {name:?} and has to be one of {}", names.join(", "));
        return Err(Refusal::malformed(text));
    };
    let (width, height) = (pixels(query, "width")?, pixels(query, "height")?);
    if width * height > CELLS_MAX {
        return Err(Refusal::malformed(
            "width and height make too large a picture",
        ));
    }
    let state = query.number("state")?.map(StateId::try_from);
    let row = query.number("row")?.map(RowId::try_from);
    let (Ok(state), Ok(row)) = (state.transpose(), row.transpose()) else {
        return Err(Refusal::malformed("there is no such state or row"));
    };
    let index = served.index();
    let (from, to) = times(query, &index)?;
    let question = LatencyQuestion {
        from,
        to,
        width: usize::try_from(width).unwrap_or(1),
        height: usize::try_from(height).unwrap_or(1),
        row,
        state,
    };
    Answer::json(&index.latencies[*kind as usize].picture(&question))
}
