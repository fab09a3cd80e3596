//! Reads a trace, whole or not, finished or still being written, in one file or in several.
//!
//! The first file of a recording that was written in several stands for all: the others are looked for beside it, and
//! their chunks follow its own. What is missing of them is a gap as any other, and is said.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::block::{BlockKind, FORMAT_VERSION, PREAMBLE_BYTES};
use crate::chunk::Chunk;
use crate::chunk_info::ChunkInfo;
use crate::contents::Contents;
use crate::diagnostic::{Diagnostic, Diagnostics, Fault};
use crate::header::{END_CONTINUED, Header, Trailer};
use crate::index::Index;
use crate::mapping::Mapping;
use crate::part::Piece;
use crate::part_files::find_parts;
use crate::schema::EventId;
use crate::stats::Counter;
use crate::symbols::SymbolTable;
use crate::volume::Volume;

/// Why a trace, or a part of it, cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read at all.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The first bytes are not those of a trace.
    #[error("this is no trace: it starts with the magic of none")]
    NotATrace,
    /// The version behind the magic is damaged.
    #[error("the first {PREAMBLE_BYTES} bytes of the file are damaged")]
    Preamble,
    /// The file is of a later version.
    #[error("the file is of format version {major}.{minor}, this program reads {}.x", FORMAT_VERSION.0)]
    Version {
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// A block that is needed is damaged.
    #[error(transparent)]
    Damaged(#[from] Diagnostic),
    /// There is no such chunk.
    #[error("there is no chunk {index}, the file has {count}")]
    NoSuchChunk {
        /// The position asked for.
        index: usize,
        /// Number of chunks.
        count: usize,
    },
}

/// A trace, mapped into memory.
#[derive(Debug)]
pub struct TraceFile {
    /// Its files: at least one.
    pub(crate) volumes: Vec<Volume>,
    pub(crate) index: Index,
    trailer: Option<Trailer>,
    symbols: SymbolTable,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl TraceFile {
    /// Maps a file and finds its chunks: by the index, or without one by a scan of the file.
    ///
    /// The first file of a recording in several brings the others with it.
    ///
    /// # Errors
    /// When there is no file, it is not a trace, or neither its header nor the copy of that can be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let first = Volume::open(path)?;
        let mut found = Diagnostics::default();
        let mut volumes = vec![first];
        if volumes[0].part.as_ref().and_then(|part| part.number) == Some(0) {
            find_parts(path, &mut volumes, &mut found);
        }
        Ok(Self::join(volumes, found))
    }

    /// Maps one file, even where its recording goes on in another.
    ///
    /// # Errors
    /// As [`TraceFile::open`].
    pub fn open_alone(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let volume = Volume::open(path.as_ref())?;
        Ok(Self::join(vec![volume], Diagnostics::default()))
    }

    /// Reads a trace from memory.
    ///
    /// # Errors
    /// As [`TraceFile::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ReadError> {
        let volume = Volume::of(Mapping::Owned(bytes))?;
        Ok(Self::join(vec![volume], Diagnostics::default()))
    }

    fn join(mut volumes: Vec<Volume>, found: Diagnostics) -> Self {
        let mut diagnostics = Diagnostics::default();
        let mut index = Index::default();
        let mut symbols = SymbolTable::default();
        let mut records = 0u64;
        for volume in &mut volumes {
            let number = volume.number();
            let found = std::mem::take(&mut volume.diagnostics);
            found
                .into_iter()
                .for_each(|finding| diagnostics.push(finding.in_file(number)));
            // The volume's own list is not needed any more: what is wrong with it is known.
            let own = std::mem::take(&mut volume.index);
            index
                .chunks
                .extend(own.chunks.iter().map(|chunk| ChunkInfo {
                    file: number,
                    ..*chunk
                }));
            index.contents.extend(own.contents);
            if let Err(fault) = symbols.add(std::mem::take(&mut volume.symbols)) {
                let (offset, kind) = (0, BlockKind::SYMBOLS);
                let finding = Diagnostic::Invalid {
                    offset,
                    kind,
                    fault,
                };
                diagnostics.push(finding.in_file(number));
            }
            let stats = volume.trailer.as_ref().map(|trailer| &trailer.stats);
            let own = stats.map_or(0, |stats| stats.get(Counter::RecordsWritten));
            records = records.saturating_add(own);
        }
        found
            .into_list()
            .into_iter()
            .for_each(|finding| diagnostics.push(finding));
        check_sequences(&mut index, volumes[0].part.as_ref(), &mut diagnostics);
        let mut trailer = volumes.last().and_then(|volume| volume.trailer.clone());
        if volumes.len() > 1 {
            trailer = trailer.filter(|trailer| trailer.end_reason != END_CONTINUED);
            if let Some(trailer) = &mut trailer {
                trailer.stats.set(Counter::RecordsWritten, records);
                trailer.part = None;
            }
        }
        Self {
            volumes,
            index,
            trailer,
            symbols,
            diagnostics: diagnostics.into_list(),
        }
    }

    /// What the trace says about itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.volumes[0].header
    }

    /// What the recorder said in the end; `None` when the recording was cut.
    #[must_use]
    pub fn trailer(&self) -> Option<&Trailer> {
        self.trailer.as_ref()
    }

    /// What of its recording it holds; `None` when it holds all of it.
    #[must_use]
    pub fn part(&self) -> Option<&Piece> {
        let part = self.volumes[0].part.as_ref()?;
        let is_whole = part.number == Some(0) && self.volumes.len() > 1;
        (!is_whole).then_some(part)
    }

    /// Files that it was written in and that are there.
    #[must_use]
    pub fn file_count(&self) -> usize {
        self.volumes.len()
    }

    /// TSC of time 0: of the first record, if nothing else is said.
    #[must_use]
    pub fn origin_tsc(&self) -> u64 {
        let told = self.volumes[0].part.as_ref();
        // The later files of a recording count from the first record of its first file: so do all together.
        let is_first = told.is_some_and(|part| part.number == Some(0));
        // A chunk without records only tells of a loss.
        let counts = |chunk: &&ChunkInfo| chunk.record_count > 0 && (!is_first || chunk.file == 0);
        let stamps = || {
            self.chunks()
                .iter()
                .filter(counts)
                .map(|chunk| chunk.first_tsc)
        };
        told.and_then(|part| part.origin_tsc)
            .or_else(|| stamps().min())
            .unwrap_or(0)
    }

    /// Names of the kernel addresses that occur in the trace.
    #[must_use]
    pub fn symbols(&self) -> &SymbolTable {
        &self.symbols
    }

    /// Identity of the recording: the same for the same header, and in each of its chunks.
    #[must_use]
    pub fn recording(&self) -> u32 {
        self.volumes[0].recording
    }

    /// The chunks in the order of the files; those of one CPU are in order of time.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkInfo] {
        &self.index.chunks
    }

    /// Whether a chunk may hold one of those events and one of those threads; empty for any. Reads nothing but the
    /// index.
    ///
    /// A thread is what the unsigned fields of sticky records say: of `thread_context`, `tid` and `pid`.
    #[must_use]
    pub fn may_have(&self, index: usize, events: &[EventId], threads: &[u64]) -> bool {
        let contents: Option<&Contents> = self.index.contents.get(index);
        contents.is_none_or(|contents| contents.may_have(events, threads))
    }

    /// What was found to be wrong when the file was opened.
    ///
    /// A file with an index is not read through: [`TraceFile::read_chunk`] finds a damaged chunk, and
    /// [`TraceFile::verify`] finds everything.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether its files have the very bytes of another trace's.
    #[must_use]
    pub fn has_same_bytes(&self, other: &Self) -> bool {
        let bytes =
            |file: &'_ Self, at: usize| file.volumes.get(at).map(|volume| volume.bytes.len());
        let lengths = 0..self.volumes.len().max(other.volumes.len());
        let mut pairs = self.volumes.iter().zip(&other.volumes);
        lengths
            .into_iter()
            .all(|at| bytes(self, at) == bytes(other, at))
            && pairs.all(|(own, other)| *own.bytes == *other.bytes)
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        let files = self.volumes.iter();
        files.map(|volume| volume.bytes.len() as u64).sum()
    }

    /// Decodes a chunk.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the chunk is lost: the others are not touched by that.
    pub fn read_chunk(&self, index: usize) -> Result<Chunk, ReadError> {
        let (info, volume) = self.place(index)?;
        volume.read_chunk(info).map_err(|error| match error {
            ReadError::Damaged(finding) => ReadError::Damaged(finding.in_file(info.file)),
            error => error,
        })
    }

    /// The payload of a chunk's block, which has the right checksum.
    pub(crate) fn chunk_payload(&self, index: usize) -> Result<&[u8], ReadError> {
        let (info, volume) = self.place(index)?;
        volume.chunk_payload(info)
    }

    fn place(&self, index: usize) -> Result<(ChunkInfo, &Volume), ReadError> {
        let count = self.index.chunks.len();
        let info = self.index.chunks.get(index).copied();
        let found = info.and_then(|info| {
            // The files are in the order of their numbers.
            let files = self
                .volumes
                .binary_search_by_key(&info.file, Volume::number);
            Some((info, self.volumes.get(files.ok()?)?))
        });
        found.ok_or(ReadError::NoSuchChunk { index, count })
    }
}

/// Reports chunks that are missing between others of their CPU, and drops those that come again or too late: their
/// events would be told twice, or behind later ones.
fn check_sequences(index: &mut Index, part: Option<&Piece>, diagnostics: &mut Diagnostics) {
    let places = part.into_iter().flat_map(|part| &part.cpus);
    let mut next: BTreeMap<u32, u64> = places.map(|place| (place.cpu, place.sequence)).collect();
    index.retain(|chunk| {
        let expected = next.entry(chunk.cpu).or_default();
        let (cpu, offset, file) = (chunk.cpu, chunk.offset, chunk.file);
        match chunk.sequence.checked_sub(*expected) {
            Some(0) => {}
            Some(missing) => {
                let finding = Diagnostic::MissingChunks {
                    cpu,
                    missing,
                    offset,
                };
                diagnostics.push(finding.in_file(file));
            }
            None => {
                let kind = BlockKind::CHUNK;
                let finding = Diagnostic::Invalid {
                    offset,
                    kind,
                    fault: Fault::Sequence,
                };
                diagnostics.push(finding.in_file(file));
                return false;
            }
        }
        *expected = chunk.sequence.saturating_add(1);
        true
    });
}
