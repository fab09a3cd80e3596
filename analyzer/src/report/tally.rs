//! `count`: how many events there are of each kind, thread, CPU or value of fields.
//!
//! Memory: a number for each combination of values, up to [`GROUPS_MAX`]; what there is besides is counted.

use std::collections::HashMap;

use guesttrace_filter::BoundFilter;
use trace_format::{EventId, FieldKind, Schema, Value};

use super::periods::NoSuchField;
use super::selection::Selection;
use super::table::{Cell, Column, Report, Shape, Table, column};
use crate::export::{LineFormat, LineWriter};
use crate::model::Span;
use crate::sources::{Item, Range, Record, Trace, TraceError, sort_findings};

/// No more groups than that are told apart.
const GROUPS_MAX: usize = 1 << 16;

/// What is counted.
#[derive(Debug)]
pub struct CountWish {
    /// The part of the trace.
    pub selection: Selection,
    /// Events of these kinds; empty for all.
    pub events: Vec<EventId>,
    /// Of those, events for which this holds.
    pub filter: Option<BoundFilter>,
    /// What they are told apart by.
    pub by: Vec<CountBy>,
    /// How many groups are shown, the largest.
    pub top: usize,
}

/// What events are told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountBy {
    /// Their kind.
    Event,
    /// The name of the thread that ran.
    Comm,
    /// Its process.
    Pid,
    /// Its number.
    Tid,
    /// The CPU.
    Cpu,
    /// The value of a field.
    Field {
        /// Its name, as it was asked for.
        name: String,
        /// Where it is in the records of each event, and whether it is text.
        places: Vec<Option<(usize, bool)>>,
    },
}

impl CountBy {
    /// Reads `event`, `comm`, `pid`, `tid`, `cpu`, the name of a field, or as filters name it: `EVENT.FIELD`, `event.FIELD`.
    ///
    /// `name` is the event's where none of `events` (all if there are none) has a field that is called so.
    ///
    /// # Errors
    /// When no event has the field.
    pub fn parse(text: &str, schema: &Schema, events: &[EventId]) -> Result<Self, NoSuchField> {
        match text {
            "event" => return Ok(Self::Event),
            "comm" => return Ok(Self::Comm),
            "pid" => return Ok(Self::Pid),
            "tid" => return Ok(Self::Tid),
            "cpu" => return Ok(Self::Cpu),
            _ => {}
        }
        let (event, field) = match text.split_once('.') {
            Some(("event", field)) => (None, field),
            Some((event, field)) if schema.event_named(event).is_some() => (Some(event), field),
            _ => (None, text),
        };
        let ids = schema.events.iter().map(|event| usize::from(event.id.0));
        let mut places = vec![None; ids.max().map_or(0, |last| last + 1)];
        for kind in &schema.events {
            let is_chosen = events.is_empty() || events.contains(&kind.id);
            if is_chosen && event.is_none_or(|event| event == kind.name) {
                places[usize::from(kind.id.0)] = kind
                    .field_index(field)
                    .map(|index| (index, kind.fields[index].kind == FieldKind::Text));
            }
        }
        match text {
            _ if places.iter().any(Option::is_some) => Ok(Self::Field {
                name: text.to_owned(),
                places,
            }),
            "name" => Ok(Self::Event),
            _ => Err(NoSuchField(text.to_owned())),
        }
    }

    fn column(&self) -> Column {
        match self {
            Self::Event => column("event", "Event"),
            Self::Comm => column("comm", "Process"),
            Self::Pid => column("pid", "PID"),
            Self::Tid => column("tid", "TID"),
            Self::Cpu => column("cpu", "CPU"),
            Self::Field { name, .. } => {
                // Names of columns live as long as the program; a question has a handful of fields.
                let name: &'static str = Box::leak(name.clone().into_boxed_str());
                column(name, name)
            }
        }
    }
}

/// A value by which events are told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Missing,
    Number(u64),
    Text(String),
}

struct Tally<'a> {
    wish: &'a CountWish,
    schema: &'a Schema,
    writer: LineWriter,
    groups: HashMap<Vec<Key>, u64>,
    counted: u64,
    without_field: u64,
    beyond: u64,
    room: Vec<u8>,
}

/// Counts.
///
/// # Errors
/// When the trace cannot be read.
pub fn count(trace: &Trace, wish: &CountWish) -> Result<Report, TraceError> {
    let clock = trace.clock();
    let Span { start, end } = wish.selection.span;
    let is_open = end == Span::ALL.end;
    let mut stream = trace.stream(&Range {
        tscs: clock.tsc(start)..=if is_open { u64::MAX } else { clock.tsc(end) },
        cpus: wish.selection.cpus.clone(),
        events: wish.events.clone(),
        threads: (wish.selection.pids.iter())
            .map(|pid| u64::from(pid.0))
            .collect(),
    })?;
    let mut tally = Tally {
        wish,
        schema: trace.schema(),
        writer: LineWriter::new(trace.schema(), LineFormat::Text).with_symbols(trace.symbols()),
        groups: HashMap::new(),
        counted: 0,
        without_field: 0,
        beyond: 0,
        room: Vec::new(),
    };
    while let Some(item) = stream.next_item()? {
        if let Item::Record(record) = item {
            tally.take(&record);
        }
    }
    let mut findings = trace.findings();
    findings.extend(stream.damage());
    if tally.counted == 0 {
        findings.extend(super::met::absent_threads(trace, &wish.selection, &[])?);
    }
    sort_findings(&mut findings);
    Ok(Report {
        name: "count",
        findings,
        tables: vec![tally.sums(), tally.table()],
    })
}

impl Tally<'_> {
    fn take(&mut self, record: &Record<'_>) {
        let wish = self.wish;
        let is_asked = wish.events.is_empty() || wish.events.contains(&record.event);
        // Which thread runs is said between events, and is none unless it is asked for.
        let is_event = !record.is_repeated && (!record.is_context || !wish.events.is_empty());
        let is_chosen = is_asked
            && is_event
            && wish.selection.has_record(record)
            && (wish.filter.as_ref()).is_none_or(|filter| filter.matches(record));
        if !is_chosen {
            return;
        }
        self.counted += 1;
        let mut key = Vec::with_capacity(wish.by.len());
        for by in &wish.by {
            match self.key(by, record) {
                Some(part) => key.push(part),
                None => {
                    self.without_field += 1;
                    return;
                }
            }
        }
        if let Some(count) = self.groups.get_mut(&key) {
            *count += 1;
        } else if self.groups.len() < GROUPS_MAX {
            self.groups.insert(key, 1);
        } else {
            self.beyond += 1;
        }
    }

    /// What tells an event apart; `None` when it has no such field.
    fn key(&mut self, by: &CountBy, record: &Record<'_>) -> Option<Key> {
        let context = record.context;
        Some(match by {
            CountBy::Event => {
                let event = self.schema.event(record.event);
                Key::Text(event.map_or_else(String::new, |event| event.name.clone()))
            }
            CountBy::Comm => Key::Text(super::guest_text(&context.comm)),
            CountBy::Pid => Key::Number(u64::from(context.pid.0)),
            CountBy::Tid => Key::Number(u64::from(context.tid.0)),
            CountBy::Cpu => Key::Number(u64::from(record.cpu.0)),
            CountBy::Field { places, .. } => {
                let (index, is_text) = (*places.get(usize::from(record.event.0))?)?;
                match record.fields.value(index) {
                    Value::Missing => Key::Missing,
                    Value::Bytes(bytes) if is_text => Key::Text(super::guest_text(bytes)),
                    Value::Number(_) | Value::Bytes(_) => {
                        self.room.clear();
                        self.writer.push_field(&mut self.room, record, index);
                        let text = String::from_utf8_lossy(&self.room);
                        text.parse()
                            .map_or_else(|_| Key::Text(text.into_owned()), Key::Number)
                    }
                }
            }
        })
    }

    fn sums(&self) -> Table {
        let numbers = [
            self.counted,
            self.groups.len() as u64,
            self.without_field,
            self.beyond,
        ];
        Table {
            name: "sums",
            title: "Events".to_owned(),
            shape: Shape::Record,
            columns: vec![
                column("events", "Counted"),
                column("groups", "Groups"),
                column("without_field", "Without the field"),
                column("beyond", "Beyond what is kept"),
            ],
            rows: vec![numbers.map(Cell::Count).to_vec()],
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a percentage shows four digits")]
    fn table(&self) -> Table {
        let mut groups: Vec<(&Vec<Key>, u64)> = (self.groups.iter())
            .map(|(key, count)| (key, *count))
            .collect();
        groups.sort_by(|(key, count), (other, more)| more.cmp(count).then_with(|| key.cmp(other)));
        let left_out = groups.len().saturating_sub(self.wish.top);
        groups.truncate(self.wish.top);
        let row = |(key, count): (&Vec<Key>, u64)| {
            let mut row: Vec<Cell> = key.iter().map(Key::cell).collect();
            row.push(Cell::Count(count));
            row.push(Cell::Percent(count as f64 * 100.0 / self.counted as f64));
            row
        };
        let mut columns: Vec<Column> = self.wish.by.iter().map(CountBy::column).collect();
        columns.extend([column("count", "Count"), column("percent", "%")]);
        Table {
            name: "counts",
            title: "By what tells them apart".to_owned(),
            shape: Shape::First { left_out },
            columns,
            rows: groups.into_iter().map(row).collect(),
        }
    }
}

impl Key {
    fn cell(&self) -> Cell {
        match self {
            Self::Missing => Cell::Absent,
            Self::Number(number) => Cell::Count(*number),
            Self::Text(text) => Cell::Text(text.clone()),
        }
    }
}
