//! Watches that one event comes before another, and not too long before.

use super::super::amount::Amount;
use super::super::bind::Fit;
use super::super::outcome::{Offender, Offenders, Verdict};
use super::super::watch::{Lines, ROLES};
use super::{Doubt, Judged};
use crate::model::GuestNanos;
use crate::sources::Record;

/// Conditions: what comes first, what comes then.
#[derive(Debug)]
pub(in super::super) struct Order {
    within: Option<GuestNanos>,
    is_optional: bool,
    first: Option<Offender>,
    then: Option<Offender>,
    doubt: Doubt,
}

impl Order {
    /// With the longest time between both, if there is one.
    pub(in super::super) fn new(
        within: Option<GuestNanos>,
        is_optional: bool,
        doubt: Doubt,
    ) -> Self {
        Self {
            within,
            is_optional,
            first: None,
            then: None,
            doubt,
        }
    }

    pub(super) fn record(&mut self, fits: [Fit; ROLES], record: &Record<'_>, lines: &mut Lines) {
        // What comes after the first of what is to come then decides nothing.
        if self.then.is_some() {
            return;
        }
        let [first, then, _] = fits;
        let mut offender = || Offender {
            at: Some(record.at),
            text: lines.line(record),
        };
        if self.first.is_none() && first == Fit::Yes {
            self.first = Some(offender());
        } else if then == Fit::Yes {
            self.then = Some(offender());
        } else if then == Fit::Perhaps || self.first.is_none() {
            self.doubt.undecided(record, lines);
        }
    }

    pub(super) fn lose(&mut self, since: GuestNanos) {
        let decided = self.then.as_ref().and_then(|then| then.at);
        if decided.is_none_or(|decided| since < decided) {
            self.doubt.lose(since);
        }
    }

    pub(super) fn doubt_whole(&mut self, since: GuestNanos, reason: &str) {
        let decided = self.then.as_ref().and_then(|then| then.at);
        if decided.is_none_or(|decided| since < decided) {
            self.doubt.doubt_whole(since, reason);
        }
    }

    pub(super) fn finish(self) -> Judged {
        let at = |event: &Option<Offender>| event.as_ref().and_then(|event| event.at);
        let (first, then) = (at(&self.first), at(&self.then));
        let length = first.zip(then).map(|(first, then)| then.since(first));
        let (verdict, found) = match (first, then) {
            (None, None) if self.is_optional => (Verdict::Passed, "neither happens".to_owned()),
            (None, None) => (Verdict::Failed, "neither happens".to_owned()),
            (Some(_), None) => (Verdict::Failed, "the second never happens".to_owned()),
            (None, Some(_)) => (
                Verdict::Failed,
                "the second happens before any first".to_owned(),
            ),
            (Some(_), Some(_)) => {
                let length = length.unwrap_or_default();
                let is_late = self.within.is_some_and(|within| length > within);
                let verdict = if is_late {
                    Verdict::Failed
                } else {
                    Verdict::Passed
                };
                (verdict, format!("{} later", Amount::nanos(length)))
            }
        };
        let expected = match self.within {
            Some(within) => {
                format!(
                    "the second at most {} after the first",
                    Amount::nanos(within)
                )
            }
            None => "the first before the second".to_owned(),
        };
        let mut offenders = Offenders::default();
        if verdict == Verdict::Failed {
            for event in [self.first, self.then].into_iter().flatten() {
                offenders.add(event.at, || event.text);
            }
        }
        let verdict = self.doubt.shake(verdict);
        self.doubt.explain(Judged {
            verdict,
            expected,
            found,
            offenders,
            reason: None,
            is_loss: false,
            numbers: Vec::new(),
        })
    }
}
