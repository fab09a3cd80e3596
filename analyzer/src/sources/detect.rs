//! What kind of trace a path is, told by its content.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use trace_format::ReadError;

use super::trace::TraceError;

/// Kinds of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of our own, or nothing that is known: its reader tells what is wrong.
    Own,
}

/// Bytes by which files are told apart.
const HEAD_BYTES: usize = 16;

/// Tells what is at a path.
pub(super) fn kind_of(path: &Path) -> Result<Kind, TraceError> {
    if path.is_dir() {
        return Err(TraceError::IsDirectory);
    }
    let _head = head_of(path)?;
    Ok(Kind::Own)
}

/// The first bytes of a file.
fn head_of(path: &Path) -> Result<Vec<u8>, TraceError> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| {
        let mut start = file.take(HEAD_BYTES as u64);
        start.read_to_end(&mut head)
    });
    match read {
        Ok(_) => Ok(head),
        Err(source) => Err(TraceError::Own(ReadError::Io {
            path: path.to_owned(),
            source,
        })),
    }
}
