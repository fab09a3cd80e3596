//! Symbols from an ELF symbol table, with the letters that `nm` gives them.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::section_header::{SHN_ABS, SHN_COMMON, SHN_UNDEF, SHT_NOBITS, SHT_SYMTAB};
use goblin::elf::sym::{STB_LOCAL, STB_WEAK, STT_FILE, STT_OBJECT, STT_SECTION, Sym, Symtab};

use crate::LinkAddr;
use crate::bytes::text_at;
use crate::elf::{Section, Sections};
use crate::symbols::SymbolTableBuilder;

pub(crate) const CONTEXT: Ctx = Ctx {
    container: Container::Big,
    le: Endian::Little,
};
pub(crate) const SYMBOL_BYTES: usize = 24;

/// Reads `.symtab`; `None` when there is none or it is empty.
pub(crate) fn read(file: &[u8], sections: &Sections) -> Option<SymbolTableBuilder> {
    let table = sections.of_kind(SHT_SYMTAB)?;
    let strings = sections.get(crate::bytes::index(table.link))?;
    let strings = file.get(strings.file.clone())?;
    let count = table.file.len() / SYMBOL_BYTES;
    let symbols = Symtab::parse(file, table.file.start, count, CONTEXT).ok()?;
    let mut out = SymbolTableBuilder::default();
    let mut kept = 0_usize;
    for symbol in symbols.iter() {
        if symbol.st_shndx == SHN_UNDEF as usize
            || matches!(symbol.st_type(), STT_FILE | STT_SECTION)
        {
            continue;
        }
        let Some(name) = text_at(strings, symbol.st_name).filter(|name| !name.is_empty()) else {
            continue;
        };
        out.push(
            LinkAddr(symbol.st_value),
            symbol.st_size,
            letter(&symbol, sections.get(symbol.st_shndx)),
            name,
        );
        kept += 1;
    }
    (kept > 0).then_some(out)
}

/// The letter of a symbol, by the rules of binutils' `bfd_decode_symclass`.
pub(crate) fn letter(symbol: &Sym, section: Option<&Section>) -> char {
    if symbol.st_bind() == STB_WEAK {
        return if symbol.st_type() == STT_OBJECT {
            'V'
        } else {
            'W'
        };
    }
    let lower = match u32::try_from(symbol.st_shndx) {
        Ok(SHN_ABS) => 'a',
        Ok(SHN_COMMON) => 'c',
        _ => section.map_or('?', section_letter),
    };
    if symbol.st_bind() == STB_LOCAL {
        lower
    } else {
        lower.to_ascii_uppercase()
    }
}

/// By what the section is; since binutils 2.30 its name counts for nothing that a kernel has.
fn section_letter(section: &Section) -> char {
    match section {
        _ if section.is_code => 't',
        _ if section.kind == SHT_NOBITS => 'b',
        _ if !section.is_loaded => 'n',
        _ if section.is_writable => 'd',
        _ => 'r',
    }
}
