//! Filters of the list of events: whether one can be understood, and what may be written next.

mod completion;
mod place;
mod scan;

use guesttrace_filter::{BoundFilter, Filter, FilterError};
use serde::Serialize;
use trace_format::Schema;

use crate::answer::{Answer, Refusal};
use crate::query::Query;
use crate::served::Served;
use completion::Completion;

/// Understands a filter.
///
/// # Errors
/// When it cannot be understood, or does not fit the trace.
pub(crate) fn bind(text: &str, schema: &Schema) -> Result<BoundFilter, Refusal> {
    bound(text, schema).map_err(|error| Refusal::Malformed {
        text: format!("the filter cannot be used: {}", error.kind()),
        hint: format!(
            "look at its character {}",
            units(text, error.span().start) + 1
        ),
    })
}

fn bound(text: &str, schema: &Schema) -> Result<BoundFilter, FilterError> {
    Filter::parse(text)?.bind(schema)
}

/// What is to be said of a filter. Offsets count in units of UTF-16, as the page does.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<usize>,
    completions: Vec<Completion>,
}

/// `api/T/filter`: what is wrong with a filter, and what may be written at a place of it.
pub(crate) fn check(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let text = query.text("text").unwrap_or("");
    let cursor = match query.number("cursor")? {
        Some(cursor) => bytes(text, usize::try_from(cursor).unwrap_or(usize::MAX)),
        None => text.len(),
    };
    Answer::json(&checked(text, cursor, served.trace().schema()))
}

fn checked(text: &str, cursor: usize, schema: &Schema) -> Check {
    let error = if text.trim().is_empty() {
        None
    } else {
        bound(text, schema).err()
    };
    let mut completions = completion::at(text, cursor, schema);
    for completion in &mut completions {
        completion.from = units(text, completion.from);
    }
    Check {
        ok: error.is_none(),
        at: error.as_ref().map(|error| units(text, error.span().start)),
        error: error.map(|error| error.kind().to_string()),
        completions,
    }
}

/// Units of UTF-16 in that many bytes.
fn units(text: &str, bytes: usize) -> usize {
    let before = text.char_indices().take_while(|(at, _)| *at < bytes);
    before.map(|(_, character)| character.len_utf16()).sum()
}

/// Bytes in that many units of UTF-16.
fn bytes(text: &str, units: usize) -> usize {
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left < character.len_utf16() {
            return at;
        }
        left -= character.len_utf16();
    }
    text.len()
}

#[cfg(test)]
mod tests;
