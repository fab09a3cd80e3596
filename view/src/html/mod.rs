//! A trace as one file: the page with its data in it, which works without any server or network.
//!
//! The data are in blocks: columns of numbers and texts, compressed, in base64, so that nothing in them can be taken for
//! markup. The page unpacks a block when somebody looks at what is in it (`web/embedded.js`).

mod analyses;
mod events;
mod pack;
mod page;
mod rows;

use std::io::{self, Write};

use analyzer::model::Span;
use analyzer::sources::TraceError;
use serde_json::{Value, json};
use thiserror::Error;

use crate::graph::{meta_value, rows_value};
use crate::index::Index;
use crate::reports::listed;
use crate::served::Served;

use events::EventDirectory;
use page::Page;

/// Bytes that a file has for each event, about: what the size of one is foreseen by.
const EVENT_BYTES: u64 = 14;

/// Largest file: more than this takes a browser's breath away.
const FILE_BYTES_MAX: u64 = 160 << 20;

/// Why there is no file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HtmlError {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// An analysis, or its result as text, failed.
    #[error("the page cannot be put together: {0}")]
    Failed(String),
    /// It would be too large to be looked at.
    #[error("the file would have about {} MiB: {events} events are too many for one page", bytes >> 20)]
    TooLarge {
        /// How many events there are.
        events: u64,
        /// How large the file would be.
        bytes: u64,
    },
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Events in the file.
    pub events: u64,
    /// Its size.
    pub bytes: u64,
}

/// How large a file with the events of that time will be, about, in bytes.
///
/// # Errors
/// When the trace cannot be read, or the file would be too large.
pub fn foreseen(served: &Served, span: Span) -> Result<u64, HtmlError> {
    let counts = served.counts_of(span).map_err(failed)?;
    let events = counts.iter().map(|(_, count)| count).sum::<u64>();
    let bytes = events * EVENT_BYTES + (1 << 19);
    if bytes > FILE_BYTES_MAX {
        return Err(HtmlError::TooLarge { events, bytes });
    }
    Ok(bytes)
}

/// Writes a trace, or the part of it in that time, as one file. Its index has to be complete.
///
/// # Errors
/// When the trace cannot be read, or the file cannot be written.
pub fn html(served: &Served, span: Span, out: &mut dyn Write) -> Result<Written, HtmlError> {
    let mut page = Page::begin(out)?;
    let directory = events::write(served, span, &mut page)?;
    let rows = {
        let index = served.index();
        rows::write(&index, span, &mut page)?
    };
    analyses::write(served, span, &mut page)?;
    let contents = contents(served, span, &directory, rows)?;
    page.block("contents", &bytes_of(&contents)?)?;
    let bytes = page.end()?;
    Ok(Written {
        events: directory.events,
        bytes,
    })
}

/// What there is, and in which block.
fn contents(
    served: &Served,
    span: Span,
    directory: &EventDirectory,
    rows: Value,
) -> Result<Value, HtmlError> {
    let mut meta = meta_value(served);
    let index = served.index();
    let end = index.overview.end.min(span.end.0);
    let counts = served.counts_of(span).map_err(failed)?;
    let count_of = |id: &Value| {
        let known = counts.iter().find(|(own, _)| *id == u64::from(*own));
        known.map_or(0, |(_, count)| *count)
    };
    for kind in meta["event_kinds"].as_array_mut().into_iter().flatten() {
        kind["count"] = count_of(&kind["id"]).into();
    }
    meta["events"] = directory.events.into();
    meta["end_ns"] = end.into();
    meta["done"] = true.into();
    meta["live"] = false.into();
    meta["features"] = json!({ "filter": false, "path": false, "sql": false, "cut": false });
    Ok(json!({
        "meta": meta,
        "start_ns": span.start.0,
        "rows": rows_within(served, &index, span),
        "reports": listed(),
        "ways": index.overview.ways,
        "events": directory,
        "columns": rows,
    }))
}

/// The rows with what they did in that time.
fn rows_within(served: &Served, index: &Index, span: Span) -> Value {
    let mut rows = rows_value(served);
    if span == Span::ALL {
        return rows;
    }
    for (row, timeline) in rows
        .as_array_mut()
        .into_iter()
        .flatten()
        .zip(&index.timelines)
    {
        let (sums, _) = timeline.sums_of((span.start.0, span.end.0), &index.states);
        row["sums"] = json!(crate::graph::sums_of(&sums));
    }
    rows
}

fn bytes_of(value: &impl serde::Serialize) -> Result<Vec<u8>, HtmlError> {
    serde_json::to_vec(value).map_err(failed)
}

fn failed(error: impl ToString) -> HtmlError {
    HtmlError::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
