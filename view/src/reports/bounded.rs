//! A file in memory that does not grow without end.

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that a file to save may have.
pub(super) const FILE_BYTES_MAX: usize = 256 << 20;

/// A file in memory.
#[derive(Debug)]
pub(super) struct Bounded {
    out: Cursor<Vec<u8>>,
    bytes_max: usize,
    stop: Arc<AtomicBool>,
    /// Whether something did not fit.
    pub(super) is_full: bool,
}

impl Bounded {
    /// One of at most so many bytes, written until it is told to stop.
    pub(super) fn new(bytes_max: usize, stop: Arc<AtomicBool>) -> Self {
        Self {
            out: Cursor::new(Vec::new()),
            bytes_max,
            stop,
            is_full: false,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out.into_inner()
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = usize::try_from(self.out.position()).unwrap_or(usize::MAX);
        self.is_full |= at.saturating_add(bytes.len()) > self.bytes_max;
        if self.is_full || self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out.seek(to)
    }
}
