//! Puts traces of one recording together: cuts of it, the files that it was written in, its sessions.
//!
//! Per CPU the records of all come in one order; a record that several have at the same tick is written once. Chunks
//! that nothing else falls into are copied as they are. Where no trace says what happened, the new one has a gap.
//! Memory holds a chunk of each trace and CPU.

mod lane;

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use thiserror::Error;

use crate::cut::spans_of;
use crate::header::{Header, Trailer};
use crate::part::{Piece, TscSpan};
use crate::reader::TraceFile;
use crate::salvage::END_CUT_OFF;
use crate::stats::Counter;
use crate::write_error::WriteError;
use crate::writer::{TraceWriter, WriterOptions};
use lane::Lane;

/// Why traces are not put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The output failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is nothing to put together.
    #[error("there is no trace to put together")]
    Nothing,
    /// A trace is of another run than the first.
    #[error("trace {number} does not belong to the first: {what} is another")]
    Foreign {
        /// Which: the first is 1.
        number: usize,
        /// What differs.
        what: &'static str,
    },
    /// An event or enumeration means different things.
    #[error(
        "trace {number} does not belong to the first: it has {name} with other fields or another number"
    )]
    Schema {
        /// Which: the first is 1.
        number: usize,
        /// The event or enumeration.
        name: String,
    },
    /// A trace was cut in another way than the first.
    #[error(
        "trace {number} has other CPUs or events of its recording than the first, and not at the same times"
    )]
    Selection {
        /// Which: the first is 1.
        number: usize,
    },
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Chunks that were written.
    pub chunks: usize,
    /// Events in them: records without repetitions.
    pub records: u64,
    /// Times that no trace holds, between those that they do.
    pub gaps: Vec<TscSpan>,
    /// Damaged chunks, which are missing in the new file as they are in the old ones.
    pub damage: Vec<crate::Diagnostic>,
}

/// Puts traces together into `out`, and gives that back.
///
/// # Errors
/// When they are not of one recording, or the output fails.
pub fn merge<W: Write + Seek>(files: &[&TraceFile], out: W) -> Result<(W, Merged), MergeError> {
    let header = join_headers(files)?;
    let (part, gaps) = join_parts(files)?;
    let options = WriterOptions {
        compression_level: 0,
    };
    let mut writer = TraceWriter::of_part(out, &header, options, part)?;
    let mut symbols = Vec::new();
    let mut slide = None;
    for file in files {
        let table = file.symbols();
        symbols.extend_from_slice(&table.symbols);
        slide = slide.or(table.kernel_slide);
    }
    symbols.sort();
    symbols.dedup();
    writer.write_symbols(slide.unwrap_or(0), &symbols)?;
    let mut done = Merged {
        gaps,
        ..Merged::default()
    };
    let mut lanes = Lane::of(files, &done.gaps);
    let mut lost = 0u64;
    // What is earliest of all comes first, so that a reader finds close together what happened together.
    while let Some(lane) = lanes
        .iter_mut()
        .filter_map(|lane| Some((lane.next_tsc(&mut done.damage)?, lane)))
        .min_by_key(|(tsc, lane)| (*tsc, lane.cpu))
        .map(|(_, lane)| lane)
    {
        let chunk = lane.write_chunk(&mut writer, &mut done.damage)?;
        done.chunks += 1;
        done.records += u64::from(chunk.own_count());
        lost = lost.saturating_add(chunk.lost_before);
    }
    let mut trailer = join_trailers(files);
    trailer.stats.set(Counter::RecordsWritten, done.records);
    let told = trailer.stats.get(Counter::RecordsLost);
    if told.saturating_add(trailer.stats.get(Counter::RecordsOverwritten)) < lost {
        trailer.stats.set(Counter::RecordsLost, lost);
    }
    Ok((writer.finish(&trailer)?, done))
}

/// The first header, with the events of all.
fn join_headers(files: &[&TraceFile]) -> Result<Header, MergeError> {
    let first = files.first().ok_or(MergeError::Nothing)?.header();
    let mut joined = first.clone();
    for (number, file) in (1..).zip(files) {
        let header = file.header();
        let parts = [
            ("the kernel", first.kernel == header.kernel),
            ("the machine", first.machine == header.machine),
            ("the clock", first.clock == header.clock),
            (
                "what the guest was booted from",
                first.digests == header.digests,
            ),
        ];
        if let Some((what, _)) = parts.into_iter().find(|(_, is_same)| !is_same) {
            return Err(MergeError::Foreign { number, what });
        }
        for event in &header.schema.events {
            let known = joined.schema.events.iter();
            let mut same = known.filter(|known| known.id == event.id || known.name == event.name);
            let name = || event.name.clone();
            match same.next() {
                None => joined.schema.events.push(event.clone()),
                Some(known) if known == event => {}
                Some(_) => {
                    return Err(MergeError::Schema {
                        number,
                        name: name(),
                    });
                }
            }
        }
        for item in &header.schema.enums {
            let mut known = joined.schema.enums.iter();
            match known.find(|known| known.name == item.name) {
                None => joined.schema.enums.push(item.clone()),
                Some(known) if known == item => {}
                Some(_) => {
                    let name = item.name.clone();
                    return Err(MergeError::Schema { number, name });
                }
            }
        }
        let absent = header.absent.iter();
        let fresh = absent.filter(|one| joined.absent.iter().all(|known| known.event != one.event));
        let fresh: Vec<_> = fresh.cloned().collect();
        joined.absent.extend(fresh);
    }
    joined.schema.events.sort_by_key(|event| event.id);
    Ok(joined)
}

/// What the new file holds of its recording, and the times between that it does not.
fn join_parts(files: &[&TraceFile]) -> Result<(Option<Piece>, Vec<TscSpan>), MergeError> {
    let selection = |file: &TraceFile| {
        let part = file.part().cloned().unwrap_or_default();
        (part.only_cpus, part.only_events)
    };
    let Some(first) = files.first() else {
        return Err(MergeError::Nothing);
    };
    let (mut only_cpus, mut only_events) = selection(first);
    for (number, file) in (1..).zip(files) {
        let (cpus, events) = selection(file);
        if (&cpus, &events) == (&only_cpus, &only_events) {
            continue;
        }
        // Two selections together are one when they differ in one way only.
        let same_times = spans_of(file) == spans_of(first);
        if !same_times || (cpus != only_cpus && events != only_events) {
            return Err(MergeError::Selection { number });
        }
        only_cpus = join_lists(only_cpus, cpus);
        only_events = join_lists(only_events, events);
    }
    let mut spans: Vec<TscSpan> = files.iter().flat_map(|file| spans_of(file)).collect();
    spans.sort_by_key(|span| span.from_tsc);
    let mut joined: Vec<TscSpan> = Vec::new();
    let mut gaps = Vec::new();
    for span in spans {
        let Some(last) = joined.last_mut() else {
            joined.push(span);
            continue;
        };
        match (last.to_tsc, span.from_tsc) {
            (Some(to), Some(from)) if to < from => {
                gaps.push(TscSpan {
                    from_tsc: Some(to),
                    to_tsc: Some(from),
                });
                joined.push(span);
            }
            (None, _) => {}
            (Some(to), _) => last.to_tsc = span.to_tsc.map(|other| other.max(to)),
        }
    }
    let origin = files.iter().map(|file| file.origin_tsc()).min();
    let chunks = files.iter().flat_map(|file| file.chunks());
    let chunks = chunks.filter(|chunk| chunk.record_count > 0);
    let natural = chunks.map(|chunk| chunk.first_tsc).min();
    let is_whole = joined == [TscSpan::default()];
    if is_whole {
        joined.clear();
    }
    let part = Piece {
        origin_tsc: origin.filter(|_| !is_whole || origin != natural),
        spans: joined,
        only_cpus,
        only_events,
        ..Piece::default()
    };
    Ok(((part != Piece::default()).then_some(part), gaps))
}

/// Both lists, ascending; an empty one is everything.
fn join_lists<T: Ord>(mut a: Vec<T>, mut b: Vec<T>) -> Vec<T> {
    if a.is_empty() || b.is_empty() {
        return Vec::new();
    }
    a.append(&mut b);
    a.sort();
    a.dedup();
    a
}

/// The trailer of the trace that ends last, with the counts of all.
fn join_trailers(files: &[&TraceFile]) -> Trailer {
    let end = |file: &&&TraceFile| file.chunks().iter().map(|chunk| chunk.last_tsc).max();
    let last = files.iter().max_by_key(end);
    let cut_off = || Trailer {
        end_reason: END_CUT_OFF.to_owned(),
        kernel_slide: files.iter().find_map(|file| file.symbols().kernel_slide),
        ..Trailer::default()
    };
    let trailer = last.and_then(|file| file.trailer().cloned());
    let mut joined = trailer.unwrap_or_else(cut_off);
    joined.part = None;
    let mut counts: BTreeMap<String, Vec<(u32, u64)>> = BTreeMap::new();
    for file in files {
        let stats = file.trailer().map(|trailer| &trailer.stats);
        for (name, value) in stats.into_iter().flat_map(|stats| &stats.counts) {
            let all = counts.entry(name.clone()).or_default();
            all.push((file.recording(), *value));
        }
    }
    // What is lost was counted for each file; the rest each file of one recording says of the whole of it.
    for (name, all) in counts {
        let is_own = [Counter::RecordsLost, Counter::RecordsOverwritten]
            .iter()
            .any(|counter| counter.name() == name);
        let mut by_recording: BTreeMap<u32, u64> = BTreeMap::new();
        for (recording, value) in all {
            let sum = by_recording.entry(recording).or_default();
            *sum = if is_own {
                sum.saturating_add(value)
            } else {
                value.max(*sum)
            };
        }
        let value = by_recording
            .values()
            .fold(0u64, |sum, value| sum.saturating_add(*value));
        joined.stats.counts.retain(|(known, _)| *known != name);
        joined.stats.counts.push((name, value));
    }
    for trailer in files.iter().filter_map(|file| file.trailer()) {
        for hook in &trailer.hooks {
            let is_known =
                |known: &crate::HookCount| (&known.event, &known.hook) == (&hook.event, &hook.hook);
            if !joined.hooks.iter().any(is_known) {
                joined.hooks.push(hook.clone());
            }
        }
        for module in &trailer.modules {
            if !joined.modules.iter().any(|known| known.name == module.name) {
                joined.modules.push(module.clone());
            }
        }
    }
    joined
}
