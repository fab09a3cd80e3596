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
    /// The question, if it is about an answer: `expected` is then the truth, and `found` what was answered.
    pub answered: Option<Answered>,
}

/// An answer to a question of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What was asked.
    pub question: String,
    /// What the right answer is worth.
    pub points: u32,
    /// Whether nothing was answered.
    pub is_missing: bool,
}

impl Judgement {
    /// What became of it, in one word.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match (&self.answered, self.verdict) {
            (None, verdict) | (Some(_), verdict @ Verdict::Unknown) => verdict.name(),
            (Some(_), Verdict::Passed) => "right",
            (Some(answered), Verdict::Failed) if answered.is_missing => "missing",
            (Some(_), Verdict::Failed) => "wrong",
        }
    }

    /// What an answer got, and what it could have got.
    #[must_use]
    pub fn points(&self) -> Option<(u32, u32)> {
        let worth = self.answered.as_ref()?.points;
        let is_right = self.verdict == Verdict::Passed;
        Some((if is_right { worth } else { 0 }, worth))
    }
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
    /// Leaves the right answers out, for those who are still to find them.
    pub fn hide_truths(&mut self) {
        for judgement in &mut self.judgements {
            if judgement.answered.is_some() {
                judgement.expected.clear();
            }
        }
    }

    /// The sum of all points, and how many there could be; nothing if no questions were answered.
    #[must_use]
    pub fn points(&self) -> Option<(u32, u32)> {
        let points = self.judgements.iter().filter_map(Judgement::points);
        points.reduce(|(got, of), (more, of_more)| (got + more, of + of_more))
    }

    /// Number of rules with that verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let has = |judgement: &&Judgement| judgement.verdict == verdict;
        self.judgements.iter().filter(has).count()
    }
}
