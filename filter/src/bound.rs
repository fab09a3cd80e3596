//! A filter tied to a schema: for each event the condition that is left once its names are looked up.
//!
//! Evaluating allocates nothing and recurses no deeper than the filter's text.

use trace_format::{EventId, Value};

use crate::expr::CompareOp;
use crate::pattern::Pattern;
use crate::row::{Context, Row};

/// A filter that can be applied to the records of a schema.
#[derive(Clone, Debug)]
pub struct BoundFilter {
    /// By ascending id.
    pub(crate) conditions: Vec<(EventId, Condition)>,
}

impl BoundFilter {
    /// Whether the filter lets a record through; never for an event that the schema lacks.
    #[must_use]
    pub fn matches<R: Row + ?Sized>(&self, row: &R) -> bool {
        self.condition(row.event())
            .is_some_and(|condition| condition.holds(row))
    }

    /// Whether the event alone decides, and how: `None` when the record must be looked at.
    #[must_use]
    pub fn decided_by_event(&self, event: EventId) -> Option<bool> {
        match self.condition(event) {
            None => Some(false),
            Some(Condition::Always(holds)) => Some(*holds),
            Some(_) => None,
        }
    }

    /// Whether what is known of a record decides, and how, whatever the sources that `is_known` denies hold.
    #[must_use]
    pub fn foresee<R: Row + ?Sized>(
        &self,
        row: &R,
        is_known: impl Fn(Source) -> bool,
    ) -> Option<bool> {
        match self.condition(row.event()) {
            None => Some(false),
            Some(condition) => condition.foresee(row, &is_known),
        }
    }

    /// Everything that the filter looks at in records of an event.
    pub fn sources(&self, event: EventId) -> impl Iterator<Item = Source> + '_ {
        let mut sources = Vec::new();
        if let Some(condition) = self.condition(event) {
            condition.collect_sources(&mut sources);
        }
        sources.into_iter()
    }

    /// Whether the filter looks at that context for any event.
    #[must_use]
    pub fn uses(&self, context: Context) -> bool {
        self.conditions.iter().any(|(event, _)| {
            self.sources(*event)
                .any(|source| source == Source::Context(context))
        })
    }

    fn condition(&self, event: EventId) -> Option<&Condition> {
        let index = self
            .conditions
            .binary_search_by_key(&event, |(id, _)| *id)
            .ok()?;
        Some(&self.conditions[index].1)
    }
}

/// What must hold of a record of one event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Always(bool),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Check(Source, Check),
    Pair(Side, CompareOp, Side),
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From what is known besides the fields.
    Context(Context),
    /// From the field at that place of the event's schema.
    Field(usize),
}

/// One of two sources that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) source: Source,
    pub(crate) signed: bool,
}

/// What must hold of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Check {
    /// Not 0, not empty.
    Truth,
    /// The value times `scale`, compared.
    Number {
        signed: bool,
        scale: i128,
        op: CompareOp,
        value: i128,
    },
    /// One of the sorted numbers, or none of them.
    OneNumber {
        signed: bool,
        negated: bool,
        values: Vec<i128>,
    },
    Bytes {
        op: CompareOp,
        value: Vec<u8>,
    },
    /// One of the sorted runs of bytes, or none of them.
    OneRun {
        negated: bool,
        values: Vec<Vec<u8>>,
    },
    Pattern(Pattern),
}

impl Condition {
    fn holds<R: Row + ?Sized>(&self, row: &R) -> bool {
        match self {
            Self::Always(holds) => *holds,
            Self::Not(inner) => !inner.holds(row),
            Self::All(terms) => terms.iter().all(|term| term.holds(row)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(row)),
            Self::Check(source, check) => check.holds(source.value(row)),
            Self::Pair(left, op, right) => {
                match (left.source.value(row), right.source.value(row)) {
                    (Value::Number(a), Value::Number(b)) => {
                        op.holds(&widened(a, left.signed), &widened(b, right.signed))
                    }
                    (Value::Bytes(a), Value::Bytes(b)) => op.holds(a, b),
                    _ => false,
                }
            }
        }
    }
}

impl Condition {
    /// Kleene's logic of three values: a test of what is not known may hold or not.
    fn foresee<R: Row + ?Sized>(
        &self,
        row: &R,
        is_known: &impl Fn(Source) -> bool,
    ) -> Option<bool> {
        match self {
            Self::Always(holds) => Some(*holds),
            Self::Not(inner) => inner.foresee(row, is_known).map(|holds| !holds),
            Self::All(terms) => joined(terms, row, is_known, false),
            Self::Any(terms) => joined(terms, row, is_known, true),
            Self::Check(source, _) => is_known(*source).then(|| self.holds(row)),
            Self::Pair(left, _, right) => {
                (is_known(left.source) && is_known(right.source)).then(|| self.holds(row))
            }
        }
    }

    fn collect_sources(&self, sources: &mut Vec<Source>) {
        match self {
            Self::Always(_) => {}
            Self::Not(inner) => inner.collect_sources(sources),
            Self::All(terms) | Self::Any(terms) => {
                for term in terms {
                    term.collect_sources(sources);
                }
            }
            Self::Check(source, _) => sources.push(*source),
            Self::Pair(left, _, right) => sources.extend([left.source, right.source]),
        }
    }
}

/// Terms of which one with the value `decisive` decides.
fn joined<R: Row + ?Sized>(
    terms: &[Condition],
    row: &R,
    is_known: &impl Fn(Source) -> bool,
    decisive: bool,
) -> Option<bool> {
    let mut result = Some(!decisive);
    for term in terms {
        match term.foresee(row, is_known) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

impl Source {
    #[inline]
    fn value<R: Row + ?Sized>(self, row: &R) -> Value<'_> {
        match self {
            Self::Context(context) => row.context(context),
            Self::Field(index) => row.field(index),
        }
    }
}

impl Check {
    #[inline]
    fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Truth, Value::Number(number)) => number != 0,
            (Self::Truth, Value::Bytes(bytes)) => !bytes.is_empty(),
            (
                Self::Number {
                    signed,
                    scale,
                    op,
                    value,
                },
                Value::Number(number),
            ) => {
                // 64 bits times a unit of at most 2^40.
                op.holds(&(widened(number, *signed) * scale), value)
            }
            (
                Self::OneNumber {
                    signed,
                    negated,
                    values,
                },
                Value::Number(number),
            ) => values.binary_search(&widened(number, *signed)).is_ok() != *negated,
            (Self::Bytes { op, value }, Value::Bytes(bytes)) => op.holds(bytes, value.as_slice()),
            (Self::OneRun { negated, values }, Value::Bytes(bytes)) => {
                values
                    .binary_search_by(|value| value.as_slice().cmp(bytes))
                    .is_ok()
                    != *negated
            }
            (Self::Pattern(pattern), Value::Bytes(bytes)) => pattern.matches(bytes),
            // Missing, or a row that is not of the schema.
            _ => false,
        }
    }
}

/// The number that the 64 bits of a field mean.
#[inline]
fn widened(bits: u64, signed: bool) -> i128 {
    if signed {
        i128::from(bits.cast_signed())
    } else {
        i128::from(bits)
    }
}
