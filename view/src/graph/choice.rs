//! What several questions have in common: a time, rows.

use crate::answer::Refusal;
use crate::index::{Index, RowId};
use crate::query::Query;

/// Rows in one question.
const ROWS_MAX: usize = 400;
/// Pixels that a screen can have.
const PIXELS_MAX: u64 = 16_384;

/// The times asked for, the end of what is known at most.
///
/// # Errors
/// When they make no sense.
pub(super) fn times(query: &Query, index: &Index) -> Result<(u64, u64), Refusal> {
    let span = query.span()?;
    let end = index.overview.end.saturating_add(1);
    let to = span.end.0.min(end);
    Ok((span.start.0.min(to), to))
}

/// A number of pixels or buckets.
///
/// # Errors
/// When it is none that a screen could have.
pub(super) fn pixels(query: &Query, name: &str) -> Result<u64, Refusal> {
    let pixels = query.required(name)?;
    if pixels == 0 || pixels > PIXELS_MAX {
        let text = format!("{name} is {pixels}, and has to be between 1 and {PIXELS_MAX}");
        return Err(Refusal::malformed(text));
    }
    Ok(pixels)
}

/// Rows as `1,2,5-9`.
///
/// # Errors
/// When they are not that, or too many.
pub(super) fn rows(query: &Query) -> Result<Vec<RowId>, Refusal> {
    let text = query.text("rows").unwrap_or("");
    let mut rows = Vec::new();
    let malformed = || Refusal::malformed(format!("rows is {text:?}, which is not like 1,2,5-9"));
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else {
            return Err(malformed());
        };
        let (first, last): (RowId, RowId) = (first, last);
        for row in first..=last {
            if rows.len() == ROWS_MAX {
                let text = format!("more than {ROWS_MAX} rows are asked for at once");
                return Err(Refusal::malformed(text));
            }
            rows.push(row);
        }
    }
    Ok(rows)
}
