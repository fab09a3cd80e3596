//! Why a CTF trace cannot be read.

use std::io;
use std::path::Path;

use thiserror::Error;
use trace_format::ReadError;

use crate::sources::TraceError;

/// The metadata makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place} of its metadata: {what}")]
pub(super) struct MetadataError {
    /// Where: `line 7`.
    pub(super) place: String,
    /// What is wrong.
    pub(super) what: String,
}

impl MetadataError {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

/// Says of a trace as a whole what is wrong with it.
pub(super) fn unreadable(text: impl Into<String>) -> TraceError {
    TraceError::Foreign {
        format: "CTF trace",
        text: text.into(),
    }
}

/// Says of a part of a trace that it cannot be read at all.
pub(super) fn unopened(path: &Path, source: io::Error) -> TraceError {
    let path = path.to_owned();
    TraceError::Own(ReadError::Io { path, source })
}

impl From<MetadataError> for TraceError {
    fn from(error: MetadataError) -> Self {
        unreadable(error.to_string())
    }
}
