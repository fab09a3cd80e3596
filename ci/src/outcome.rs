//! What became of runs.

use std::path::PathBuf;
use std::time::Duration;

/// What became of a run, or of one thing that it has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It could not be looked at.
    Unmade,
    /// It does not hold.
    Failed,
}

impl Verdict {
    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Unmade => "error",
            Self::Failed => "failed",
        }
    }
}

/// One thing that a run has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it does.
    pub verdict: Verdict,
    /// Why not, a line each.
    pub lines: Vec<String>,
}

impl Check {
    pub(crate) fn passed(name: impl Into<String>) -> Self {
        Self::new(name, Verdict::Passed, Vec::new())
    }

    pub(crate) fn failed(name: impl Into<String>, line: impl Into<String>) -> Self {
        Self::new(name, Verdict::Failed, vec![line.into()])
    }

    pub(crate) fn unmade(name: impl Into<String>, line: impl Into<String>) -> Self {
        Self::new(name, Verdict::Unmade, vec![line.into()])
    }

    pub(crate) fn new(name: impl Into<String>, verdict: Verdict, lines: Vec<String>) -> Self {
        Self {
            name: name.into(),
            verdict,
            lines,
        }
    }
}

/// What a trace says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Guest time.
    pub guest: Duration,
    /// Number of events.
    pub events: u64,
    /// Whether the same command gives the same trace.
    pub is_reproducible: bool,
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// Name of the run.
    pub name: String,
    /// Its line in the suite.
    pub line: usize,
    /// Key of its recording.
    pub key: Option<String>,
    /// Each thing that it has to hold.
    pub checks: Vec<Check>,
    /// Whether the recording was there already.
    pub is_cached: bool,
    /// So many recordings it took.
    pub recordings: u32,
    /// Of the trace, if there is one.
    pub facts: Option<Facts>,
    /// How long the recording took, the longest of several.
    pub wall: Option<Duration>,
    /// Where its artifacts are.
    pub artifacts: Option<PathBuf>,
    /// The trace, while the work directory is there.
    pub trace: Option<PathBuf>,
    /// Where the trace diverges from what it has to be.
    pub divergence: Option<String>,
}

impl RunOutcome {
    /// The worst of its checks.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.checks.iter().map(|check| check.verdict);
        verdicts.max().unwrap_or(Verdict::Unmade)
    }
}

/// How many runs became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Hold.
    pub passed: usize,
    /// Do not.
    pub failed: usize,
    /// Could not be looked at.
    pub unmade: usize,
    /// Were there already.
    pub cached: usize,
}

impl Sums {
    /// Of runs.
    #[must_use]
    pub fn of(outcomes: &[RunOutcome]) -> Self {
        let mut sums = Self::default();
        for outcome in outcomes {
            match outcome.verdict() {
                Verdict::Passed => sums.passed += 1,
                Verdict::Failed => sums.failed += 1,
                Verdict::Unmade => sums.unmade += 1,
            }
            sums.cached += usize::from(outcome.is_cached);
        }
        sums
    }
}
