//! A CPU's buffers of one session, and what happens when they are full.
//!
//! Invariant: a record is in a buffer, or in the count of those that were lost before a buffer's first.
//! Budget: no allocation, but for a flight recorder's memory as it is first used.

use std::collections::VecDeque;

use crossbeam_channel::Receiver;
use probe_plan::Mode;
use trace_format::{BufferFull, EventId, Record, RecordBuffer};

use crate::cpu::{Keep, StickyRecord};
use crate::row::{Layout, split_field};

/// Buffers of one CPU.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) current: RecordBuffer,
    /// Start of the session that this CPU knows of.
    pub(crate) epoch: u64,
    /// Snapshot of the session that this CPU knows of.
    pub(crate) snapshot: u64,
    mode: Mode,
    buffer_bytes: usize,
    /// Buffers that may still be made.
    unmade: usize,
    /// Buffers that the writer is done with.
    free: Receiver<RecordBuffer>,
    /// Of a flight recorder, those that are full, oldest first.
    kept: VecDeque<RecordBuffer>,
    /// Records dropped since the current buffer was full.
    lost: u64,
}

/// What became of a full buffer.
#[derive(Debug)]
pub(crate) enum Room {
    /// An empty one took its place; this one is to be written.
    Write(RecordBuffer),
    /// An empty one took its place, and records that nobody saw were overwritten for it.
    Kept { overwritten: u64 },
    /// There is none.
    None,
    /// Nobody writes any more.
    Closed,
}

impl Track {
    pub(crate) fn new(mode: Mode, buffer_bytes: usize, free: Receiver<RecordBuffer>) -> Self {
        let buffers = match mode {
            Mode::Lossless | Mode::Discard => 2,
            Mode::Overwrite { bytes } => (bytes / buffer_bytes.max(1)).max(2),
        };
        Self {
            current: RecordBuffer::new(buffer_bytes),
            epoch: 0,
            snapshot: 0,
            mode,
            buffer_bytes,
            unmade: buffers - 1,
            free,
            kept: VecDeque::new(),
            lost: 0,
        }
    }

    /// Whether a buffer is written before it is full, so that a trace that is cut short lacks little.
    pub(crate) fn is_flushed(&self) -> bool {
        !matches!(self.mode, Mode::Overwrite { .. })
    }

    /// Puts an empty buffer in the place of a full one.
    pub(crate) fn make_room(&mut self) -> Room {
        let mut overwritten = 0;
        let next = match self.unused() {
            Some(next) => Some(next),
            None => match self.mode {
                Mode::Lossless => self.free.recv().ok(),
                Mode::Discard => return Room::None,
                Mode::Overwrite { .. } => match self.kept.pop_front() {
                    Some(oldest) => {
                        overwritten = u64::from(own_records(&oldest));
                        let gap = oldest.lost_before + overwritten;
                        let after = self.kept.front_mut().unwrap_or(&mut self.current);
                        after.lost_before += gap;
                        Some(cleared(oldest))
                    }
                    None => self.free.recv().ok(),
                },
            },
        };
        let Some(mut next) = next else {
            // Without a way home the writer has failed and said so.
            self.current.clear();
            return Room::Closed;
        };
        next.lost_before = std::mem::take(&mut self.lost);
        let full = std::mem::replace(&mut self.current, next);
        if let Mode::Overwrite { .. } = self.mode {
            self.kept.push_back(full);
            return Room::Kept { overwritten };
        }
        Room::Write(full)
    }

    /// A record is lost.
    pub(crate) fn note_loss(&mut self) {
        self.lost += 1;
    }

    /// An empty buffer that nothing is lost for.
    fn unused(&mut self) -> Option<RecordBuffer> {
        if let Ok(free) = self.free.try_recv() {
            return Some(free);
        }
        self.unmade = self.unmade.checked_sub(1)?;
        Some(RecordBuffer::new(self.buffer_bytes))
    }

    /// Takes all that a flight recorder remembers but the buffer that is being filled.
    pub(crate) fn take_kept(&mut self) -> VecDeque<RecordBuffer> {
        std::mem::take(&mut self.kept)
    }

    /// The end: everything that is still to be written.
    pub(crate) fn into_buffers(mut self) -> impl Iterator<Item = RecordBuffer> {
        let lost = (self.lost != 0).then(|| {
            // Nothing came after what was lost, but that it was is told.
            let mut empty = RecordBuffer::new(0);
            empty.lost_before = self.lost;
            empty
        });
        self.take_kept()
            .into_iter()
            .chain([self.current])
            .chain(lost)
    }

    /// Appends a record, or a part of its fields; opens an empty buffer with the sticky records.
    pub(crate) fn append(
        &mut self,
        stamp: u64,
        record: &Record<'_>,
        keep: &Keep,
        layout: &Layout,
        sticky: &[StickyRecord],
    ) -> Result<(), BufferFull> {
        self.open(stamp, sticky)?;
        match keep {
            Keep::All => self.current.append(stamp, record),
            Keep::Some(kept) => append_part(&mut self.current, stamp, record, kept, layout),
        }
    }

    /// Says which thread runs, as an event of now.
    pub(crate) fn append_sticky(
        &mut self,
        stamp: u64,
        sticky: &[StickyRecord],
    ) -> Result<u64, BufferFull> {
        for kept in sticky {
            self.current.append(stamp, &kept.record(stamp))?;
        }
        Ok(sticky.len() as u64)
    }

    /// Appends a row of the recorder's own, which has one text.
    pub(crate) fn append_text(
        &mut self,
        stamp: u64,
        event: EventId,
        text: &[u8],
        sticky: &[StickyRecord],
    ) -> Result<(), BufferFull> {
        self.open(stamp, sticky)?;
        let mut encoder = self.current.begin(stamp, event)?;
        encoder.push_bytes(text);
        encoder.finish();
        Ok(())
    }

    /// An empty buffer begins with the sticky records.
    fn open(&mut self, stamp: u64, sticky: &[StickyRecord]) -> Result<(), BufferFull> {
        if self.current.record_count() == 0 {
            for kept in sticky {
                self.current.repeat(stamp, &kept.record(stamp))?;
            }
        }
        Ok(())
    }
}

/// Records that are no repetitions.
fn own_records(buffer: &RecordBuffer) -> u32 {
    buffer.record_count() - buffer.repeated_count()
}

fn cleared(mut buffer: RecordBuffer) -> RecordBuffer {
    buffer.clear();
    buffer
}

/// Appends the fields of a record that are kept.
fn append_part(
    buffer: &mut RecordBuffer,
    stamp: u64,
    record: &Record<'_>,
    kept: &[bool],
    layout: &Layout,
) -> Result<(), BufferFull> {
    let mut encoder = buffer.begin(stamp, record.event)?;
    let mut payload = record.payload;
    for (index, (is_bytes, kept)) in layout.iter().zip(kept).enumerate() {
        let Some((field, rest)) = split_field(payload, *is_bytes) else {
            break;
        };
        payload = rest;
        let is_missing = record.missing >> (index & 31) & 1 == 1;
        match (*kept, *is_bytes, is_missing) {
            (false, ..) => {}
            (true, true, false) => encoder.push_bytes(field),
            (true, true, true) => encoder.push_missing_bytes(),
            (true, false, true) => encoder.push_missing_number(),
            (true, false, false) => {
                let number = field
                    .first_chunk()
                    .map_or(0, |bytes| u64::from_le_bytes(*bytes));
                encoder.push_number(number);
            }
        }
    }
    encoder.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFER_BYTES: usize = 4096;

    /// Fills buffers for long while the writer gives none back. Gives how many were handed to it, the most that were
    /// remembered at once, and how often there was no room.
    fn run(mode: Mode) -> (usize, usize, usize) {
        let (_home, free) = crossbeam_channel::unbounded();
        let mut track = Track::new(mode, BUFFER_BYTES, free);
        let (mut written, mut kept_most, mut full) = (0, 0, 0);
        for stamp in 0..100_000 {
            if let Ok(record) = track.current.begin(stamp, EventId(1)) {
                record.finish();
                continue;
            }
            match track.make_room() {
                Room::Write(_) => written += 1,
                Room::Kept { .. } => kept_most = kept_most.max(track.kept.len()),
                Room::None | Room::Closed => full += 1,
            }
        }
        (written, kept_most, full)
    }

    #[test]
    fn memory_does_not_grow_with_the_recording() {
        let (written, kept, full) = run(Mode::Discard);
        assert_eq!((written, kept), (1, 0), "one of two is being filled");
        assert!(full > 1000);
        let bytes = 5 * BUFFER_BYTES;
        let (written, kept, full) = run(Mode::Overwrite { bytes });
        assert_eq!(
            (written, kept, full),
            (0, 4, 0),
            "one of five is being filled"
        );
    }
}
