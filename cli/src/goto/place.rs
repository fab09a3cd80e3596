//! Where to go: an event of the trace, or a time.

use std::path::Path;

use analyzer::export::{LineFormat, LineWriter, seconds};
use analyzer::model::GuestNanos;
use analyzer::sources::{Item, Range, Record, Trace};
use anyhow::Result;
use guesttrace_filter::BoundFilter;
use probe_plan::HaltSpec;

use crate::Usage;
use crate::events::{condition, is_word, no_event};
use crate::time::parse_time;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// An event by its number, from 1.
    Number(u64),
    Time(GuestNanos),
    /// The first event for which a condition holds.
    First(String),
}

/// A place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Time there, in ticks of the guest's TSC.
    pub(super) tsc: u64,
    /// The event there, if there is one.
    pub(super) event: Option<EventThere>,
    /// Events before.
    pub(super) events_before: u64,
    /// Time of the last of them; 0 without one.
    before: u64,
}

/// An event that is about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventThere {
    /// From 1; the line of `guesttrace events`.
    pub(super) number: u64,
    /// As `guesttrace events` shows it.
    pub(super) line: String,
}

impl Wanted {
    fn parse(text: &str) -> Self {
        if let Ok(number) = text.parse() {
            return Self::Number(number);
        }
        parse_time(text).map_or_else(|_| Self::First(text.to_owned()), Self::Time)
    }
}

/// What ends the search.
enum Goal {
    Number(u64),
    Tsc(u64),
    Condition(BoundFilter),
}

impl Place {
    /// Finds what was asked for.
    ///
    /// # Errors
    /// When the trace does not have it.
    pub(super) fn find(trace: &Trace, path: &Path, text: &str) -> Result<Self> {
        let goal = match Wanted::parse(text) {
            Wanted::Number(number) => Goal::Number(number),
            Wanted::Time(time) => Goal::Tsc(trace.clock().tsc(time)),
            Wanted::First(text) => Goal::Condition(first(&text, trace)?),
        };
        let mut stream = trace.stream(&Range::default())?;
        let (mut number, mut before) = (0, 0);
        while let Some(item) = stream.next_item()? {
            let Item::Record(record) = item else { continue };
            if record.is_repeated {
                continue;
            }
            let is_shown = !record.is_context;
            number += u64::from(is_shown);
            let is_there = match &goal {
                Goal::Number(wanted) => is_shown && number == *wanted,
                Goal::Tsc(tsc) => is_shown && record.tsc >= *tsc,
                Goal::Condition(filter) => is_shown && filter.matches(&record),
            };
            if is_there {
                return Ok(Self::at(&goal, trace, &record, (number, before)));
            }
            before = record.tsc;
        }
        let path = path.display();
        let (told, hint) = match goal {
            Goal::Number(wanted) => (
                format!("{path} has no event {wanted}: it has {number}, and the first is event 1"),
                format!("`guesttrace events {path} | grep -n ...` shows events with their numbers"),
            ),
            Goal::Tsc(_) => (
                format!(
                    "{path} ends at {}s, before {text}",
                    seconds(trace.clock().nanos(before))
                ),
                format!("`guesttrace info {path}` says from when to when it goes"),
            ),
            Goal::Condition(_) => (
                format!("{path} has no event that is {text}"),
                format!("`guesttrace report summary {path}` counts the events of each kind"),
            ),
        };
        Err(Usage::new(told).hint(hint).into())
    }

    fn at(goal: &Goal, trace: &Trace, record: &Record<'_>, (number, before): (u64, u64)) -> Self {
        if let Goal::Tsc(tsc) = goal
            && record.tsc != *tsc
        {
            return Self {
                tsc: *tsc,
                event: None,
                events_before: number - 1,
                before,
            };
        }
        let lines = LineWriter::new(trace.schema(), LineFormat::Text);
        let mut line = Vec::new();
        lines.with_symbols(trace.symbols()).push(&mut line, record);
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        Self {
            tsc: record.tsc,
            event: Some(EventThere {
                number,
                // The event before it is not shown.
                line: line.replacen("(+?.?????????) ", "", 1),
            }),
            events_before: number - 1,
            before,
        }
    }

    /// What the recorder is told.
    pub(super) fn halt(&self) -> HaltSpec {
        HaltSpec {
            tsc: self.tsc,
            closer_from: self.event.is_none().then_some(self.before),
        }
    }
}

/// The condition of an event's name, or as it is written.
fn first(text: &str, trace: &Trace) -> Result<BoundFilter> {
    let schema = trace.schema();
    match schema.event_named(text) {
        Some(_) => condition("EVENT", &format!("event == {text}"), schema),
        None => condition("EVENT", text, schema).map_err(|error| {
            if is_word(text) {
                no_event(text, schema).into()
            } else {
                error
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_conditions_are_told_apart() {
        let check = |text: &str, expected| assert_eq!(Wanted::parse(text), expected, "{text}");
        check("12", Wanted::Number(12));
        check("12s", Wanted::Time(GuestNanos(12_000_000_000)));
        check("0.5", Wanted::Time(GuestNanos(500_000_000)));
        check("printk", Wanted::First("printk".to_owned()));
    }
}
