//! The critical path of a thread, stretch by stretch, as it is drawn over the rows.

use std::cmp::Reverse;
use std::collections::HashMap;

use analyzer::causes::{PathEnd, PathError, PathOptions, Stretch, StretchKind, path_stretches};
use analyzer::model::{GuestNanos, Span, Tid};
use serde::Serialize;

use super::reading::reading;
use crate::answer::{Answer, Refusal};
use crate::index::{Index, Kind, RowId, RowInfo, StateId, States};
use crate::query::Query;
use crate::served::Served;

/// How many threads deep waits are followed.
pub(super) const DEPTH: usize = 16;

/// Stretches that are told; of more the longest.
const STRETCHES_MAX: usize = 20_000;

#[derive(Serialize)]
struct Path {
    segments: Vec<Segment>,
}

#[derive(Serialize)]
struct Segment {
    row: RowId,
    from_ns: u64,
    to_ns: u64,
    text: String,
    state: StateId,
}

/// `api/T/path`: what a thread's time in an interval went to, across all whom it waited for.
pub(crate) fn path(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let row = query.required("row")?;
    let span = query.span()?;
    let (tid, span) = life(&served.index(), row, span)?;
    let options = PathOptions {
        span,
        end: PathEnd::Thread(tid),
        depth: DEPTH,
        top: usize::MAX,
    };
    let trace = reading(served, query);
    let mut stretches = match path_stretches(&trace, &options) {
        Ok(stretches) => stretches,
        Err(PathError::Trace(error)) => return Err(error.into()),
        Err(error) => {
            return Err(Refusal::Missing {
                what: format!("path: {error}"),
            });
        }
    };
    if stretches.len() > STRETCHES_MAX {
        stretches.sort_by_key(|stretch| Reverse(stretch.span.length()));
        stretches.truncate(STRETCHES_MAX);
        stretches.sort_by_key(|stretch| stretch.span.start);
    }
    let index = served.index();
    let rows = Rows::new(&index.overview.rows);
    let segments = stretches.into_iter();
    let segments = segments.filter_map(|stretch| rows.segment(&index, stretch));
    Answer::json(&Path {
        segments: segments.collect(),
    })
}

/// The thread of a row, and the part of an interval in which it lived: its number may have been another's before.
fn life(index: &Index, row: u64, span: Span) -> Result<(Tid, Span), Refusal> {
    let info = usize::try_from(row).ok();
    let info = info.and_then(|row| index.overview.rows.get(row));
    let info = info.ok_or_else(|| Refusal::Missing {
        what: format!("row {row}"),
    })?;
    let tid = info.tid.ok_or_else(|| Refusal::Malformed {
        text: "only a thread has a critical path".to_owned(),
        hint: "choose the row of a thread".to_owned(),
    })?;
    let start = span.start.max(GuestNanos(info.born_ns));
    let died = info.died_ns.map_or(span.end, GuestNanos);
    let end = span.end.min(died).max(start);
    Ok((Tid(tid), Span { start, end }))
}

/// The rows of threads, by their number.
struct Rows<'a>(HashMap<u32, Vec<(RowId, &'a RowInfo)>>);

impl<'a> Rows<'a> {
    fn new(infos: &'a [RowInfo]) -> Self {
        let mut rows: HashMap<u32, Vec<(RowId, &RowInfo)>> = HashMap::new();
        for (row, info) in (0..).zip(infos) {
            if let Some(tid) = info.tid {
                rows.entry(tid).or_default().push((row, info));
            }
        }
        Self(rows)
    }

    /// The one that lived at a time, or the last.
    fn row(&self, tid: Tid, at: u64) -> Option<RowId> {
        let rows = self.0.get(&tid.0)?;
        let lives =
            |info: &RowInfo| info.born_ns <= at && info.died_ns.is_none_or(|died| at < died);
        let living = rows.iter().find(|(_, info)| lives(info));
        Some(living.or(rows.last())?.0)
    }

    fn segment(&self, index: &Index, stretch: Stretch) -> Option<Segment> {
        let (from_ns, to_ns) = (stretch.span.start.0, stretch.span.end.0);
        let row = self.row(stretch.tid, from_ns)?;
        Some(Segment {
            row,
            from_ns,
            to_ns,
            state: state(index, row, &stretch),
            text: stretch.text,
        })
    }
}

/// What the row shows for most of a stretch.
fn state(index: &Index, row: RowId, stretch: &Stretch) -> StateId {
    let (from, to) = (stretch.span.start.0, stretch.span.end.0);
    let timeline = index.timeline(row);
    match stretch.is {
        StretchKind::Unknown => States::plain(Kind::Unknown),
        StretchKind::Queued => States::plain(Kind::Runnable),
        StretchKind::Waited => {
            let shown = timeline.and_then(|timeline| timeline.at(from));
            let state = shown.map(|(_, _, state)| state);
            let is_wait = |state: &StateId| !index.states.kind(*state).runs();
            state
                .filter(is_wait)
                .unwrap_or(States::plain(Kind::WaitOther))
        }
        StretchKind::Ran => {
            let sums = timeline.map(|timeline| timeline.sums_of((from, to), &index.states).0);
            let sums = sums.into_iter().flatten().zip(Kind::ALL);
            let running = sums.filter(|(_, kind)| kind.runs());
            let most = running.max_by_key(|(sum, _)| *sum);
            let kind = most.filter(|(sum, _)| *sum > 0).map(|(_, kind)| *kind);
            States::plain(kind.unwrap_or(Kind::RunningUnknown))
        }
    }
}
