//! `periods`: intervals that the user defines, from an event that begins one to the event that ends it.
//!
//! Memory: what is under way, one distribution for each value by which beginnings and ends belong together, and the
//! longest.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

use guesttrace_filter::BoundFilter;
use thiserror::Error;
use trace_format::{Schema, Value};

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::names::thread_label;
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{CpuId, GuestNanos, Machine, Observer, ThreadIndex};
use crate::sources::{Record, Trace, TraceError};

/// No more than that are under way, or told apart; what there is besides is counted.
const KEYS_MAX: usize = 1 << 16;

/// What periods are.
#[derive(Debug)]
pub struct Period {
    /// Events that begin one.
    pub begin: BoundFilter,
    /// Events that end one.
    pub end: BoundFilter,
    /// Which beginning an end belongs to.
    pub by: By,
}

/// What the two events of a period have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Nothing: there is one period at a time.
    Nothing,
    /// The thread that runs.
    Tid,
    /// The process that runs.
    Pid,
    /// The CPU.
    Cpu,
    /// Fields of these names.
    Fields {
        /// Of the event that begins.
        begin: String,
        /// Of the event that ends.
        end: String,
    },
}

/// Why there is no such field.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no event of the trace has a field {0:?}")]
pub struct NoSuchField(pub String);

impl By {
    /// Reads `tid`, `pid`, `cpu`, `none`, a field's name, or `BEGIN=END` of two.
    ///
    /// # Errors
    /// When no event has the field.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, NoSuchField> {
        let by = match text {
            "none" => return Ok(Self::Nothing),
            "tid" => return Ok(Self::Tid),
            "pid" => return Ok(Self::Pid),
            "cpu" => return Ok(Self::Cpu),
            _ => text.split_once('=').unwrap_or((text, text)),
        };
        for name in [by.0, by.1] {
            if !schema
                .events
                .iter()
                .any(|event| event.field_index(name).is_some())
            {
                return Err(NoSuchField(name.to_owned()));
            }
        }
        Ok(Self::Fields {
            begin: by.0.to_owned(),
            end: by.1.to_owned(),
        })
    }
}

/// What a period is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    None,
    Number(u64),
    Text(Box<[u8]>),
}

/// Where a field is in the records of each event.
struct Places(Vec<Option<usize>>);

impl Places {
    fn of(schema: &Schema, name: &str) -> Self {
        let ids = schema.events.iter().map(|event| usize::from(event.id.0));
        let mut places = vec![None; ids.max().map_or(0, |last| last + 1)];
        for event in &schema.events {
            places[usize::from(event.id.0)] = event.field_index(name);
        }
        Self(places)
    }

    fn key(&self, record: &Record<'_>) -> Option<Key> {
        let place = self.0.get(usize::from(record.event.0)).copied().flatten()?;
        match record.fields.value(place) {
            Value::Number(number) => Some(Key::Number(number)),
            Value::Bytes(bytes) => Some(Key::Text(bytes.into())),
            Value::Missing => None,
        }
    }
}

/// A period that is over, ordered by its length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    length: GuestNanos,
    earlier: Reverse<GuestNanos>,
    key: Key,
    thread: Option<ThreadIndex>,
}

struct Periods<'a> {
    period: &'a Period,
    selection: Selection,
    /// Where the fields are that beginnings and ends have in common.
    places: Option<(Places, Places)>,
    top: usize,
    open: HashMap<Key, (GuestNanos, Option<ThreadIndex>)>,
    all: Distribution,
    by_key: HashMap<Key, Distribution>,
    longest: BinaryHeap<Reverse<Found>>,
    begun_again: u64,
    ends_without: u64,
    cut: u64,
    without_key: u64,
    beyond: u64,
}

/// Makes the report.
///
/// # Errors
/// When the trace cannot be read.
pub fn periods(trace: &Trace, options: &Options, period: &Period) -> Result<Report, TraceError> {
    let places = match &period.by {
        By::Fields { begin, end } => Some((
            Places::of(trace.schema(), begin),
            Places::of(trace.schema(), end),
        )),
        By::Nothing | By::Tid | By::Pid | By::Cpu => None,
    };
    let periods = Periods {
        period,
        selection: options.selection.clone(),
        places,
        top: options.top,
        open: HashMap::new(),
        all: Distribution::default(),
        by_key: HashMap::new(),
        longest: BinaryHeap::new(),
        begun_again: 0,
        ends_without: 0,
        cut: 0,
        without_key: 0,
        beyond: 0,
    };
    let pass = run(trace, &options.selection, periods)?;
    let mut tables = vec![summary(&pass.analysis)];
    if pass.analysis.all.count() > 0 {
        let title = "Lengths (microseconds)".to_owned();
        tables.push(pass.analysis.all.histogram("histogram", title));
        tables.push(longest(&pass));
        if period.by != By::Nothing {
            tables.push(by_key(&pass));
        }
    }
    Ok(Report {
        name: "periods",
        findings: pass.findings,
        tables,
    })
}

impl Periods<'_> {
    fn key(&mut self, record: &Record<'_>, is_begin: bool) -> Option<Key> {
        let key = match (&self.period.by, &self.places) {
            (By::Nothing, _) => Some(Key::None),
            (By::Tid, _) => Some(Key::Number(u64::from(record.context.tid.0))),
            (By::Pid, _) => Some(Key::Number(u64::from(record.context.pid.0))),
            (By::Cpu, _) => Some(Key::Number(u64::from(record.cpu.0))),
            (By::Fields { .. }, Some((begin, end))) => {
                if is_begin { begin } else { end }.key(record)
            }
            (By::Fields { .. }, None) => None,
        };
        self.without_key += u64::from(key.is_none());
        key
    }

    fn ends(&mut self, record: &Record<'_>, begins: bool) {
        let Some(key) = self.key(record, false) else {
            return;
        };
        let Some((start, thread)) = self.open.remove(&key) else {
            // The first of those that end one and begin the next ends none.
            self.ends_without += u64::from(!begins);
            return;
        };
        let length = record.at.since(start);
        self.all.add(length);
        if self.by_key.len() < KEYS_MAX || self.by_key.contains_key(&key) {
            self.by_key.entry(key.clone()).or_default().add(length);
        }
        let shortest = self.longest.peek().map(|Reverse(found)| found.length);
        if self.longest.len() >= self.top && shortest.is_none_or(|shortest| length <= shortest) {
            return;
        }
        self.longest.push(Reverse(Found {
            length,
            earlier: Reverse(start),
            key,
            thread,
        }));
        if self.longest.len() > self.top {
            self.longest.pop();
        }
    }

    fn begins(&mut self, record: &Record<'_>, thread: Option<ThreadIndex>) {
        let Some(key) = self.key(record, true) else {
            return;
        };
        if self.open.len() >= KEYS_MAX && !self.open.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        // As rules see it (check/judge/latency.rs): what is under way has begun when it first did.
        match self.open.entry(key) {
            Entry::Occupied(_) => self.begun_again += 1,
            Entry::Vacant(free) => _ = free.insert((record.at, thread)),
        }
    }
}

impl Analysis for Periods<'_> {
    fn record(&mut self, machine: &Machine, record: &Record<'_>) {
        if !self.selection.has_record(record) {
            return;
        }
        // What ends one period may begin the next.
        let begins = self.period.begin.matches(record);
        if self.period.end.matches(record) {
            self.ends(record, begins);
        }
        if begins {
            self.begins(record, machine.current(record.cpu));
        }
    }
}

impl Observer for Periods<'_> {
    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        // The end, or another beginning, may be among what is missing.
        self.cut += self.open.len() as u64;
        self.open.clear();
    }
}

fn summary(periods: &Periods<'_>) -> Table {
    let mut columns = DISTRIBUTION_COLUMNS.to_vec();
    columns.extend([
        column("open", "Begun and not ended"),
        column("begun_again", "Begun again before their end"),
        column("ends_without_begin", "Ends without a beginning"),
        column("cut_by_gaps", "Cut by missing events"),
        column("without_field", "Events without the field"),
        column("beyond", "Beyond what is kept"),
    ]);
    let mut row = periods.all.cells();
    let counts = [
        periods.open.len() as u64,
        periods.begun_again,
        periods.ends_without,
        periods.cut,
        periods.without_key,
        periods.beyond,
    ];
    row.extend(counts.map(Cell::Count));
    Table {
        name: "periods",
        title: "Periods (microseconds)".to_owned(),
        shape: Shape::Record,
        columns,
        rows: vec![row],
    }
}

fn key_cell(key: &Key) -> Cell {
    match key {
        Key::None => Cell::Absent,
        Key::Number(number) => Cell::Count(*number),
        Key::Text(text) => Cell::guest_text(text),
    }
}

fn longest(pass: &Pass<Periods<'_>>) -> Table {
    let found = pass.analysis.longest.iter().map(|Reverse(found)| found);
    let mut found: Vec<&Found> = found.collect();
    found.sort_by(|one, other| other.cmp(one));
    let count = usize::try_from(pass.analysis.all.count()).unwrap_or(usize::MAX);
    let left_out = count.saturating_sub(found.len());
    let row = |found: &Found| {
        let threads = pass.machine.threads();
        let begun_by = found
            .thread
            .map(|thread| Cell::Text(thread_label(&threads[thread])));
        vec![
            Cell::Time(found.earlier.0),
            Cell::Length(found.length),
            key_cell(&found.key),
            begun_by.unwrap_or(Cell::Absent),
        ]
    };
    Table {
        name: "longest",
        title: "The longest (start in seconds, lengths in microseconds)".to_owned(),
        shape: Shape::First { left_out },
        columns: vec![
            column("start_ns", "Start"),
            column("length_ns", "Length"),
            column("key", "By"),
            column("thread", "Begun by"),
        ],
        rows: found.into_iter().map(row).collect(),
    }
}

fn by_key(pass: &Pass<Periods<'_>>) -> Table {
    let mut keys: Vec<(&Key, &Distribution)> = pass.analysis.by_key.iter().collect();
    keys.sort_by_key(|(key, lengths)| (Reverse(lengths.total()), *key));
    let mut columns = vec![column("key", "By")];
    columns.extend(DISTRIBUTION_COLUMNS);
    let row = |(key, lengths): (&Key, &Distribution)| {
        let cells = std::iter::once(key_cell(key)).chain(lengths.cells());
        cells.collect::<Vec<Cell>>()
    };
    let left_out = keys.len().saturating_sub(pass.analysis.top);
    let rows = keys.into_iter().take(pass.analysis.top).map(row);
    Table {
        name: "by_key",
        title: "By what they have in common (microseconds)".to_owned(),
        shape: Shape::First { left_out },
        columns,
        rows: rows.collect(),
    }
}
