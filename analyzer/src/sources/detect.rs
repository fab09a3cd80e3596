//! What kind of trace a path is, told by its content.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use trace_format::{Mapping, ReadError};

use super::ctf;
use super::perf::PerfData;
use super::perfetto::Perfetto;
use super::trace::TraceError;
use super::tracedat::TraceDat;

/// Kinds of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the Common Trace Format, in that directory.
    Ctf(PathBuf),
    /// One of our own, or nothing that is known: its reader tells what is wrong.
    Own,
    /// A trace.dat of trace-cmd.
    TraceDat,
    /// A perf.data of perf.
    Perf,
    /// A trace of Perfetto.
    Perfetto,
}

/// Bytes by which files are told apart.
const HEAD_BYTES: usize = 64;

/// Tells what is at a path.
pub(super) fn kind_of(path: &Path) -> Result<Kind, TraceError> {
    if path.is_dir() {
        if ctf::is_trace(path) {
            return Ok(Kind::Ctf(path.to_owned()));
        }
        return Err(TraceError::IsDirectory);
    }
    let head = head_of(path)?;
    if let Some(directory) = ctf::trace_of_file(path, &head) {
        return Ok(Kind::Ctf(directory));
    }
    Ok(if TraceDat::is_magic(&head) {
        Kind::TraceDat
    } else if PerfData::is_magic(&head) {
        Kind::Perf
    } else if Perfetto::is_magic(&head) {
        Kind::Perfetto
    } else {
        Kind::Own
    })
}

/// Maps a file of another tracer.
pub(super) fn map(path: &Path) -> Result<Mapping, TraceError> {
    Mapping::open(path).map_err(|source| {
        TraceError::Own(ReadError::Io {
            path: path.to_owned(),
            source,
        })
    })
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
