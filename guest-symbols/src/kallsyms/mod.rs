//! Symbols from the tables that the kernel carries for itself, found by their shape: a bzImage has no symbol table.
//!
//! Relies on the output of `scripts/kallsyms.c`, 4.20 to the last tested. Each table is aligned in `.rodata`, to 8
//! bytes and since 7.0 to 4; their order and the form of the addresses changed:
//!
//! - to 6.1: offsets, relative_base, num_syms, names, markers, token_table, token_index
//! - 6.2 (and 6.1 stable): the same with seqs_of_names between markers and token_table
//! - 6.4: num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
//! - 7.0: the same without relative_base; an offset counts from its own place
//!
//! Addresses are accepted only after a check of order, range and the place of known names: no addresses are better than
//! wrong ones. Does not read versions or configurations.

mod addresses;
mod names;
mod tokens;

#[cfg(test)]
mod tests;

use crate::elf::Sections;
use crate::error::KallsymsProblem;
use crate::symbols::SymbolTableBuilder;

/// What the tables may be aligned to.
const ALIGNMENTS: [usize; 2] = [8, 4];

/// Reads the kernel's own symbol table.
pub(crate) fn read(
    file: &[u8],
    sections: &Sections,
) -> Result<SymbolTableBuilder, KallsymsProblem> {
    let mut problem = KallsymsProblem::NoTokenTable;
    // Always in .rodata; 5.x and later linkers may put it behind other read-only data, so all loaded sections count.
    for section in sections.loaded().filter(|section| !section.is_code) {
        let Some(bytes) = file.get(section.file.clone()) else {
            continue;
        };
        let mut from = 0;
        while let Some(tokens) = tokens::find(bytes, from) {
            match read_with(&tokens, bytes, section, sections) {
                Ok(table) => return Ok(table),
                Err(found) => problem = found.in_file(section.file.start),
            }
            from = tokens.index_at + 4;
        }
    }
    Err(problem)
}

fn read_with(
    tokens: &tokens::Tokens<'_>,
    bytes: &[u8],
    section: &crate::elf::Section,
    sections: &Sections,
) -> Result<SymbolTableBuilder, KallsymsProblem> {
    let names = names::find(bytes, tokens).ok_or(KallsymsProblem::NoNames {
        token_table: tokens.table_at,
    })?;
    let decoded = names.decode(tokens).ok_or(KallsymsProblem::NoNames {
        token_table: tokens.table_at,
    })?;
    let found = addresses::find(bytes, section, sections, &names, tokens, &decoded);
    let addresses = found.map_err(|closest| KallsymsProblem::NoAddresses {
        symbols: names.count,
        closest,
    })?;
    let mut out = SymbolTableBuilder::default();
    for (addr, (kind, name)) in addresses.into_iter().zip(decoded.iter()) {
        out.push(addr, 0, kind, name);
    }
    Ok(out)
}

impl KallsymsProblem {
    /// Turns a place in a section into one in the file.
    fn in_file(self, section_start: usize) -> Self {
        match self {
            Self::NoNames { token_table } => Self::NoNames {
                token_table: section_start + token_table,
            },
            other => other,
        }
    }
}
