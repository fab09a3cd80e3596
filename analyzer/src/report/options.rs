//! What a report is asked for.

use super::selection::Selection;

/// What a report is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The part of the trace that it is about.
    pub selection: Selection,
    /// How many rows a table that is sorted by size has at most.
    pub top: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            top: 10,
        }
    }
}
