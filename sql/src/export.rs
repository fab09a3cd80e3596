//! Traces as files of Parquet: one for each table, sorted by time, compressed by zstd.
//!
//! All kinds of events are written in one pass over the trace. Memory is bounded: what writers hold is written out when
//! it grows. The directory gets its name when all is in it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analyzer::sources::{Item, Range};
use anyhow::{Context as _, Result};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::metadata::SortingColumn;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use futures::StreamExt as _;

use crate::column::schema_of;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::rows::Rows;
use crate::session::{Limits, Session};
use crate::tables::{EventRows, Table};

/// Rows of a group, whose statistics let readers pass it over.
const GROUP_ROWS: usize = 1 << 18;
/// Rows of a kind of event that are gathered before its writer gets them.
const BATCH_ROWS: usize = 1024;
/// Bytes that all writers together hold before some are written out.
const HELD_BYTES_MAX: usize = 256 << 20;
/// How often that is looked at, in batches.
const BATCHES_BETWEEN: usize = 256;

/// What to write where.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The directory, which must not be there yet or be empty.
    pub dir: PathBuf,
    /// Columns of text that the table `trace` gets besides its own, with the text.
    pub labels: Vec<(String, String)>,
    /// Limits on memory and threads.
    pub limits: Limits,
}

/// Writes every table of a trace that has rows; says on `talk` what it has written.
///
/// # Errors
/// When the trace cannot be read or a file cannot be written.
pub async fn export(
    opened: Opened,
    options: &ExportOptions,
    talk: &mut dyn Write,
) -> Result<Session> {
    let target = Target::new(&options.dir)?;
    let session = Session::of_trace(opened, options.limits)?;
    let mut written = Written::default();
    if let Some(opened) = session.shared() {
        let tables = session.tables().to_vec();
        let dir = target.partial.clone();
        // The pass blocks; the runtime has a thread for that.
        let pass = tokio::task::spawn_blocking(move || export_events(&opened, &tables, &dir));
        written = pass.await??;
    }
    for table in session
        .tables()
        .iter()
        .filter(|table| table.events().is_none())
    {
        let rows = export_table(&session, table, &target.partial, &options.labels).await?;
        written.add(rows);
    }
    target.finish()?;
    writeln!(
        talk,
        "{} rows in {} tables written to {}",
        written.rows,
        written.tables,
        options.dir.display()
    )?;
    Ok(session)
}

#[derive(Clone, Copy, Debug, Default)]
struct Written {
    tables: usize,
    rows: usize,
}

impl Written {
    fn add(&mut self, rows: usize) {
        self.tables += usize::from(rows > 0);
        self.rows += rows;
    }
}

/// The directory under another name until it is complete: one that readers of data sets pass over.
struct Target {
    dir: PathBuf,
    partial: PathBuf,
}

impl Target {
    fn new(dir: &Path) -> Result<Self> {
        let is_there = dir.exists();
        let is_empty = || fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        let name = dir.file_name().and_then(|name| name.to_str());
        let Some(name) = name else {
            let text = format!("{} is no name for a directory", dir.display());
            return Err(Failure::usage(text, "-o DIR, or -o DIR/run=NAME for one of many").into());
        };
        if is_there && !is_empty() {
            let text = format!("{} is there already", dir.display());
            let hint = "choose another name, or remove it first";
            return Err(Failure::usage(text, hint).into());
        }
        let partial = dir.with_file_name(format!(".{}.partial", name.replace('=', "-")));
        if partial.exists() {
            fs::remove_dir_all(&partial)
                .with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot make {}", partial.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            partial,
        })
    }

    fn finish(&self) -> Result<()> {
        fs::rename(&self.partial, &self.dir)
            .with_context(|| format!("cannot make {}", self.dir.display()))
    }
}

impl Drop for Target {
    /// What is not complete is of no use.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// Name of a table's file: names come out of the trace.
fn file_name(table: &str) -> String {
    let safe = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => character,
        _ => '_',
    };
    let name: String = table.chars().map(safe).collect();
    format!("{name}.parquet")
}

/// A file of a table while it is written.
struct TableFile {
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: usize,
}

impl TableFile {
    fn create(dir: &Path, table: &str, sorted_by: &str, schema: &SchemaRef) -> Result<Self> {
        let mut path = dir.join(file_name(table));
        while path.exists() {
            // Names that differ only in signs that no file name should have.
            path = path.with_file_name(format!(
                "_{}",
                path.file_name().unwrap_or_default().display()
            ));
        }
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_size(GROUP_ROWS)
            .set_statistics_enabled(EnabledStatistics::Page);
        if let Ok(column) = schema.index_of(sorted_by) {
            let column_idx = i32::try_from(column)?;
            properties = properties.set_sorting_columns(Some(vec![SortingColumn {
                column_idx,
                descending: false,
                nulls_first: false,
            }]));
        }
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties.build()))?;
        Ok(Self {
            path,
            writer,
            rows: 0,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        let written = self.writer.write(batch);
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn finish(self) -> Result<usize> {
        let closed = self.writer.close();
        closed.with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.rows)
    }
}

/// A kind of event while it is written.
struct EventFile<'t> {
    table: &'t Table,
    rows: Rows,
    file: Option<TableFile>,
}

impl<'t> EventFile<'t> {
    fn new(table: &'t Table) -> Self {
        let all: Vec<usize> = (0..table.columns.len()).collect();
        Self {
            table,
            rows: Rows::new(&table.columns, &all),
            file: None,
        }
    }

    fn flush(&mut self, dir: &Path) -> Result<()> {
        if self.rows.len() == 0 {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let schema = Arc::new(schema_of(&self.table.columns));
                let sorted_by = self.table.sort_column();
                let file = TableFile::create(dir, &self.table.name, sorted_by, &schema)?;
                self.file.insert(file)
            }
        };
        file.write(&self.rows.take()?)
    }
}

/// Writes the tables of all kinds of events, in one pass.
fn export_events(opened: &Opened, tables: &[Arc<Table>], dir: &Path) -> Result<Written> {
    let mut places: Vec<Option<usize>> = Vec::new();
    let mut files: Vec<EventFile<'_>> = Vec::new();
    for table in tables {
        let kinds = table
            .events()
            .map(|source| source.events())
            .unwrap_or_default();
        for event in &kinds {
            let place = usize::from(event.0);
            places.resize(places.len().max(place + 1), None);
            places[place] = Some(files.len());
        }
        if !kinds.is_empty() {
            files.push(EventFile::new(table));
        }
    }
    let cells = EventRows::new(opened);
    let mut stream = opened.trace.stream(&Range::default())?;
    let mut batches = 0;
    while let Some(item) = stream.next_item()? {
        let Item::Record(record) = item else { continue };
        let place = places.get(usize::from(record.event.0)).copied().flatten();
        let Some(file) = place.and_then(|place| files.get_mut(place)) else {
            continue;
        };
        let Some(source) = file.table.events() else {
            continue;
        };
        cells.add(source, &record, &mut file.rows);
        if file.rows.len() >= BATCH_ROWS {
            file.flush(dir)?;
            batches += 1;
            if batches % BATCHES_BETWEEN == 0 {
                write_out(&mut files)?;
            }
        }
    }
    opened.note_damage(&*stream);
    let mut written = Written::default();
    for mut file in files {
        file.flush(dir)?;
        if let Some(file) = file.file {
            written.add(file.finish()?);
        }
    }
    Ok(written)
}

/// Ends the row groups of those that hold most, until all hold little.
fn write_out(files: &mut [EventFile<'_>]) -> Result<()> {
    let held = |file: &EventFile<'_>| {
        file.file
            .as_ref()
            .map_or(0, |file| file.writer.memory_size())
    };
    while files.iter().map(held).sum::<usize>() > HELD_BYTES_MAX {
        let largest = files.iter_mut().max_by_key(|file| held(file));
        let Some(file) = largest.and_then(|file| file.file.as_mut()) else {
            break;
        };
        file.writer.flush()?;
    }
    Ok(())
}

/// Writes a table of the model, if it has rows.
async fn export_table(
    session: &Session,
    table: &Table,
    dir: &Path,
    labels: &[(String, String)],
) -> Result<usize> {
    if table.name == "events" {
        // The tables of its kinds have the same rows.
        return Ok(0);
    }
    let sorted_by = table.sort_column();
    let sql = format!("SELECT * FROM \"{}\" ORDER BY \"{sorted_by}\"", table.name);
    let mut stream = session.query(&sql).await?;
    let mut file: Option<TableFile> = None;
    while let Some(batch) = stream.next().await {
        let batch = match table.name.as_str() {
            "trace" => labelled(&batch?, labels)?,
            _ => batch?,
        };
        if batch.num_rows() == 0 {
            continue;
        }
        let file = match &mut file {
            Some(file) => file,
            None => {
                let schema = batch.schema();
                file.insert(TableFile::create(dir, &table.name, sorted_by, &schema)?)
            }
        };
        file.write(&batch)?;
    }
    file.map_or(Ok(0), TableFile::finish)
}

/// With a column of text for each label.
fn labelled(batch: &RecordBatch, labels: &[(String, String)]) -> Result<RecordBatch> {
    let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for (name, text) in labels {
        fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
        let texts = vec![text.as_str(); batch.num_rows()];
        columns.push(Arc::new(datafusion::arrow::array::StringArray::from(texts)));
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}
