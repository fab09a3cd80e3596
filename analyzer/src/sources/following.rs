//! A recording that goes on, read as its file grows.
//!
//! A file that grows is read on from where it was. It is at its end when its last block is there; it was cut when nobody
//! holds the lock of whoever writes it any more. A recording in several files is followed from one to the next.

use std::fs::File;
use std::io::{self, Read, Stdin};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use trace_format::{
    Diagnostic, END_CONTINUED, Header, Part, ReadError, Tail, Trailer, is_growing,
    later_part_files, part_path, partial_path,
};

use super::finding::{Finding, findings_of_parts, sort_findings};
use super::live::LiveStream;
use super::stream::RecordStream as _;
use super::symbols::Symbols;
use super::trace::TraceError;

/// How often it is looked whether more has come.
pub const POLL: Duration = Duration::from_millis(50);
/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 16;

/// Why a recording cannot be followed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Its file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What comes in cannot be read.
    #[error("what comes in cannot be read")]
    Input(#[source] io::Error),
    /// It is no trace, or its order cannot be told.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// It is no trace of this program.
    #[error(transparent)]
    Format(#[from] ReadError),
    /// It ends too early.
    #[error("it ends before its header does: nothing was recorded")]
    Empty,
}

/// What there is of a trace.
#[derive(Debug)]
pub enum Found {
    /// All of it.
    Complete,
    /// Somebody writes it, or did.
    Growing(Box<Following>),
    /// Nothing yet.
    Nothing,
}

/// What has come.
#[derive(Debug)]
pub enum Step<'a> {
    /// The header, once.
    Header(&'a Header),
    /// Names of addresses: all that are known by now.
    Symbols(Symbols),
    /// Records that are certain now: what the stream gives until it says that there is no more. The tick before which
    /// nothing can come any more; [`u64::MAX`] at the end.
    Certain(&'a mut LiveStream, u64),
}

/// A recording that goes on.
#[derive(Debug)]
pub struct Following {
    input: Input,
    /// The trace and which of its files is read; of a pipe there is only one.
    file: Option<(PathBuf, u32)>,
    beginning: PathBuf,
    tail: Tail,
    stream: Option<LiveStream>,
    header: Option<Header>,
    damage: Vec<Diagnostic>,
    trailer: Option<Trailer>,
    lost: u64,
    has_ended: bool,
    bytes: Vec<u8>,
}

/// Where a trace comes from.
#[derive(Debug)]
enum Input {
    Pipe(Stdin),
    File(File),
}

impl Input {
    /// Reads what has come, waiting for it; 0 when nothing more can come.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let file = match self {
            Self::Pipe(stdin) => return stdin.read(bytes),
            Self::File(file) => file,
        };
        // A recorder locks its file right after it made it: only what has no lock twice has nobody who writes it.
        let mut is_left = false;
        loop {
            let was_left = is_left;
            is_left = !is_growing(file);
            let count = file.read(bytes)?;
            if count > 0 || (was_left && is_left) {
                return Ok(count);
            }
            thread::sleep(POLL);
        }
    }
}

impl Following {
    /// Looks what there is of the trace that is, or will be, in that file.
    ///
    /// # Errors
    /// When a file is there that cannot be opened.
    pub fn find(path: &Path) -> Result<Found, FollowError> {
        let partial = match path.extension() {
            Some(extension) if extension == "partial" => path.to_owned(),
            _ => partial_path(path),
        };
        let growing = open_if_there(&partial)?;
        // What a recording that was killed has left must not hide a complete one.
        if growing.as_ref().is_none_or(|file| !is_growing(file))
            && partial != path
            && path.try_exists().unwrap_or(true)
        {
            let is_going_on = |part: &PathBuf| File::open(part).is_ok_and(|file| is_growing(&file));
            if !later_part_files(path).iter().any(is_going_on) {
                return Ok(Found::Complete);
            }
            let first = open_if_there(path)?;
            let beginning = path.to_owned();
            return Ok(first.map_or(Found::Nothing, |file| Self::growing(path, beginning, file)));
        }
        Ok(growing.map_or(Found::Nothing, |file| Self::growing(path, partial, file)))
    }

    fn growing(path: &Path, beginning: PathBuf, file: File) -> Found {
        let mut following = Self::new(Input::File(file), Some((path.to_owned(), 0)));
        following.beginning = beginning;
        Found::Growing(Box::new(following))
    }

    /// The file that the recording begins in, which is another than the trace's while it is not complete.
    #[must_use]
    pub fn beginning(&self) -> &Path {
        &self.beginning
    }

    /// Follows what comes by standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self::new(Input::Pipe(io::stdin()), None)
    }

    fn new(input: Input, file: Option<(PathBuf, u32)>) -> Self {
        Self {
            input,
            file,
            beginning: PathBuf::new(),
            tail: Tail::default(),
            stream: None,
            header: None,
            damage: Vec::new(),
            trailer: None,
            lost: 0,
            has_ended: false,
            bytes: vec![0; READ_BYTES],
        }
    }

    /// What comes next, waiting for it; `None` when nothing more can come.
    ///
    /// # Errors
    /// When it cannot be read, or is no trace.
    pub fn next_step(&mut self) -> Result<Option<Step<'_>>, FollowError> {
        if self.has_ended {
            return Ok(None);
        }
        loop {
            let Some(part) = self.tail.next_part()? else {
                if self.read_on()? {
                    continue;
                }
                self.has_ended = true;
                return self.certain(u64::MAX);
            };
            match part {
                Part::Header(header) if self.stream.is_none() => {
                    self.stream = Some(LiveStream::new(&header)?);
                    return Ok(Some(Step::Header(self.header.insert(*header))));
                }
                Part::Chunk(chunk) => {
                    self.lost = self.lost.saturating_add(chunk.info().lost_before);
                    if let Some(stream) = &mut self.stream {
                        stream.push(chunk)?;
                    }
                }
                Part::Symbols => {
                    let table = self.tail.symbols();
                    let slide = table.kernel_slide.unwrap_or(0);
                    return Ok(Some(Step::Symbols(Symbols::new(&table.symbols, slide))));
                }
                Part::UpTo(tsc) => return self.certain(tsc),
                Part::Trailer(trailer) => self.trailer = Some(*trailer),
                Part::Damage(damage) => self.damage.push(damage),
                _ => {}
            }
        }
    }

    fn certain(&mut self, tsc: u64) -> Result<Option<Step<'_>>, FollowError> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        stream.advance(tsc)?;
        Ok(Some(Step::Certain(stream, tsc)))
    }

    /// Reads more, from the next file where this one is over; false when there is no more.
    fn read_on(&mut self) -> Result<bool, FollowError> {
        if !self.tail.has_ended() {
            let count = self
                .input
                .read(&mut self.bytes)
                .map_err(|source| match &self.file {
                    Some((path, _)) => FollowError::File {
                        path: path.clone(),
                        source,
                    },
                    None => FollowError::Input(source),
                })?;
            if count > 0 {
                self.tail.feed(&self.bytes[..count]);
                return Ok(true);
            }
        }
        if !self.tail.has_header() {
            return Err(FollowError::Empty);
        }
        let is_continued = |trailer: &mut Trailer| trailer.end_reason == END_CONTINUED;
        match &mut self.file {
            Some((path, number)) if self.trailer.take_if(is_continued).is_some() => {
                *number += 1;
                self.input = Input::File(open_part(&part_path(path, *number))?);
                self.tail.next_file();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The recording's end, once it has come.
    #[must_use]
    pub fn trailer(&self) -> Option<&Trailer> {
        self.trailer.as_ref()
    }

    /// What is lost or doubtful by now, worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = findings_of_parts(&self.damage, self.trailer.as_ref(), self.lost);
        if let Some(stream) = &self.stream {
            findings.extend(stream.damage());
        }
        sort_findings(&mut findings);
        findings
    }
}

/// Opens a later file of a recording, which is there before the one before it is complete.
fn open_part(path: &Path) -> Result<File, FollowError> {
    let growing = open_if_there(&partial_path(path))?.filter(is_growing);
    match growing {
        Some(file) => Ok(file),
        None => File::open(path).map_err(|source| FollowError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn open_if_there(path: &Path) -> Result<Option<File>, FollowError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FollowError::File {
            path: path.to_owned(),
            source,
        }),
    }
}
