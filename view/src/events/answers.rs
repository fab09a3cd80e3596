//! The questions about events.

use std::io::Write as _;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use analyzer::model::GuestNanos;
use analyzer::sources::{Trace, TraceError};
use guesttrace_filter::BoundFilter;
use serde::Serialize;

use super::blocks::{Maker, PAGE_BYTES_MAX, Texts};
use super::index::{BLOCK, EventIndex};
use super::job::{Found, Job, Shown, runs};
use super::{Events, lock, read};
use crate::answer::{Answer, Refusal};
use crate::filter;
use crate::query::Query;
use crate::reports::reading;
use crate::served::Served;

/// Most events of a page.
const PAGE_MAX: u64 = 1000;

/// How long an answer waits for a filter that is on its way: what is quick is told at once.
const PATIENCE: Duration = Duration::from_millis(150);

/// Events that are read rather than leapt over by reading anew.
const LEAP: u64 = 4 * BLOCK;

/// `api/T/events`: a page of events.
pub(crate) fn events(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let first = query.required("first")?;
    let count = query.number("count")?.unwrap_or(100).min(PAGE_MAX);
    let wanted = first..first.saturating_add(count);
    let shown = shown(served);
    let maker = Maker {
        trace: &shown.trace,
        index: &shown.index,
        decoder: &shown.decoder,
    };
    let Some(text) = filter_of(query) else {
        let page = maker.page(&served.events.blocks, wanted)?;
        let total = shown.index.total();
        return Ok(page_answer(&page, (total, total), &shown.index));
    };
    let job = lock(&served.events.jobs).ask(text, &shown)?;
    let is_enough = |found: &Found| found.numbers.total() >= wanted.end;
    let (counts, place) = job.look(PATIENCE, is_enough, |found| {
        Ok::<_, Refusal>((checked_counts(found)?, Place::of(found, &wanted)))
    })?;
    let page = place.read(&maker, &job)?;
    Ok(page_answer(&page, counts, &shown.index))
}

/// Where the events of a page with a filter are.
enum Place {
    /// They have been decoded.
    Texts(Texts),
    /// With these numbers.
    Numbers(Vec<u64>),
    /// So many of those that pass from a number on, after some that are skipped.
    From(u64, u64, u64),
}

impl Place {
    fn of(found: &Found, wanted: &Range<u64>) -> Self {
        let wanted = wanted.start..wanted.end.min(found.numbers.total());
        let position = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let range = position(wanted.start)..position(wanted.end);
        if range.is_empty() || range.end <= found.texts.len() {
            let mut texts = Texts::default();
            texts.take(&found.texts, range);
            return Self::Texts(texts);
        }
        if let Some(numbers) = found.numbers.all() {
            let numbers = numbers.get(range).map(<[u64]>::to_vec);
            return Self::Numbers(numbers.unwrap_or_default());
        }
        let near = found.numbers.near(wanted.start);
        let (number, at) = near.unwrap_or((0, 0));
        Self::From(number, wanted.start - at, wanted.end - wanted.start)
    }

    fn read(self, maker: &Maker<'_>, job: &Job) -> Result<Texts, TraceError> {
        let mut page = Texts::default();
        match self {
            Self::Texts(texts) => return Ok(texts),
            Self::Numbers(numbers) => {
                for near in numbers.chunk_by(|one, next| next - one < LEAP) {
                    read_these(maker, near, &mut page)?;
                }
            }
            Self::From(number, mut skipped, mut left) => {
                let all = number..maker.index.total();
                read::read(maker.trace, maker.index, all, |number, record| {
                    if !job.filter.matches(record) {
                        return ControlFlow::Continue(());
                    }
                    if skipped > 0 {
                        skipped -= 1;
                        return ControlFlow::Continue(());
                    }
                    page.push(|out| maker.decoder.push(out, number, record));
                    left -= 1;
                    go_on(left > 0 && page.bytes() < PAGE_BYTES_MAX)
                })?;
            }
        }
        Ok(page)
    }
}

/// Adds events that are near each other.
fn read_these(maker: &Maker<'_>, numbers: &[u64], page: &mut Texts) -> Result<(), TraceError> {
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return Ok(());
    };
    let mut wanted = numbers.iter().peekable();
    let all = *first..last.saturating_add(1);
    read::read(maker.trace, maker.index, all, |number, record| {
        if wanted.next_if_eq(&&number).is_some() {
            page.push(|out| maker.decoder.push(out, number, record));
        }
        go_on(page.bytes() < PAGE_BYTES_MAX)
    })
}

fn go_on(is_wanted: bool) -> ControlFlow<()> {
    if is_wanted {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

/// How many pass so far, of how many; why there will be no more.
fn checked_counts(found: &Found) -> Result<(u64, u64), Refusal> {
    match &found.failure {
        Some(failure) => Err(Refusal::Failed(format!(
            "the filter came to a stop: {failure}"
        ))),
        None => Ok((found.numbers.total(), found.seen)),
    }
}

fn page_answer(page: &Texts, (total, seen): (u64, u64), index: &EventIndex) -> Answer {
    let mut bytes = Vec::with_capacity(page.bytes() + page.len() + 80);
    let complete = seen >= index.total();
    // Writing to memory does not fail.
    let _ = write!(
        bytes,
        "{{\"total\":{total},\"complete\":{complete},\"seen\":{seen},\"events\":["
    );
    page.push_array(&mut bytes);
    bytes.extend_from_slice(b"]}");
    Answer {
        media_type: "application/json",
        bytes,
        file_name: None,
    }
}

#[derive(Serialize)]
struct First {
    first: u64,
}

/// `api/T/position`: how many events that pass are before a time.
pub(crate) fn position(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let at = GuestNanos(query.required("ns")?);
    let shown = shown(served);
    let number = read::number_at(&shown.trace, &shown.index, at)?;
    let Some(text) = filter_of(query) else {
        return Answer::json(&First { first: number });
    };
    let job = lock(&served.events.jobs).ask(text, &shown)?;
    let is_enough = |found: &Found| found.seen >= number;
    let (below, is_exact) = job.look(PATIENCE, is_enough, |found| {
        let below = found.numbers.below(number);
        // What is known so far is before that time.
        (below, found.numbers.all().is_some())
    });
    let Some((last, at)) = below else {
        return Answer::json(&First { first: 0 });
    };
    let mut first = at + 1;
    if !is_exact {
        read::read(&shown.trace, &shown.index, last + 1..number, |_, record| {
            first += u64::from(job.filter.matches(record));
            ControlFlow::Continue(())
        })?;
    }
    Answer::json(&First { first })
}

/// An event that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Hit {
    n: u64,
    at: u64,
}

/// `api/T/find`: the nearest event that passes, after or before a number.
pub(crate) fn find(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let number = query.required("n")?;
    let shown = shown(served);
    let bound = filter_of(query).map(|text| filter::bind(text, shown.trace.schema()));
    let bound = bound.transpose()?;
    let hunt = Hunt {
        trace: &reading(served, query),
        index: &shown.index,
        filter: bound.as_ref(),
    };
    let job = filter_of(query).and_then(|text| lock(&served.events.jobs).known(text));
    let hit = match query.text("direction") {
        Some("next") | None => {
            let from = number.saturating_add(1);
            let from = job.map_or(from, |job| job.first_from(from));
            hunt.forward(from)?
        }
        Some("previous") => {
            let to = job.map_or(number, |job| job.last_to(number));
            hunt.backward(to)?
        }
        Some(other) => {
            let text = format!("direction is {other:?}: neither next nor previous");
            return Err(Refusal::malformed(text));
        }
    };
    Answer::json(&hit)
}

/// Looks for an event.
struct Hunt<'a> {
    trace: &'a Trace,
    index: &'a EventIndex,
    filter: Option<&'a BoundFilter>,
}

impl Hunt<'_> {
    fn forward(&self, from: u64) -> Result<Option<Hit>, TraceError> {
        for run in runs(self.index, self.filter, from..self.index.total()) {
            let mut hit = None;
            self.each(run, |found| {
                hit = Some(found);
                ControlFlow::Break(())
            })?;
            if hit.is_some() {
                return Ok(hit);
            }
        }
        Ok(None)
    }

    /// Piece by piece, as streams go forward only; the pieces grow, as the nearest events are the likeliest.
    fn backward(&self, to: u64) -> Result<Option<Hit>, TraceError> {
        let to = to.min(self.index.total());
        let mut piece = BLOCK / 4;
        for run in runs(self.index, self.filter, 0..to).into_iter().rev() {
            let mut end = run.end;
            while end > run.start {
                let start = end.saturating_sub(piece).max(run.start);
                let mut hit = None;
                self.each(start..end, |found| {
                    hit = Some(found);
                    ControlFlow::Continue(())
                })?;
                if hit.is_some() {
                    return Ok(hit);
                }
                end = start;
                piece = (piece * 2).min(64 * BLOCK);
            }
        }
        Ok(None)
    }

    fn each(
        &self,
        numbers: Range<u64>,
        mut tell: impl FnMut(Hit) -> ControlFlow<()>,
    ) -> Result<(), TraceError> {
        read::read(self.trace, self.index, numbers, |n, record| {
            if self.filter.is_none_or(|filter| filter.matches(record)) {
                let at = record.at.0;
                return tell(Hit { n, at });
            }
            ControlFlow::Continue(())
        })
    }
}

fn filter_of(query: &Query) -> Option<&str> {
    query.text("filter").filter(|text| !text.trim().is_empty())
}

/// A trace and its events, as far as they are known.
fn shown(served: &Served) -> Shown {
    let events: &Events = &served.events;
    // The index first: what it knows is in every trace that comes after it.
    let index = events.index();
    let trace = served.trace();
    let decoder = events.decoder(&trace);
    Shown {
        trace,
        index,
        decoder,
    }
}
