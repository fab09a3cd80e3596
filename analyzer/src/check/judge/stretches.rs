//! Stretches of a trace: one event opens them, another closes them.

use super::super::bind::Fit;
use super::super::watch::ROLES;

/// Which part of the trace counts.
#[derive(Debug)]
pub(super) struct Stretches {
    has_after: bool,
    has_until: bool,
    now: Now,
    /// How often one was opened.
    opened: u64,
}

/// Whether events count now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Closed,
    Open,
    /// What opens or closes a stretch may have been missed.
    Unsure,
}

/// What a record is to a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Whether it is one of the events, and in a stretch.
    pub(super) fit: Fit,
    /// Whether it might open or close a stretch.
    pub(super) is_unsure: bool,
}

impl Stretches {
    /// A stretch begins with the trace unless something opens it, and ends with it unless something closes it.
    pub(super) fn new(has_after: bool, has_until: bool) -> Self {
        Self {
            has_after,
            has_until,
            now: if has_after { Now::Closed } else { Now::Open },
            opened: 0,
        }
    }

    /// Goes on to a record. What closes a stretch is not in it any more, what opens it not yet.
    pub(super) fn step(&mut self, [event, after, until]: [Fit; ROLES]) -> Place {
        let mut is_unsure = false;
        match (until, self.now) {
            (Fit::Yes, _) => self.now = Now::Closed,
            (Fit::Perhaps, Now::Open) => is_unsure = true,
            (Fit::Perhaps | Fit::No, _) => {}
        }
        if is_unsure {
            self.now = Now::Unsure;
        }
        let fit = match (event, self.now) {
            (Fit::Yes, Now::Open) => Fit::Yes,
            (Fit::Yes, Now::Unsure) | (Fit::Perhaps, Now::Open | Now::Unsure) => Fit::Perhaps,
            (Fit::No, _) | (_, Now::Closed) => Fit::No,
        };
        match (after, self.now) {
            (Fit::Yes, _) => {
                self.now = Now::Open;
                self.opened += 1;
            }
            (Fit::Perhaps, Now::Closed) => {
                self.now = Now::Unsure;
                is_unsure = true;
            }
            (Fit::Perhaps | Fit::No, _) => {}
        }
        Place { fit, is_unsure }
    }

    /// Events are missing here.
    pub(super) fn lose(&mut self) {
        let may_change = match self.now {
            Now::Open => self.has_until,
            Now::Closed => self.has_after,
            Now::Unsure => false,
        };
        if may_change {
            self.now = Now::Unsure;
        }
    }

    /// Whether what opens a stretch has never happened.
    pub(super) fn is_idle(&self) -> bool {
        self.has_after && self.opened == 0
    }

    /// Where the events count, in words behind a number of them.
    pub(super) fn place(&self) -> &'static str {
        match (self.has_after, self.has_until) {
            (false, false) => "",
            (true, false) => " after that event",
            (false, true) => " before that event",
            (true, true) => " between those events",
        }
    }
}

/// What is said of a rule whose stretches never began.
pub(super) const NEVER_OPENED: &str = "the event of \"after\" never happens";
