//! Rules, understood but not yet tied to a trace.

use std::path::PathBuf;

use guesttrace_filter::Filter;

use super::answers::Answers;
use super::limits::Limits;
use super::question::Question;
use crate::model::{Activity, CpuId, GuestNanos, Pid, Span, Tid};
use crate::report::{Glob, ReportKind};

/// The rules of a file.
#[derive(Debug)]
pub struct Rules {
    pub(super) golden: Option<PathBuf>,
    pub(super) masks_are_meant: bool,
    pub(super) rules: Vec<Rule>,
    pub(super) answers: Option<Answers>,
}

impl Rules {
    /// The golden trace that the rules name, relative to their own directory.
    #[must_use]
    pub fn golden(&self) -> Option<&std::path::Path> {
        self.golden.as_deref()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// How many of them are questions.
    #[must_use]
    pub fn question_count(&self) -> usize {
        let is_question = |rule: &&Rule| rule.question.is_some();
        self.rules.iter().filter(is_question).count()
    }

    /// The line of the first rule that needs a golden trace.
    #[must_use]
    pub fn first_with_tolerance(&self) -> Option<usize> {
        let needs = |rule: &&Rule| rule.kind.has_tolerance();
        self.rules.iter().find(needs).map(|rule| rule.line)
    }
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) section: &'static str,
    pub(super) line: usize,
    pub(super) window: Span,
    /// It also passes when what it is about does not happen.
    pub(super) is_optional: bool,
    pub(super) kind: Kind,
    /// It asks what that is, rather than demanding anything.
    pub(super) question: Option<Question>,
}

/// A condition on events, with where it is written.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) filter: Filter,
    pub(super) key: &'static str,
    pub(super) line: usize,
}

/// What a rule asks for.
#[derive(Debug)]
pub(super) enum Kind {
    /// A number of events: of all, or of those behind another, or between two.
    Count {
        events: Expr,
        after: Option<Expr>,
        until: Option<Expr>,
        limits: Limits,
    },
    /// No such event: at all, behind another, or between two.
    Never {
        events: Expr,
        after: Option<Expr>,
        until: Option<Expr>,
    },
    /// One event before another.
    Order {
        first: Expr,
        then: Expr,
        within: Option<GuestNanos>,
    },
    /// How long it takes from one event to another.
    Latency(Box<Latency>),
    /// What threads or CPUs do, and for how long.
    State(State),
    /// A number of a report.
    Report(Box<Number>),
    /// The first event: a field of it, or its time.
    First { events: Expr, field: Option<Expr> },
    /// What the rules say themselves.
    Literal(String),
}

impl Kind {
    /// Whether it is measured from a golden trace.
    pub(super) fn has_tolerance(&self) -> bool {
        let has = |limits: &Limits| limits.tolerance.is_some();
        match self {
            Self::Count { limits, .. } => has(limits),
            Self::Latency(latency) => latency.limits.iter().any(|(_, limits)| has(limits)),
            Self::Report(number) => has(&number.limits),
            Self::Never { .. }
            | Self::Order { .. }
            | Self::State(_)
            | Self::First { .. }
            | Self::Literal(_) => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Latency {
    pub(super) begin: Expr,
    pub(super) end: Expr,
    /// What both have in common, in the words of either; nothing when any end ends any beginning.
    pub(super) by: Option<(Expr, Expr)>,
    pub(super) limits: Vec<(Stat, Limits)>,
}

/// A number that sums up lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stat {
    Min,
    Max,
    Mean,
    /// So many of a hundred are no longer.
    Percentile(u64),
}

impl Stat {
    /// Every one, with the key that limits it.
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("max", Self::Max),
        ("mean", Self::Mean),
        ("p50", Self::Percentile(50)),
        ("p90", Self::Percentile(90)),
        ("p95", Self::Percentile(95)),
        ("p99", Self::Percentile(99)),
        ("p25", Self::Percentile(25)),
        ("min", Self::Min),
    ];

    /// Its key.
    pub(super) fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, stat)| *stat == self);
        known.map_or("", |(name, _)| name)
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) of: Who,
    pub(super) name: &'static str,
    pub(super) activities: Vec<Activity>,
    pub(super) longest: Option<GuestNanos>,
    /// In time, or in percent of what the thread or CPU has.
    pub(super) limits: Limits,
}

impl State {
    /// What can be said of it in one number: how long in all, at a stretch, and what part that is.
    pub(super) const NUMBERS: [&'static str; 3] = ["total", "longest", "share"];
}

/// Whose states.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Threads {
        comm: Option<Glob>,
        pid: Option<Pid>,
        tid: Option<Tid>,
    },
    /// One of them, or each.
    Cpu(Option<CpuId>),
}

/// Names of states, and what each means.
pub(super) fn activities_named(name: &str) -> Option<(&'static str, Vec<Activity>)> {
    let several = [
        (
            "running",
            Activity::ALL
                .iter()
                .copied()
                .filter(|activity| activity.is_running() && *activity != Activity::Idle)
                .collect::<Vec<_>>(),
        ),
        ("waiting", vec![Activity::Blocked, Activity::Runnable]),
    ];
    let one = Activity::ALL
        .iter()
        .map(|activity| (activity.name(), vec![*activity]));
    one.chain(several).find(|(known, _)| *known == name)
}

/// The names that [`activities_named`] knows, but for what is not known.
pub(super) fn state_names() -> impl Iterator<Item = &'static str> {
    let known = |activity: &&Activity| {
        use Activity as A;
        !matches!(activity, A::Unknown | A::Unseen | A::RunningUnknown)
    };
    let one = Activity::ALL
        .iter()
        .filter(known)
        .map(|activity| activity.name());
    one.chain(["running", "waiting"])
}

/// A number of a report.
#[derive(Debug)]
pub(super) struct Number {
    pub(super) kind: &'static ReportKind,
    pub(super) table: Option<Name>,
    /// Columns and what is in them, of the rows that are meant.
    pub(super) row: Vec<(Name, Glob)>,
    pub(super) column: Option<Name>,
    pub(super) rows: Rows,
    pub(super) limits: Limits,
}

/// A name that can only be looked up when the report is there.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) line: usize,
}

/// What becomes of several rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Each has to keep the limits.
    Each,
    /// Their sum has.
    Sum,
    /// Their number has.
    Count,
}
