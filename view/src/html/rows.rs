//! What rows do, wake-ups, latencies, rates: columns of the index, in blocks.

use analyzer::model::Span;
use serde_json::{Value, json};

use super::pack::Columns;
use super::page::Page;
use super::{HtmlError, bytes_of};
use crate::index::{Index, LatencyKind, RowId, StateId};

/// Spans of a block; one with more has a single row.
const BLOCK_SPANS: usize = 1 << 16;

/// Pixels that the whole is foreseen to be drawn with: for so many, and fewer, there is an overview.
const OVERVIEW_PIXELS: u64 = 4096;

/// Writes all columns; says what is where.
pub(super) fn write(index: &Index, span: Span, page: &mut Page<'_>) -> Result<Value, HtmlError> {
    let end = index.overview.end.saturating_add(1).min(span.end.0);
    let times = (span.start.0.min(end), end);
    Ok(json!({
        "overview": overview(index, times, page)?,
        "spans": spans(index, times, page)?,
        "arrows": arrows(index, times, page)?,
        "runs": runs(index, times, page)?,
        "latencies": latencies(index, times, page)?,
        "histogram": histogram(index, page)?,
    }))
}

/// What every row does, seen from far.
fn overview(
    index: &Index,
    (from, to): (u64, u64),
    page: &mut Page<'_>,
) -> Result<Value, HtmlError> {
    let nanos = ((to - from) / OVERVIEW_PIXELS).max(1);
    let mut columns = Columns::new(4);
    let mut rows = Vec::new();
    for (row, timeline) in (0 as RowId..).zip(&index.timelines) {
        let (mut count, mut before, mut end) = (0_usize, 0, 0);
        timeline.pieces((from, to), nanos, index.open(row), &index.states, |piece| {
            columns.push(0, piece.start.saturating_sub(before));
            columns.push(1, u64::from(piece.busy));
            columns.push(2, u64::from(piece.rest));
            columns.push(3, u64::from(piece.part));
            (before, end) = (piece.start, piece.end);
            count += 1;
        });
        if count > 0 {
            rows.push((row, count, end));
        }
    }
    page.block("overview", &columns.finish())?;
    Ok(json!({ "nanos": nanos, "rows": rows }))
}

/// Exactly what every row does, some rows in a block.
fn spans(index: &Index, times: (u64, u64), page: &mut Page<'_>) -> Result<Value, HtmlError> {
    let mut blocks: Vec<Vec<(RowId, usize, u64)>> = Vec::new();
    let (mut columns, mut rows, mut spans) = (Columns::new(2), Vec::new(), 0);
    for row in (0 as RowId..).zip(&index.timelines).map(|(row, _)| row) {
        let own = spans_of(index, row, times);
        let Some(end) = own.last().map(|(_, end, _)| *end) else {
            continue;
        };
        if spans > 0 && spans + own.len() > BLOCK_SPANS {
            let full = std::mem::replace(&mut columns, Columns::new(2));
            page.block(&format!("spans-{}", blocks.len()), &full.finish())?;
            blocks.push(std::mem::take(&mut rows));
            spans = 0;
        }
        let mut before = 0;
        for (start, _, state) in &own {
            columns.push(0, start - before);
            columns.push(1, u64::from(*state));
            before = *start;
        }
        spans += own.len();
        rows.push((row, own.len(), end));
    }
    page.block(&format!("spans-{}", blocks.len()), &columns.finish())?;
    blocks.push(rows);
    Ok(json!(blocks))
}

/// Start, end and state of all that a row does in a time.
fn spans_of(index: &Index, row: RowId, (from, to): (u64, u64)) -> Vec<(u64, u64, StateId)> {
    let Some(timeline) = index.timeline(row) else {
        return Vec::new();
    };
    let ends = timeline.starts.iter().skip(1).chain([&timeline.end]);
    let closed = timeline.starts.iter().zip(ends).zip(timeline.states.iter());
    let closed = closed.map(|((start, end), state)| (*start, *end, *state));
    let open = index.open(row);
    let open = open.map(|(state, end)| (timeline.end, end, state));
    closed
        .chain(open)
        .filter(|(start, end, _)| start < end && *start < to && *end > from)
        .map(|(start, end, state)| (start.max(from), end.min(to), state))
        .collect()
}

fn arrows(index: &Index, (from, to): (u64, u64), page: &mut Page<'_>) -> Result<Value, HtmlError> {
    let mut columns = Columns::new(4);
    let (mut count, mut before) = (0_usize, 0);
    for arrow in index.arrows.within(from, to) {
        columns.push(0, arrow.at - before);
        columns.push(1, u64::from(arrow.from));
        columns.push(2, u64::from(arrow.to));
        columns.push(3, u64::from(arrow.via));
        before = arrow.at;
        count += 1;
    }
    page.block("arrows", &columns.finish())?;
    Ok(count.into())
}

/// Which threads CPUs ran.
fn runs(index: &Index, (from, to): (u64, u64), page: &mut Page<'_>) -> Result<Value, HtmlError> {
    let mut columns = Columns::new(2);
    let mut counts = Vec::new();
    for runs in &index.runs {
        // What ran when the time begins is told, too.
        let first = runs
            .starts
            .partition_point(|start| *start <= from)
            .saturating_sub(1);
        let last = runs.starts.partition_point(|start| *start < to).max(first);
        let mut before = 0;
        for (start, row) in runs.starts[first..last].iter().zip(&runs.rows[first..last]) {
            columns.push(0, start.saturating_sub(before));
            columns.push(1, u64::from(*row));
            before = *start;
        }
        counts.push(last - first);
    }
    page.block("runs", &columns.finish())?;
    Ok(json!(counts))
}

fn latencies(
    index: &Index,
    (from, to): (u64, u64),
    page: &mut Page<'_>,
) -> Result<Value, HtmlError> {
    let mut counts = serde_json::Map::new();
    for kind in LatencyKind::ALL {
        let all = &index.latencies[*kind as usize];
        let first = all.ends.partition_point(|end| *end < from);
        let last = all.ends.partition_point(|end| *end < to).max(first);
        let mut columns = Columns::new(4);
        let mut before = 0;
        for at in first..last {
            columns.push(0, all.ends[at] - before);
            columns.push(1, all.lengths[at]);
            columns.push(2, u64::from(all.rows[at]));
            columns.push(3, u64::from(all.states[at]));
            before = all.ends[at];
        }
        page.block(&format!("latencies-{}", kind.name()), &columns.finish())?;
        counts.insert(kind.name().to_owned(), (last - first).into());
    }
    Ok(Value::Object(counts))
}

/// Counts of everything that has a rate, and busy time of each CPU.
fn histogram(index: &Index, page: &mut Page<'_>) -> Result<Value, HtmlError> {
    let histogram = &index.overview.histogram;
    page.block("histogram", &bytes_of(histogram)?)?;
    let names = crate::index::Rate::ALL.iter().map(|rate| rate.name());
    Ok(json!(names.collect::<Vec<_>>()))
}
