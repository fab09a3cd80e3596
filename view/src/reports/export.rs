//! Files to save: events as lines, a part of a trace as a trace.

use std::sync::Arc;

use analyzer::export::{Job, LineFormat, Wanted, rows};
use analyzer::model::{GuestNanos, Span};
use analyzer::report::Selection;
use analyzer::sources::Trace;
use trace_format::{CutWish, TscSpan, cut};

use super::bounded::{Bounded, FILE_BYTES_MAX};
use super::reading::reading;
use crate::answer::{Answer, Refusal};
use crate::filter;
use crate::query::Query;
use crate::served::Served;

/// `api/T/export`: a file with the events of an interval.
pub(crate) fn export(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let span = span(query)?;
    let (format, media_type) = match query.text("to") {
        Some("csv") => (Some(LineFormat::Csv), "text/csv"),
        Some("json") => (Some(LineFormat::Json), "application/x-ndjson"),
        Some("cut") => (None, "application/octet-stream"),
        other => {
            let text = format!("to is {:?}: not csv, json or cut", other.unwrap_or(""));
            return Err(Refusal::malformed(text));
        }
    };
    let trace = reading(served, query);
    let mut out = Bounded::new(FILE_BYTES_MAX, Arc::clone(query.stop()));
    match format {
        Some(format) => write_rows(&trace, span, format, query, &mut out)?,
        None => out = write_cut(&trace, span, out)?,
    }
    let extension = query.text("to").map_or("", |to| match to {
        "cut" => "bin",
        other => other,
    });
    Ok(Answer {
        media_type,
        bytes: out.into_bytes(),
        file_name: Some(file_name(&served.name, span, extension)),
    })
}

/// The times from `from` to `to_ns`: `to` says the format.
fn span(query: &Query) -> Result<Span, Refusal> {
    let start = query.number("from")?.map_or(Span::ALL.start, GuestNanos);
    let end = query.number("to_ns")?.map_or(Span::ALL.end, GuestNanos);
    if start > end {
        return Err(Refusal::malformed("from is later than to_ns"));
    }
    Ok(Span { start, end })
}

fn write_rows(
    trace: &Trace,
    span: Span,
    format: LineFormat,
    query: &Query,
    out: &mut Bounded,
) -> Result<(), Refusal> {
    let text = query.text("filter").filter(|text| !text.trim().is_empty());
    let filter = text.map(|text| filter::bind(text, trace.schema()));
    let wanted = Wanted {
        selection: Selection {
            span,
            ..Selection::default()
        },
        events: Vec::new(),
        filter: filter.transpose()?,
    };
    let job = Job {
        trace,
        wanted: &wanted,
        progress: &|_| {},
    };
    match rows(job, format, out) {
        Ok(_) => Ok(()),
        Err(_) if out.is_full => Err(too_large()),
        Err(error) => Err(Refusal::Failed(error.to_string())),
    }
}

fn write_cut(trace: &Trace, span: Span, out: Bounded) -> Result<Bounded, Refusal> {
    let Some(file) = trace.own() else {
        return Err(Refusal::Malformed {
            text: "only a trace of guesttrace itself can be cut".to_owned(),
            hint: "save its events as csv or json".to_owned(),
        });
    };
    let clock = trace.clock();
    let tsc =
        |at: GuestNanos| (at != Span::ALL.start && at != Span::ALL.end).then(|| clock.tsc(at));
    let wish = CutWish {
        span: TscSpan {
            from_tsc: tsc(span.start),
            to_tsc: tsc(span.end),
        },
        cpus: Vec::new(),
        events: Vec::new(),
    };
    // What is written goes into memory: that it does not fit is all that can happen.
    match cut(file, &wish, out) {
        Ok((out, _)) => Ok(out),
        Err(_) => Err(too_large()),
    }
}

fn too_large() -> Refusal {
    Refusal::Malformed {
        text: format!("the file would have more than {} MiB", FILE_BYTES_MAX >> 20),
        hint: "choose a shorter time or a filter, or use `guesttrace export` or `guesttrace cut`"
            .to_owned(),
    }
}

/// A name for a file: nothing in it but letters, digits and dots.
fn file_name(trace: &str, span: Span, extension: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let stem = trace.rsplit_once('.').map_or(trace, |(stem, _)| stem);
    let stem: String = stem.chars().take(60).map(plain).collect();
    let mut name = stem.trim_matches('-').to_owned();
    if name.is_empty() {
        name.push_str("trace");
    }
    if span != Span::ALL {
        name = format!("{name}-{}us-{}us", span.start.0 / 1000, span.end.0 / 1000);
    }
    format!("{name}.{extension}")
}
