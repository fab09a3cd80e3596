//! Looks at the first event that fits: when it was, or what a field of it says.

use super::super::amount::{Amount, Unit};
use super::super::bind::Fit;
use super::super::outcome::{Offenders, Verdict};
use super::super::watch::{Lines, ROLES};
use super::{Doubt, Judged};
use crate::model::GuestNanos;
use crate::sources::Record;

/// Takes a value of the first event that fits its first condition.
#[derive(Debug)]
pub(in super::super) struct First {
    /// The field, as filters name it; without it, the time.
    field: Option<String>,
    found: Option<(GuestNanos, Found)>,
    pub(super) doubt: Doubt,
}

/// What was found.
#[derive(Debug)]
enum Found {
    Time,
    Value(Option<String>),
}

impl First {
    /// Takes a field, or the time.
    pub(in super::super) fn new(field: Option<String>, doubt: Doubt) -> Self {
        Self {
            field,
            found: None,
            doubt,
        }
    }

    pub(super) fn record(&mut self, fits: [Fit; ROLES], record: &Record<'_>, lines: &mut Lines) {
        if self.found.is_some() {
            return;
        }
        match fits[0] {
            Fit::No => {}
            Fit::Perhaps => self.doubt.undecided(record, lines),
            Fit::Yes => {
                let found = match &self.field {
                    None => Found::Time,
                    Some(field) => Found::Value(lines.value(record, field)),
                };
                self.found = Some((record.at, found));
            }
        }
    }

    pub(super) fn finish(self) -> Judged {
        let at = self.found.as_ref().map(|(at, _)| *at);
        let (verdict, found, number) = match self.found {
            Some((at, Found::Time)) => {
                let time = Amount::nanos(at);
                (Verdict::Passed, time.to_string(), Some(time))
            }
            Some((_, Found::Value(Some(text)))) => {
                let number = Amount::parse(&text).filter(|amount| amount.unit == Unit::Things);
                (Verdict::Passed, text, number)
            }
            Some((_, Found::Value(None))) => {
                let found = "the event has no such field".to_owned();
                (Verdict::Failed, found, None)
            }
            None => (Verdict::Failed, "no such event".to_owned(), None),
        };
        let judged = Judged {
            verdict: match self.doubt.is_before(at) {
                true => Verdict::Unknown,
                false => verdict,
            },
            expected: String::new(),
            found,
            offenders: Offenders::default(),
            reason: None,
            is_loss: false,
            numbers: number
                .into_iter()
                .map(|number| ("first".to_owned(), number))
                .collect(),
        };
        self.doubt.explain(judged)
    }
}
