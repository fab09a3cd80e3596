//! The blocks of events whose text was asked for last.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex};

use analyzer::sources::{Trace, TraceError};

use super::decoder::Decoder;
use super::index::{BLOCK, EventIndex};
use super::{lock, read};

/// Bytes of text that are kept.
const KEPT_BYTES_MAX: usize = 24 << 20;

/// Bytes of text of a block; what is beyond is read when it is asked for.
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// Bytes of text of a page; a longer one ends early.
pub(super) const PAGE_BYTES_MAX: usize = 8 << 20;

/// The blocks, the last used last.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<(u64, Arc<Texts>)>);

/// The texts of events that follow each other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds one that `write` appends.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Takes others over.
    pub(super) fn append(&mut self, others: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&others.bytes);
        self.ends.extend(others.ends.iter().map(|end| start + end));
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.get(start..end)
    }

    /// Adds those of others that are in a range, as far as there are any.
    pub(super) fn take(&mut self, others: &Self, range: Range<usize>) {
        for text in range.map_while(|index| others.get(index)) {
            self.push(|bytes| bytes.extend_from_slice(text));
        }
    }

    /// As the elements of an array of JSON.
    pub(super) fn push_array(&self, out: &mut Vec<u8>) {
        let texts = (0..self.len()).filter_map(|index| self.get(index));
        for (index, text) in texts.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(text);
        }
    }
}

/// What texts are made of.
pub(super) struct Maker<'a> {
    pub(super) trace: &'a Trace,
    pub(super) index: &'a EventIndex,
    pub(super) decoder: &'a Decoder,
}

impl Maker<'_> {
    /// The texts of events, up to so many bytes.
    pub(super) fn texts(&self, numbers: Range<u64>, bytes_max: usize) -> Result<Texts, TraceError> {
        let mut texts = Texts::default();
        read::read(self.trace, self.index, numbers, |number, record| {
            texts.push(|out| self.decoder.push(out, number, record));
            if texts.bytes() < bytes_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(texts)
    }

    /// The texts of events out of blocks, which are kept.
    pub(super) fn page(
        &self,
        kept: &Mutex<Blocks>,
        numbers: Range<u64>,
    ) -> Result<Texts, TraceError> {
        let end = numbers.end.min(self.index.total());
        let (mut page, mut next) = (Texts::default(), numbers.start);
        while next < end && page.bytes() < PAGE_BYTES_MAX {
            let block = next / BLOCK;
            let first = block * BLOCK;
            let (from, to) = (offset(next - first), offset((end - first).min(BLOCK)));
            let texts = self.block(kept, block, from)?;
            let before = page.len();
            if from < texts.len() {
                page.take(&texts, from..to);
            } else {
                // The block is too long to be kept.
                let rest = self.texts(next..end.min(first + BLOCK), PAGE_BYTES_MAX)?;
                page.append(&rest);
            }
            match page.len() - before {
                0 => break,
                taken => next += u64::try_from(taken).unwrap_or(u64::MAX),
            }
        }
        Ok(page)
    }

    /// A block in which that event is, if it can be kept with it.
    fn block(
        &self,
        kept: &Mutex<Blocks>,
        block: u64,
        wanted: usize,
    ) -> Result<Arc<Texts>, TraceError> {
        if let Some(texts) = lock(kept).get(block) {
            // One that was made when the trace was shorter lacks its end.
            if wanted < texts.len() || texts.bytes() >= BLOCK_BYTES_MAX {
                return Ok(texts);
            }
        }
        let first = block * BLOCK;
        let texts = Arc::new(self.texts(first..first + BLOCK, BLOCK_BYTES_MAX)?);
        lock(kept).put(block, Arc::clone(&texts));
        Ok(texts)
    }
}

impl Blocks {
    fn get(&mut self, block: u64) -> Option<Arc<Texts>> {
        let at = self.0.iter().position(|(own, _)| *own == block)?;
        let entry = self.0.remove(at);
        let texts = Arc::clone(&entry.1);
        self.0.push(entry);
        Some(texts)
    }

    fn put(&mut self, block: u64, texts: Arc<Texts>) {
        self.0.retain(|(own, _)| *own != block);
        self.0.push((block, texts));
        let mut bytes: usize = self.0.iter().map(|(_, texts)| texts.bytes()).sum();
        while bytes > KEPT_BYTES_MAX && self.0.len() > 1 {
            bytes -= self.0.remove(0).1.bytes();
        }
    }
}

/// A position in a block.
fn offset(events: u64) -> usize {
    usize::try_from(events).unwrap_or(usize::MAX)
}
