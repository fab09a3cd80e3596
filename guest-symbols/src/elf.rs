//! The ELF image of the kernel: its sections, its notes, and the bytes behind a link address.
//!
//! Sections are read one header at a time: goblin's whole-file parse would walk the symbol and relocation tables of a
//! 590 MB vmlinux before anything is asked. Values in the file are final although the kernel relocates itself: x86
//! links with `--emit-relocs`, which leaves each value in place (`arch/x86/Makefile`, 2.6.20 to the last tested).

use std::ops::Range;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{EM_X86_64, ET_DYN, ET_EXEC, ET_REL, Header};
use goblin::elf::section_header::{
    SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_NOTE, SectionHeader,
};

use crate::bytes::{align_up, distance, index, slice, text_at, u32_at};
use crate::image::FileKind;
use crate::{LinkAddr, SymbolError};

const CONTEXT: Ctx = Ctx {
    container: Container::Big,
    le: Endian::Little,
};
/// A vmlinux has about 40 sections, 80 with relocations; with `-ffunction-sections` unmerged it would have this many.
const SECTIONS_MAX: usize = 1 << 16;

/// Where the kernel's half of the address space starts.
const KERNEL_HALF: LinkAddr = LinkAddr(1 << 63);

/// One section, its place in memory and in the file.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) addr: LinkAddr,
    pub(crate) bytes: u64,
    /// Bytes in the file: empty for `.bss`.
    pub(crate) file: Range<usize>,
    pub(crate) is_loaded: bool,
    pub(crate) is_code: bool,
    pub(crate) is_writable: bool,
    pub(crate) is_note: bool,
    pub(crate) is_compressed: bool,
    pub(crate) kind: u32,
    pub(crate) link: u32,
    pub(crate) info: u32,
    pub(crate) align: u64,
}

impl Section {
    pub(crate) fn end(&self) -> LinkAddr {
        LinkAddr(self.addr.0.saturating_add(self.bytes))
    }
}

/// The sections of an ELF file.
#[derive(Clone, Debug)]
pub(crate) struct Sections {
    all: Vec<Section>,
    /// Indexes of the loaded sections with file bytes, by address.
    readable: Vec<usize>,
}

impl Sections {
    /// Reads the section headers.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, SymbolError> {
        let header = header(file, &[ET_EXEC, ET_DYN])?;
        let all = section_headers(file, &header)?;
        let mut readable: Vec<usize> = (0..all.len())
            .filter(|i| {
                all.get(*i)
                    .is_some_and(|s| s.is_loaded && !s.file.is_empty())
            })
            .collect();
        readable.sort_by_key(|i| all.get(*i).map(|s| s.addr));
        let is_kernel = |section: &Section| section.is_loaded && section.addr >= KERNEL_HALF;
        if !all.iter().any(is_kernel) || readable.is_empty() {
            return Err(SymbolError::NotAKernel {
                found: FileKind::ElfProgram,
            });
        }
        Ok(Self { all, readable })
    }

    /// Reads the section headers of an object file, whose sections have no addresses yet.
    pub(crate) fn parse_object(file: &[u8]) -> Result<Vec<Section>, SymbolError> {
        section_headers(file, &header(file, &[ET_REL])?)
    }

    /// Reads the section headers of a program, which may have none.
    pub(crate) fn of_program(file: &[u8]) -> Option<Self> {
        let header = header(file, &[ET_EXEC, ET_DYN]).ok()?;
        let all = section_headers(file, &header).ok()?;
        let readable = Vec::new();
        Some(Self { all, readable })
    }

    /// Whether the code was taken out, as of a file with debug information alone.
    pub(crate) fn is_stripped_of_code(&self) -> bool {
        let mut code = self.all.iter().filter(|it| it.is_loaded && it.is_code);
        code.clone().count() > 0 && code.all(|it| it.kind == SHT_NOBITS)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Section> {
        self.all.iter().find(|section| section.name == name)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Section> {
        self.all.get(index)
    }

    pub(crate) fn of_kind(&self, kind: u32) -> Option<&Section> {
        self.all.iter().find(|section| section.kind == kind)
    }

    /// Sections that are loaded and lie in the file, by address.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = &Section> {
        self.readable.iter().filter_map(|i| self.all.get(*i))
    }

    /// Sections that are in memory when the kernel runs, `.bss` included.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &Section> {
        self.all
            .iter()
            .filter(|section| section.is_loaded && section.bytes > 0)
    }

    /// The file bytes from a link address to the end of its section.
    pub(crate) fn rest<'f>(&self, file: &'f [u8], addr: LinkAddr) -> Option<&'f [u8]> {
        let after = self
            .readable
            .partition_point(|i| self.all.get(*i).is_some_and(|s| s.addr <= addr));
        let section = self.all.get(*self.readable.get(after.checked_sub(1)?)?)?;
        file.get(section.file.clone())?
            .get(distance(section.addr, addr)?..)
    }

    /// The kernel's build id in hex, when it has one.
    pub(crate) fn build_id(&self, file: &[u8]) -> Option<String> {
        let notes = self.all.iter().filter(|section| section.is_note);
        notes
            .filter_map(|section| file.get(section.file.clone()))
            .find_map(build_id_in)
    }
}

fn header(file: &[u8], kinds: &[u16]) -> Result<Header, SymbolError> {
    let header =
        goblin::elf::Elf::parse_header(file).map_err(|e| SymbolError::Elf { source: e })?;
    let is_64_bit_le = file.get(4..6) == Some(&[2, 1]);
    if !is_64_bit_le || header.e_machine != EM_X86_64 || !kinds.contains(&header.e_type) {
        return Err(SymbolError::NotAKernel {
            found: FileKind::of(file),
        });
    }
    Ok(header)
}

fn section_headers(file: &[u8], header: &Header) -> Result<Vec<Section>, SymbolError> {
    let count = usize::from(header.e_shnum).min(SECTIONS_MAX);
    let bytes = count * SectionHeader::size(CONTEXT);
    let offset = usize::try_from(header.e_shoff).unwrap_or(usize::MAX);
    if slice(file, offset, bytes).is_none() {
        return Err(SymbolError::Truncated {
            what: "the section headers",
            start: header.e_shoff,
            end: header.e_shoff.saturating_add(bytes as u64),
            available: file.len() as u64,
        });
    }
    let headers = SectionHeader::parse(file, offset, count, CONTEXT);
    let headers = headers.map_err(|source| SymbolError::Elf { source })?;
    let names = headers
        .get(usize::from(header.e_shstrndx))
        .map(|names| file_range(file, names))
        .unwrap_or_default();
    Ok(headers
        .iter()
        .map(|section| describe(file, section, names.start))
        .collect())
}

fn describe(file: &[u8], section: &SectionHeader, names_at: usize) -> Section {
    let has = |flag: u32| section.sh_flags & u64::from(flag) != 0;
    let name_at = u32::try_from(section.sh_name)
        .map(index)
        .unwrap_or(usize::MAX);
    let name = names_at
        .checked_add(name_at)
        .and_then(|at| text_at(file, at))
        .unwrap_or_default();
    Section {
        name: name.to_owned(),
        addr: LinkAddr(section.sh_addr),
        bytes: section.sh_size,
        file: if section.sh_type == SHT_NOBITS {
            0..0
        } else {
            file_range(file, section)
        },
        is_loaded: has(SHF_ALLOC),
        is_code: has(SHF_EXECINSTR),
        is_writable: has(SHF_WRITE),
        is_compressed: has(SHF_COMPRESSED),
        is_note: section.sh_type == SHT_NOTE,
        kind: section.sh_type,
        link: section.sh_link,
        info: section.sh_info,
        align: section.sh_addralign,
    }
}

/// The section's bytes in the file; as many as there are when the file is cut.
fn file_range(file: &[u8], section: &SectionHeader) -> Range<usize> {
    let start = usize::try_from(section.sh_offset)
        .unwrap_or(usize::MAX)
        .min(file.len());
    let len = usize::try_from(section.sh_size).unwrap_or(usize::MAX);
    start..start.saturating_add(len).min(file.len())
}

/// Walks the notes of one section for `NT_GNU_BUILD_ID`.
pub(crate) fn build_id_in(notes: &[u8]) -> Option<String> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let mut at = 0;
    loop {
        let name_bytes = index(u32_at(notes, at)?);
        let data_bytes = index(u32_at(notes, at + 4)?);
        let kind = u32_at(notes, at + 8)?;
        let data_at = align_up(name_bytes, 4)?.checked_add(at + 12)?;
        let data = slice(notes, data_at, data_bytes)?;
        if kind == NT_GNU_BUILD_ID && slice(notes, at + 12, name_bytes) == Some(b"GNU\0") {
            return Some(data.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        at = align_up(data_bytes, 4)?.checked_add(data_at)?;
    }
}
