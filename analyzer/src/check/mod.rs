//! Rules that a trace has to keep: what `guesttrace check` judges.
//!
//! Input: the text of a file of rules (`docs/check.md` is its manual) and a trace, or two. Output: a verdict on each rule,
//! with the first events that speak against it; answers to
//! questions that the trace itself knows are graded beside them. All rules about events and states are judged in one pass.
//!
//! Invariant: a rule passes only where the trace can tell. What was not recorded or is lost makes it `unknown`.

// In the order in which to read them; rustfmt sorts what has no blank line between.
mod rule;

mod amount;
mod limits;

mod fault;
mod section;

mod read;

mod question;

mod answers;

mod bind;
mod watch;

mod judge;

mod numbers;

mod outcome;

mod run;

mod write;

pub use fault::{AnswersError, RulesError, RulesProblem};
pub use outcome::{Answered, CheckReport, Judgement, Offender, Verdict};
pub use rule::Rules;
pub use run::{CheckError, check};
pub use write::CheckFormat;
