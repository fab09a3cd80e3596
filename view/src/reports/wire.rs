//! A report as the page gets it: all that people see, with the type of each value.

use std::borrow::Cow;

use analyzer::report::{Cell, Report, Shape, Table};
use analyzer::sources::Finding;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A report.
#[derive(Debug, serde::Serialize)]
pub(crate) struct WireReport<'a> {
    report: &'a str,
    findings: &'a [Finding],
    /// Whether rows are left out.
    truncated: bool,
    tables: Vec<WireTable<'a>>,
}

#[derive(Debug, serde::Serialize)]
struct WireTable<'a> {
    name: &'a str,
    title: Cow<'a, str>,
    shape: &'static str,
    columns: Vec<WireColumn>,
    rows: Vec<Vec<WireCell<'a>>>,
}

#[derive(Debug, serde::Serialize)]
struct WireColumn {
    name: &'static str,
    title: &'static str,
}

#[derive(Debug)]
struct WireCell<'a>(&'a Cell);

impl<'a> WireReport<'a> {
    /// A report of which rows may be left out already, with at most so many rows in a table.
    pub(crate) fn new(report: &'a Report, is_cut: bool, rows_max: usize) -> Self {
        let is_long = |table: &Table| table.rows.len() > rows_max;
        let table = |table: &'a Table| WireTable::new(table, rows_max);
        Self {
            report: report.name,
            findings: &report.findings,
            truncated: is_cut || report.tables.iter().any(is_long),
            tables: report.tables.iter().map(table).collect(),
        }
    }
}

impl<'a> WireTable<'a> {
    fn new(table: &'a Table, rows_max: usize) -> Self {
        let columns = table.columns.iter().map(|column| WireColumn {
            name: column.name,
            title: column.title,
        });
        let rows = table.rows.iter().take(rows_max);
        Self {
            name: table.name,
            title: table.heading(),
            shape: match table.shape {
                Shape::Rows | Shape::First { .. } => "rows",
                Shape::Record => "record",
            },
            columns: columns.collect(),
            rows: rows.map(|row| row.iter().map(WireCell).collect()).collect(),
        }
    }
}

impl Serialize for WireCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self.0 == Cell::Absent {
            return serializer.serialize_none();
        }
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            Cell::Absent => {}
            Cell::Text(text) => map.serialize_entry("text", text)?,
            Cell::Branch { depth, text } => {
                map.serialize_entry("branch", depth)?;
                map.serialize_entry("text", text)?;
            }
            Cell::Flag(flag) => map.serialize_entry("flag", flag)?,
            Cell::Count(count) => map.serialize_entry("count", count)?,
            Cell::Time(time) => map.serialize_entry("time", &time.0)?,
            Cell::Length(length) => map.serialize_entry("length", &length.0)?,
            Cell::Percent(percent) => {
                map.serialize_entry("percent", &((percent * 10_000.0).round() / 10_000.0))?;
            }
            Cell::Hex(number) => map.serialize_entry("hex", &format!("{number:#x}"))?,
            Cell::Bar { part, whole } => map.serialize_entry("bar", &[part, whole])?,
        }
        map.end()
    }
}
