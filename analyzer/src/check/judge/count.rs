//! Counts events.

use super::super::amount::Amount;
use super::super::bind::Fit;
use super::super::limits::Bounds;
use super::super::outcome::{Offenders, Verdict};
use super::super::watch::{Lines, ROLES};
use super::{Doubt, Judged};
use crate::sources::Record;

/// Counts the events that fit its first condition.
#[derive(Debug)]
pub(in super::super) struct Count {
    bounds: Bounds,
    expected: String,
    is_optional: bool,
    found: u64,
    /// The events beyond the highest number.
    offenders: Offenders,
    pub(super) doubt: Doubt,
}

impl Count {
    /// Holds the number against `bounds`.
    pub(in super::super) fn new(
        bounds: Bounds,
        expected: String,
        is_optional: bool,
        doubt: Doubt,
    ) -> Self {
        Self {
            bounds,
            expected,
            is_optional,
            found: 0,
            offenders: Offenders::default(),
            doubt,
        }
    }

    pub(super) fn record(&mut self, fits: [Fit; ROLES], record: &Record<'_>, lines: &mut Lines) {
        match fits[0] {
            Fit::No => {}
            Fit::Perhaps => self.doubt.undecided(record, lines),
            Fit::Yes => {
                self.found += 1;
                let found = Amount::things(self.found);
                if self.bounds.high.is_some_and(|high| high.is_below(found)) {
                    self.offenders.add(Some(record.at), || lines.line(record));
                }
            }
        }
    }

    pub(super) fn finish(self) -> Judged {
        let found = Amount::things(self.found);
        let most = self.doubt.is_none().then_some(found);
        let verdict = if self.is_optional && most == Some(Amount::things(0)) {
            Verdict::Passed
        } else {
            self.bounds.judge(found, most)
        };
        self.doubt.explain(Judged {
            verdict,
            expected: self.expected,
            found: found.to_string(),
            offenders: self.offenders,
            reason: None,
            is_loss: false,
            numbers: vec![("count".to_owned(), found)],
        })
    }
}
