//! Rows of any number of tables at once, kept in one temporary file until each table is written whole.
//!
//! Memory: one block for each table that is being filled, and where its blocks are.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::FileExt as _;

/// Bytes of a table that are gathered before they go to the file.
const BLOCK_BYTES: usize = 4096;

/// The file.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    bytes: u64,
}

/// A table: rows one after another.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Where its blocks are in the file, and how long each is.
    blocks: Vec<(u64, usize)>,
    /// What is not yet in the file.
    rest: Vec<u8>,
}

impl Spool {
    /// Makes the file, which goes away with the program.
    pub(super) fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        Ok(Self { file, bytes: 0 })
    }

    /// Appends a row to a table.
    pub(super) fn push(&mut self, log: &mut Log, row: &[u8]) -> io::Result<()> {
        log.rest.extend_from_slice(row);
        if log.rest.len() >= BLOCK_BYTES {
            self.file.write_all(&log.rest)?;
            log.blocks.push((self.bytes, log.rest.len()));
            self.bytes += log.rest.len() as u64;
            log.rest.clear();
        }
        Ok(())
    }

    /// The rows of a table from its beginning.
    pub(super) fn rows<'a>(&'a self, log: &'a Log) -> BufReader<Rows<'a>> {
        let rows = Rows {
            file: &self.file,
            log,
            block: 0,
            offset: 0,
        };
        BufReader::with_capacity(BLOCK_BYTES, rows)
    }
}

/// Reads a table.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    file: &'a File,
    log: &'a Log,
    block: usize,
    /// Bytes of the block that were read.
    offset: usize,
}

impl Read for Rows<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((start, length)) = self.log.blocks.get(self.block).copied() else {
            let rest = self.log.rest.get(self.offset..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.offset += count;
            return Ok(count);
        };
        let wanted = buffer.len().min(length - self.offset);
        let count = self
            .file
            .read_at(&mut buffer[..wanted], start + self.offset as u64)?;
        self.offset += count;
        if self.offset == length {
            (self.block, self.offset) = (self.block + 1, 0);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_back_as_they_were() {
        let mut spool = Spool::new().unwrap();
        let mut logs = [Log::default(), Log::default(), Log::default()];
        for number in 0..5000_u32 {
            for (log, times) in logs.iter_mut().zip([0, 1, 3]) {
                for _ in 0..times {
                    spool.push(log, &number.to_le_bytes()).unwrap();
                }
            }
        }
        for (log, times) in logs.iter().zip([0_usize, 1, 3]) {
            let mut bytes = Vec::new();
            spool.rows(log).read_to_end(&mut bytes).unwrap();
            let expected = (0..5000_u32).flat_map(|number| number.to_le_bytes().repeat(times));
            assert!(bytes == expected.collect::<Vec<u8>>(), "{times}");
        }
    }
}
