//! What a question gets: bytes of some type, or a refusal.

use analyzer::sources::TraceError;
use serde::Serialize;
use thiserror::Error;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its media type.
    pub media_type: &'static str,
    /// What it says.
    pub bytes: Vec<u8>,
    /// Name under which a browser saves it, where it is a file.
    pub file_name: Option<String>,
}

/// Why a question gets no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The question makes no sense.
    #[error("{text}")]
    Malformed {
        /// What is wrong with it.
        text: String,
        /// What to do.
        hint: String,
    },
    /// What it asks for does not exist.
    #[error("there is no {what}")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// The trace cannot be read.
    #[error("the trace cannot be read")]
    Trace(#[from] TraceError),
    /// An answer could not be put together.
    #[error("{0}")]
    Failed(String),
}

impl Answer {
    /// As JSON.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn json(value: &impl Serialize) -> Result<Self, Refusal> {
        let bytes =
            serde_json::to_vec(value).map_err(|error| Refusal::Failed(error.to_string()))?;
        Ok(Self {
            media_type: "application/json",
            bytes,
            file_name: None,
        })
    }

    /// As bytes that only the page understands.
    #[must_use]
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self {
            media_type: "application/octet-stream",
            bytes,
            file_name: None,
        }
    }
}

impl Refusal {
    /// A question that makes no sense.
    #[must_use]
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed {
            text: text.into(),
            hint: String::new(),
        }
    }

    /// The status of HTTP that says the same.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::Missing { .. } => 404,
            Self::Trace(_) | Self::Failed(_) => 500,
        }
    }
}
