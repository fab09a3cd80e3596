//! Ties the conditions of rules to a trace: which of its records fit, and which events it lacks.

use std::collections::BTreeSet;

use guesttrace_filter::{BoundFilter, FilterError, Row as _, Source};
use trace_format::{EventId, EventSchema, Schema, Value};

use super::fault::{RulesError, RulesProblem};
use super::rule::Expr;
use crate::sources::{Record, Trace};

/// A condition that can be asked of the records of a trace.
#[derive(Debug)]
pub(super) struct Bound {
    filter: BoundFilter,
    /// Events that could fit and were not recorded.
    pub(super) missing: Vec<String>,
}

/// Why a condition cannot be asked.
#[derive(Debug)]
pub(super) enum Unbound {
    /// What it is about was not recorded.
    NotRecorded(String),
    /// It is wrong.
    Wrong(RulesError),
}

/// Whether a record fits a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    Yes,
    /// A field that decides could not be fetched.
    Perhaps,
}

/// What a trace has, and what there is besides.
#[derive(Debug)]
pub(super) struct Vocabulary<'t> {
    schema: &'t Schema,
    /// The events of the trace and all others that are known, and their number of the latter.
    all: Schema,
    absent: Vec<(String, String)>,
}

impl<'t> Vocabulary<'t> {
    /// Of a trace, among the events of `known`.
    pub(super) fn new(trace: &'t Trace, known: &Schema) -> Self {
        let schema = trace.schema();
        let mut all = schema.clone();
        let mut ids: BTreeSet<u16> = schema.events.iter().map(|event| event.id.0).collect();
        let mut free = (0..=u16::MAX).rev();
        for event in &known.events {
            if schema.event_named(&event.name).is_some() {
                continue;
            }
            let Some(id) = free.find(|id| ids.insert(*id)) else {
                break;
            };
            all.events.push(EventSchema {
                id: EventId(id),
                ..event.clone()
            });
        }
        for item in &known.enums {
            if all.enumeration(&item.name).is_none() {
                all.enums.push(item.clone());
            }
        }
        all.events.sort_by_key(|event| event.id);
        let absent = trace
            .own()
            .into_iter()
            .flat_map(|file| &file.header().absent);
        Self {
            schema,
            all,
            absent: absent
                .map(|one| (one.event.clone(), one.reason.clone()))
                .collect(),
        }
    }

    /// Looks up the names of a condition.
    pub(super) fn bind(&self, expr: &Expr) -> Result<Bound, Unbound> {
        let filter = match expr.filter.bind(self.schema) {
            Ok(filter) => filter,
            Err(error) => return Err(self.explain(expr, error)),
        };
        if fitting(&filter, self.schema).next().is_none() {
            let text = expr.filter.text();
            return Err(Unbound::NotRecorded(format!(
                "no event that fits `{text}` was recorded"
            )));
        }
        let missing = self.missing(expr);
        Ok(Bound { filter, missing })
    }

    /// Events that the condition singles out and that the trace does not record, though this kernel may have them.
    fn missing(&self, expr: &Expr) -> Vec<String> {
        let Ok(filter) = expr.filter.bind(&self.all) else {
            return Vec::new();
        };
        let fitting: Vec<&EventSchema> = fitting(&filter, &self.all).collect();
        // A condition that any event can fit is about those that there are.
        if fitting.len() == self.all.events.len() {
            return Vec::new();
        }
        let is_missing = |event: &&EventSchema| {
            let is_absent = self.absent.iter().any(|(name, _)| *name == event.name);
            self.schema.event_named(&event.name).is_none() && !is_absent
        };
        let names = fitting.into_iter().filter(is_missing);
        names.map(|event| event.name.clone()).collect()
    }

    /// A condition that does not fit the trace is wrong, unless it would fit one that records more.
    fn explain(&self, expr: &Expr, source: FilterError) -> Unbound {
        for word in expr.filter.words() {
            if self.schema.event_named(word).is_some() || self.has_field(self.schema, word) {
                continue;
            }
            if let Some((_, reason)) = self.absent.iter().find(|(event, _)| event == word) {
                return Unbound::NotRecorded(format!("this kernel has no event {word}: {reason}"));
            }
            if self.all.event_named(word).is_some() {
                return Unbound::NotRecorded(format!("the event {word} was not recorded"));
            }
            if self.has_field(&self.all, word) {
                return Unbound::NotRecorded(format!("no event with a field {word} was recorded"));
            }
        }
        let key = expr.key;
        let problem = RulesProblem::Binding { key, source };
        Unbound::Wrong(RulesError::in_line(problem, expr.line))
    }

    fn has_field(&self, schema: &Schema, name: &str) -> bool {
        let mut events = schema.events.iter();
        events.any(|event| event.field_index(name).is_some())
    }
}

/// The events of which records may fit.
fn fitting<'s>(
    filter: &'s BoundFilter,
    schema: &'s Schema,
) -> impl Iterator<Item = &'s EventSchema> + 's {
    let events = schema.events.iter();
    events.filter(|event| filter.decided_by_event(event.id) != Some(false))
}

impl Bound {
    /// Whether records of an event may fit.
    pub(super) fn may_fit(&self, event: EventId) -> bool {
        self.filter.decided_by_event(event) != Some(false)
    }

    /// Whether a record fits.
    #[inline]
    pub(super) fn fit(&self, record: &Record<'_>) -> Fit {
        if self.filter.matches(record) {
            return Fit::Yes;
        }
        let is_known = |source: Source| !matches!(value(record, source), Value::Missing);
        match self.filter.foresee(record, is_known) {
            Some(_) => Fit::No,
            None => Fit::Perhaps,
        }
    }

    /// The number that a condition which is a bare name names in a record.
    pub(super) fn number(&self, record: &Record<'_>) -> Option<u64> {
        let source = self.filter.sources(record.event).next()?;
        match value(record, source) {
            Value::Number(number) => Some(number),
            Value::Bytes(_) | Value::Missing => None,
        }
    }
}

fn value<'r>(record: &'r Record<'_>, source: Source) -> Value<'r> {
    match source {
        Source::Context(context) => record.context(context),
        Source::Field(index) => guesttrace_filter::Row::field(record, index),
    }
}
