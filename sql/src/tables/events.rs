//! Tables of events: `events` with all of them, and a table for each kind with a column for each field.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use analyzer::export::{LineFormat, LineWriter, push_named};
use analyzer::sources::{Item, Record, Symbols};
use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, FieldSchema, Schema, Value};

use super::{ABOUT, Outlet, ScanError, Source, Table};
use crate::column::{Column, Kind, unique_name};
use crate::constraints::Constraints;
use crate::opened::Opened;
use crate::rows::{Cell, Rows};

/// Where the cells of a table of events come from.
#[derive(Clone, Debug)]
pub(crate) enum EventSource {
    /// Every event, by the columns that all have.
    All(Vec<CellSource>),
    /// Events of one name: of one kind, or of a kind in each of several traces.
    Named(Vec<(EventId, Vec<CellSource>)>),
}

impl EventSource {
    /// The kinds of events in the table; empty for all.
    pub(crate) fn events(&self) -> Vec<EventId> {
        match self {
            Self::All(_) => Vec::new(),
            Self::Named(kinds) => kinds.iter().map(|(event, _)| *event).collect(),
        }
    }

    /// Where the cells of an event come from; `None` when it is not in the table.
    #[inline]
    fn cells(&self, record: &Record<'_>) -> Option<&[CellSource]> {
        match self {
            // Which thread runs is said by records that are no events of the kernel: they have a table of their own.
            Self::All(_) if record.is_context => None,
            Self::All(cells) => Some(cells),
            Self::Named(kinds) => {
                let mut kinds = kinds.iter();
                let kind = kinds.find(|(event, _)| *event == record.event);
                kind.map(|(_, cells)| cells.as_slice())
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum CellSource {
    Time,
    Tsc,
    Cpu,
    Tid,
    Pid,
    Comm,
    Event,
    Fields,
    /// A field by its position.
    Field(usize, FieldKind),
    /// The name of a field's value.
    Named(usize, EnumSchema),
}

/// Names and comments of the columns that every event has.
const COMMON: [(&str, Kind, Option<&str>, &str, CellSource); 6] = [
    (
        "time_ns",
        Kind::Int,
        Some("ns"),
        "when, since the start of the trace",
        CellSource::Time,
    ),
    (
        "tsc",
        Kind::Int,
        Some("ticks"),
        "when, as the guest would have read its TSC",
        CellSource::Tsc,
    ),
    ("cpu", Kind::Int, None, "where", CellSource::Cpu),
    (
        "tid",
        Kind::Int,
        None,
        "thread that ran there; 0 is the idle thread",
        CellSource::Tid,
    ),
    ("pid", Kind::Int, None, "its process", CellSource::Pid),
    ("comm", Kind::Text, None, "its name", CellSource::Comm),
];

fn common() -> (Vec<Column>, Vec<CellSource>) {
    let column =
        |(name, kind, unit, comment, cell): &(&str, Kind, Option<&str>, &str, CellSource)| {
            let column = Column {
                name: (*name).to_owned(),
                kind: *kind,
                unit: unit.map(str::to_owned),
                comment: (*comment).to_owned(),
            };
            (column, cell.clone())
        };
    COMMON.iter().map(column).unzip()
}

fn text_column(name: &str, comment: &str) -> Column {
    Column {
        name: name.to_owned(),
        kind: Kind::Text,
        unit: None,
        comment: comment.to_owned(),
    }
}

/// The table of all events.
pub(super) fn all_events() -> Table {
    let (mut columns, mut cells) = common();
    columns.push(text_column(
        "event",
        "kind of event: the table of that name has its fields as columns",
    ));
    cells.push(CellSource::Event);
    columns.push(text_column(
        "fields",
        "its fields as an object of JSON; get_json_object(fields, '$.name') takes one out",
    ));
    cells.push(CellSource::Fields);
    Table {
        name: "events".to_owned(),
        comment: "Every event, in order of time.".to_owned(),
        columns,
        source: Source::Events(EventSource::All(cells).into()),
    }
}

/// Tables by their names, and by those of their events: a trace may have thousands of kinds.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
    by_event: BTreeMap<String, Vec<usize>>,
}

impl Names {
    pub(super) fn of(tables: &[Table]) -> Self {
        let names = tables.iter().map(|table| table.name.clone());
        Self {
            taken: names.chain([ABOUT.to_owned()]).collect(),
            by_event: BTreeMap::new(),
        }
    }

    /// A name for the table of an event.
    fn give(&mut self, event: &EventSchema) -> String {
        // Some engines do not tell `A` from `a`.
        let is_free = |name: &String| !self.taken.contains(&name.to_lowercase());
        let plain = Some(event.name.clone()).filter(is_free);
        let other = || Some(format!("event_{}", event.name)).filter(is_free);
        let numbered = || format!("event_{}_{}", event.name, event.id.0);
        let name = plain.or_else(other).unwrap_or_else(numbered);
        let name = unique_name(&name, |name| self.taken.contains(&name.to_lowercase()));
        self.taken.insert(name.to_lowercase());
        name
    }
}

/// Adds the table of a kind of event; its name is that of the event, unless another table has it. Where several traces
/// have the same kind they share a table.
pub(super) fn add_kind(
    schema: &Schema,
    event: &EventSchema,
    tables: &mut Vec<Table>,
    names: &mut Names,
) {
    let (mut columns, mut cells) = common();
    for (index, field) in event.fields.iter().enumerate() {
        add_field(schema, index, field, &mut columns, &mut cells);
    }
    let alike = |one: &Column, other: &Column| one.name == other.name && one.kind == other.kind;
    let namesakes = names.by_event.entry(event.name.clone()).or_default();
    for place in namesakes.iter() {
        let table = &mut tables[*place];
        if table.columns.len() == columns.len()
            && table
                .columns
                .iter()
                .zip(&columns)
                .all(|(one, other)| alike(one, other))
            && let Source::Events(source) = &mut table.source
            && let EventSource::Named(kinds) = Arc::make_mut(source)
        {
            kinds.push((event.id, cells));
            return;
        }
    }
    namesakes.push(tables.len());
    tables.push(Table {
        name: names.give(event),
        comment: event.doc.clone(),
        columns,
        source: Source::Events(EventSource::Named(vec![(event.id, cells)]).into()),
    });
}

/// Adds the columns of a field. The thread's `pid` and a field `pid` are two things: the field's column is `field_pid`.
fn add_field(
    schema: &Schema,
    index: usize,
    field: &FieldSchema,
    columns: &mut Vec<Column>,
    cells: &mut Vec<CellSource>,
) {
    let mut add = |name: &str, kind, comment: String, cell| {
        let is_taken = |name: &str| {
            let mut columns = columns.iter();
            columns.any(|column| column.name.eq_ignore_ascii_case(name))
        };
        let wanted = if is_taken(name) {
            format!("field_{name}")
        } else {
            name.to_owned()
        };
        let name = unique_name(&wanted, is_taken);
        columns.push(Column {
            name,
            kind,
            unit: field.unit.clone(),
            comment,
        });
        cells.push(cell);
    };
    let kind = match &field.kind {
        FieldKind::Unsigned | FieldKind::Signed => Kind::Int,
        FieldKind::Bool => Kind::Bool,
        FieldKind::Hex | FieldKind::Text | FieldKind::Addresses => Kind::Text,
        FieldKind::Bytes => Kind::Bytes,
        FieldKind::Enum(names) => {
            let names = schema.enumeration(names).cloned();
            let names = names.unwrap_or_else(|| EnumSchema {
                name: String::new(),
                values: Vec::new(),
            });
            add(
                &field.name,
                Kind::Text,
                field.doc.clone(),
                CellSource::Named(index, names),
            );
            let comment = format!("the number of {}", field.name);
            let cell = CellSource::Field(index, FieldKind::Signed);
            return add(&format!("{}_number", field.name), Kind::Int, comment, cell);
        }
    };
    let cell = CellSource::Field(index, field.kind.clone());
    add(&field.name, kind, field.doc.clone(), cell);
}

/// Takes a row, whose cells are asked for by their position in the table.
pub(crate) trait AddRow {
    /// Takes it.
    fn add_row<'a>(&mut self, cell: impl Fn(usize) -> Cell<'a>);
}

impl AddRow for Outlet<'_> {
    #[inline]
    fn add_row<'a>(&mut self, cell: impl Fn(usize) -> Cell<'a>) {
        self.add(cell);
    }
}

impl AddRow for Rows {
    #[inline]
    fn add_row<'a>(&mut self, cell: impl Fn(usize) -> Cell<'a>) {
        self.add(cell);
    }
}

/// What the cells of records are made with.
#[derive(Debug)]
pub(crate) struct EventRows<'o> {
    schema: &'o Schema,
    symbols: &'o Symbols,
    json: LineWriter,
}

impl<'o> EventRows<'o> {
    pub(crate) fn new(opened: &'o Opened) -> Self {
        let schema = opened.trace.schema();
        Self {
            schema,
            symbols: &opened.symbols,
            json: LineWriter::new(schema, LineFormat::Json),
        }
    }

    /// Adds a record, if it belongs to the table.
    #[inline]
    pub(crate) fn add(&self, source: &EventSource, record: &Record<'_>, add: &mut impl AddRow) {
        if let Some(cells) = source.cells(record).filter(|_| !record.is_repeated) {
            add.add_row(|column| match cells.get(column) {
                Some(cell) => self.cell(cell, record),
                None => Cell::Null,
            });
        }
    }

    #[inline]
    fn cell<'r>(&'r self, source: &'r CellSource, record: &'r Record<'_>) -> Cell<'r> {
        match source {
            CellSource::Time => Cell::unsigned(record.at.0),
            CellSource::Tsc => Cell::unsigned(record.tsc),
            CellSource::Cpu => Cell::Int(record.cpu.0.into()),
            CellSource::Tid => Cell::Int(record.context.tid.0.into()),
            CellSource::Pid => Cell::Int(record.context.pid.0.into()),
            CellSource::Comm => Cell::guest(&record.context.comm),
            CellSource::Event => match self.schema.event(record.event) {
                Some(event) => Cell::text(event.name.as_str()),
                None => Cell::text("unknown_event"),
            },
            CellSource::Fields => {
                let mut out = Vec::new();
                self.json.push_json_fields(&mut out, record);
                Cell::text(String::from_utf8_lossy(&out).into_owned())
            }
            CellSource::Field(index, kind) => self.value(kind, record.fields.value(*index)),
            CellSource::Named(index, names) => match record.fields.value(*index) {
                Value::Number(number) => match names.name_of(number) {
                    Some(name) => Cell::text(name),
                    None => Cell::text(number.cast_signed().to_string()),
                },
                Value::Missing | Value::Bytes(_) => Cell::Null,
            },
        }
    }

    #[inline]
    fn value<'v>(&self, kind: &FieldKind, value: Value<'v>) -> Cell<'v> {
        match (kind, value) {
            (_, Value::Missing) => Cell::Null,
            (FieldKind::Bool, Value::Number(number)) => Cell::Bool(number != 0),
            (FieldKind::Hex, Value::Number(number)) => Cell::hex(number),
            (_, Value::Number(number)) => Cell::unsigned(number),
            (FieldKind::Addresses, Value::Bytes(run)) => {
                let mut out = Vec::new();
                push_named(&mut out, run, self.symbols);
                Cell::text(String::from_utf8_lossy(&out).into_owned())
            }
            (FieldKind::Text, Value::Bytes(bytes)) => Cell::guest(bytes),
            (_, Value::Bytes(bytes)) => Cell::Bytes(bytes),
        }
    }
}

/// Hands over the records that keep the constraints.
pub(super) fn scan(
    opened: &Opened,
    source: &EventSource,
    constraints: &Constraints,
    outlet: &mut Outlet<'_>,
) -> Result<(), ScanError> {
    let Some(range) = constraints.range(&opened.trace, &source.events()) else {
        return Ok(());
    };
    let cells = EventRows::new(opened);
    let check = constraints.check(opened.trace.schema());
    let mut stream = opened.trace.stream(&range)?;
    while !outlet.is_closed() {
        let Some(item) = stream.next_item()? else {
            break;
        };
        let Item::Record(record) = item else { continue };
        if check.has(&record) {
            cells.add(source, &record, outlet);
        }
    }
    opened.note_damage(&*stream);
    Ok(())
}
