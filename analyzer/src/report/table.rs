//! What every report is made of: findings, then tables of typed cells.
//!
//! A report says what a value is; how it looks as text, JSON or CSV is decided in `render`.

use std::borrow::Cow;

use crate::model::GuestNanos;
use crate::sources::Finding;

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Name by which it is asked for.
    pub name: &'static str,
    /// What was lost or is doubtful, worst first.
    pub findings: Vec<Finding>,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Name, in JSON and CSV.
    pub name: &'static str,
    /// Heading, for people.
    pub title: String,
    /// How its rows belong together.
    pub shape: Shape,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The heading: what is in the table, and how many of how many rows when not all are.
    #[must_use]
    pub fn heading(&self) -> Cow<'_, str> {
        match self.left_out() {
            0 => Cow::Borrowed(&self.title),
            left_out => {
                let (shown, all) = (self.rows.len(), self.rows.len() + left_out);
                Cow::Owned(format!("{}; the first {shown} of {all}", self.title))
            }
        }
    }

    /// How many rows there are besides those that the table has.
    #[must_use]
    pub fn left_out(&self) -> usize {
        match self.shape {
            Shape::First { left_out } => left_out,
            Shape::Rows | Shape::Record => 0,
        }
    }

    /// Keeps the first rows of a table that is sorted.
    #[must_use]
    pub(crate) fn first(mut self, count: usize) -> Self {
        let left_out = self.left_out() + self.rows.len().saturating_sub(count);
        self.rows.truncate(count);
        self.shape = Shape::First { left_out };
        self
    }
}

/// How the rows of a table belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any number of rows of the same kind.
    Rows,
    /// The first rows of the same kind, in an order that says which matter most.
    First {
        /// How many more there are.
        left_out: usize,
    },
    /// One row, which describes one thing: people see it upright, programs as an object.
    Record,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name, in JSON and CSV; its unit is its last word. Without one it is for people only.
    pub name: &'static str,
    /// Heading, for people; one with a name and without a heading is for programs only.
    pub title: &'static str,
}

/// A column with its name and heading.
#[must_use]
pub const fn column(name: &'static str, title: &'static str) -> Column {
    Column { name, title }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// The trace does not say, or it does not apply.
    Absent,
    /// Text.
    Text(String),
    /// Text at a depth of a tree, shown indented; in JSON and CSV plain.
    Branch {
        /// Depth, 0 for a root.
        depth: usize,
        /// The text.
        text: String,
    },
    /// Yes or no.
    Flag(bool),
    /// A number of things.
    Count(u64),
    /// A length or point of time, which people see in seconds.
    Time(GuestNanos),
    /// A short length of time, which people see in microseconds.
    Length(GuestNanos),
    /// A part of a whole, in percent.
    Percent(f64),
    /// An address or a bit mask.
    Hex(u64),
    /// A number as a bar beside that of `whole`; programs get nothing, they have the number elsewhere.
    Bar {
        /// Length of the bar.
        part: u64,
        /// Length of the longest.
        whole: u64,
    },
}

impl Cell {
    /// Bytes of the guest; what is not UTF-8 or could upset a terminal is escaped.
    #[must_use]
    pub fn guest_text(bytes: &[u8]) -> Self {
        Self::Text(crate::report::guest_text(bytes))
    }

    /// A count that the trace may not have.
    #[must_use]
    pub fn count_or_absent(count: Option<u64>) -> Self {
        count.map_or(Self::Absent, Self::Count)
    }

    /// What part `part` is of `whole`.
    #[must_use]
    pub fn percent(part: GuestNanos, whole: GuestNanos) -> Self {
        if whole.0 == 0 {
            return Self::Absent;
        }
        #[allow(clippy::cast_precision_loss, reason = "a percentage shows four digits")]
        Self::Percent(part.0 as f64 * 100.0 / whole.0 as f64)
    }
}
