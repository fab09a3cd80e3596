//! Copies what is whole of a trace into a new one, and says what is not.
//!
//! Chunks are copied as they are, one at a time, with their sequence numbers: where some are missing the new trace has
//! a gap as the old one had, so that no reader takes it for complete. Memory does not depend on the length of the trace.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use crate::header::Trailer;
use crate::reader::TraceFile;
use crate::stats::Counter;
use crate::write_error::WriteError;
use crate::writer::{TraceWriter, WriterOptions};

/// Why a recording ended, in the trailer of a salvaged one that had none.
pub const END_CUT_OFF: &str = "cut_off";

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    /// Chunks that were copied.
    pub chunks: usize,
    /// Records in them.
    pub records: u64,
    /// What is missing, by CPU and time.
    pub gaps: Vec<Gap>,
}

/// Something that is missing of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The CPU.
    pub cpu: u32,
    /// Chunks that are missing; `None` when that cannot be known, because it was the end.
    pub chunks: Option<u64>,
    /// TSC of the last record before; `None` when there is none.
    pub after_tsc: Option<u64>,
    /// TSC of the first record after; `None` when there is none.
    pub before_tsc: Option<u64>,
}

/// Copies what is whole of `file` into `out`, and gives that back.
///
/// # Errors
/// When the output fails.
pub fn salvage<W: Write + Seek>(file: &TraceFile, out: W) -> Result<(W, Salvage), WriteError> {
    let options = WriterOptions {
        compression_level: 0,
    };
    let part = file.part().cloned();
    let places = part.iter().flat_map(|part| &part.cpus);
    // By CPU: the sequence number that comes next, and the last stamp.
    let mut state: BTreeMap<u32, (u64, Option<u64>)> = places
        .map(|place| (place.cpu, (place.sequence, Some(place.tsc))))
        .collect();
    let mut writer = TraceWriter::of_part(out, file.header(), options, part)?;
    let table = file.symbols();
    writer.write_symbols(table.kernel_slide.unwrap_or(0), &table.symbols)?;
    let (mut done, mut lost) = (Salvage::default(), 0u64);
    for (index, info) in file.chunks().iter().enumerate() {
        // Decoding shows what no checksum does.
        let (Ok(chunk), Ok(payload)) = (file.read_chunk(index), file.chunk_payload(index)) else {
            continue;
        };
        let (next, last_tsc) = state.entry(info.cpu).or_default();
        // Sequences of one CPU ascend: the reader leaves out chunks for which that does not hold.
        let missing = info.sequence.saturating_sub(*next);
        if missing > 0 {
            done.gaps.push(Gap {
                cpu: info.cpu,
                chunks: Some(missing),
                after_tsc: *last_tsc,
                before_tsc: Some(info.first_tsc),
            });
        }
        (*next, *last_tsc) = (info.sequence.saturating_add(1), Some(info.last_tsc));
        writer.adopt_chunk(payload, &chunk, missing)?;
        done.chunks += 1;
        done.records += u64::from(info.own_count());
        lost = lost.saturating_add(info.lost_before);
    }
    let trailer = file.trailer().cloned().unwrap_or_else(|| {
        done.gaps
            .extend(state.iter().map(|(cpu, (_, last_tsc))| Gap {
                cpu: *cpu,
                chunks: None,
                after_tsc: *last_tsc,
                before_tsc: None,
            }));
        let mut trailer = Trailer {
            end_reason: END_CUT_OFF.to_owned(),
            kernel_slide: table.kernel_slide,
            ..Trailer::default()
        };
        trailer.stats.set(Counter::RecordsWritten, done.records);
        trailer.stats.set(Counter::RecordsLost, lost);
        trailer
    });
    Ok((writer.finish(&trailer)?, done))
}
