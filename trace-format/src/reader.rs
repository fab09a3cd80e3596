//! Reads a trace, whole or not, finished or still being written.
//!
//! Nothing in a file is trusted: every place and length is checked, and memory is bounded by the limits of the format
//! ([`crate::COLUMN_BYTES_MAX`], [`crate::DECODED_BYTES_MAX`], [`crate::JSON_BYTES_MAX`]), not by what the file says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::block::{BlockKind, FILE_MAGIC, FORMAT_VERSION, HEADER_BYTES, PREAMBLE_BYTES, u32_at};
use crate::chunk::Chunk;
use crate::chunk_info::{CHUNK_HEAD_BYTES, ChunkHead, ChunkInfo};
use crate::columns::COLUMN_BYTES_MAX;
use crate::decode;
use crate::diagnostic::{Diagnostic, Diagnostics, Fault};
use crate::header::{Header, Trailer};
use crate::index::{self, END_BYTES, End};
use crate::mapping::Mapping;
use crate::packed::{decompress, unpack};
use crate::recovery::{Block, Scan};
use crate::schema::Schema;
use crate::symbols::{Gathered, SymbolTable};
use crate::writer::JSON_BYTES_MAX;

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
    #[error("this is not a guesttrace file: it does not start with its magic")]
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

/// A trace file, mapped into memory.
#[derive(Debug)]
pub struct TraceFile {
    bytes: Mapping,
    header: Header,
    trailer: Option<Trailer>,
    chunks: Vec<ChunkInfo>,
    symbols: SymbolTable,
    recording: u32,
    diagnostics: Vec<Diagnostic>,
}

impl TraceFile {
    /// Maps a file and finds its chunks: by the index, or without one by a scan of the file.
    ///
    /// # Errors
    /// When there is no file, it is not a trace, or neither its header nor the copy of that can be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let map = || Mapping::of(&File::open(path)?);
        let bytes = map().map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::from_mapping(bytes)
    }

    /// Reads a trace from memory.
    ///
    /// # Errors
    /// As [`TraceFile::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ReadError> {
        Self::from_mapping(Mapping::Owned(bytes))
    }

    fn from_mapping(bytes: Mapping) -> Result<Self, ReadError> {
        check_preamble(&bytes)?;
        let mut layout = Layout::of(&bytes);
        let (header, recording) = read_header(&bytes, &mut layout)?;
        let trailer = layout.trailer_offset.and_then(|offset| {
            let block = Block::of_kind(&bytes, offset, BlockKind::TRAILER);
            let trailer = block.and_then(|block| parse_json(&block, &unpack_json(&block)?));
            trailer.map_err(|fault| layout.diagnostics.push(fault)).ok()
        });
        let symbols = gather_symbols(&bytes, recording, &mut layout);
        check_recording(&mut layout.chunks, recording, &mut layout.diagnostics);
        check_sequences(&mut layout.chunks, &mut layout.diagnostics);
        let diagnostics = layout.diagnostics.into_list();
        Ok(Self {
            header,
            trailer,
            chunks: layout.chunks,
            symbols,
            recording,
            diagnostics,
            bytes,
        })
    }

    /// What the trace says about itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the recorder said in the end; `None` when the recording was cut.
    #[must_use]
    pub fn trailer(&self) -> Option<&Trailer> {
        self.trailer.as_ref()
    }

    /// Names of the kernel addresses that occur in the trace.
    #[must_use]
    pub fn symbols(&self) -> &SymbolTable {
        &self.symbols
    }

    /// Identity of the recording: the same for the same header, and in each of its chunks.
    #[must_use]
    pub fn recording(&self) -> u32 {
        self.recording
    }

    /// The chunks in the order of the file; those of one CPU are in order of time.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkInfo] {
        &self.chunks
    }

    /// What was found to be wrong when the file was opened.
    ///
    /// A file with an index is not read through: [`TraceFile::read_chunk`] finds a damaged chunk, and
    /// [`TraceFile::verify`] finds everything.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Bytes of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Decodes a chunk.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the chunk is lost: the others are not touched by that.
    pub fn read_chunk(&self, index: usize) -> Result<Chunk, ReadError> {
        let count = self.chunks.len();
        let info = *self
            .chunks
            .get(index)
            .ok_or(ReadError::NoSuchChunk { index, count })?;
        let block = Block::of_kind(&self.bytes, info.offset, BlockKind::CHUNK)?;
        Ok(decode_chunk(&block, info, &self.header.schema)?)
    }

    /// The payload of a chunk's block, which has the right checksum.
    pub(crate) fn chunk_payload(&self, index: usize) -> Result<&[u8], ReadError> {
        let count = self.chunks.len();
        let info = self
            .chunks
            .get(index)
            .ok_or(ReadError::NoSuchChunk { index, count })?;
        Ok(Block::of_kind(&self.bytes, info.offset, BlockKind::CHUNK)?.payload)
    }

    /// Reads the whole file and says everything that is wrong with it; empty for a whole, unharmed file.
    #[must_use]
    pub fn verify(&self) -> Vec<Diagnostic> {
        let scan = Scan::of(&self.bytes);
        let mut found = scan.diagnostics.into_list();
        if found.is_empty() {
            found.extend(self.verify_end(&scan.chunks, scan.header_copy_offset));
        }
        found.extend(self.diagnostics.iter().cloned());
        for index in 0..self.chunks.len() {
            if let Err(ReadError::Damaged(fault)) = self.read_chunk(index) {
                found.push(fault);
            }
        }
        let mut diagnostics = Diagnostics::default();
        found
            .into_iter()
            .for_each(|item| diagnostics.push_new(item));
        diagnostics.into_list()
    }

    /// Compares what a whole file says twice.
    fn verify_end(&self, chunks: &[ChunkInfo], copy: Option<u64>) -> Option<Diagnostic> {
        let (offset, kind) = (self.bytes.len() as u64, BlockKind::INDEX);
        if self.chunks != chunks {
            return Some(Diagnostic::Invalid {
                offset,
                kind,
                fault: Fault::Index,
            });
        }
        match read_header_copy(&self.bytes, copy?) {
            Ok((header, _)) if header == self.header => None,
            Ok(_) => {
                let (offset, kind) = (copy?, BlockKind::HEADER_COPY);
                Some(Diagnostic::Invalid {
                    offset,
                    kind,
                    fault: Fault::Numbers,
                })
            }
            Err(fault) => Some(fault),
        }
    }
}

/// Where the parts of a file are.
struct Layout {
    chunks: Vec<ChunkInfo>,
    symbol_offsets: Vec<u64>,
    trailer_offset: Option<u64>,
    header_copy_offset: Option<u64>,
    diagnostics: Diagnostics,
}

impl Layout {
    fn of(bytes: &[u8]) -> Self {
        Self::from_end(bytes).unwrap_or_else(|| Self::from_scan(bytes))
    }

    /// By the end block and the index; `None` when either is missing or damaged.
    fn from_end(bytes: &[u8]) -> Option<Self> {
        let end_offset = bytes.len().checked_sub(HEADER_BYTES + END_BYTES)? as u64;
        let block = Block::of_kind(bytes, end_offset, BlockKind::END).ok()?;
        let end = End::decode(block.payload)?;
        let block = Block::of_kind(bytes, end.index_offset, BlockKind::INDEX).ok()?;
        let index = index::read(&block).ok()?;
        Some(Self {
            chunks: index.chunks,
            symbol_offsets: index.symbol_offsets,
            trailer_offset: Some(end.trailer_offset),
            header_copy_offset: Some(end.header_copy_offset),
            diagnostics: Diagnostics::default(),
        })
    }

    fn from_scan(bytes: &[u8]) -> Self {
        let Scan {
            chunks,
            symbol_offsets,
            trailer_offset,
            header_copy_offset,
            diagnostics,
            ..
        } = Scan::of(bytes);
        Self {
            chunks,
            symbol_offsets,
            trailer_offset,
            header_copy_offset,
            diagnostics,
        }
    }
}

pub(crate) fn check_preamble(bytes: &[u8]) -> Result<(), ReadError> {
    if !bytes.starts_with(&FILE_MAGIC) {
        return Err(ReadError::NotATrace);
    }
    let preamble = bytes
        .first_chunk::<PREAMBLE_BYTES>()
        .ok_or(ReadError::Preamble)?;
    if u32_at(preamble, 12) != Some(crc32fast::hash(&preamble[..12])) {
        return Err(ReadError::Preamble);
    }
    let major = u16::from_le_bytes([preamble[8], preamble[9]]);
    let minor = u16::from_le_bytes([preamble[10], preamble[11]]);
    if major == FORMAT_VERSION.0 {
        Ok(())
    } else {
        Err(ReadError::Version { major, minor })
    }
}

/// Reads the header and its identity, or those of its copy when the header is damaged.
fn read_header(bytes: &[u8], layout: &mut Layout) -> Result<(Header, u32), ReadError> {
    let block = Block::of_kind(bytes, PREAMBLE_BYTES as u64, BlockKind::HEADER);
    let damage = match block {
        Ok(block) => return Ok(parse_header(&block)?),
        Err(damage) => damage,
    };
    // Where there is no good copy either, the cause is what matters.
    let copy = layout
        .header_copy_offset
        .map(|offset| (offset, read_header_copy(bytes, offset)));
    let Some((offset, Ok(header))) = copy else {
        return Err(damage.into());
    };
    layout.diagnostics.push(damage);
    layout
        .diagnostics
        .push(Diagnostic::HeaderCopyUsed { offset });
    Ok(header)
}

/// Decodes the chunk of a block.
pub(crate) fn decode_chunk(
    block: &Block<'_>,
    info: ChunkInfo,
    schema: &Schema,
) -> Result<Chunk, Diagnostic> {
    let invalid = |fault| block.invalid(fault);
    let head = ChunkHead::decode(block.payload).ok_or_else(|| invalid(Fault::Numbers))?;
    let length = (HEADER_BYTES + block.payload.len()) as u64;
    if head.info(info.offset, length) != info {
        return Err(invalid(Fault::Index));
    }
    let compressed = &block.payload[CHUNK_HEAD_BYTES..];
    let data = decompress(compressed, head.column_bytes, COLUMN_BYTES_MAX).map_err(invalid)?;
    decode::decode(info, data, schema).map_err(|fault| invalid(fault.into()))
}

fn read_header_copy(bytes: &[u8], offset: u64) -> Result<(Header, u32), Diagnostic> {
    let block = Block::of_kind(bytes, offset, BlockKind::HEADER_COPY)?;
    parse_header(&block)
}

pub(crate) fn parse_header(block: &Block<'_>) -> Result<(Header, u32), Diagnostic> {
    let json = unpack_json(block)?;
    let header: Header = parse_json(block, &json)?;
    header
        .schema
        .check()
        .map_err(|fault| block.invalid(fault.into()))?;
    Ok((header, crc32fast::hash(&json)))
}

pub(crate) fn unpack_json(block: &Block<'_>) -> Result<Vec<u8>, Diagnostic> {
    unpack(block.payload, JSON_BYTES_MAX).map_err(|fault| block.invalid(fault))
}

pub(crate) fn parse_json<T: DeserializeOwned>(
    block: &Block<'_>,
    json: &[u8],
) -> Result<T, Diagnostic> {
    serde_json::from_slice(json).map_err(|fault| block.invalid(Fault::Json(fault.to_string())))
}

/// Reads the blocks of symbols; a damaged one costs its names.
fn gather_symbols(bytes: &[u8], recording: u32, layout: &mut Layout) -> SymbolTable {
    let mut gathered = Gathered::default();
    for offset in &layout.symbol_offsets {
        let block = Block::of_kind(bytes, *offset, BlockKind::SYMBOLS);
        let added = block.and_then(|block| {
            let added = gathered.add(block.payload, recording);
            added.map_err(|fault| block.invalid(fault))
        });
        if let Err(fault) = added {
            layout.diagnostics.push_new(fault);
        }
    }
    gathered.finish()
}

/// Drops chunks of another recording.
fn check_recording(chunks: &mut Vec<ChunkInfo>, recording: u32, diagnostics: &mut Diagnostics) {
    chunks.retain(|chunk| {
        let (offset, kind) = (chunk.offset, BlockKind::CHUNK);
        if chunk.recording != recording {
            let fault = Fault::Foreign;
            diagnostics.push(Diagnostic::Invalid {
                offset,
                kind,
                fault,
            });
        }
        chunk.recording == recording
    });
}

/// Reports chunks that are missing between others of their CPU, and drops those that come again or too late: their
/// events would be told twice, or behind later ones.
fn check_sequences(chunks: &mut Vec<ChunkInfo>, diagnostics: &mut Diagnostics) {
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    chunks.retain(|chunk| {
        let expected = next.entry(chunk.cpu).or_default();
        let (cpu, offset) = (chunk.cpu, chunk.offset);
        match chunk.sequence.checked_sub(*expected) {
            Some(0) => {}
            Some(missing) => diagnostics.push(Diagnostic::MissingChunks {
                cpu,
                missing,
                offset,
            }),
            None => {
                let kind = BlockKind::CHUNK;
                diagnostics.push(Diagnostic::Invalid {
                    offset,
                    kind,
                    fault: Fault::Sequence,
                });
                return false;
            }
        }
        *expected = chunk.sequence.saturating_add(1);
        true
    });
}
