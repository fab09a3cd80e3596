//! Reports as JSON: objects keep the order of findings, tables and columns.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::table::{Cell, Report, Shape, Table};
use crate::sources::Finding;

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("report", self.name)?;
        map.serialize_entry("findings", &self.findings)?;
        for table in &self.tables {
            match table.shape {
                Shape::Rows | Shape::First { .. } => {
                    let rows: Vec<Row<'_>> = table
                        .rows
                        .iter()
                        .map(|cells| Row { table, cells })
                        .collect();
                    map.serialize_entry(table.name, &rows)?;
                }
                Shape::Record => {
                    let row = table.rows.first().map(|cells| Row { table, cells });
                    map.serialize_entry(table.name, &row)?;
                }
            }
        }
        let left_out: BTreeMap<&str, usize> = (self.tables.iter())
            .map(|table| (table.name, table.left_out()))
            .filter(|(_, left_out)| *left_out > 0)
            .collect();
        if !left_out.is_empty() {
            map.serialize_entry("left_out", &left_out)?;
        }
        map.end()
    }
}

struct Row<'a> {
    table: &'a Table,
    cells: &'a [Cell],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.table.columns.iter().map(|column| column.name);
        // A column without a name is for people only.
        serializer.collect_map(names.zip(self.cells).filter(|(name, _)| !name.is_empty()))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Bar { .. } => serializer.serialize_none(),
            Self::Text(text) | Self::Branch { text, .. } => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Time(time) | Self::Length(time) => serializer.serialize_u64(time.0),
            Self::Percent(percent) => {
                serializer.serialize_f64((percent * 10_000.0).round() / 10_000.0)
            }
            Self::Hex(value) => serializer.collect_str(&format_args!("{value:#x}")),
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("severity", self.severity_name())?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("count", &self.count)?;
        map.serialize_entry("text", &self.text)?;
        map.serialize_entry("advice", &self.advice)?;
        map.end()
    }
}
