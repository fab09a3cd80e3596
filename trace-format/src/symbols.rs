//! Blocks of symbols: names of kernel addresses, each written before the first chunk that has the address.
//!
//! So a recording that is cut has the names of all addresses that it has. A payload is the recording's identity, the
//! kernel's slide, and packed: for each symbol, by ascending address,
//! the varint of its distance from the one before, the length of its name as a varint, and the name.

use crate::block::{u32_at, u64_at};
use crate::diagnostic::Fault;
use crate::packed::{pack, unpack};
use crate::varint;
use crate::write_error::WriteError;

/// Longest content of a block before compression.
pub(crate) const SYMBOL_BYTES_MAX: usize = 16 << 20;
/// Longest names of all blocks of a file together: a small file may unpack to much.
const NAMES_BYTES_MAX: usize = SYMBOL_BYTES_MAX;
/// Bytes before the packed symbols.
const HEAD_BYTES: usize = 12;

/// Symbols of the kernel addresses that occur in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolTable {
    /// Run-time less link addresses of the kernel; `None` when there is no symbol.
    pub kernel_slide: Option<u64>,
    /// Link address and name of each, by ascending address.
    pub symbols: Vec<(u64, String)>,
}

impl SymbolTable {
    /// Adds the symbols of another file of the recording.
    pub(crate) fn add(&mut self, mut other: Self) -> Result<(), Fault> {
        self.kernel_slide = self.kernel_slide.or(other.kernel_slide);
        self.symbols.append(&mut other.symbols);
        self.symbols.sort();
        self.symbols.dedup();
        let bytes: usize = self.symbols.iter().map(|(_, name)| name.len() + 2).sum();
        if bytes <= NAMES_BYTES_MAX {
            return Ok(());
        }
        self.symbols.clear();
        let (bytes, max) = (bytes as u64, NAMES_BYTES_MAX as u64);
        Err(Fault::TooLarge { bytes, max })
    }
}

/// Appends the payload of a block; the symbols ascend.
pub(crate) fn encode(
    recording: u32,
    slide: u64,
    symbols: &[(u64, String)],
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    out.extend_from_slice(&recording.to_le_bytes());
    out.extend_from_slice(&slide.to_le_bytes());
    let (mut content, mut before) = (Vec::new(), 0u64);
    for (address, name) in symbols {
        varint::push(&mut content, address.wrapping_sub(before));
        varint::push(&mut content, name.len() as u64);
        content.extend_from_slice(name.as_bytes());
        before = *address;
    }
    pack("symbols", &content, SYMBOL_BYTES_MAX, out)
}

/// Gathers the blocks of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    table: SymbolTable,
    bytes: usize,
}

impl Gathered {
    /// Adds the symbols of a block.
    pub(crate) fn add(&mut self, payload: &[u8], recording: u32) -> Result<(), Fault> {
        if u32_at(payload, 0).ok_or(Fault::Numbers)? != recording {
            return Err(Fault::Foreign);
        }
        let slide = u64_at(payload, 4).ok_or(Fault::Numbers)?;
        let content = unpack(&payload[HEAD_BYTES..], SYMBOL_BYTES_MAX)?;
        self.bytes += content.len();
        if self.bytes > NAMES_BYTES_MAX {
            let (bytes, max) = (self.bytes as u64, NAMES_BYTES_MAX as u64);
            return Err(Fault::TooLarge { bytes, max });
        }
        self.table
            .symbols
            .append(&mut decode(&content).ok_or(Fault::Numbers)?);
        self.table.kernel_slide = Some(slide);
        Ok(())
    }

    /// All symbols, by ascending address.
    pub(crate) fn finish(mut self) -> SymbolTable {
        self.table.symbols.sort();
        self.table.symbols.dedup();
        self.table
    }
}

fn decode(mut content: &[u8]) -> Option<Vec<(u64, String)>> {
    let (mut symbols, mut address) = (Vec::new(), 0u64);
    while !content.is_empty() {
        address = address.wrapping_add(varint::take(&mut content)?);
        let length = usize::try_from(varint::take(&mut content)?).ok()?;
        let (name, rest) = content.split_at_checked(length)?;
        content = rest;
        symbols.push((address, String::from_utf8_lossy(name).into_owned()));
    }
    Some(symbols)
}
