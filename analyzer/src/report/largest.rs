//! The rows of a table that is sorted by size: as many as were asked for, and how many there are.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::table::Shape;

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
    /// The shape of their table, which says how many there are.
    pub(super) fn shape(&self) -> Shape {
        Shape::First {
            left_out: self.all - self.rows.len(),
        }
    }

    /// A row for each.
    pub(super) fn rows<R>(&self, row: impl Fn(&'a K, &'a V) -> R) -> Vec<R> {
        self.rows
            .iter()
            .map(|(key, value)| row(key, value))
            .collect()
    }
}
