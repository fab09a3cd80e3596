//! A report as text, JSON or CSV.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid};

use super::table::{Cell, Report, Shape, Table};
use crate::export::push_csv;
use crate::sources::Finding;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// Tables for people; at most so many columns wide, if given.
    Text {
        /// Width of the terminal.
        width: Option<u16>,
    },
    /// One JSON object.
    Json,
    /// Tables of comma-separated values, each with its name in the first column, with empty lines between.
    Csv,
}

impl Report {
    /// Writes it.
    ///
    /// # Errors
    /// When the output fails.
    pub fn write(&self, format: ReportFormat, out: &mut dyn Write) -> io::Result<()> {
        match format {
            ReportFormat::Text { width } => self.write_text(width, out),
            ReportFormat::Json => self.write_json(out),
            ReportFormat::Csv => self.write_csv(out),
        }
    }

    fn write_text(&self, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
        write_findings(&self.findings, out)?;
        for (index, table) in self.tables.iter().enumerate() {
            if index > 0 || !self.findings.is_empty() {
                writeln!(out)?;
            }
            writeln!(out, "{}", table.heading())?;
            table.write_text(width, out)?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        write_findings_csv(&self.findings, &mut bytes);
        for table in &self.tables {
            bytes.push(b'\n');
            push_csv_row(
                &mut bytes,
                "table",
                table.named_columns().map(|(_, name)| name),
            );
            for cells in &table.rows {
                let cells = table
                    .named_columns()
                    .map(|(index, _)| csv_cell(&cells[index]));
                let cells: Vec<String> = cells.collect();
                push_csv_row(&mut bytes, table.name, cells.iter().map(String::as_str));
            }
        }
        self.push_left_out(&mut bytes);
        out.write_all(&bytes)
    }

    /// Appends how many rows each table lacks, if any does.
    fn push_left_out(&self, bytes: &mut Vec<u8>) {
        let mut cut = (self.tables.iter())
            .filter(|table| table.left_out() > 0)
            .peekable();
        if cut.peek().is_none() {
            return;
        }
        bytes.push(b'\n');
        push_csv_row(bytes, "table", ["name", "rows"].into_iter());
        for table in cut {
            let count = table.left_out().to_string();
            push_csv_row(bytes, "left_out", [table.name, &count].into_iter());
        }
    }
}

impl Table {
    /// The columns that programs get, with their positions.
    fn named_columns(&self) -> impl Iterator<Item = (usize, &'static str)> + '_ {
        let names = self.columns.iter().map(|column| column.name).enumerate();
        names.filter(|(_, name)| !name.is_empty())
    }

    /// The positions of the columns that people see.
    fn columns_of_people(&self) -> impl Iterator<Item = usize> + '_ {
        let columns = self.columns.iter().enumerate();
        let seen = columns.filter(|(_, column)| !column.title.is_empty() || column.name.is_empty());
        seen.map(|(index, _)| index)
    }

    /// Writes only this table, for people.
    ///
    /// # Errors
    /// When the output fails.
    pub fn write_text(&self, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
        match self.shape {
            // Names of columns above nothing look like a mistake.
            Shape::Rows | Shape::First { .. } if self.rows.is_empty() => writeln!(out, "  none"),
            Shape::Rows | Shape::First { .. } => write_grid(self, width, out),
            Shape::Record => write_record(self, out),
        }
    }

    /// Writes only this table, as comma-separated values with one line of names.
    ///
    /// # Errors
    /// When the output fails.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let names: Vec<&str> = self.named_columns().map(|(_, name)| name).collect();
        let mut bytes = names.join(",").into_bytes();
        bytes.push(b'\n');
        for cells in &self.rows {
            for (position, (index, _)) in self.named_columns().enumerate() {
                if position > 0 {
                    bytes.push(b',');
                }
                push_csv(&mut bytes, csv_cell(&cells[index]).as_bytes());
            }
            bytes.push(b'\n');
        }
        out.write_all(&bytes)
    }
}

/// Appends findings as a table of comma-separated values.
pub(super) fn write_findings_csv(findings: &[Finding], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(b"table,severity,finding,count,text\n");
    for finding in findings {
        let count = finding.count.map(|count| count.to_string());
        let cells = [
            finding.severity_name(),
            &finding.name,
            &count.unwrap_or_default(),
            &finding.text,
        ];
        push_csv_row(bytes, "findings", cells.into_iter());
    }
}

/// Writes findings for people.
///
/// # Errors
/// When the output fails.
pub fn write_findings(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        let severity = finding.severity_name().replace('_', " ");
        match finding.count {
            Some(count) => writeln!(
                out,
                "{severity}: {count} ({}): {}",
                finding.name, finding.text
            )?,
            None => writeln!(out, "{severity}: {}", finding.text)?,
        }
        if !finding.advice.is_empty() {
            writeln!(out, "hint: {}", finding.advice)?;
        }
    }
    Ok(())
}

fn write_grid(table: &Table, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new();
    grid.load_preset(comfy_table::presets::NOTHING);
    if let Some(width) = width {
        grid.set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    let columns: Vec<usize> = table.columns_of_people().collect();
    grid.set_header(columns.iter().map(|index| table.columns[*index].title));
    for cells in &table.rows {
        grid.add_row(columns.iter().map(|index| text_cell(&cells[*index])));
    }
    let is_text = |index: usize| {
        let mut cells = table.rows.iter().filter_map(|row| row.get(index));
        cells.any(|cell| matches!(cell, Cell::Text(_) | Cell::Branch { .. } | Cell::Bar { .. }))
    };
    for (index, column) in columns.into_iter().zip(grid.column_iter_mut()) {
        column.set_padding((0, 2));
        if !is_text(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in grid.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// One line for each column.
fn write_record(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let width = table
        .columns
        .iter()
        .map(|column| column.title.chars().count())
        .max()
        .unwrap_or(0);
    for (column, cell) in table.columns.iter().zip(table.rows.iter().flatten()) {
        let line = format!("  {:<width$}  {}", column.title, text_cell(cell));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A value, for people.
pub(super) fn text_cell(cell: &Cell) -> String {
    match cell {
        Cell::Absent => "-".to_owned(),
        Cell::Text(text) => text.clone(),
        Cell::Branch { depth, text } => format!("{:indent$}{text}", "", indent = 2 * depth),
        Cell::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Cell::Count(count) => count.to_string(),
        Cell::Time(time) => format!(
            "{}.{:06}",
            time.0 / 1_000_000_000,
            time.0 / 1000 % 1_000_000
        ),
        Cell::Length(time) => format!("{}.{:03}", time.0 / 1000, time.0 % 1000),
        Cell::Percent(percent) => format!("{percent:.2}"),
        Cell::Hex(value) => format!("{value:#x}"),
        Cell::Bar { part, whole } => bar(*part, *whole),
    }
}

/// Columns of the longest bar.
const BAR_COLUMNS: u64 = 40;

/// A bar of text; a part that is not 0 is seen.
fn bar(part: u64, whole: u64) -> String {
    let columns = u128::from(part) * u128::from(BAR_COLUMNS) / u128::from(whole.max(1));
    let columns = usize::try_from(columns)
        .unwrap_or(0)
        .max(usize::from(part > 0));
    "█".repeat(columns)
}

/// A value, as comma-separated values have it.
pub(super) fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Absent => String::new(),
        Cell::Text(text) | Cell::Branch { text, .. } => text.clone(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Count(count) => count.to_string(),
        Cell::Time(time) | Cell::Length(time) => time.0.to_string(),
        Cell::Percent(percent) => format!("{percent:.4}"),
        Cell::Hex(value) => format!("{value:#x}"),
        Cell::Bar { .. } => String::new(),
    }
}

/// Appends a row of comma-separated values.
pub(super) fn push_csv_row<'a>(
    bytes: &mut Vec<u8>,
    first: &str,
    cells: impl Iterator<Item = &'a str>,
) {
    push_csv(bytes, first.as_bytes());
    for cell in cells {
        bytes.push(b',');
        push_csv(bytes, cell.as_bytes());
    }
    bytes.push(b'\n');
}
