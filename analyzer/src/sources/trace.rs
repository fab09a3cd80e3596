//! A trace of whatever source, opened.

use std::path::Path;

use thiserror::Error;
use trace_format::{ReadError, Schema, TraceFile};

use super::clock::Clock;
use super::finding::{Finding, findings_of_file};
use super::own::OwnStream;
use super::stream::{Range, RecordStream};
use super::symbols::Symbols;
use crate::model::GuestNanos;

/// Why a trace cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// It is a trace of our own that cannot be read.
    #[error(transparent)]
    Own(#[from] ReadError),
    /// It arrives without ever saying what is complete.
    #[error(
        "more than {} MiB of events arrived without their order being certain", bytes_max >> 20
    )]
    Unordered {
        /// Most that may wait.
        bytes_max: usize,
    },
}

/// A trace, opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Trace {
    /// A trace of our own.
    Own(TraceFile),
}

impl Trace {
    /// Opens a trace.
    ///
    /// # Errors
    /// When the file cannot be read or is no trace.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        Ok(Self::Own(TraceFile::open(path)?))
    }

    /// Its events and their fields.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        match self {
            Self::Own(file) => &file.header().schema,
        }
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        match self {
            Self::Own(file) => Clock {
                first_tsc: file.origin_tsc(),
                tsc_hz: file.header().clock.tsc_hz,
            },
        }
    }

    /// TSC of the last event.
    #[must_use]
    pub fn last_tsc(&self) -> u64 {
        match self {
            Self::Own(file) => file
                .chunks()
                .iter()
                .map(|chunk| chunk.last_tsc)
                .max()
                .unwrap_or(0),
        }
    }

    /// Time from the first event to the last.
    #[must_use]
    pub fn duration(&self) -> GuestNanos {
        self.clock().nanos(self.last_tsc())
    }

    /// Names of the kernel addresses in it.
    #[must_use]
    pub fn symbols(&self) -> Symbols {
        match self {
            Self::Own(file) => {
                let table = file.symbols();
                Symbols::new(&table.symbols, table.kernel_slide.unwrap_or(0))
            }
        }
    }

    /// What is known to be lost or doubtful without reading the records.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Self::Own(file) => findings_of_file(file),
        }
    }

    /// Its records in order of time.
    ///
    /// # Errors
    /// When they cannot be read at all.
    pub fn stream(&self, range: &Range) -> Result<Box<dyn RecordStream + '_>, TraceError> {
        match self {
            Self::Own(file) => Ok(Box::new(OwnStream::open(file, self.clock(), range)?)),
        }
    }
}
