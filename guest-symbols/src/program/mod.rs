//! A program or library of the guest's user space: its code as the guest maps it, symbols and debug information.
//!
//! Addresses are those of the file, as `nm` prints them. The guest's kernel maps whole pages of the file
//! (`fs/binfmt_elf.c`, `elf_map`, all versions): what of a page is behind a segment's end is there too, and zeros behind
//! the end of the file. That is what a page of code is recognised by.

mod error;
mod symbols;
mod unwind;

use std::ops::Range;
use std::sync::Arc;

use goblin::elf::Elf;
use goblin::elf::dynamic::{DF_TEXTREL, DT_FLAGS, DT_TEXTREL};
use goblin::elf::header::{ELFCLASS64, EM_X86_64, ET_DYN, ET_EXEC};
use goblin::elf::program_header::{PF_X, PT_LOAD};

pub use error::ProgramError;

use crate::bytes::slice;
use crate::dwarf::DebugSections;
use crate::elf::Sections;
use crate::symbols::SymbolTable;
use crate::{ImageBytes, LinkAddr};

/// Pages of x86.
pub const PAGE_BYTES: usize = 4096;
/// User space ends below that, with four levels of page tables; what is linked above it is no program.
const USER_END: u64 = 1 << 47;

/// A program or library.
#[derive(Debug)]
pub struct Program {
    file: ImageBytes,
    segments: Vec<Segment>,
    /// Trampolines to functions of other files.
    linkage: Vec<Range<u64>>,
    symbols: SymbolTable,
    debug: Option<Arc<DebugSections>>,
}

/// A part of the file that is mapped to be executed.
#[derive(Clone, Debug)]
struct Segment {
    addrs: Range<u64>,
    /// Offset in the file of the first byte.
    offset: u64,
}

impl Program {
    /// Reads a program or library.
    ///
    /// # Errors
    /// When it is no program for x86-64, or its code cannot be recognised in the guest.
    pub fn read(file: ImageBytes) -> Result<Self, ProgramError> {
        let bytes = file.as_slice();
        let elf = parse(bytes)?;
        let segments: Vec<Segment> = elf
            .program_headers
            .iter()
            .filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_X != 0)
            .filter(|header| header.p_filesz > 0)
            .filter_map(|header| {
                let end = header.p_vaddr.checked_add(header.p_filesz)?;
                (end <= USER_END).then_some(Segment {
                    addrs: header.p_vaddr..end,
                    offset: header.p_offset,
                })
            })
            .collect();
        let sections = Sections::of_program(bytes);
        let has_code = |segment: &Segment| !segment.is_empty_in(bytes);
        if !segments.iter().any(has_code)
            || sections.as_ref().is_some_and(Sections::is_stripped_of_code)
        {
            return Err(ProgramError::NoCode);
        }
        if has_text_relocations(&elf) {
            return Err(ProgramError::TextRelocations);
        }
        let functions = unwind::functions(bytes, &elf);
        let areas = areas(&elf, &segments);
        let symbols = symbols::read(&elf, &functions).finish(areas);
        let linkage = elf.section_headers.iter().filter(|section| {
            let name = elf.shdr_strtab.get_at(section.sh_name);
            name.is_some_and(|name| name.starts_with(".plt") || name == ".iplt")
        });
        let linkage = linkage
            .map(|section| section.sh_addr..section.sh_addr.saturating_add(section.sh_size))
            .collect();
        let debug = sections.and_then(|sections| DebugSections::open(&file, &sections));
        Ok(Self {
            segments,
            linkage,
            symbols,
            debug: debug.map(Arc::new),
            file,
        })
    }

    /// Its symbols. Functions of versions that are not the default one are called `NAME@VERSION`, those that only tables
    /// for unwinding tell of by their address.
    #[must_use]
    pub fn symbols(&self) -> &SymbolTable {
        &self.symbols
    }

    /// Whether it has debug information.
    #[must_use]
    pub fn has_debug(&self) -> bool {
        self.debug.is_some()
    }

    /// Whether an address is that of a trampoline to a function of another file.
    #[must_use]
    pub fn is_linkage(&self, addr: LinkAddr) -> bool {
        self.linkage.iter().any(|range| range.contains(&addr.0))
    }

    /// Code at an address; `None` outside of it.
    #[must_use]
    pub fn code(&self, addr: LinkAddr, len: usize) -> Option<&[u8]> {
        let segment = self.segment(addr)?;
        let left = usize::try_from(segment.addrs.end - addr.0).ok()?;
        let at = usize::try_from(segment.offset.checked_add(addr.0 - segment.addrs.start)?).ok()?;
        slice(self.file.as_slice(), at, len).filter(|_| len <= left)
    }

    /// The page that the guest has at the page of an address, whatever of it is code.
    #[must_use]
    pub fn page(&self, addr: LinkAddr) -> Option<[u8; PAGE_BYTES]> {
        let segment = self.segment(addr)?;
        let offset = segment.offset.checked_add(addr.0 - segment.addrs.start)?;
        let in_page = addr.0 % PAGE_BYTES as u64;
        // The kernel maps the page of the file; another one would be refused by it.
        if offset % PAGE_BYTES as u64 != in_page {
            return None;
        }
        let start = usize::try_from(offset - in_page).ok()?;
        let rest = self.file.as_slice().get(start..)?;
        let mut page = [0; PAGE_BYTES];
        let len = rest.len().min(PAGE_BYTES);
        page.get_mut(..len)?.copy_from_slice(rest.get(..len)?);
        Some(page)
    }

    pub(crate) fn debug(&self) -> Option<&Arc<DebugSections>> {
        self.debug.as_ref()
    }

    fn segment(&self, addr: LinkAddr) -> Option<&Segment> {
        self.segments
            .iter()
            .find(|segment| segment.addrs.contains(&addr.0))
    }
}

impl Segment {
    fn is_empty_in(&self, file: &[u8]) -> bool {
        usize::try_from(self.offset).map_or(true, |offset| offset >= file.len())
    }
}

fn parse(bytes: &[u8]) -> Result<Elf<'_>, ProgramError> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err(ProgramError::NotElf);
    }
    let header = Elf::parse_header(bytes).map_err(|source| ProgramError::Elf { source })?;
    let is_little_64 = bytes.get(4..6) == Some(&[ELFCLASS64, 1]);
    if !is_little_64 || header.e_machine != EM_X86_64 {
        return Err(ProgramError::OtherMachine);
    }
    if !matches!(header.e_type, ET_EXEC | ET_DYN) {
        return Err(ProgramError::NotLinked);
    }
    Elf::parse(bytes).map_err(|source| ProgramError::Elf { source })
}

fn has_text_relocations(elf: &Elf<'_>) -> bool {
    let Some(dynamic) = &elf.dynamic else {
        return false;
    };
    dynamic.dyns.iter().any(|entry| {
        entry.d_tag == DT_TEXTREL || entry.d_tag == DT_FLAGS && entry.d_val & DF_TEXTREL != 0
    })
}

/// Where code is: sections, or the segments of a file that has none.
fn areas(elf: &Elf<'_>, segments: &[Segment]) -> Vec<(LinkAddr, LinkAddr)> {
    let sections = elf
        .section_headers
        .iter()
        .filter(|section| section.is_alloc() && section.sh_size > 0)
        .map(|section| {
            (
                section.sh_addr,
                section.sh_addr.saturating_add(section.sh_size),
            )
        });
    let mut areas: Vec<_> = sections
        .map(|(start, end)| (LinkAddr(start), LinkAddr(end)))
        .collect();
    if areas.is_empty() {
        let of_segment = |segment: &Segment| {
            let Range { start, end } = segment.addrs;
            (LinkAddr(start), LinkAddr(end))
        };
        areas = segments.iter().map(of_segment).collect();
    }
    areas
}
