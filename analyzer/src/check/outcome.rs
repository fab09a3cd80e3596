//! What became of rules.

use crate::model::GuestNanos;
use crate::sources::Finding;

/// Most events and stretches that are shown of those that speak against a rule.
pub(super) const SHOWN_MAX: usize = 5;

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The trace keeps it.
    Passed,
    /// The trace breaks it.
    Failed,
    /// The trace cannot tell.
    Unknown,
}

impl Verdict {
    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// What speaks against a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    /// When, if it has a time.
    pub at: Option<GuestNanos>,
    /// One line.
    pub text: String,
}

/// The first of what speaks against a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offenders {
    pub(super) shown: Vec<Offender>,
    pub(super) count: u64,
}

impl Offenders {
    /// Adds one, whose line is made only if it is going to be shown.
    pub(super) fn add(&mut self, at: Option<GuestNanos>, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(Offender { at, text: text() });
        }
    }
}

/// A verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Name of the rule.
    pub name: String,
    /// Kind of rule, as its section is called.
    pub section: &'static str,
    /// Line of the rule in its file, from 1.
    pub line: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// What it asks for.
    pub expected: String,
    /// What there is.
    pub found: String,
    /// Why it could not be judged.
    pub reason: Option<String>,
    /// Whether that is because data are lost, rather than because they were never asked for.
    pub is_loss: bool,
    /// The first of what speaks against it.
    pub offenders: Vec<Offender>,
    /// How many there are.
    pub offender_count: u64,
}

/// The verdicts on a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// By rule, in the order of the file.
    pub judgements: Vec<Judgement>,
    /// What is lost or doubtful in the trace, worst first.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Number of rules with that verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let has = |judgement: &&Judgement| judgement.verdict == verdict;
        self.judgements.iter().filter(has).count()
    }
}
