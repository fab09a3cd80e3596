//! One file of a trace, mapped into memory: where its blocks are, and what they say.
//!
//! Nothing in a file is trusted: every place and length is checked, and memory is bounded by the limits of the format
//! ([`crate::COLUMN_BYTES_MAX`], [`crate::DECODED_BYTES_MAX`], [`crate::JSON_BYTES_MAX`]), not by what the file says.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::block::{
    BlockHeader, BlockKind, FILE_MAGIC, FORMAT_VERSION, HEADER_BYTES, PREAMBLE_BYTES, u32_at,
};
use crate::chunk::Chunk;
use crate::chunk_info::{CHUNK_HEAD_BYTES, ChunkHead, ChunkInfo};
use crate::columns::COLUMN_BYTES_MAX;
use crate::decode;
use crate::diagnostic::{Diagnostic, Diagnostics, Fault};
use crate::header::{Header, Trailer};
use crate::index::{self, END_BYTES, End, Index};
use crate::mapping::Mapping;
use crate::packed::{decompress, unpack};
use crate::part::Piece;
use crate::reader::ReadError;
use crate::recovery::{Block, Scan};
use crate::schema::Schema;
use crate::symbols::{Gathered, SymbolTable};
use crate::writer::JSON_BYTES_MAX;

/// One file.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) bytes: Mapping,
    pub(crate) header: Header,
    pub(crate) recording: u32,
    pub(crate) trailer: Option<Trailer>,
    pub(crate) part: Option<Piece>,
    /// Chunks of the recording, and what each holds.
    pub(crate) index: Index,
    pub(crate) symbols: SymbolTable,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Volume {
    /// Maps a file.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let map = || Mapping::open(path);
        let bytes = map().map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::of(bytes)
    }

    /// Finds the blocks: by the index, or without one by a scan of the file.
    pub(crate) fn of(bytes: Mapping) -> Result<Self, ReadError> {
        check_preamble(&bytes)?;
        let mut layout = Layout::of(&bytes);
        let (header, recording) = read_header(&bytes, &mut layout)?;
        let trailer: Option<Trailer> = layout.trailer_offset.and_then(|offset| {
            let block = Block::of_kind(&bytes, offset, BlockKind::TRAILER);
            let trailer = block.and_then(|block| parse_json(&block, &unpack_json(&block)?));
            trailer.map_err(|fault| layout.diagnostics.push(fault)).ok()
        });
        let told = trailer.as_ref().and_then(|trailer| trailer.part.clone());
        let part = read_part(&bytes, &mut layout).or(told);
        let symbols = gather_symbols(&bytes, recording, &mut layout);
        check_recording(&mut layout.index, recording, &mut layout.diagnostics);
        Ok(Self {
            header,
            recording,
            trailer,
            part,
            index: layout.index,
            symbols,
            diagnostics: layout.diagnostics.into_list(),
            bytes,
        })
    }

    /// Its number among the files of its recording; 0 when there are no others.
    pub(crate) fn number(&self) -> u32 {
        let part = self.part.as_ref();
        part.and_then(|part| part.number).unwrap_or(0)
    }

    /// Decodes a chunk, which the index or a scan has found.
    pub(crate) fn read_chunk(&self, info: ChunkInfo) -> Result<Chunk, ReadError> {
        let block = Block::of_kind(&self.bytes, info.offset, BlockKind::CHUNK)?;
        Ok(decode_chunk(&block, info, &self.header.schema)?)
    }

    /// The payload of a chunk's block, which has the right checksum.
    pub(crate) fn chunk_payload(&self, info: ChunkInfo) -> Result<&[u8], ReadError> {
        Ok(Block::of_kind(&self.bytes, info.offset, BlockKind::CHUNK)?.payload)
    }
}

/// Where the parts of a file are.
struct Layout {
    index: Index,
    part_offset: Option<u64>,
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
        // Every chunk says itself of which recording it is; here it is taken to be of this one.
        let recording = read_identity(bytes, end)?;
        let index = index::read(&block, recording).ok()?;
        Some(Self {
            index,
            part_offset: second_block(bytes)
                .filter(|(_, kind)| *kind == BlockKind::PART)
                .map(|(offset, _)| offset),
            trailer_offset: Some(end.trailer_offset),
            header_copy_offset: Some(end.header_copy_offset),
            diagnostics: Diagnostics::default(),
        })
    }

    fn from_scan(bytes: &[u8]) -> Self {
        let Scan {
            index,
            part_offset,
            trailer_offset,
            header_copy_offset,
            diagnostics,
            ..
        } = Scan::of(bytes);
        Self {
            index,
            part_offset,
            trailer_offset,
            header_copy_offset,
            diagnostics,
        }
    }
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
    let found = ChunkInfo {
        file: info.file,
        ..head.info(info.offset, length)
    };
    if found != info {
        return Err(invalid(Fault::Index));
    }
    let compressed = &block.payload[CHUNK_HEAD_BYTES..];
    let data = decompress(compressed, head.column_bytes, COLUMN_BYTES_MAX).map_err(invalid)?;
    decode::decode(info, data, schema).map_err(|fault| invalid(fault.into()))
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

pub(crate) fn read_header_copy(bytes: &[u8], offset: u64) -> Result<(Header, u32), Diagnostic> {
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
    for offset in &layout.index.symbol_offsets {
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
fn check_recording(index: &mut Index, recording: u32, diagnostics: &mut Diagnostics) {
    index.retain(|chunk| {
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

/// Place and kind of the block behind the header.
fn second_block(bytes: &[u8]) -> Option<(u64, BlockKind)> {
    let head = BlockHeader::decode(bytes.get(PREAMBLE_BYTES..)?)?;
    let offset = PREAMBLE_BYTES as u64 + head.block_bytes();
    let second = bytes.get(usize::try_from(offset).ok()?..)?;
    Some((offset, BlockHeader::decode(second)?.kind))
}

/// Reads what of its recording the file holds.
fn read_part(bytes: &[u8], layout: &mut Layout) -> Option<Piece> {
    let block = Block::of_kind(bytes, layout.part_offset?, BlockKind::PART);
    let part = block.and_then(|block| parse_json(&block, &unpack_json(&block)?));
    part.map_err(|fault| layout.diagnostics.push(fault)).ok()
}

/// Identity of the recording, by the header or its copy.
fn read_identity(bytes: &[u8], end: End) -> Option<u32> {
    let head = Block::of_kind(bytes, PREAMBLE_BYTES as u64, BlockKind::HEADER);
    let copy = || Block::of_kind(bytes, end.header_copy_offset, BlockKind::HEADER_COPY);
    let block = head.or_else(|_| copy()).ok()?;
    Some(crc32fast::hash(&unpack_json(&block).ok()?))
}
