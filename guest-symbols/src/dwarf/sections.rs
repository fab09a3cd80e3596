//! The sections of DWARF and its units.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use gimli::{Abbreviations, DebugInfoOffset, EndianSlice, LittleEndian, SectionId, UnitHeader};

use crate::ImageBytes;
use crate::bytes::{u32_at, u64_at};
use crate::elf::Sections;

pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;
pub(super) type Unit<'a> = gimli::Unit<Slice<'a>>;
pub(super) type Entry<'a, 'u> = gimli::DebuggingInformationEntry<'u, 'u, Slice<'a>>;

/// More than any debug section unpacks to.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

/// The debug sections of a vmlinux.
#[derive(Debug)]
pub(crate) struct DebugSections {
    file: ImageBytes,
    sections: Vec<(SectionId, Content)>,
    unwinding_addr: u64,
    units: Vec<UnitPlace>,
}

#[derive(Debug)]
enum Content {
    InFile(Range<usize>),
    /// Packed in the file (`CONFIG_DEBUG_INFO_COMPRESSED_*`).
    Unpacked(Vec<u8>),
}

#[derive(Debug)]
struct UnitPlace {
    offset: usize,
    /// Kept, as parsing them costs more than reading an entry.
    abbreviations: OnceLock<Arc<Abbreviations>>,
}

impl DebugSections {
    /// Finds the sections; `None` without `.debug_info`.
    pub(crate) fn open(file: &ImageBytes, sections: &Sections) -> Option<Self> {
        const READ: [SectionId; 14] = [
            SectionId::DebugInfo,
            SectionId::DebugAbbrev,
            SectionId::DebugStr,
            SectionId::DebugLineStr,
            SectionId::DebugLine,
            SectionId::DebugStrOffsets,
            SectionId::DebugAddr,
            SectionId::DebugAranges,
            SectionId::DebugRanges,
            SectionId::DebugRngLists,
            SectionId::DebugLoc,
            SectionId::DebugLocLists,
            SectionId::DebugFrame,
            SectionId::EhFrame,
        ];
        let content = |id: SectionId| {
            let section = sections.named(id.name())?;
            if !section.is_compressed {
                return Some((id, Content::InFile(section.file.clone())));
            }
            Some((
                id,
                Content::Unpacked(unpack(file.as_slice().get(section.file.clone())?)?),
            ))
        };
        let found: Vec<_> = READ.into_iter().filter_map(content).collect();
        let mut out = Self {
            file: file.clone(),
            sections: found,
            unwinding_addr: sections
                .named(SectionId::EhFrame.name())
                .map_or(0, |section| section.addr.0),
            units: Vec::new(),
        };
        out.units = out.find_units();
        (!out.units.is_empty()).then_some(out)
    }

    /// Where `.eh_frame` is linked, from which it counts.
    pub(super) fn unwinding_addr(&self) -> u64 {
        self.unwinding_addr
    }

    pub(super) fn section(&self, id: SectionId) -> &[u8] {
        match self.sections.iter().find(|(it, _)| *it == id) {
            Some((_, Content::InFile(range))) => {
                self.file.as_slice().get(range.clone()).unwrap_or_default()
            }
            Some((_, Content::Unpacked(bytes))) => bytes,
            None => &[],
        }
    }

    /// A reader over the sections; cheap.
    pub(super) fn dwarf(&self) -> Dwarf<'_> {
        let load = |id| {
            Ok::<_, std::convert::Infallible>(EndianSlice::new(self.section(id), LittleEndian))
        };
        match gimli::Dwarf::load(load) {
            Ok(dwarf) => dwarf,
        }
    }

    /// Headers alone; a malformed one ends the list.
    fn find_units(&self) -> Vec<UnitPlace> {
        let mut headers = self.dwarf().units();
        let mut out = Vec::new();
        while let Ok(Some(header)) = headers.next() {
            if let Some(offset) = header.offset().as_debug_info_offset() {
                out.push(UnitPlace {
                    offset: offset.0,
                    abbreviations: OnceLock::new(),
                });
            }
        }
        out
    }

    pub(super) fn unit_count(&self) -> usize {
        self.units.len()
    }

    /// The number of the unit that an offset in `.debug_info` lies in.
    pub(super) fn unit_of(&self, offset: usize) -> Option<usize> {
        self.units
            .partition_point(|unit| unit.offset <= offset)
            .checked_sub(1)
    }

    /// Opens a unit by its number.
    pub(super) fn unit<'a>(&'a self, dwarf: &Dwarf<'a>, number: usize) -> Option<Unit<'a>> {
        let place = self.units.get(number)?;
        let header: UnitHeader<_> = dwarf
            .debug_info
            .header_from_offset(DebugInfoOffset(place.offset))
            .ok()?;
        let abbreviations = match place.abbreviations.get() {
            Some(known) => known.clone(),
            None => {
                let read = Arc::new(header.abbreviations(&dwarf.debug_abbrev).ok()?);
                place.abbreviations.get_or_init(|| read).clone()
            }
        };
        Unit::new_with_abbreviations(dwarf, header, abbreviations).ok()
    }
}

/// Unpacks a section with an ELF compression header.
fn unpack(section: &[u8]) -> Option<Vec<u8>> {
    const ZLIB: u32 = 1;
    const ZSTD: u32 = 2;
    const HEADER_BYTES: usize = 24;
    let bytes = u64_at(section, 8).filter(|bytes| *bytes <= UNPACKED_BYTES_MAX)?;
    let packed = section.get(HEADER_BYTES..)?;
    let mut out = Vec::new();
    match u32_at(section, 0)? {
        ZLIB => flate2::read::ZlibDecoder::new(packed)
            .take(bytes)
            .read_to_end(&mut out)
            .ok()?,
        ZSTD => zstd::stream::read::Decoder::new(packed)
            .ok()?
            .take(bytes)
            .read_to_end(&mut out)
            .ok()?,
        _ => return None,
    };
    Some(out)
}

/// A string attribute; empty when it is malformed.
pub(super) fn text<'a>(
    dwarf: &Dwarf<'a>,
    unit: &Unit<'a>,
    value: gimli::AttributeValue<Slice<'a>>,
) -> &'a [u8] {
    dwarf
        .attr_string(unit, value)
        .map_or(&[], |text| text.slice())
}

/// Text of C source, which is UTF-8 in the kernel.
pub(super) fn owned(text: &[u8]) -> String {
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}
