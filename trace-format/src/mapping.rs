//! Bytes of a trace file: mapped into memory, or owned. The one place of this crate with unsafe code.
//!
//! Rule 1: a trace file only grows. The recorder appends to it and renames it; nothing of this project shortens or
//! overwrites what was written. A foreign program that cuts a file while it is mapped ends this process with SIGBUS,
//! as it does with every program that maps files. Checksums find bytes that change before they are used; all
//! decoding of our own traces works on copies, that of others' takes every byte as it comes and believes none.
#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe because another process can change it"
)]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The whole content of a file.
#[derive(Debug)]
pub enum Mapping {
    /// Mapped: other processes may change it.
    Mapped(Mmap),
    /// Read.
    Owned(Vec<u8>),
}

impl Mapping {
    /// Maps a file.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::of(&File::open(path)?)
    }

    /// Maps the whole of `file`, which is only read and may go on growing.
    ///
    /// # Errors
    /// When the system cannot map it.
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: rule 1; bytes are only ever read, and never trusted.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self::Mapped(map))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}
