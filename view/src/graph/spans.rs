//! What rows do, at the scale of a picture or exactly.

use serde::Serialize;

use super::choice::{pixels, rows, times};
use super::wire::SpanWriter;
use crate::answer::{Answer, Refusal};
use crate::index::{Arrow, Index, Kind, RowId, RowType, StateId};
use crate::query::Query;
use crate::served::Served;

/// Arrows in one answer.
const ARROWS_MAX: u64 = 10_000;

/// `spans`: what rows do, nothing narrower than a pixel apart from its neighbours.
pub(crate) fn spans(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let index = served.index();
    let (from, to) = times(query, &index)?;
    let nanos = (to - from) / pixels(query, "width")?;
    let mut writer = SpanWriter::new();
    let mut pieces = Vec::new();
    for row in rows(query)? {
        pieces.clear();
        if let Some(timeline) = index.timeline(row) {
            let open = index.open(row);
            timeline.pieces((from, to), nanos, open, &index.states, |piece| {
                pieces.push(piece)
            });
        }
        writer.row(row, &pieces);
    }
    Ok(Answer::bytes(writer.finish()))
}

/// A state of a row, exactly.
#[derive(Debug, Serialize)]
struct ExactSpan {
    row: RowId,
    state: StateId,
    from_ns: u64,
    to_ns: u64,
    cpu: Option<usize>,
    ended_by: Option<EndedBy>,
    text: String,
}

#[derive(Debug, Serialize)]
struct EndedBy {
    row: RowId,
    at_ns: u64,
    via: String,
    thread: String,
}

/// `at`: what a row does at a time.
pub(crate) fn at(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let index = served.index();
    let (row, at) = row_and_time(query, &index)?;
    let Some((from, to, state)) = span_at(&index, row, at) else {
        return Answer::json(&());
    };
    let kind = index.states.kind(state);
    let running = |cpu: &usize| index.runs[*cpu].at(from) == Some(row);
    let cpu = (kind.runs() || kind == Kind::Idle)
        .then(|| (0..index.runs.len()).find(running))
        .flatten();
    let waker = (!kind.runs())
        .then(|| index.arrows.that_woke(row, to))
        .flatten();
    Answer::json(&ExactSpan {
        row,
        state,
        from_ns: from,
        to_ns: to,
        cpu,
        ended_by: waker.map(|arrow| ended_by(&index, &arrow)),
        text: describe(&index, row, from, state),
    })
}

fn row_and_time(query: &Query, index: &Index) -> Result<(RowId, u64), Refusal> {
    let row = query.required("row")?;
    let missing = || Refusal::Missing {
        what: format!("row {row}"),
    };
    let known = index.overview.rows.len();
    let row = RowId::try_from(row)
        .ok()
        .filter(|row| (*row as usize) < known);
    Ok((row.ok_or_else(missing)?, query.required("ns")?))
}

fn span_at(index: &Index, row: RowId, at: u64) -> Option<(u64, u64, StateId)> {
    let timeline = index.timeline(row)?;
    timeline.at(at).or_else(|| {
        let (state, end) = index.open(row)?;
        (timeline.end <= at && at < end).then_some((timeline.end, end, state))
    })
}

fn ended_by(index: &Index, arrow: &Arrow) -> EndedBy {
    EndedBy {
        row: arrow.from,
        at_ns: arrow.at,
        via: way(index, arrow.via),
        thread: row_name(index, arrow.from),
    }
}

fn way(index: &Index, via: u16) -> String {
    let name = index.overview.ways.get(usize::from(via));
    name.cloned().unwrap_or_default()
}

fn row_name(index: &Index, row: RowId) -> String {
    let Some(info) = index.overview.rows.get(row as usize) else {
        return String::new();
    };
    match info.tid {
        Some(tid) => format!("{}:{tid}", info.name),
        None => info.name.clone(),
    }
}

/// What a state is, in words.
fn describe(index: &Index, row: RowId, from: u64, state: StateId) -> String {
    let (kind, label) = (index.states.kind(state), index.states.label(state));
    let what = if label.is_empty() {
        kind.title().to_owned()
    } else {
        format!("{}: {label}", kind.title())
    };
    let info = index.overview.rows.get(row as usize);
    let cpu = info.filter(|info| info.kind == RowType::Cpu);
    let cpu = cpu.and_then(|info| info.cpu);
    let runs = cpu.and_then(|cpu| index.runs.get(cpu as usize)?.at(from));
    match runs {
        Some(thread) if kind != Kind::Unknown && kind != Kind::Nothing => {
            format!("{}, {what}", row_name(index, thread))
        }
        _ => what,
    }
}

/// `next`: where the nearest other state of a row begins.
pub(crate) fn next(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let index = served.index();
    let (row, at) = row_and_time(query, &index)?;
    let timeline = index.timeline(row);
    let start = match query.text("direction") {
        Some("next") => timeline.and_then(|timeline| timeline.next_start(at)),
        Some("previous") => timeline.and_then(|timeline| timeline.previous_start(at)),
        _ => return Err(Refusal::malformed("direction is neither next nor previous")),
    };
    Answer::json(&start.map(|from_ns| serde_json::json!({ "from_ns": from_ns })))
}

/// `arrows`: wake-ups between rows.
pub(crate) fn arrows(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let index = served.index();
    let (from, to) = times(query, &index)?;
    let max = query.number("max")?.unwrap_or(ARROWS_MAX).min(ARROWS_MAX);
    let mut shown = vec![false; index.overview.rows.len()];
    for row in rows(query)? {
        if let Some(shown) = shown.get_mut(row as usize) {
            *shown = true;
        }
    }
    let is_shown = |row: RowId| shown.get(row as usize).copied().unwrap_or(false);
    let both = |arrow: &Arrow| is_shown(arrow.from) && is_shown(arrow.to);
    let mut count = 0u64;
    let mut drawn = Vec::new();
    for arrow in index.arrows.within(from, to).filter(both) {
        count += 1;
        if count <= max {
            drawn.push((arrow.at, arrow.from, arrow.to, way(&index, arrow.via)));
        }
    }
    if count > max {
        drawn.clear();
    }
    Answer::json(&serde_json::json!({ "count": count, "arrows": drawn }))
}
