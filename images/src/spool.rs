//! Where contents of files wait until the image is written, and how much they may be.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::{ImageError, Result};
use crate::tree::Content;

/// A directory of numbered files.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    count: u64,
    bytes_left: u64,
    bytes_max: u64,
}

impl Spool {
    /// In a directory that is removed by whoever made it; takes so many bytes in all.
    pub(crate) fn new(dir: &Path, bytes_max: u64) -> Result<Self> {
        fs::create_dir_all(dir).map_err(ImageError::io("make", dir))?;
        Ok(Self {
            dir: dir.to_owned(),
            count: 0,
            bytes_left: bytes_max,
            bytes_max,
        })
    }

    /// Counts bytes that go into the image from elsewhere.
    pub(crate) fn count(&mut self, origin: &str, length: u64) -> Result<()> {
        let left = self.bytes_left.checked_sub(length);
        self.bytes_left = left.ok_or_else(|| ImageError::TooLarge {
            origin: origin.to_owned(),
            what: format!("{} MiB in its files", self.bytes_max >> 20),
        })?;
        Ok(())
    }

    /// Takes that many bytes of a reader.
    pub(crate) fn take(
        &mut self,
        origin: &str,
        reader: &mut dyn Read,
        length: u64,
    ) -> Result<Content> {
        self.count(origin, length)?;
        let path = self.dir.join(self.count.to_string());
        self.count += 1;
        let mut file = File::create(&path).map_err(ImageError::io("write", &path))?;
        let copied = io::copy(&mut reader.take(length), &mut file)
            .map_err(|error| ImageError::refused(origin, format!("it cannot be read: {error}")))?;
        if copied != length {
            return Err(ImageError::refused(
                origin,
                "it ends in the middle of a file",
            ));
        }
        Ok(Content { path, length })
    }

    /// Takes bytes.
    pub(crate) fn put(&mut self, origin: &str, bytes: &[u8]) -> Result<Content> {
        let length = bytes.len() as u64;
        self.take(origin, &mut &*bytes, length)
    }
}
