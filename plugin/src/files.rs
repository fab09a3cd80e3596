//! The files of a recording that is written in several: when the next one begins, and its name.

use std::fs;
use std::path::{Path, PathBuf};

use trace_format::{Piece, is_later_part, later_part_files, part_path};

/// Where a recording in several files is.
#[derive(Debug)]
pub(crate) struct Files {
    first: PathBuf,
    number: u32,
    bytes_max: u64,
}

impl Files {
    /// Begins with the first file, and removes the later ones of an earlier recording of that name.
    pub(crate) fn new(first: &Path, bytes_max: u64) -> Self {
        for path in later_part_files(first) {
            if is_later_part(&path) {
                // One that stays is told apart by its stamps, or replaced.
                let _ = fs::remove_file(path);
            }
        }
        Self {
            first: first.to_owned(),
            number: 0,
            bytes_max,
        }
    }

    /// What the first file says of itself.
    pub(crate) fn first_part() -> Piece {
        Piece {
            number: Some(0),
            ..Piece::default()
        }
    }

    /// The next file, when the one that is written is full with so many bytes.
    pub(crate) fn next(&mut self, written: u64) -> Option<PathBuf> {
        if written < self.bytes_max {
            return None;
        }
        self.number = self.number.checked_add(1)?;
        Some(part_path(&self.first, self.number))
    }
}
