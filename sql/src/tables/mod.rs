//! The tables of a trace: which there are, and how their rows come about.
//!
//! Tables of events are made from the trace's schema. The others are what the model tells, each a list of columns with
//! the way to their cells, so that a column is in one place.

mod calls;
mod events;
mod gather;
mod losses;
mod requests;
mod states;
mod threads;
mod trace;
mod wakeups;

use std::sync::Arc;

use analyzer::sources::TraceError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use thiserror::Error;
use trace_format::Schema;

pub(crate) use events::EventRows;
use events::EventSource;

use crate::column::{Column, Kind, schema_of};
use crate::constraints::Constraints;
use crate::opened::Opened;
use crate::rows::{Cell, Rows};

/// Why rows of a table cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ScanError {
    /// The trace cannot be read on.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The rows make no batch.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub comment: String,
    /// Its columns.
    pub columns: Vec<Column>,
    source: Source,
}

/// Where rows come from.
#[derive(Clone, Debug)]
enum Source {
    Events(Arc<EventSource>),
    States,
    Calls,
    Wakeups,
    Requests,
    Threads,
    Losses,
    Trace,
}

/// The rows of a table that the model fills.
trait RowKind {
    /// What a row is made of.
    type Row<'a>;
}

/// A column of such a table, with the way to its cells.
struct Spec<K: RowKind> {
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    comment: &'static str,
    cell: CellOf<K>,
}

type CellOf<K> = for<'r, 'a> fn(&'r <K as RowKind>::Row<'a>) -> Cell<'r>;

impl<K: RowKind> Spec<K> {
    /// A column that counts or names something.
    const fn number(name: &'static str, comment: &'static str, cell: CellOf<K>) -> Self {
        Self {
            name,
            kind: Kind::Int,
            unit: None,
            comment,
            cell,
        }
    }

    /// A column of times or lengths in nanoseconds.
    const fn nanos(name: &'static str, comment: &'static str, cell: CellOf<K>) -> Self {
        let mut column = Self::number(name, comment, cell);
        column.unit = Some("ns");
        column
    }

    /// A column of text.
    const fn text(name: &'static str, comment: &'static str, cell: CellOf<K>) -> Self {
        let mut column = Self::number(name, comment, cell);
        column.kind = Kind::Text;
        column
    }

    /// A column of truth values.
    const fn flag(name: &'static str, comment: &'static str, cell: CellOf<K>) -> Self {
        let mut column = Self::number(name, comment, cell);
        column.kind = Kind::Bool;
        column
    }

    fn column(&self) -> Column {
        Column {
            name: self.name.to_owned(),
            kind: self.kind,
            unit: self.unit.map(str::to_owned),
            comment: self.comment.to_owned(),
        }
    }
}

/// The cell of a row in a column.
fn cell_of<'r, K: RowKind>(columns: &[Spec<K>], column: usize, row: &'r K::Row<'_>) -> Cell<'r> {
    columns
        .get(column)
        .map_or(Cell::Null, |column| (column.cell)(row))
}

/// Takes rows; says whether more are wanted.
pub(crate) trait Taker {
    /// Takes some rows.
    fn take(&mut self, batch: RecordBatch) -> bool;
}

impl<F: FnMut(RecordBatch) -> bool> Taker for F {
    fn take(&mut self, batch: RecordBatch) -> bool {
        self(batch)
    }
}

/// What is wanted of a table.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Positions of the columns.
    pub(crate) columns: Vec<usize>,
    /// What rows have to be like.
    pub(crate) constraints: Constraints,
    /// Most rows.
    pub(crate) limit: usize,
}

/// Name of the table about the columns of all tables.
pub(crate) const ABOUT: &str = "about_columns";

/// Rows that are handed over at once.
const BATCH_ROWS: usize = 8192;

/// Rows of a wish on their way.
struct Outlet<'t> {
    rows: Rows,
    taker: &'t mut dyn Taker,
    left: usize,
    error: Option<ArrowError>,
}

impl<'t> Outlet<'t> {
    fn new(table: &Table, wish: &Wish, taker: &'t mut dyn Taker) -> Self {
        Self {
            rows: Rows::new(&table.columns, &wish.columns),
            taker,
            left: wish.limit,
            error: None,
        }
    }

    /// Adds a row.
    #[inline]
    fn add<'a>(&mut self, cell: impl Fn(usize) -> Cell<'a>) {
        if self.left == 0 {
            return;
        }
        self.rows.add(cell);
        self.left -= 1;
        if self.rows.len() >= BATCH_ROWS {
            self.flush();
        }
    }

    /// Whether no more rows are wanted.
    fn is_closed(&self) -> bool {
        self.left == 0
    }

    fn flush(&mut self) {
        if self.rows.len() == 0 {
            return;
        }
        match self.rows.take() {
            Ok(batch) => {
                if !self.taker.take(batch) {
                    self.left = 0;
                }
            }
            Err(error) => (self.left, self.error) = (0, Some(error)),
        }
    }

    fn finish(mut self) -> Result<(), ScanError> {
        self.flush();
        self.error.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Table {
    fn of<K: RowKind>(name: &str, comment: &str, columns: &[Spec<K>], source: Source) -> Self {
        Self {
            name: name.to_owned(),
            comment: comment.to_owned(),
            columns: columns.iter().map(Spec::column).collect(),
            source,
        }
    }

    /// Its columns as the query engine knows them.
    #[must_use]
    pub fn schema(&self) -> datafusion::arrow::datatypes::Schema {
        schema_of(&self.columns)
    }

    /// Position of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// What in it the events are, if it is a table of events.
    pub(crate) fn events(&self) -> Option<&Arc<EventSource>> {
        match &self.source {
            Source::Events(source) => Some(source),
            _ => None,
        }
    }

    /// The column by which rows come in order of time: that of the end of what a row tells.
    pub(crate) fn end_column(&self) -> Option<&'static str> {
        match self.source {
            Source::Events(_) => Some("time_ns"),
            Source::States | Source::Calls => Some("end_ns"),
            Source::Wakeups => Some("running_at_ns"),
            Source::Requests => Some("done_ns"),
            Source::Threads | Source::Losses | Source::Trace => None,
        }
    }

    /// The column by which files of it are sorted.
    pub(crate) fn sort_column(&self) -> &'static str {
        match self.source {
            Source::Events(_) | Source::Wakeups => "time_ns",
            Source::States | Source::Calls | Source::Threads => "begin_ns",
            Source::Requests => "done_ns",
            Source::Losses => "at_ns",
            Source::Trace => "duration_ns",
        }
    }

    /// Hands the rows of a wish over, in constant memory.
    pub(crate) fn scan(
        &self,
        opened: &Opened,
        wish: &Wish,
        taker: &mut dyn Taker,
    ) -> Result<(), ScanError> {
        let mut outlet = Outlet::new(self, wish, taker);
        match &self.source {
            Source::Events(source) => {
                events::scan(opened, source, &wish.constraints, &mut outlet)?;
            }
            Source::States => gather::scan::<states::States>(opened, wish, &mut outlet)?,
            Source::Calls => gather::scan::<calls::Calls>(opened, wish, &mut outlet)?,
            Source::Wakeups => gather::scan::<wakeups::Wakeups>(opened, wish, &mut outlet)?,
            Source::Requests => gather::scan::<requests::Requests>(opened, wish, &mut outlet)?,
            Source::Threads => threads::scan(opened, &mut outlet)?,
            Source::Losses => losses::scan(opened, &mut outlet)?,
            Source::Trace => trace::scan(opened, &mut outlet),
        }
        outlet.finish()
    }
}

/// The tables that every trace has.
#[must_use]
pub fn fixed_tables() -> Vec<Table> {
    vec![
        events::all_events(),
        Table::of(
            "thread_states",
            "What each thread did, stretch by stretch: the stretches of a thread cover its life without overlap.",
            states::COLUMNS,
            Source::States,
        ),
        Table::of(
            "syscalls",
            "System calls that ended, from entry to exit.",
            calls::COLUMNS,
            Source::Calls,
        ),
        Table::of(
            "wakeups",
            "Threads that were woken and then got a CPU.",
            wakeups::COLUMNS,
            Source::Wakeups,
        ),
        Table::of(
            "io",
            "Requests that block devices have done (needs the events of the category block).",
            requests::COLUMNS,
            Source::Requests,
        ),
        Table::of(
            "threads",
            "The threads, with where their time went.",
            threads::COLUMNS,
            Source::Threads,
        ),
        Table::of(
            "losses",
            "Where events are missing.",
            losses::COLUMNS,
            Source::Losses,
        ),
        Table::of(
            "trace",
            "The trace itself: one row.",
            trace::COLUMNS,
            Source::Trace,
        ),
    ]
}

/// The tables of a trace: those that every trace has, and one for each kind of event.
#[must_use]
pub fn tables(schema: &Schema) -> Vec<Table> {
    let mut tables = fixed_tables();
    let mut names = events::Names::of(&tables);
    for event in &schema.events {
        events::add_kind(schema, event, &mut tables, &mut names);
    }
    tables
}
