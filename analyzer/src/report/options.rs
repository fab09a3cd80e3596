//! What a report is asked for.

use super::selection::Selection;

/// What a report is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The part of the trace that it is about.
    pub selection: Selection,
    /// How many rows a table that is sorted by size has at most.
    pub top: usize,
    /// How many a sorted table has at most of which all rows are shown unless fewer are asked for: those of processes,
    /// threads and calls.
    pub accounts_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            top: 10,
            accounts_max: usize::MAX,
        }
    }
}
