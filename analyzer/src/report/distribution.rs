//! How lengths of time are distributed: exact count, sum and extremes, percentiles to a thirtieth of their value.
//!
//! Lengths fall into classes whose width doubles with each power of two, 32 to each; only classes that occur take room.

use std::collections::BTreeMap;

use super::table::{Cell, Column, Shape, Table, column};
use crate::model::GuestNanos;

/// Classes to each power of two.
const CLASSES_PER_OCTAVE: u64 = 32;

/// Lengths of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    count: u64,
    total: GuestNanos,
    min: GuestNanos,
    max: GuestNanos,
    classes: BTreeMap<u16, u64>,
}

/// The columns of [`Distribution::cells`].
pub const DISTRIBUTION_COLUMNS: [Column; 7] = [
    column("count", "Count"),
    column("total_ns", "Total"),
    column("min_ns", "Min"),
    column("mean_ns", "Mean"),
    column("p50_ns", "50 %"),
    column("p99_ns", "99 %"),
    column("max_ns", "Max"),
];

impl Distribution {
    /// Adds a length.
    pub fn add(&mut self, length: GuestNanos) {
        self.min = if self.count == 0 {
            length
        } else {
            self.min.min(length)
        };
        self.max = self.max.max(length);
        self.count += 1;
        self.total += length;
        *self.classes.entry(class_of(length.0)).or_default() += 1;
    }

    /// Adds what another holds.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.total += other.total;
        for (class, count) in &other.classes {
            *self.classes.entry(*class).or_default() += count;
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn total(&self) -> GuestNanos {
        self.total
    }

    /// The shortest; 0 if there is none.
    #[must_use]
    pub fn min(&self) -> GuestNanos {
        self.min
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> GuestNanos {
        self.max
    }

    /// Sum by number, rounded down; 0 of none.
    #[must_use]
    pub fn mean(&self) -> GuestNanos {
        GuestNanos(self.total.0.checked_div(self.count).unwrap_or(0))
    }

    /// The length that so many of a hundred do not exceed: the upper end of its class, and at most the longest.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> GuestNanos {
        let wanted = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (class, count) in &self.classes {
            seen += count;
            if seen >= wanted {
                return GuestNanos(class_end(*class).min(self.max.0));
            }
        }
        self.max
    }

    /// As cells of [`DISTRIBUTION_COLUMNS`].
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        if self.count == 0 {
            let absent = DISTRIBUTION_COLUMNS.iter().skip(1).map(|_| Cell::Absent);
            return std::iter::once(Cell::Count(0)).chain(absent).collect();
        }
        let times = [
            self.total,
            self.min,
            self.mean(),
            self.percentile(50),
            self.percentile(99),
            self.max,
        ];
        std::iter::once(Cell::Count(self.count))
            .chain(times.map(Cell::Length))
            .collect()
    }

    /// A table with a row for each power of two between the shortest and the longest.
    #[must_use]
    pub fn histogram(&self, name: &'static str, title: String) -> Table {
        let mut octaves: BTreeMap<u32, u64> = BTreeMap::new();
        for (class, count) in &self.classes {
            *octaves.entry(octave_of(class_end(*class))).or_default() += count;
        }
        let most = octaves.values().copied().max().unwrap_or(0);
        let first = octaves.first_key_value().map_or(0, |(first, _)| *first);
        let end = octaves.last_key_value().map_or(0, |(last, _)| *last + 1);
        let rows = (first..end).map(|octave| {
            let count = octaves.get(&octave).copied().unwrap_or(0);
            let start = if octave == 0 { 0 } else { 1 << octave };
            vec![
                Cell::Length(GuestNanos(start)),
                Cell::Length(GuestNanos((2u64 << octave.min(62)) - 1)),
                Cell::Count(count),
                Cell::Bar {
                    part: count,
                    whole: most,
                },
            ]
        });
        Table {
            name,
            title,
            shape: Shape::Rows,
            columns: vec![
                column("from_ns", "From"),
                column("to_ns", "To"),
                column("count", "Count"),
                column("", ""),
            ],
            rows: rows.collect(),
        }
    }
}

impl<'d> std::iter::Sum<&'d Self> for Distribution {
    fn sum<I: Iterator<Item = &'d Self>>(parts: I) -> Self {
        let mut sum = Self::default();
        parts.for_each(|part| sum.merge(part));
        sum
    }
}

/// Power of two of a length: 0 for 0 and 1.
fn octave_of(value: u64) -> u32 {
    (value | 1).ilog2()
}

fn class_of(value: u64) -> u16 {
    // Below 64 each length is a class of its own; from there the five bits behind the leading one tell classes apart.
    let shift = octave_of(value).saturating_sub(CLASSES_PER_OCTAVE.ilog2());
    let class = u64::from(shift) * CLASSES_PER_OCTAVE + (value >> shift);
    u16::try_from(class).unwrap_or(u16::MAX)
}

/// The largest value of a class.
fn class_end(class: u16) -> u64 {
    let class = u64::from(class);
    let shift = (class / CLASSES_PER_OCTAVE).saturating_sub(1);
    let leading = class - shift * CLASSES_PER_OCTAVE;
    (u128::from(leading) + 1)
        .checked_shl(u32::try_from(shift).unwrap_or(u32::MAX))
        .map_or(u64::MAX, |end| u64::try_from(end - 1).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_falls_into_them() {
        let mut class = 0;
        for value in [0, 1, 31, 32, 63, 64, 65, 66, 1000, 1 << 40, u64::MAX] {
            let next = class_of(value);
            assert!(next >= class, "{value}");
            class = next;
            assert!(class_end(class) >= value, "{value}");
            let width = class_end(class) - value;
            assert!(width <= value / CLASSES_PER_OCTAVE, "{value}: {width}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_lengths() {
        let mut lengths = Distribution::default();
        (1..=1000).for_each(|length| lengths.add(GuestNanos(1000 * length)));
        assert_eq!(lengths.mean(), GuestNanos(500_500));
        assert_eq!(lengths.max(), GuestNanos(1_000_000));
        for (percent, exact) in [(1, 10_000), (50, 500_000), (99, 990_000), (100, 1_000_000)] {
            let found = lengths.percentile(percent).0;
            assert!(
                (exact..=exact + exact / 30).contains(&found),
                "{percent}: {found}"
            );
        }
    }

    #[test]
    fn a_histogram_has_no_holes() {
        let mut lengths = Distribution::default();
        for length in [1, 1000, 1001] {
            lengths.add(GuestNanos(length));
        }
        let table = lengths.histogram("histogram", String::new());
        assert_eq!(table.rows.len(), 10);
        assert_eq!(table.rows[0][2], Cell::Count(1));
        assert_eq!(table.rows[9][2], Cell::Count(2));
    }
}
