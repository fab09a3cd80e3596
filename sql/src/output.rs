//! Results as a table, CSV, JSON lines or Parquet, batch by batch.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::WriterBuilder as CsvBuilder;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use futures::StreamExt as _;

use crate::failure::Failure;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns side by side
    Table,
    /// Comma-separated values, with a line of names
    Csv,
    /// One object a line
    Json,
    /// A file of Parquet; needs -o
    Parquet,
}

/// Where results go.
pub enum Sink<'a> {
    /// To a stream.
    Stream(&'a mut dyn Write),
    /// To a file.
    File(PathBuf),
}

impl std::fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// Writes the results of a query; says how many rows there were.
///
/// # Errors
/// When the query fails, or writing.
pub async fn write(
    mut results: SendableRecordBatchStream,
    format: Format,
    sink: Sink<'_>,
) -> Result<usize> {
    let schema = results.schema();
    let mut writer = RowWriter::new(format, sink, &schema)?;
    let (mut rows, mut is_empty) = (0, true);
    while let Some(batch) = results.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        writer.write(&batch)?;
        is_empty = false;
    }
    if is_empty {
        // The line of names is written all the same.
        writer.write(&RecordBatch::new_empty(schema))?;
    }
    writer.finish()?;
    Ok(rows)
}

enum RowWriter<'a> {
    Table(TableWriter<'a>),
    Csv(Box<datafusion::arrow::csv::Writer<Box<dyn Write + 'a>>>),
    Json(Box<datafusion::arrow::json::Writer<Box<dyn Write + 'a>, LineDelimited>>),
    Parquet(Box<ArrowWriter<File>>),
}

impl<'a> RowWriter<'a> {
    fn new(format: Format, sink: Sink<'a>, schema: &SchemaRef) -> Result<Self> {
        if format == Format::Parquet {
            let Sink::File(path) = sink else {
                let hint = "say where: -o FILE.parquet";
                return Err(Failure::usage("Parquet goes to a file", hint).into());
            };
            let compression = Compression::ZSTD(ZstdLevel::try_new(3)?);
            let properties = WriterProperties::builder().set_compression(compression);
            let writer =
                ArrowWriter::try_new(create(&path)?, schema.clone(), Some(properties.build()))?;
            return Ok(Self::Parquet(Box::new(writer)));
        }
        let out: Box<dyn Write + 'a> = match sink {
            Sink::Stream(out) => Box::new(out),
            Sink::File(path) => Box::new(io::BufWriter::new(create(&path)?)),
        };
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(CsvBuilder::new().with_header(true).build(out))),
            Format::Json => {
                let builder = JsonBuilder::new().with_explicit_nulls(true);
                Self::Json(Box::new(builder.build(out)))
            }
            Format::Table | Format::Parquet => Self::Table(TableWriter::new(schema, out)),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Table(writer) => writer.write(batch)?,
            Self::Csv(writer) => writer.write(batch)?,
            Self::Json(writer) => writer.write(batch)?,
            Self::Parquet(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Table(writer) => writer.finish()?,
            Self::Csv(writer) => writer.into_inner().flush()?,
            Self::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner().flush()?;
            }
            Self::Parquet(writer) => drop(writer.close()?),
        }
        Ok(())
    }
}

fn create(path: &std::path::Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Rows whose widths decide how wide columns are; later ones may be wider.
const ROWS_MEASURED: usize = 1000;

/// Columns of the answer to `EXPLAIN`, whose texts have several lines.
const PLAN: [&str; 2] = ["plan_type", "plan"];

/// Columns side by side, numbers at the right.
struct TableWriter<'a> {
    out: Box<dyn Write + 'a>,
    titles: Vec<String>,
    is_number: Vec<bool>,
    /// Rows that wait until the widths are known.
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl<'a> TableWriter<'a> {
    fn new(schema: &SchemaRef, out: Box<dyn Write + 'a>) -> Self {
        let fields = schema.fields();
        Self {
            out,
            titles: fields.iter().map(|field| shown(field.name())).collect(),
            is_number: fields
                .iter()
                .map(|field| field.data_type().is_numeric())
                .collect(),
            waiting: Vec::new(),
            widths: None,
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = FormatOptions::default().with_null("NULL");
        let columns = batch.columns().iter();
        let columns = columns.map(|column| ArrayFormatter::try_new(column, &options));
        let columns: Vec<ArrayFormatter<'_>> = columns.collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            if self.titles == PLAN {
                let kind = columns[0].value(row).to_string();
                writeln!(self.out, "{}:", shown(&kind))?;
                for line in columns[1].value(row).to_string().lines() {
                    writeln!(self.out, "  {}", shown(line))?;
                }
                continue;
            }
            let cells = columns.iter();
            let cells = cells.map(|column| shown(&column.value(row).to_string()));
            self.waiting.push(cells.collect());
            if self.widths.is_some() || self.waiting.len() >= ROWS_MEASURED {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.titles == PLAN {
            return Ok(());
        }
        let widths = match self.widths.take() {
            Some(widths) => widths,
            None => {
                let mut widths: Vec<usize> = self.titles.iter().map(|title| width(title)).collect();
                for row in &self.waiting {
                    for (widest, cell) in widths.iter_mut().zip(row) {
                        *widest = (*widest).max(width(cell));
                    }
                }
                write_row(&mut self.out, &self.titles, &widths, &self.is_number)?;
                widths
            }
        };
        for row in self.waiting.drain(..) {
            write_row(&mut self.out, &row, &widths, &self.is_number)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.out.flush()
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn write_row(
    out: &mut dyn Write,
    cells: &[String],
    widths: &[usize],
    is_number: &[bool],
) -> io::Result<()> {
    let mut line = String::new();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            line.push_str("  ");
        }
        let room = widths
            .get(index)
            .map_or(0, |widest| widest.saturating_sub(width(cell)));
        let padding = " ".repeat(room);
        if is_number.get(index) == Some(&true) {
            line.push_str(&padding);
            line.push_str(cell);
        } else {
            line.push_str(cell);
            line.push_str(&padding);
        }
    }
    writeln!(out, "{}", line.trim_end())
}

/// Text of a trace that neither breaks its line nor upsets a terminal.
fn shown(text: &str) -> String {
    // Marks that change the direction of what follows, and ends of lines that are no control characters.
    let upsets = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if upsets(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}
