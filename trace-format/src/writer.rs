//! Writes a trace: header, chunks, and in the end trailer, index and end block.
//!
//! Every block is handed to the output in one piece and flushed, so that what a kill leaves behind is whole blocks and
//! at most one torn one. The same calls give the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use thiserror::Error;
use zstd::bulk::Compressor;

use crate::block::{BlockHeader, BlockKind, HEADER_BYTES, preamble};
use crate::chunk_info::{CHUNK_HEAD_BYTES, ChunkHead};
use crate::columns::Columns;
use crate::header::{Header, Trailer};
use crate::index::{self, End};
use crate::packed::pack;
use crate::record::RecordBuffer;
use crate::schema::SchemaError;
use crate::symbols;

/// Longest header or trailer.
pub const JSON_BYTES_MAX: usize = 64 << 20;

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

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// zstd's level, 1 to 22; 0 is its default.
    pub compression_level: i32,
}

/// What the records do not say of their chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// CPU on which they happened.
    pub cpu: u32,
    /// Records of that CPU that were dropped just before the first.
    pub lost_before: u64,
}

/// A trace being written.
pub struct TraceWriter<W: Write + Seek> {
    out: W,
    /// Where the trace starts in `out`.
    start: u64,
    /// Bytes of whole blocks.
    written: u64,
    /// A block failed: what follows must overwrite the part of it that was written.
    torn: bool,
    compressor: Compressor<'static>,
    columns: Columns,
    header: Vec<u8>,
    recording: u32,
    index: Vec<u8>,
    symbol_offsets: Vec<u64>,
    cpus: BTreeMap<u32, CpuState>,
    clamped_count: u64,
    plain: Vec<u8>,
    block: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct CpuState {
    next_sequence: u64,
    last_tsc: u64,
}

impl<W: Write + Seek> TraceWriter<W> {
    /// Starts a trace where `out` stands.
    ///
    /// # Errors
    /// When the output fails, or the header's schema breaks a rule.
    pub fn new(mut out: W, header: &Header, options: WriterOptions) -> Result<Self, WriteError> {
        header.schema.check()?;
        let json = json("header", header)?;
        let mut packed = Vec::new();
        pack("header", &json, JSON_BYTES_MAX, &mut packed)?;
        let mut writer = Self {
            start: out.stream_position()?,
            out,
            written: 0,
            torn: false,
            compressor: Compressor::new(options.compression_level)?,
            columns: Columns::new(&header.schema),
            header: packed,
            recording: crc32fast::hash(&json),
            index: Vec::new(),
            symbol_offsets: Vec::new(),
            cpus: BTreeMap::new(),
            clamped_count: 0,
            plain: Vec::new(),
            block: Vec::new(),
        };
        // The header may be read as soon as there is a file at all: both go out in one piece.
        writer.block.extend_from_slice(&preamble());
        writer.begin_block();
        writer.block.extend_from_slice(&writer.header);
        writer.write_block(BlockKind::HEADER, preamble().len())?;
        Ok(writer)
    }

    /// Writes the records of a buffer as one chunk; nothing when there is neither a record nor a loss.
    ///
    /// `tsc_of` turns stamps into the guest's TSC. Where that would go back in time on a CPU, the record gets the
    /// stamp of the one before it, and [`TraceWriter::clamped_count`] counts it. After an error the chunk is not in
    /// the trace, and more can be written.
    ///
    /// # Errors
    /// When the output fails, or a record does not fit the schema.
    pub fn write_chunk(
        &mut self,
        chunk: &ChunkMeta,
        records: &RecordBuffer,
        tsc_of: impl FnMut(u64) -> u64,
    ) -> Result<(), WriteError> {
        if records.record_count() == 0 && chunk.lost_before == 0 {
            return Ok(());
        }
        let state = self.cpus.get(&chunk.cpu).copied().unwrap_or_default();
        self.plain.clear();
        let summary = self
            .columns
            .encode(records, state.last_tsc, tsc_of, &mut self.plain)?;
        let head = ChunkHead {
            cpu: chunk.cpu,
            record_count: summary.record_count,
            sequence: state.next_sequence,
            first_tsc: summary.first_tsc,
            last_tsc: summary.last_tsc,
            lost_before: chunk.lost_before,
            sticky_count: records.repeated_count(),
            column_bytes: size("chunk", &self.plain, crate::COLUMN_BYTES_MAX)?,
            recording: self.recording,
        };
        self.block.clear();
        self.begin_block();
        self.block.extend_from_slice(&head.encode());
        let compressed_start = self.block.len();
        self.block.resize(
            compressed_start + zstd::zstd_safe::compress_bound(self.plain.len()),
            0,
        );
        let compressed = self
            .compressor
            .compress_to_buffer(&self.plain, &mut self.block[compressed_start..])?;
        self.block.truncate(compressed_start + compressed);
        let offset = self.written;
        self.write_block(BlockKind::CHUNK, 0)?;
        index::push_entry(&mut self.index, offset, self.written - offset, &head);
        let state = CpuState {
            next_sequence: state.next_sequence + 1,
            last_tsc: summary.last_tsc,
        };
        self.cpus.insert(chunk.cpu, state);
        self.clamped_count += summary.clamped_count;
        Ok(())
    }

    /// Copies a chunk of another file of the same recording, with its sequence number.
    pub(crate) fn adopt_chunk(&mut self, payload: &[u8]) -> Result<(), WriteError> {
        let Some(head) = ChunkHead::decode(payload) else {
            return Ok(());
        };
        // A header with keys that this version does not know loses them, and has another identity then.
        let head = ChunkHead {
            recording: self.recording,
            ..head
        };
        self.block.clear();
        self.begin_block();
        self.block.extend_from_slice(&head.encode());
        self.block
            .extend_from_slice(payload.get(CHUNK_HEAD_BYTES..).unwrap_or(&[]));
        let offset = self.written;
        self.write_block(BlockKind::CHUNK, 0)?;
        index::push_entry(&mut self.index, offset, self.written - offset, &head);
        let state = CpuState {
            next_sequence: head.sequence.saturating_add(1),
            last_tsc: head.last_tsc,
        };
        self.cpus.insert(head.cpu, state);
        Ok(())
    }

    /// Writes the names of kernel addresses that the next chunks have and none before had; nothing when there are none.
    ///
    /// `slide` is run-time less link addresses of the kernel; `symbols` are link addresses, ascending, with names.
    ///
    /// # Errors
    /// When the output fails, or the names are longer than readers accept.
    pub fn write_symbols(
        &mut self,
        slide: u64,
        symbols: &[(u64, String)],
    ) -> Result<(), WriteError> {
        if symbols.is_empty() {
            return Ok(());
        }
        let mut payload = Vec::new();
        symbols::encode(self.recording, slide, symbols, &mut payload)?;
        let offset = self.write_payload(BlockKind::SYMBOLS, &payload)?;
        self.symbol_offsets.push(offset);
        Ok(())
    }

    /// Says that no chunk after this has a record before `tsc`: whoever reads along can put in order what is before.
    ///
    /// # Errors
    /// When the output fails.
    pub fn write_up_to(&mut self, tsc: u64) -> Result<(), WriteError> {
        let mut payload = self.recording.to_le_bytes().to_vec();
        payload.extend_from_slice(&tsc.to_le_bytes());
        self.write_payload(BlockKind::UP_TO, &payload)?;
        Ok(())
    }

    /// Bytes of the trace so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// Number of records whose stamp went back in time and was set to that of the record before.
    #[must_use]
    pub fn clamped_count(&self) -> u64 {
        self.clamped_count
    }

    /// Completes the trace and gives back the output.
    ///
    /// # Errors
    /// When the output fails, or the trailer is too long.
    pub fn finish(mut self, trailer: &Trailer) -> Result<W, WriteError> {
        let mut packed = Vec::new();
        let json = json("trailer", trailer)?;
        pack("trailer", &json, JSON_BYTES_MAX, &mut packed)?;
        let trailer_offset = self.write_payload(BlockKind::TRAILER, &packed)?;
        let copy = std::mem::take(&mut self.header);
        let header_copy_offset = self.write_payload(BlockKind::HEADER_COPY, &copy)?;
        packed.clear();
        let index = index::encode(&self.symbol_offsets, &self.index);
        pack("index", &index, u32::MAX as usize, &mut packed)?;
        let index_offset = self.write_payload(BlockKind::INDEX, &packed)?;
        let end = End {
            trailer_offset,
            header_copy_offset,
            index_offset,
        };
        self.write_payload(BlockKind::END, &end.encode())?;
        Ok(self.out)
    }

    /// Writes a block and gives its place.
    fn write_payload(&mut self, kind: BlockKind, payload: &[u8]) -> Result<u64, WriteError> {
        let offset = self.written;
        self.block.clear();
        self.begin_block();
        self.block.extend_from_slice(payload);
        self.write_block(kind, 0)?;
        Ok(offset)
    }

    /// Leaves room for a block's header.
    fn begin_block(&mut self) {
        self.block.extend_from_slice(&[0; HEADER_BYTES]);
    }

    /// Writes `self.block`, whose block header at `at` is filled in first.
    fn write_block(&mut self, kind: BlockKind, at: usize) -> Result<(), WriteError> {
        let (head, payload) = self.block[at..].split_at_mut(HEADER_BYTES);
        let header = BlockHeader::of(kind, payload).ok_or(WriteError::TooLarge {
            what: "block",
            bytes: payload.len(),
            max: u32::MAX as usize,
        })?;
        head.copy_from_slice(&header.encode());
        if self.torn {
            self.out.seek(SeekFrom::Start(self.start + self.written))?;
        }
        self.torn = true;
        self.out.write_all(&self.block)?;
        self.out.flush()?;
        self.torn = false;
        self.written += self.block.len() as u64;
        Ok(())
    }
}

impl<W: Write + Seek> std::fmt::Debug for TraceWriter<W> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TraceWriter")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

fn json(what: &'static str, value: &impl serde::Serialize) -> Result<Vec<u8>, WriteError> {
    let json = serde_json::to_vec(value).map_err(|source| WriteError::Json { what, source })?;
    size(what, &json, JSON_BYTES_MAX)?;
    Ok(json)
}

/// Size of a part that readers bound.
fn size(what: &'static str, bytes: &[u8], max: usize) -> Result<u32, WriteError> {
    let too_large = WriteError::TooLarge {
        what,
        bytes: bytes.len(),
        max,
    };
    if bytes.len() > max {
        Err(too_large)
    } else {
        u32::try_from(bytes.len()).or(Err(too_large))
    }
}

const _: () = assert!(CHUNK_HEAD_BYTES == 52);
