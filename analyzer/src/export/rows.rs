//! Events as CSV or JSON, a line each: the same lines as those of `guesttrace events`.

use std::io::Write;

use super::gap::Gap;
use super::job::{ExportError, Exported, Job, Sink};
use super::line::{LineFormat, LineWriter};
use crate::sources::{Loss, Record};

/// Bytes that are gathered before they are written.
const BLOCK_BYTES: usize = 1 << 16;

/// Writes a line for each event, and one for each gap.
///
/// # Errors
/// When the trace cannot be read or the result cannot be written.
pub fn rows(
    job: Job<'_>,
    format: LineFormat,
    out: &mut dyn Write,
) -> Result<Exported, ExportError> {
    let schema = job.trace.schema();
    let mut writer = Writer {
        out,
        lines: LineWriter::new(schema, format).with_symbols(job.trace.symbols()),
        block: Vec::with_capacity(2 * BLOCK_BYTES),
    };
    let only = match job.wanted.events[..] {
        [event] => schema.event(event),
        _ => None,
    };
    writer.lines.push_header(&mut writer.block, only);
    let done = job.pour(&mut writer)?;
    writer.out.write_all(&writer.block)?;
    Ok(done)
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    lines: LineWriter,
    block: Vec<u8>,
}

impl Sink for Writer<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), ExportError> {
        self.lines.push(&mut self.block, record);
        if self.block.len() >= BLOCK_BYTES {
            self.out.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }

    fn loss(&mut self, _: &Loss) -> Result<(), ExportError> {
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), ExportError> {
        self.lines.push_gap(&mut self.block, gap);
        Ok(())
    }
}
