//! Reports with a row for each of any number of things: rows go out as they are found, and none is kept.
//!
//! What was lost or is doubtful is known when the trace has been read, and comes last.

use std::io::{self, Write};

use super::render::{ReportFormat, push_csv_row, text_cell, write_findings, write_findings_csv};
use super::table::{Cell, Column, Report, Shape, Table};
use crate::sources::Finding;

/// A table whose rows are not kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Name of the report and of its one table.
    pub(super) name: &'static str,
    /// Heading, for people.
    pub(super) title: &'static str,
    /// The columns, each with its width for people; a width of text is negative, and it begins at the left.
    pub(super) columns: &'static [(Column, i8)],
}

/// Where rows go.
pub(super) trait Sink {
    /// Takes the next row.
    fn push(&mut self, row: &[Cell]);

    /// Whether no row is wanted any more.
    fn is_closed(&self) -> bool {
        false
    }
}

/// Keeps rows, for those who want the table.
#[derive(Debug)]
pub(super) struct Kept {
    rows: Vec<Vec<Cell>>,
    rows_max: usize,
    is_cut: bool,
}

impl Sink for Kept {
    fn push(&mut self, row: &[Cell]) {
        if self.rows.len() < self.rows_max {
            self.rows.push(row.to_vec());
        } else {
            self.is_cut = true;
        }
    }

    fn is_closed(&self) -> bool {
        self.is_cut
    }
}

impl Kept {
    /// Keeps the first rows, up to so many.
    pub(super) fn at_most(rows_max: usize) -> Self {
        Self {
            rows: Vec::new(),
            rows_max,
            is_cut: false,
        }
    }

    /// Whether there were more.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) fn into_report(self, layout: Layout, findings: Vec<Finding>) -> Report {
        Report {
            name: layout.name,
            findings,
            tables: vec![Table {
                name: layout.name,
                title: layout.title.to_owned(),
                shape: Shape::Rows,
                columns: layout.columns.iter().map(|(column, _)| *column).collect(),
                rows: self.rows,
            }],
        }
    }
}

/// Writes rows as they come.
pub(super) struct Written<'a> {
    layout: Layout,
    format: ReportFormat,
    out: &'a mut dyn Write,
    line: Vec<u8>,
    is_first: bool,
    /// What went wrong first; nothing is written after it.
    error: Option<io::Error>,
}

impl<'a> Written<'a> {
    /// Begins with the heading.
    pub(super) fn new(layout: Layout, format: ReportFormat, out: &'a mut dyn Write) -> Self {
        let mut written = Self {
            layout,
            format,
            out,
            line: Vec::new(),
            is_first: true,
            error: None,
        };
        let columns = layout.columns.iter();
        match format {
            ReportFormat::Text { .. } => {
                written.line.extend_from_slice(layout.title.as_bytes());
                written.line.push(b'\n');
                let titles = columns.map(|(column, width)| (column.title.to_owned(), *width));
                push_padded(&mut written.line, titles);
            }
            ReportFormat::Json => {
                let (name, line) = (layout.name, &mut written.line);
                line.extend_from_slice(
                    format!("{{\n  \"report\": \"{name}\",\n  \"{name}\": [").as_bytes(),
                );
            }
            ReportFormat::Csv => {
                push_csv_row(
                    &mut written.line,
                    "table",
                    columns.map(|(column, _)| column.name),
                );
            }
        }
        written.flush();
        written
    }

    /// Ends with what was lost or is doubtful.
    pub(super) fn finish(mut self, findings: &[Finding]) -> io::Result<()> {
        match self.format {
            ReportFormat::Text { .. } => {
                if !findings.is_empty() {
                    self.line.push(b'\n');
                }
                write_findings(findings, &mut self.line)?;
            }
            ReportFormat::Json => {
                self.line.extend_from_slice(b"\n  ],\n  \"findings\": ");
                serde_json::to_writer(&mut self.line, findings)?;
                self.line.extend_from_slice(b"\n}\n");
            }
            ReportFormat::Csv => {
                self.line.push(b'\n');
                write_findings_csv(findings, &mut self.line);
            }
        }
        self.flush();
        self.error.map_or(Ok(()), Err)
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.write_all(&self.line).err();
        }
        self.line.clear();
    }

    fn push_json(&mut self, row: &[Cell]) -> serde_json::Result<()> {
        self.line
            .extend_from_slice(if self.is_first { b"\n    " } else { b",\n    " });
        let names = self.layout.columns.iter().map(|(column, _)| column.name);
        let row: Vec<(&str, &Cell)> = names.zip(row).collect();
        serde_json::to_writer(&mut self.line, &Object(&row))
    }
}

/// An object with its members in order.
struct Object<'a>(&'a [(&'a str, &'a Cell)]);

impl serde::Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Sink for Written<'_> {
    fn push(&mut self, row: &[Cell]) {
        match self.format {
            ReportFormat::Text { .. } => {
                let widths = self.layout.columns.iter().map(|(_, width)| *width);
                push_padded(&mut self.line, row.iter().map(text_cell).zip(widths));
            }
            ReportFormat::Json => {
                if let Err(error) = self.push_json(row) {
                    self.error.get_or_insert(error.into());
                }
            }
            ReportFormat::Csv => {
                let cells: Vec<String> = row.iter().map(super::render::csv_cell).collect();
                let cells = cells.iter().map(String::as_str);
                push_csv_row(&mut self.line, self.layout.name, cells);
            }
        }
        self.is_first = false;
        self.flush();
    }

    fn is_closed(&self) -> bool {
        self.error.is_some()
    }
}

/// A line of cells, each as wide as its column, with two blanks between.
fn push_padded(line: &mut Vec<u8>, cells: impl Iterator<Item = (String, i8)>) {
    let start = line.len();
    for (index, (cell, width)) in cells.enumerate() {
        if index > 0 {
            line.extend_from_slice(b"  ");
        }
        let room = usize::from(width.unsigned_abs()).saturating_sub(cell.chars().count());
        let padding = std::iter::repeat_n(b' ', room);
        if width < 0 {
            line.extend_from_slice(cell.as_bytes());
            line.extend(padding);
        } else {
            line.extend(padding);
            line.extend_from_slice(cell.as_bytes());
        }
    }
    while line.len() > start && line.last() == Some(&b' ') {
        line.pop();
    }
    line.push(b'\n');
}
