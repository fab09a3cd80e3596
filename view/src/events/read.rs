//! Records with their numbers.

use std::ops::{ControlFlow, Range as Numbers};

use analyzer::model::GuestNanos;
use analyzer::sources::{Item, Range, Record, Trace, TraceError};

use super::index::{BLOCK, EventIndex, add};

/// Tells the events with those numbers, in their order, until told to break.
///
/// # Errors
/// When the trace cannot be read.
pub(super) fn read(
    trace: &Trace,
    index: &EventIndex,
    numbers: Numbers<u64>,
    mut tell: impl FnMut(u64, &Record<'_>) -> ControlFlow<()>,
) -> Result<(), TraceError> {
    let end = numbers.end.min(index.total());
    let block = numbers.start / BLOCK;
    let Some(place) = index.place(block).filter(|_| numbers.start < end) else {
        return Ok(());
    };
    let behind = index.place(end.div_ceil(BLOCK));
    let mut stream = trace.stream(&Range {
        tscs: place.tsc..=behind.map_or(u64::MAX, |place| place.tsc),
        ..Range::default()
    })?;
    let mut skipped = place.before;
    let mut number = block * BLOCK;
    while let Some(item) = stream.next_item()? {
        let Item::Record(record) = item else { continue };
        if record.is_repeated || record.is_context {
            continue;
        }
        if skipped > 0 {
            skipped -= 1;
            continue;
        }
        if number >= end {
            break;
        }
        if number >= numbers.start && tell(number, &record).is_break() {
            break;
        }
        number += 1;
    }
    Ok(())
}

/// How many events of each kind there are before a time, by number of the kind.
///
/// # Errors
/// When the trace cannot be read.
pub(super) fn counts_before(
    trace: &Trace,
    index: &EventIndex,
    at: GuestNanos,
) -> Result<Vec<u64>, TraceError> {
    let Some(block) = block_around(trace, index, at) else {
        return Ok(Vec::new());
    };
    if block == index.blocks() {
        return Ok(index.counts());
    }
    let mut counts = index.before(block);
    let first = block * BLOCK;
    read(trace, index, first..first + BLOCK, |_, record| {
        if record.at >= at {
            return ControlFlow::Break(());
        }
        add(&mut counts, record.event.0, 1);
        ControlFlow::Continue(())
    })?;
    Ok(counts)
}

/// The number of the first event that is not before a time.
///
/// # Errors
/// When the trace cannot be read.
pub(super) fn number_at(
    trace: &Trace,
    index: &EventIndex,
    at: GuestNanos,
) -> Result<u64, TraceError> {
    let Some(block) = block_around(trace, index, at) else {
        return Ok(0);
    };
    let first = block * BLOCK;
    let mut found = first.min(index.total());
    read(trace, index, first..first + BLOCK, |number, record| {
        if record.at >= at {
            return ControlFlow::Break(());
        }
        found = number + 1;
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The block in which a time is; `None` when it is before all events, and the number of blocks when it is behind all.
fn block_around(trace: &Trace, index: &EventIndex, at: GuestNanos) -> Option<u64> {
    if at > trace.duration() && at > GuestNanos(0) {
        return Some(index.blocks());
    }
    index.blocks_before(trace.clock().tsc(at)).checked_sub(1)
}
