//! Judges: each follows one rule through a trace.
//!
//! A judge is told every record that fits one of its rule's conditions, or might, and every place where events are missing.

mod count;
mod doubt;
mod first;
mod latency;
mod never;
mod order;
mod state;
mod stretches;

pub(super) use count::Count;
pub(super) use doubt::Doubt;
pub(super) use first::First;
pub(super) use latency::{Limited, Periods};
pub(super) use never::Never;
pub(super) use order::Order;
pub(super) use state::States;

use super::amount::Amount;
use super::bind::Fit;
use super::outcome::{Offenders, Verdict};
use super::watch::{Lines, ROLES};
use crate::model::GuestNanos;
use crate::sources::Record;

/// How a trace ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    /// When.
    pub(super) end: GuestNanos,
    /// What is missing of it that no place in it tells.
    pub(super) gap: Option<Gap>,
}

/// Something that is missing of a trace.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    /// From when on.
    pub(super) since: GuestNanos,
    /// Why.
    pub(super) reason: String,
}

/// What a judge says.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) offenders: Offenders,
    /// Why it cannot tell.
    pub(super) reason: Option<String>,
    /// Whether that is because data are lost.
    pub(super) is_loss: bool,
    /// The numbers that a tolerance is measured from, by name.
    pub(super) numbers: Vec<(String, Amount)>,
}

/// Follows one rule.
#[derive(Debug)]
pub(super) enum Judge {
    Count(Count),
    First(First),
    Never(Never),
    Order(Order),
    Latency(Box<Periods>),
    State(Box<States>),
}

impl Judge {
    /// A record fits, or might.
    pub(super) fn record(&mut self, fits: [Fit; ROLES], record: &Record<'_>, lines: &mut Lines) {
        match self {
            Self::Count(judge) => judge.record(fits, record, lines),
            Self::First(judge) => judge.record(fits, record, lines),
            Self::Never(judge) => judge.record(fits, record, lines),
            Self::Order(judge) => judge.record(fits, record, lines),
            Self::Latency(judge) => judge.record(fits, record, lines),
            Self::State(_) => {}
        }
    }

    /// Events from a time on are missing, as the trace told just now.
    pub(super) fn lose(&mut self, since: GuestNanos) {
        match self {
            Self::Count(judge) => judge.lose(since),
            Self::First(judge) => judge.doubt.lose(since),
            Self::Never(judge) => judge.lose(since),
            Self::Order(judge) => judge.lose(since),
            Self::Latency(judge) => judge.lose(since),
            // The model knows by itself what it does not know.
            Self::State(_) => {}
        }
    }

    /// Events may be missing anywhere from a time on.
    pub(super) fn doubt_whole(&mut self, since: GuestNanos, reason: &str) {
        match self {
            Self::Count(judge) => judge.doubt.doubt_whole(since, reason),
            Self::First(judge) => judge.doubt.doubt_whole(since, reason),
            Self::Never(judge) => judge.doubt.doubt_whole(since, reason),
            Self::Order(judge) => judge.doubt_whole(since, reason),
            Self::Latency(judge) => judge.doubt.doubt_whole(since, reason),
            Self::State(judge) => judge.doubt.doubt_whole(since, reason),
        }
    }

    /// The trace, or the part of it that the rule is about, ends.
    pub(super) fn finish(self, end: GuestNanos) -> Judged {
        match self {
            Self::Count(judge) => judge.finish(),
            Self::First(judge) => judge.finish(),
            Self::Never(judge) => judge.finish(),
            Self::Order(judge) => judge.finish(),
            Self::Latency(judge) => judge.finish(end),
            Self::State(judge) => judge.finish(),
        }
    }
}
