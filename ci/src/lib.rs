//! Suites of guests: `guesttrace ci`.
//!
//! Input: a suite (`docs/ci.md` is its manual) and the `guesttrace` program. Output: what became of each run.
//! A recording and every question about its trace is a child process, so that whatever happens to one is one failed run.
//!
//! Invariant: a run passes only if everything that it has to hold was looked at and holds.

// In the order in which to read them; rustfmt sorts what has no blank line between.
mod suite;

mod fault;
mod matrix;
mod own_rules;
mod raw;

mod recipe;
mod workshop;

mod key;

mod cache;

mod tools;

mod recording;

mod outcome;

mod judge;

mod schedule;

mod artifacts;

mod accept;

mod json;
mod junit;
mod text;

pub use accept::{Renewal, renewals, write_golden};
pub use artifacts::Artifacts;
pub use cache::{Cache, CacheError, Entry};
pub use fault::{Problem, SuiteError};
pub use json::write_json;
pub use junit::write_junit;
pub use key::{Digests, key};
pub use outcome::{Check, Facts, RunOutcome, Sums, Verdict};
pub use recipe::{Recipe, Word};
pub use schedule::{News, Prepared, Settings, execute, prepare};
pub use suite::{Compare, Guest, Holds, Run, Suite};
pub use text::{write_list, write_text};
pub use tools::Tools;
pub use workshop::{Workshop, WorkshopError};
