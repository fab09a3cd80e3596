//! Counts events: all, or those behind another event, or between two.

use super::super::amount::Amount;
use super::super::bind::Fit;
use super::super::limits::Bounds;
use super::super::outcome::{Offenders, Verdict};
use super::super::watch::{Lines, ROLES};
use super::stretches::{NEVER_OPENED, Stretches};
use super::{Doubt, Judged};
use crate::model::GuestNanos;
use crate::sources::Record;

/// Conditions: the events, what opens a stretch in which they count, what closes it.
#[derive(Debug)]
pub(in super::super) struct Count {
    bounds: Bounds,
    expected: String,
    is_optional: bool,
    stretches: Stretches,
    found: u64,
    /// The events beyond the highest number.
    offenders: Offenders,
    pub(super) doubt: Doubt,
}

impl Count {
    /// Holds the number against `bounds`, which `expected` says in words.
    pub(in super::super) fn new(
        (bounds, expected): (Bounds, String),
        [has_after, has_until]: [bool; 2],
        is_optional: bool,
        doubt: Doubt,
    ) -> Self {
        Self {
            bounds,
            expected,
            is_optional,
            stretches: Stretches::new(has_after, has_until),
            found: 0,
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
            self.found += 1;
            let found = Amount::things(self.found);
            if self.bounds.high.is_some_and(|high| high.is_below(found)) {
                self.offenders.add(Some(record.at), || lines.line(record));
            }
        }
    }

    pub(super) fn lose(&mut self, since: GuestNanos) {
        self.doubt.lose(since);
        self.stretches.lose();
    }

    pub(super) fn finish(self) -> Judged {
        let found = Amount::things(self.found);
        let most = self.doubt.is_none().then_some(found);
        let verdict = if self.is_optional && most == Some(Amount::things(0)) {
            Verdict::Passed
        } else if self.stretches.is_idle() {
            // Nothing happened where something was to be counted.
            self.doubt.shake(Verdict::Failed)
        } else {
            self.bounds.judge(found, most)
        };
        let found_text = if self.stretches.is_idle() {
            NEVER_OPENED.to_owned()
        } else {
            found.to_string()
        };
        self.doubt.explain(Judged {
            verdict,
            expected: format!("{}{}", self.expected, self.stretches.place()),
            found: found_text,
            offenders: self.offenders,
            reason: None,
            is_loss: false,
            numbers: vec![("count".to_owned(), found)],
        })
    }
}
