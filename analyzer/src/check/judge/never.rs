//! Watches for events that must not be: at all, behind another event, or between two.

use super::super::bind::Fit;
use super::super::outcome::{Offenders, Verdict};
use super::super::watch::{Lines, ROLES};
use super::stretches::{NEVER_OPENED, Stretches};
use super::{Doubt, Judged};
use crate::model::GuestNanos;
use crate::sources::Record;

/// Conditions: the events, what opens a stretch without them, what closes it.
#[derive(Debug)]
pub(in super::super) struct Never {
    is_optional: bool,
    stretches: Stretches,
    offenders: Offenders,
    pub(super) doubt: Doubt,
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
            is_optional,
            stretches: Stretches::new(has_after, has_until),
            offenders: Offenders::default(),
            doubt,
        }
    }

    pub(super) fn record(&mut self, fits: [Fit; ROLES], record: &Record<'_>, lines: &mut Lines) {
        let place = self.stretches.step(fits);
        if place.is_unsure || place.fit == Fit::Perhaps {
            self.doubt.undecided(record, lines);
        }
        if place.fit == Fit::Yes {
            self.offenders.add(Some(record.at), || lines.line(record));
        }
    }

    pub(super) fn lose(&mut self, since: GuestNanos) {
        self.doubt.lose(since);
        self.stretches.lose();
    }

    pub(super) fn finish(self) -> Judged {
        let is_idle = self.stretches.is_idle();
        let verdict = if self.offenders.count > 0 {
            Verdict::Failed
        } else if is_idle && !self.is_optional {
            self.doubt.shake(Verdict::Failed)
        } else {
            self.doubt.shake(Verdict::Passed)
        };
        let found = match self.offenders.count {
            0 if is_idle => NEVER_OPENED.to_owned(),
            0 => "none".to_owned(),
            1 => "one".to_owned(),
            count => count.to_string(),
        };
        self.doubt.explain(Judged {
            verdict,
            expected: format!("none{}", self.stretches.place()),
            found,
            offenders: self.offenders,
            reason: None,
            is_loss: false,
            numbers: Vec::new(),
        })
    }
}
