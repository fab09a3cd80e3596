//! What can be wrong with a suite.

use std::io;
use std::path::{Path, PathBuf};

/// A suite that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// The file cannot be read.
    #[error(
        "cannot read {}: {source}\nhint: is the name right? a suite is a text file, docs/ci.md says what is in it",
        path.display()
    )]
    Unreadable {
        /// The suite.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A place in it is wrong.
    #[error("{}: line {line}: {problem}", path.display())]
    Wrong {
        /// The suite.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        problem: Problem,
    },
}

/// What is wrong with a place in a suite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No TOML, or a key that does not exist, or a value of another type.
    #[error("{message} in `{found}`\nhint: docs/ci.md has all keys with examples")]
    Syntax {
        /// As the parser says it.
        message: String,
        /// The line.
        found: String,
    },
    /// A key whose value cannot be used.
    #[error("{key} of run \"{run}\" {told}")]
    Value {
        /// The key.
        key: String,
        /// The run.
        run: String,
        /// What it would have to be.
        told: String,
    },
    /// A run without a name.
    #[error("a run needs a name\nhint: name = \"boot\"")]
    Nameless,
    /// Two runs of a name.
    #[error(
        "there is a run \"{name}\" already\nhint: names of a matrix may have {{kernel}}, {{image}}, {{workload}}, {{events}} and {{smp}}"
    )]
    Again {
        /// The name.
        name: String,
    },
    /// A key of runs among the defaults.
    #[error("{key} cannot be a default: it is of one run")]
    NoDefault {
        /// The key.
        key: &'static str,
    },
    /// The file is longer than a person writes.
    #[error("a suite has at most {max} bytes")]
    TooLong {
        /// Most bytes.
        max: usize,
    },
    /// More runs than can be meant.
    #[error("a suite has at most {max} runs, all places of matrices counted")]
    TooMany {
        /// Most runs.
        max: usize,
    },
    /// No run at all.
    #[error("the suite has no run\nhint: begin one with [[run]]")]
    Empty,
}

impl SuiteError {
    /// Of a place.
    pub(crate) fn wrong(path: &Path, line: usize, problem: Problem) -> Self {
        Self::Wrong {
            path: path.to_owned(),
            line,
            problem,
        }
    }
}
