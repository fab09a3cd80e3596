//! Where a trace goes: into a file, which gets its name when it is complete, or into a socket of whoever takes it on.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use guesttrace_filter::FilterError;
use probe_plan::SessionSpec;
use trace_format::{WriteError, create_growing, partial_path};

/// Why a trace cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error(
        "a condition of the recording is wrong: {0}\nhint: use `guesttrace record`, which checks it first"
    )]
    Filter(FilterError),
    #[error("cannot create {}: {source}\nhint: choose a directory that exists and can be written", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {}\nhint: is the disk full?", path.display(), with_cause(source))]
    Write { path: PathBuf, source: WriteError },
    #[error("cannot rename {} to {}: {source}\nhint: the trace is complete: move it yourself", from.display(), to.display())]
    Rename {
        from: PathBuf,
        to: PathBuf,
        source: io::Error,
    },
}

/// An error and what caused it, in one line.
fn with_cause(error: &WriteError) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// An open output.
#[derive(Debug)]
pub(crate) enum Sink {
    File(File),
    /// Nothing in it can be written again.
    Stream(UnixStream),
}

impl Sink {
    /// Opens the output of a session.
    pub(crate) fn open(spec: &SessionSpec) -> Result<Self, OutputError> {
        let path = working_name(spec);
        if !spec.is_stream {
            return Self::create(&path);
        }
        let opened = UnixStream::connect(&path).map(Self::Stream);
        opened.map_err(|source| OutputError::Create { path, source })
    }

    /// Creates a file.
    pub(crate) fn create(path: &Path) -> Result<Self, OutputError> {
        create_growing(path)
            .map(Self::File)
            .map_err(|source| OutputError::Create {
                path: path.to_owned(),
                source,
            })
    }

    /// Everything is written; a file gets its name.
    pub(crate) fn complete(self, partial: PathBuf, path: &Path) -> Result<(), OutputError> {
        let done = match &self {
            Self::File(file) => file.sync_all(),
            Self::Stream(stream) => return finish(stream, partial),
        };
        done.map_err(|source| write_error(&partial, source))?;
        fs::rename(&partial, path).map_err(|source| OutputError::Rename {
            from: partial,
            to: path.to_owned(),
            source,
        })
    }
}

fn finish(stream: &UnixStream, path: PathBuf) -> Result<(), OutputError> {
    let done = stream.shutdown(Shutdown::Write);
    done.map_err(|source| write_error(&path, source))
}

fn write_error(path: &Path, source: io::Error) -> OutputError {
    OutputError::Write {
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Name of a session's output while it is written.
pub(crate) fn working_name(spec: &SessionSpec) -> PathBuf {
    if spec.is_stream {
        return spec.out.clone();
    }
    partial_path(&spec.out)
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match (self, to) {
            (Self::File(file), to) => file.seek(to),
            // The place where a trace begins.
            (Self::Stream(_), SeekFrom::Current(0)) => Ok(0),
            (Self::Stream(_), _) => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}
