//! A stretch of a critical path, for those who draw it.

use crate::model::{Span, ThreadIndex, Tid};

/// A stretch of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// When.
    pub span: Span,
    /// The thread that it is about.
    pub thread: ThreadIndex,
    /// That thread's number.
    pub tid: Tid,
    /// How many threads lie between it and the one that is explained.
    pub depth: usize,
    /// Whether the thread ran, could have run, or waited.
    pub is: StretchKind,
    /// What happened, in words.
    pub text: String,
}

/// What a thread did in a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StretchKind {
    /// It had a CPU.
    Ran,
    /// It could have run.
    Queued,
    /// It waited.
    Waited,
    /// The trace does not say.
    Unknown,
}
