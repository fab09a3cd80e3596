//! Names in a program: its symbol table, that for linking at run time with its versions, and functions without a name.

use std::collections::HashSet;

use goblin::elf::sym::{STB_LOCAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_OBJECT, Sym};
use goblin::elf::{Elf, symver::VERSYM_VERSION};

use crate::LinkAddr;
use crate::symbols::SymbolTableBuilder;

/// In a version: not the one that is taken where none is asked for.
const HIDDEN: u16 = !VERSYM_VERSION;

/// Collects them; `functions` are first and last address of each function that tables for unwinding tell of.
pub(super) fn read(elf: &Elf<'_>, functions: &[(u64, u64)]) -> SymbolTableBuilder {
    let mut names = Names::default();
    for symbol in &elf.syms {
        // `nm` shows versions in the name: `memcpy@@GLIBC_2.14`, the default, and `memcpy@GLIBC_2.2.5`.
        if let Some(name) = elf.strtab.get_at(symbol.st_name) {
            match name.split_once("@@") {
                Some((bare, version)) => {
                    names.add(elf, &symbol, bare);
                    names.add(elf, &symbol, &format!("{bare}@{version}"));
                }
                None => names.add(elf, &symbol, name),
            }
        }
    }
    for (index, symbol) in elf.dynsyms.iter().enumerate() {
        let Some(name) = elf.dynstrtab.get_at(symbol.st_name) else {
            continue;
        };
        let version = version(elf, index);
        if version.as_ref().is_none_or(|(_, is_default)| *is_default) {
            names.add(elf, &symbol, name);
        }
        if let Some((version, _)) = version {
            names.add(elf, &symbol, &format!("{name}@{version}"));
        }
    }
    for (start, end) in functions {
        if !names.addrs.contains(start) {
            let name = format!("{start:#x}");
            names.out.push(LinkAddr(*start), end - start, 't', &name);
        }
    }
    names.out
}

#[derive(Default)]
struct Names {
    out: SymbolTableBuilder,
    seen: HashSet<(u64, String)>,
    addrs: HashSet<u64>,
}

impl Names {
    fn add(&mut self, elf: &Elf<'_>, symbol: &Sym, name: &str) {
        if symbol.is_import() || symbol.st_value == 0 || name.is_empty() {
            return;
        }
        let Some(kind) = letter(elf, symbol) else {
            return;
        };
        if self.seen.insert((symbol.st_value, name.to_owned())) {
            let addr = LinkAddr(symbol.st_value);
            self.out.push(addr, symbol.st_size, kind, name);
            if matches!(kind, 't' | 'T' | 'W') {
                self.addrs.insert(symbol.st_value);
            }
        }
    }
}

/// As `nm` has it; `None` for what is neither code nor data.
fn letter(elf: &Elf<'_>, symbol: &Sym) -> Option<char> {
    let is_code = |symbol: &Sym| {
        let section = elf.section_headers.get(symbol.st_shndx);
        section.is_some_and(|section| section.is_executable())
    };
    let lower = match symbol.st_type() {
        STT_GNU_IFUNC => return Some('i'),
        STT_FUNC => 't',
        STT_NOTYPE if is_code(symbol) => 't',
        STT_OBJECT => 'd',
        _ => return None,
    };
    Some(match (symbol.st_bind(), lower) {
        (STB_LOCAL, lower) => lower,
        (STB_WEAK, 't') => 'W',
        (STB_WEAK, _) => 'V',
        (_, lower) => lower.to_ascii_uppercase(),
    })
}

/// The version of a symbol for linking at run time, and whether it is the one that is taken where none is asked for.
fn version(elf: &Elf<'_>, index: usize) -> Option<(String, bool)> {
    let entry = elf.versym.as_ref()?.get_at(index)?;
    // 0 is local, 1 global: neither has a name.
    if entry.is_local() || entry.is_global() {
        return None;
    }
    let defined = elf.verdef.as_ref()?.iter();
    let found = defined
        .filter(|version| version.vd_ndx == entry.version())
        .find_map(|version| version.iter().next())?;
    let name = elf.dynstrtab.get_at(found.vda_name)?;
    Some((name.to_owned(), entry.vs_val & HIDDEN == 0))
}
