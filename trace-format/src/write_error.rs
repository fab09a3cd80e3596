//! Why a trace could not be written.

use std::io;

use thiserror::Error;

use crate::schema::SchemaError;

/// Why a trace could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output failed.
    #[error("cannot write the trace")]
    Io(#[from] io::Error),
    /// Header or trailer cannot be written as JSON.
    #[error("cannot write the {what} as JSON")]
    Json {
        /// The block.
        what: &'static str,
        /// What failed.
        source: serde_json::Error,
    },
    /// The schema breaks a rule.
    #[error("the schema of the trace is not valid")]
    Schema(#[from] SchemaError),
    /// A record is of an event that the schema lacks.
    #[error("a record has event id {event}, which is not in the schema")]
    UnknownEvent {
        /// The id.
        event: u16,
    },
    /// A record has other fields than the schema says.
    #[error("a record of event id {event} does not have the fields of its schema")]
    RecordShape {
        /// The id.
        event: u16,
    },
    /// A chunk that was read cannot be read again: the file changed meanwhile.
    #[error("a trace changed while it was read")]
    Vanished,
    /// A block is longer than readers accept.
    #[error("the {what} has {bytes} bytes, at most {max} are possible")]
    TooLarge {
        /// The block.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}
