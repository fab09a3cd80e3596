//! Watches for events that must not be: at all, behind another event, or between two.

use super::super::bind::Fit;
use super::super::outcome::{Offenders, Verdict};
use super::super::watch::{Lines, ROLES};
use super::{Doubt, Judged};
use crate::model::GuestNanos;
use crate::sources::Record;

/// Conditions: the events, what opens a stretch without them, what closes it.
#[derive(Debug)]
pub(in super::super) struct Never {
    has_after: bool,
    has_until: bool,
    is_optional: bool,
    stretch: Stretch,
    /// How often a stretch was opened.
    opened: u64,
    offenders: Offenders,
    pub(super) doubt: Doubt,
}

/// Whether events are forbidden now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    Closed,
    Open,
    /// What opens or closes it may have been missed.
    Unsure,
}

impl Never {
    /// A stretch begins with the trace unless something opens it, and ends with it unless something closes it.
    pub(in super::super) fn new(
        has_after: bool,
        has_until: bool,
        is_optional: bool,
        doubt: Doubt,
    ) -> Self {
        Self {
            has_after,
            has_until,
            is_optional,
            stretch: if has_after {
                Stretch::Closed
            } else {
                Stretch::Open
            },
            opened: 0,
            offenders: Offenders::default(),
            doubt,
        }
    }

    pub(super) fn record(&mut self, fits: [Fit; ROLES], record: &Record<'_>, lines: &mut Lines) {
        let [event, after, until] = fits;
        // What closes a stretch is not in it any more, what opens it not yet.
        match (until, self.stretch) {
            (Fit::Yes, _) => self.stretch = Stretch::Closed,
            (Fit::Perhaps, Stretch::Open) => self.unsure(record, lines),
            (Fit::Perhaps | Fit::No, _) => {}
        }
        match (event, self.stretch) {
            (Fit::Yes, Stretch::Open) => {
                self.offenders.add(Some(record.at), || lines.line(record));
            }
            (Fit::Yes, Stretch::Unsure) | (Fit::Perhaps, Stretch::Open | Stretch::Unsure) => {
                self.doubt.undecided(record, lines);
            }
            (Fit::No, _) | (_, Stretch::Closed) => {}
        }
        match (after, self.stretch) {
            (Fit::Yes, _) => {
                self.stretch = Stretch::Open;
                self.opened += 1;
            }
            (Fit::Perhaps, Stretch::Closed) => self.unsure(record, lines),
            (Fit::Perhaps | Fit::No, _) => {}
        }
    }

    fn unsure(&mut self, record: &Record<'_>, lines: &mut Lines) {
        self.stretch = Stretch::Unsure;
        self.doubt.undecided(record, lines);
    }

    pub(super) fn lose(&mut self, since: GuestNanos) {
        self.doubt.lose(since);
        let may_change = match self.stretch {
            Stretch::Open => self.has_until,
            Stretch::Closed => self.has_after,
            Stretch::Unsure => false,
        };
        if may_change {
            self.stretch = Stretch::Unsure;
        }
    }

    pub(super) fn finish(self) -> Judged {
        let is_idle = self.has_after && self.opened == 0;
        let verdict = if self.offenders.count > 0 {
            Verdict::Failed
        } else if is_idle && !self.is_optional {
            self.doubt.shake(Verdict::Failed)
        } else {
            self.doubt.shake(Verdict::Passed)
        };
        let place = match (self.has_after, self.has_until) {
            (false, false) => "",
            (true, false) => " after that event",
            (false, true) => " before that event",
            (true, true) => " between those events",
        };
        let found = match self.offenders.count {
            0 if is_idle => "the event of \"after\" never happens".to_owned(),
            0 => "none".to_owned(),
            1 => "one".to_owned(),
            count => count.to_string(),
        };
        self.doubt.explain(Judged {
            verdict,
            expected: format!("none{place}"),
            found,
            offenders: self.offenders,
            reason: None,
            is_loss: false,
            numbers: Vec::new(),
        })
    }
}
