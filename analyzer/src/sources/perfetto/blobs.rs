//! Packets that are compressed: a packet may hold others, by deflate or Zstandard.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::ZlibDecoder;

/// More than Perfetto ever puts into one.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// Lanes go forward side by side: what one needs, others need soon.
const KEPT: usize = 16;

/// How packets are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// By zlib.
    Deflate,
    /// By Zstandard.
    Zstd,
}

/// A compressed packet: bytes from the start of the file, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blob {
    pub(super) packing: Packing,
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// All of them, with those that were unpacked last.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    pub(super) all: Vec<Blob>,
    kept: Mutex<VecDeque<(usize, Arc<Vec<u8>>)>>,
}

impl Blob {
    /// Unpacks it; `None` when it is damaged or impossibly large.
    pub(super) fn unpack(&self, file: &[u8]) -> Option<Vec<u8>> {
        let packed = file.get(self.offset..)?.get(..self.length)?;
        let mut unpacked = Vec::new();
        let limit = UNPACKED_BYTES_MAX + 1;
        let read = match self.packing {
            Packing::Deflate => ZlibDecoder::new(packed)
                .take(limit)
                .read_to_end(&mut unpacked),
            Packing::Zstd => zstd::Decoder::with_buffer(packed)
                .ok()?
                .take(limit)
                .read_to_end(&mut unpacked),
        };
        let size = u64::try_from(read.ok()?).ok()?;
        (size <= UNPACKED_BYTES_MAX).then_some(unpacked)
    }
}

impl Blobs {
    /// The content of one.
    pub(super) fn get(&self, file: &[u8], index: usize) -> Option<Arc<Vec<u8>>> {
        {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, content)) = kept.iter().find(|(number, _)| *number == index) {
                return Some(Arc::clone(content));
            }
        }
        let content = Arc::new(self.all.get(index)?.unpack(file)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front((index, Arc::clone(&content)));
        Some(content)
    }
}
