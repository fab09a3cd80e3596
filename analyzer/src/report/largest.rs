//! The rows of a table that is sorted by size: as many as were asked for, with how many there are in its title.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The largest of what a report has counted.
pub(super) struct Largest<'a, K, V> {
    rows: Vec<(&'a K, &'a V)>,
    all: usize,
}

/// The `top` accounts with the greatest `size`; those of the same size in order of their keys.
pub(super) fn largest<'a, K: Ord, V, S: Ord>(
    accounts: &'a BTreeMap<K, V>,
    top: usize,
    size: impl Fn(&V) -> S,
) -> Largest<'a, K, V> {
    let mut rows: Vec<(&K, &V)> = accounts.iter().collect();
    // The sort is stable: keys stay in order.
    rows.sort_by_key(|(_, account)| Reverse(size(account)));
    let all = rows.len();
    rows.truncate(top);
    Largest { rows, all }
}

impl<'a, K, V> Largest<'a, K, V> {
    /// The title of their table: `what`, and how many of how many when not all are shown.
    pub(super) fn title(&self, what: &str) -> String {
        if self.rows.len() == self.all {
            return what.to_owned();
        }
        format!("{what}; the first {} of {}", self.rows.len(), self.all)
    }

    /// A row for each.
    pub(super) fn rows<R>(&self, row: impl Fn(&'a K, &'a V) -> R) -> Vec<R> {
        self.rows
            .iter()
            .map(|(key, value)| row(key, value))
            .collect()
    }
}
