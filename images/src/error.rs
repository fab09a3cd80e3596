//! What can go wrong with an image.

use std::io;
use std::path::{Path, PathBuf};

/// An image cannot be built or looked into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file of the host cannot be read or written.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as in "read".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A recipe asks for what cannot be.
    #[error("{recipe}: {reason}\nhint: images/README.md says what a recipe can hold")]
    Recipe {
        /// Its file or name.
        recipe: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such recipe, kernel or tool.
    #[error("there is no {what} \"{name}\"\nhint: {hint}")]
    Unknown {
        /// What was looked for, as in "recipe".
        what: &'static str,
        /// By which name.
        name: String,
        /// What helps.
        hint: &'static str,
    },
    /// Something in an archive or a directory cannot go into an image.
    #[error("{origin} is refused: {reason}")]
    Refused {
        /// The archive or directory.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The contents are more than the image may hold.
    #[error(
        "{origin} does not fit: it has more than {what}\nhint: give the recipe a larger size, or leave things out with `without`"
    )]
    TooLarge {
        /// The archive or directory.
        origin: String,
        /// The limit that was passed.
        what: String,
    },
    /// A program that is needed failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Its name.
        program: String,
        /// The first line that tells why.
        said: String,
    },
    /// A program that is needed is not installed.
    #[error("cannot run {program}: {source}\nhint: scripts/setup.sh installs what images need")]
    Missing {
        /// Its name.
        program: String,
        /// Why it does not start.
        source: io::Error,
    },
    /// A kernel or a module of it is none.
    #[error("cannot use {path}: {source}", path = path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// What it is.
        source: Box<guest_symbols::SymbolError>,
    },
}

impl ImageError {
    /// Whether what was asked for is wrong, and not the data or the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Recipe { .. } | Self::Unknown { .. })
    }

    /// For `map_err` of a file's operation.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn refused(origin: &str, reason: impl Into<String>) -> Self {
        Self::Refused {
            origin: origin.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Of everything here.
pub(crate) type Result<T> = std::result::Result<T, ImageError>;
