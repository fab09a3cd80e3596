//! A module linked at an address: its sections with all relocations applied.

use std::ops::Range;
use std::sync::Arc;

use goblin::elf::section_header::{SHN_ABS, SHN_UNDEF, SHT_RELA};
use goblin::elf::sym::{STB_LOCAL, STT_FILE, STT_SECTION, Symtab};

use super::ModuleFile;
use super::anchors::{Anchor, Placed, Reference, anchor};
use super::relocate::{apply, relocations};
use crate::bytes::{index, text_at};
use crate::elf::Section;
use crate::symbols::{SymbolTable, SymbolTableBuilder};
use crate::symtab::{CONTEXT, SYMBOL_BYTES, letter};
use crate::{LinkAddr, SymbolError};

/// Far more than the largest module has.
const MODULE_BYTES_MAX: u64 = 64 << 20;
const PAGE_BYTES: u64 = 4096;
/// Room for each object of another module: more than a `struct tracepoint` has.
const FOREIGN_BYTES: u64 = 256;
/// It has a copy for each CPU, at addresses that no symbol tells.
const PER_CPU: &str = ".data..percpu";

/// A section as it is in memory.
#[derive(Clone, Debug)]
pub struct LinkedSection {
    /// Its name.
    pub name: String,
    /// Where it is linked.
    pub addr: LinkAddr,
    /// Its size.
    pub bytes: u64,
    /// Its contents, relocated; empty for `.bss`.
    pub contents: Vec<u8>,
    /// Whether it holds code.
    pub is_code: bool,
    /// Offsets that were relocated: what is there differs in the running kernel.
    pub relocated: Vec<Range<u64>>,
    /// What tells where the guest has it.
    pub anchors: Vec<Anchor>,
}

impl LinkedSection {
    fn end(&self) -> LinkAddr {
        LinkAddr(self.addr.0.saturating_add(self.bytes))
    }
}

/// A module linked at an address.
#[derive(Clone, Debug)]
pub struct LinkedModule {
    name: String,
    build_id: String,
    /// By address.
    sections: Vec<LinkedSection>,
    end: LinkAddr,
}

impl LinkedModule {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// GNU build id in hex.
    #[must_use]
    pub fn build_id(&self) -> &str {
        &self.build_id
    }

    /// Its sections by address.
    #[must_use]
    pub fn sections(&self) -> &[LinkedSection] {
        &self.sections
    }

    /// First address behind it, a multiple of the page size.
    #[must_use]
    pub fn end(&self) -> LinkAddr {
        self.end
    }

    /// Whether an address is this module's.
    #[must_use]
    pub fn holds(&self, addr: LinkAddr) -> bool {
        self.section_at(addr).is_some()
    }

    pub(crate) fn section(&self, name: &str) -> Option<&LinkedSection> {
        self.sections.iter().find(|section| section.name == name)
    }

    fn section_at(&self, addr: LinkAddr) -> Option<&LinkedSection> {
        let after = self
            .sections
            .partition_point(|section| section.addr <= addr);
        let section = self.sections.get(after.checked_sub(1)?)?;
        (addr < section.end()).then_some(section)
    }

    /// The bytes from an address to the end of its section.
    pub(crate) fn rest(&self, addr: LinkAddr) -> Option<&[u8]> {
        let section = self.section_at(addr)?;
        let at = usize::try_from(addr.0 - section.addr.0).ok()?;
        section.contents.get(at..)
    }
}

impl ModuleFile {
    /// Links the module at `at`. Names that it does not define are looked up in `kernel`.
    ///
    /// What neither has is another module's: it gets an address behind this module, where nothing is.
    pub(crate) fn link(
        &self,
        at: LinkAddr,
        kernel: Arc<SymbolTable>,
    ) -> Result<(LinkedModule, SymbolTable), SymbolError> {
        let mut linker = Linker::new(self, at)?;
        linker.place_symbols(&kernel);
        linker.relocate();
        let areas = linker
            .linked
            .iter()
            .map(|section| (section.addr, section.end()));
        let areas = areas.collect();
        let module = LinkedModule {
            name: self.name().to_owned(),
            build_id: self.build_id().to_owned(),
            sections: linker.linked,
            end: LinkAddr(linker.end.next_multiple_of(PAGE_BYTES)),
        };
        Ok((module, linker.symbols.finish_on(kernel, areas)))
    }
}

struct Linker<'a> {
    file: &'a ModuleFile,
    linked: Vec<LinkedSection>,
    /// Index into `linked`, by index of the file's sections.
    places: Vec<Option<usize>>,
    /// Address, section and offset of each symbol of the file, by its index.
    targets: Vec<(u64, Option<(usize, u64)>)>,
    placed: Vec<Placed<'a>>,
    symbols: SymbolTableBuilder,
    end: u64,
}

impl<'a> Linker<'a> {
    /// Gives every section that is loaded an address, in the order of the file.
    fn new(file: &'a ModuleFile, at: LinkAddr) -> Result<Self, SymbolError> {
        let mut linked = Vec::new();
        let mut places = vec![None; file.sections.len()];
        let mut end = at.0;
        let loaded =
            |section: &Section| section.is_loaded && section.bytes > 0 && section.name != PER_CPU;
        for (section, place) in file.sections.iter().zip(&mut places) {
            if !loaded(section) {
                continue;
            }
            let align = section.align.clamp(16, PAGE_BYTES).next_power_of_two();
            let addr = end.next_multiple_of(align);
            end = addr.saturating_add(section.bytes);
            if end - at.0 > MODULE_BYTES_MAX {
                return Err(SymbolError::ModuleTooLarge {
                    bytes: end - at.0,
                    max: MODULE_BYTES_MAX,
                });
            }
            let contents = file.bytes.as_slice().get(section.file.clone());
            *place = Some(linked.len());
            linked.push(LinkedSection {
                name: section.name.clone(),
                addr: LinkAddr(addr),
                bytes: section.bytes,
                contents: contents.unwrap_or_default().to_vec(),
                is_code: section.is_code,
                relocated: Vec::new(),
                anchors: Vec::new(),
            });
        }
        Ok(Self {
            file,
            linked,
            places,
            targets: Vec::new(),
            placed: Vec::new(),
            symbols: SymbolTableBuilder::default(),
            end,
        })
    }

    fn linked_section(&self, section: usize) -> Option<usize> {
        self.places.get(section).copied().flatten()
    }

    fn place_symbols(&mut self, kernel: &SymbolTable) {
        let file = self.file;
        let bytes = file.bytes.as_slice();
        let Some(table) = file.symbol_table() else {
            return;
        };
        let strings = file.sections.get(index(table.link));
        let strings = strings.and_then(|strings| bytes.get(strings.file.clone()));
        let strings = strings.unwrap_or_default();
        let count = table.file.len() / SYMBOL_BYTES;
        let Ok(symbols) = Symtab::parse(bytes, table.file.start, count, CONTEXT) else {
            return;
        };
        for symbol in symbols.iter() {
            let name = text_at(strings, symbol.st_name).unwrap_or_default();
            let section = self.linked_section(symbol.st_shndx);
            let target = match section.and_then(|at| Some((at, self.linked.get(at)?.addr))) {
                Some((at, base)) => (
                    base.0.wrapping_add(symbol.st_value),
                    Some((at, symbol.st_value)),
                ),
                None if symbol.st_shndx == SHN_UNDEF as usize => (self.foreign(name, kernel), None),
                None if symbol.st_shndx == SHN_ABS as usize => (symbol.st_value, None),
                None => (0, None),
            };
            self.targets.push(target);
            let is_name = !matches!(symbol.st_type(), STT_FILE | STT_SECTION) && !name.is_empty();
            if let (true, (addr, Some((section, offset)))) = (is_name, target) {
                let kind = letter(&symbol, file.sections.get(symbol.st_shndx));
                self.symbols
                    .push(LinkAddr(addr), symbol.st_size, kind, name);
                self.placed.push(Placed {
                    name,
                    section,
                    offset,
                    is_global: symbol.st_bind() != STB_LOCAL,
                });
            }
        }
    }

    /// Address of what the module does not define.
    fn foreign(&mut self, name: &str, kernel: &SymbolTable) -> u64 {
        if name.is_empty() {
            return 0;
        }
        if let Some(addr) = kernel.address(name) {
            return addr.0;
        }
        let addr = self.end.next_multiple_of(FOREIGN_BYTES);
        self.end = addr + FOREIGN_BYTES;
        self.symbols.push(LinkAddr(addr), FOREIGN_BYTES, 'U', name);
        addr
    }

    fn relocate(&mut self) {
        let file = self.file;
        let mut references = Vec::new();
        let tables = file.sections.iter().filter(|table| table.kind == SHT_RELA);
        for table in tables {
            let Some(to) = self.linked_section(index(table.info)) else {
                continue;
            };
            let entries = file.bytes.as_slice().get(table.file.clone());
            for relocation in relocations(entries.unwrap_or_default()) {
                let Some((target, place)) = self.targets.get(relocation.symbol).copied() else {
                    continue;
                };
                let Some(section) = self.linked.get_mut(to) else {
                    continue;
                };
                let (base, offset) = (section.addr.0, relocation.offset);
                apply(&mut section.contents, base, relocation, target);
                if !section.is_code {
                    continue;
                }
                let bytes = u64::from(relocation.kind.bytes);
                section.relocated.push(offset..offset.saturating_add(bytes));
                if let Some((referred, within)) = place {
                    references.push(Reference {
                        from: to,
                        at: offset,
                        bytes: relocation.kind.bytes,
                        is_relative: relocation.kind.is_relative,
                        to: referred,
                        offset: within.cast_signed().wrapping_add(relocation.addend),
                    });
                }
            }
        }
        for section in &mut self.linked {
            section.relocated.sort_unstable_by_key(|range| range.start);
        }
        anchor(&mut self.linked, &self.placed, &references);
    }
}
