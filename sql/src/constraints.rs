//! Conditions of a query that the trace can keep by itself: what need not be read is found by its index.
//!
//! A condition is understood when it compares one of the columns that every event has with constants. It is then kept for
//! every record, so that the query engine need not look at it again. All others are the query engine's.

use std::collections::BTreeSet;

use analyzer::model::{CpuId, GuestNanos};
use analyzer::sources::{Range, Record, Trace};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use trace_format::{EventId, Schema};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Time,
    Tsc,
    Cpu,
    Tid,
    Pid,
    Comm,
    Event,
}

/// Numbers that satisfy a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers {
    least: i64,
    most: i64,
    only: Option<BTreeSet<i64>>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            least: i64::MIN,
            most: i64::MAX,
            only: None,
        }
    }
}

impl Numbers {
    fn between(least: i64, most: i64) -> Self {
        Self {
            least,
            most,
            only: None,
        }
    }

    fn only(numbers: BTreeSet<i64>) -> Self {
        Self {
            only: Some(numbers),
            ..Self::default()
        }
    }

    #[inline]
    fn has(&self, number: i64) -> bool {
        self.least <= number
            && number <= self.most
            && self.only.as_ref().is_none_or(|only| only.contains(&number))
    }

    fn narrow(&mut self, other: Self) {
        self.least = self.least.max(other.least);
        self.most = self.most.min(other.most);
        self.only = match (self.only.take(), other.only) {
            (Some(mine), Some(theirs)) => Some(mine.intersection(&theirs).copied().collect()),
            (mine, theirs) => mine.or(theirs),
        };
    }

    /// The numbers that are possible, if they are few, as far as they fit.
    fn listed<N: TryFrom<i64>>(&self) -> Vec<N> {
        let fits = |number: &i64| N::try_from(*number).ok();
        match &self.only {
            Some(only) => only.iter().filter_map(fits).collect(),
            None if self.least == self.most => fits(&self.least).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

/// A condition that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Numbers(Subject, Numbers),
    Texts(Subject, BTreeSet<String>),
}

/// All conditions of a query that were understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Constraints {
    time: Numbers,
    tsc: Numbers,
    cpu: Numbers,
    tid: Numbers,
    pid: Numbers,
    comms: Option<BTreeSet<String>>,
    events: Option<BTreeSet<String>>,
}

impl Constraints {
    /// Whether a condition on a table of events can be kept here.
    pub(crate) fn understands(filter: &Expr) -> bool {
        condition(filter, "time_ns").is_some()
    }

    /// Whether a condition says when the last row of interest ends, in that column.
    pub(crate) fn bounds(filter: &Expr, end_column: &str) -> bool {
        let condition = condition(filter, end_column);
        matches!(condition, Some(Condition::Numbers(Subject::Time, numbers)) if numbers.most < i64::MAX)
    }

    /// Conditions on a table of events.
    pub(crate) fn of(filters: &[Expr], time_column: &str) -> Self {
        let mut constraints = Self::default();
        for filter in filters {
            if let Some(condition) = condition(filter, time_column) {
                constraints.add(condition);
            }
        }
        constraints
    }

    fn add(&mut self, condition: Condition) {
        let numbers = |constraints: &mut Self, subject, numbers| match subject {
            Subject::Time => constraints.time.narrow(numbers),
            Subject::Tsc => constraints.tsc.narrow(numbers),
            Subject::Cpu => constraints.cpu.narrow(numbers),
            Subject::Tid => constraints.tid.narrow(numbers),
            Subject::Pid => constraints.pid.narrow(numbers),
            Subject::Comm | Subject::Event => {}
        };
        match condition {
            Condition::Numbers(subject, these) => numbers(self, subject, these),
            Condition::Texts(subject, texts) => {
                let slot = match subject {
                    Subject::Comm => &mut self.comms,
                    _ => &mut self.events,
                };
                *slot = Some(match slot.take() {
                    Some(mine) => mine.intersection(&texts).cloned().collect(),
                    None => texts,
                });
            }
        }
    }

    /// The latest time that is of interest.
    pub(crate) fn time_max(&self) -> GuestNanos {
        // A bound below zero can only be that of times beyond 2^63, which are shown as negative.
        GuestNanos(u64::try_from(self.time.most).unwrap_or(u64::MAX))
    }

    /// The part of a trace that has to be read; `None` when nothing can satisfy the conditions.
    pub(crate) fn range(&self, trace: &Trace, kinds: &[EventId]) -> Option<Range> {
        let clock = trace.clock();
        let unsigned = |number: i64| u64::try_from(number).ok();
        let mut from = match unsigned(self.time.least) {
            Some(least) if least > 0 => clock.tsc(GuestNanos(least)),
            _ => 0,
        };
        let mut to = match unsigned(self.time.most) {
            Some(most) if self.time.most < i64::MAX => clock.tsc(GuestNanos(most + 1)),
            _ => u64::MAX,
        };
        if let (Some(least), Some(most)) = (unsigned(self.tsc.least), unsigned(self.tsc.most))
            && self.tsc.most < i64::MAX
        {
            (from, to) = (from.max(least), to.min(most));
        } else if let Some(least) = unsigned(self.tsc.least) {
            from = from.max(least);
        }
        let events = match &self.events {
            _ if !kinds.is_empty() => kinds.to_vec(),
            None => Vec::new(),
            Some(names) => {
                let events = trace.schema().events.iter();
                let named = events.filter(|event| names.contains(&event.name));
                let named: Vec<EventId> = named.map(|event| event.id).collect();
                if named.is_empty() {
                    return None;
                }
                named
            }
        };
        // Where both are asked for, an event of the thread is one of the process.
        let threads = match self.tid.listed::<u64>() {
            tids if tids.is_empty() => self.pid.listed(),
            tids => tids,
        };
        (from <= to).then(|| Range {
            tscs: from..=to,
            cpus: self.cpu.listed::<u32>().into_iter().map(CpuId).collect(),
            events,
            threads,
        })
    }

    /// What every record has to keep.
    pub(crate) fn check(&self, schema: &Schema) -> Check<'_> {
        let events = self.events.as_ref().map(|names| {
            let events = schema.events.iter();
            let named = events.filter(|event| names.contains(&event.name));
            named.map(|event| event.id).collect()
        });
        let is_any = *self == Self::default();
        Check {
            constraints: self,
            events,
            is_any,
        }
    }
}

/// Conditions, made ready for the records of a trace.
#[derive(Debug)]
pub(crate) struct Check<'c> {
    constraints: &'c Constraints,
    events: Option<BTreeSet<EventId>>,
    is_any: bool,
}

impl Check<'_> {
    /// Whether a record keeps all conditions.
    #[inline]
    pub(crate) fn has(&self, record: &Record<'_>) -> bool {
        self.is_any || self.keeps(record)
    }

    fn keeps(&self, record: &Record<'_>) -> bool {
        let Constraints {
            time,
            tsc,
            cpu,
            tid,
            pid,
            comms,
            ..
        } = self.constraints;
        time.has(record.at.0.cast_signed())
            && tsc.has(record.tsc.cast_signed())
            && cpu.has(record.cpu.0.into())
            && tid.has(record.context.tid.0.into())
            && pid.has(record.context.pid.0.into())
            && self
                .events
                .as_ref()
                .is_none_or(|events| events.contains(&record.event))
            && comms
                .as_ref()
                .is_none_or(|comms| comms.contains(&*crate::rows::guest_text(&record.context.comm)))
    }
}

/// Understands a condition.
fn condition(filter: &Expr, time_column: &str) -> Option<Condition> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == Operator::Or => either(
            condition(left, time_column)?,
            condition(right, time_column)?,
        ),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            match (subject(left, time_column), subject(right, time_column)) {
                (Some(subject), None) => compared(subject, *op, right),
                (None, Some(subject)) => compared(subject, op.swap()?, left),
                _ => None,
            }
        }
        Expr::Between(between) if !between.negated => {
            let subject = subject(&between.expr, time_column)?;
            let (least, most) = (number(&between.low)?, number(&between.high)?);
            Some(Condition::Numbers(subject, Numbers::between(least, most)))
        }
        Expr::InList(list) if !list.negated => {
            let subject = subject(&list.expr, time_column)?;
            let texts: Option<BTreeSet<String>> = list.list.iter().map(literal_text).collect();
            let numbers: Option<BTreeSet<i64>> = list.list.iter().map(number).collect();
            match (subject, texts, numbers) {
                (Subject::Comm | Subject::Event, Some(texts), _) => {
                    Some(Condition::Texts(subject, texts))
                }
                (Subject::Comm | Subject::Event, None, _) | (_, _, None) => None,
                (_, _, Some(numbers)) => Some(Condition::Numbers(subject, Numbers::only(numbers))),
            }
        }
        _ => None,
    }
}

/// One or the other, of the same subject: short lists come so.
fn either(one: Condition, other: Condition) -> Option<Condition> {
    match (one, other) {
        (Condition::Texts(of, mut texts), Condition::Texts(other, more)) if of == other => {
            texts.extend(more);
            Some(Condition::Texts(of, texts))
        }
        (Condition::Numbers(of, numbers), Condition::Numbers(other, more)) if of == other => {
            let list = |numbers: Numbers| match numbers {
                Numbers {
                    only: Some(only), ..
                } => Some(only),
                Numbers { least, most, .. } => (least == most).then(|| BTreeSet::from([least])),
            };
            let mut all = list(numbers)?;
            all.extend(list(more)?);
            Some(Condition::Numbers(of, Numbers::only(all)))
        }
        _ => None,
    }
}

fn subject(expr: &Expr, time_column: &str) -> Option<Subject> {
    let Expr::Column(column) = expr else {
        return None;
    };
    match column.name.as_str() {
        name if name == time_column => Some(Subject::Time),
        "tsc" => Some(Subject::Tsc),
        "cpu" => Some(Subject::Cpu),
        "tid" => Some(Subject::Tid),
        "pid" => Some(Subject::Pid),
        "comm" => Some(Subject::Comm),
        "event" => Some(Subject::Event),
        _ => None,
    }
}

fn compared(subject: Subject, op: Operator, constant: &Expr) -> Option<Condition> {
    if let Some(text) = literal_text(constant) {
        let is_text = matches!(subject, Subject::Comm | Subject::Event);
        return (op == Operator::Eq && is_text)
            .then(|| Condition::Texts(subject, BTreeSet::from([text])));
    }
    let number = number(constant)?;
    let (least, most) = match op {
        Operator::Eq => (number, number),
        Operator::Lt => (i64::MIN, number.checked_sub(1)?),
        Operator::LtEq => (i64::MIN, number),
        Operator::Gt => (number.checked_add(1)?, i64::MAX),
        Operator::GtEq => (number, i64::MAX),
        _ => return None,
    };
    let is_number = !matches!(subject, Subject::Comm | Subject::Event);
    is_number.then(|| Condition::Numbers(subject, Numbers::between(least, most)))
}

fn number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(number), ..) => *number,
        _ => None,
    }
}

fn literal_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, ..) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}
