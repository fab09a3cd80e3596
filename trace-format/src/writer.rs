//! Writes a trace: header, chunks, and in the end trailer, index and end block.
//!
//! Every block is handed to the output in one piece and flushed, so that what a kill leaves behind is whole blocks and
//! at most one torn one. The same calls give the same bytes.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};

use zstd::bulk::Compressor;

use crate::block::{BlockHeader, BlockKind, HEADER_BYTES, preamble};
use crate::chunk::Chunk;
use crate::chunk_info::{CHUNK_HEAD_BYTES, ChunkHead, ChunkInfo};
use crate::columns::Columns;
use crate::contents::{Carried, Contents, StickyFields, of_chunk};
use crate::header::{END_CONTINUED, Header, Trailer};
use crate::index::{self, End, Index};
use crate::packed::pack;
use crate::part::{CpuPlace, Piece};
use crate::record::{Record, RecordBuffer};
use crate::stats::Counter;
use crate::symbols;
use crate::write_error::WriteError;

/// Longest header or trailer.
pub const JSON_BYTES_MAX: usize = 64 << 20;

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
    part: Option<Piece>,
    /// Bytes of the files before this one.
    bytes_before: u64,
    index: Index,
    sticky: StickyFields,
    /// All symbols so far and their slide, for the next file: empty where there will be none.
    symbols: (u64, Vec<(u64, String)>),
    cpus: BTreeMap<u32, CpuState>,
    clamped_count: u64,
    plain: Vec<u8>,
    block: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct CpuState {
    next_sequence: u64,
    last_tsc: u64,
    carried: Carried,
}

/// What a chunk is besides its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewChunk {
    pub(crate) meta: ChunkMeta,
    /// Chunks of the CPU that are missing before it.
    pub(crate) missing: u64,
    /// The first so many records only repeat.
    pub(crate) sticky_count: u32,
}

impl<W: Write + Seek> TraceWriter<W> {
    /// Starts a trace where `out` stands.
    ///
    /// # Errors
    /// When the output fails, or the header's schema breaks a rule.
    pub fn new(out: W, header: &Header, options: WriterOptions) -> Result<Self, WriteError> {
        Self::of_part(out, header, options, None)
    }

    /// Starts a file that holds a part of its recording, where `out` stands.
    ///
    /// # Errors
    /// As [`TraceWriter::new`].
    pub fn of_part(
        mut out: W,
        header: &Header,
        options: WriterOptions,
        part: Option<Piece>,
    ) -> Result<Self, WriteError> {
        header.schema.check()?;
        let json = json("header", header)?;
        let mut packed = Vec::new();
        pack("header", &json, JSON_BYTES_MAX, &mut packed)?;
        let places = part.iter().flat_map(|part| &part.cpus);
        let mut writer = Self {
            start: out.stream_position()?,
            out,
            written: 0,
            torn: false,
            compressor: Compressor::new(options.compression_level)?,
            columns: Columns::new(&header.schema),
            header: packed,
            recording: crc32fast::hash(&json),
            bytes_before: 0,
            index: Index::default(),
            sticky: StickyFields::of(&header.schema),
            symbols: (0, Vec::new()),
            cpus: places.map(CpuState::at).collect(),
            part,
            clamped_count: 0,
            plain: Vec::new(),
            block: Vec::new(),
        };
        writer.begin_file()?;
        Ok(writer)
    }

    /// Writes what stands before the chunks.
    fn begin_file(&mut self) -> Result<(), WriteError> {
        // The header may be read as soon as there is a file at all: both go out in one piece.
        self.block.clear();
        self.block.extend_from_slice(&preamble());
        self.begin_block();
        self.block.extend_from_slice(&self.header);
        self.write_block(BlockKind::HEADER, preamble().len())?;
        if let Some(part) = &self.part {
            let mut packed = Vec::new();
            let json = json("part", part)?;
            pack("part", &json, JSON_BYTES_MAX, &mut packed)?;
            self.write_payload(BlockKind::PART, &packed)?;
        }
        Ok(())
    }

    /// Completes this file and goes on in `next`; gives the file back.
    ///
    /// What was written is complete and can be read alone. Names of addresses are said again in the next file.
    ///
    /// # Errors
    /// When either output fails: then nothing more can be written.
    pub fn continue_in(&mut self, mut next: W) -> Result<W, WriteError> {
        let mut trailer = Trailer {
            end_reason: END_CONTINUED.to_owned(),
            kernel_slide: (!self.symbols.1.is_empty()).then_some(self.symbols.0),
            ..Trailer::default()
        };
        let records = self.record_count();
        trailer.stats.set(Counter::RecordsWritten, records);
        self.write_end(&trailer)?;
        let part = self.part.get_or_insert_default();
        let chunks = self
            .index
            .chunks
            .iter()
            .filter(|chunk| chunk.record_count > 0);
        let first = chunks.map(|chunk| chunk.first_tsc).min();
        part.origin_tsc = part.origin_tsc.or(first);
        part.number = Some(part.number.map_or(1, |number| number.saturating_add(1)));
        part.cpus = self.cpus.iter().map(CpuState::place).collect();
        self.bytes_before += self.written;
        (self.start, self.written) = (next.stream_position()?, 0);
        self.index = Index::default();
        let before = std::mem::replace(&mut self.out, next);
        self.begin_file()?;
        let (slide, mut symbols) = std::mem::take(&mut self.symbols);
        symbols.sort();
        symbols.dedup();
        self.write_symbols(slide, &symbols)?;
        Ok(before)
    }

    /// Bytes of the file that is being written.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.written
    }

    /// Records in the file that is being written, without repetitions.
    fn record_count(&self) -> u64 {
        let chunks = self.index.chunks.iter();
        chunks.map(|chunk| u64::from(chunk.own_count())).sum()
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
        mut tsc_of: impl FnMut(u64) -> u64,
    ) -> Result<(), WriteError> {
        if records.record_count() == 0 && chunk.lost_before == 0 {
            return Ok(());
        }
        self.begin_chunk(chunk.cpu);
        for record in records.records() {
            self.push_record(tsc_of(record.stamp), &record)?;
        }
        self.end_chunk(&NewChunk {
            meta: *chunk,
            missing: 0,
            sticky_count: records.repeated_count(),
        })?;
        Ok(())
    }

    /// Begins to gather the records of a chunk.
    pub(crate) fn begin_chunk(&mut self, cpu: u32) {
        let floor = self.cpus.get(&cpu).map_or(0, |state| state.last_tsc);
        self.columns.begin(floor);
    }

    /// Adds a record to the chunk that was begun.
    pub(crate) fn push_record(&mut self, tsc: u64, record: &Record<'_>) -> Result<(), WriteError> {
        self.columns.push(tsc, record)
    }

    /// Writes the chunk that was begun.
    pub(crate) fn end_chunk(&mut self, chunk: &NewChunk) -> Result<ChunkInfo, WriteError> {
        self.plain.clear();
        let summary = self.columns.finish(&mut self.plain)?;
        let meta = chunk.meta;
        let state = self.cpus.entry(meta.cpu).or_default();
        let head = ChunkHead {
            cpu: meta.cpu,
            record_count: summary.record_count,
            sequence: state.next_sequence.saturating_add(chunk.missing),
            first_tsc: summary.first_tsc,
            last_tsc: summary.last_tsc,
            lost_before: meta.lost_before,
            sticky_count: chunk.sticky_count,
            column_bytes: size("chunk", &self.plain, crate::COLUMN_BYTES_MAX)?,
            recording: self.recording,
        };
        let mut carried = state.carried.clone();
        let contents = self.columns.contents(&self.sticky, &mut carried);
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
        let info = self.write_head(&head, contents, carried)?;
        self.clamped_count += summary.clamped_count;
        Ok(info)
    }

    /// Copies a chunk of another file of the same recording, of which `missing` are missing before it.
    pub(crate) fn adopt_chunk(
        &mut self,
        payload: &[u8],
        chunk: &Chunk,
        missing: u64,
    ) -> Result<ChunkInfo, WriteError> {
        let head = ChunkHead::decode(payload).ok_or(WriteError::Vanished)?;
        let state = self.cpus.entry(head.cpu).or_default();
        // A header with keys that this version does not know loses them, and has another identity then.
        let head = ChunkHead {
            sequence: state.next_sequence.saturating_add(missing),
            recording: self.recording,
            ..head
        };
        let mut carried = state.carried.clone();
        let contents = of_chunk(chunk, &self.sticky, &mut carried);
        self.block.clear();
        self.begin_block();
        self.block.extend_from_slice(&head.encode());
        self.block
            .extend_from_slice(payload.get(CHUNK_HEAD_BYTES..).unwrap_or(&[]));
        self.write_head(&head, contents, carried)
    }

    /// Writes the chunk in `self.block`, and takes note of it.
    fn write_head(
        &mut self,
        head: &ChunkHead,
        contents: Contents,
        carried: Carried,
    ) -> Result<ChunkInfo, WriteError> {
        let offset = self.written;
        self.write_block(BlockKind::CHUNK, 0)?;
        let info = head.info(offset, self.written - offset);
        self.index.chunks.push(info);
        self.index.contents.push(contents);
        let state = CpuState {
            next_sequence: head.sequence.saturating_add(1),
            last_tsc: head.last_tsc,
            carried,
        };
        self.cpus.insert(head.cpu, state);
        Ok(info)
    }

    /// Identity of the recording.
    pub(crate) fn recording(&self) -> u32 {
        self.recording
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
        self.index.symbol_offsets.push(offset);
        if self.part.as_ref().is_some_and(|part| part.number.is_some()) {
            self.symbols.0 = slide;
            self.symbols.1.extend_from_slice(symbols);
        }
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
        self.bytes_before + self.written
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
        if self.bytes_before == 0 {
            self.write_end(trailer)?;
            return Ok(self.out);
        }
        // Each file counts its own.
        let mut trailer = trailer.clone();
        let records = self.record_count();
        trailer.stats.set(Counter::RecordsWritten, records);
        self.write_end(&trailer)?;
        Ok(self.out)
    }

    /// Writes what stands behind the chunks.
    fn write_end(&mut self, trailer: &Trailer) -> Result<(), WriteError> {
        let mut packed = Vec::new();
        let trailer = Trailer {
            part: self.part.clone(),
            ..trailer.clone()
        };
        let json = json("trailer", &trailer)?;
        pack("trailer", &json, JSON_BYTES_MAX, &mut packed)?;
        let trailer_offset = self.write_payload(BlockKind::TRAILER, &packed)?;
        let copy = std::mem::take(&mut self.header);
        let written = self.write_payload(BlockKind::HEADER_COPY, &copy);
        self.header = copy;
        let header_copy_offset = written?;
        packed.clear();
        let index = index::encode(&self.index, self.written);
        pack("index", &index, u32::MAX as usize, &mut packed)?;
        let index_offset = self.write_payload(BlockKind::INDEX, &packed)?;
        let end = End {
            trailer_offset,
            header_copy_offset,
            index_offset,
        };
        self.write_payload(BlockKind::END, &end.encode())?;
        Ok(())
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

impl CpuState {
    fn at(place: &CpuPlace) -> (u32, Self) {
        let state = Self {
            next_sequence: place.sequence,
            last_tsc: place.tsc,
            carried: Carried::new(),
        };
        (place.cpu, state)
    }

    fn place((cpu, state): (&u32, &Self)) -> CpuPlace {
        CpuPlace {
            cpu: *cpu,
            sequence: state.next_sequence,
            tsc: state.last_tsc,
        }
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
