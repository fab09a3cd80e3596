//! The symbols of a kernel, by address and by name.
//!
//! Knows nothing of where they came from: `symtab` and `kallsyms` fill it.

use std::sync::Arc;

use crate::LinkAddr;
use crate::bytes::index;

/// One symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Where it lies, as linked.
    pub addr: LinkAddr,
    /// Its length in bytes: as the symbol table states, else the distance to the next other address.
    pub size: u64,
    /// Its name.
    pub name: &'a str,
    /// Its kind, as `nm` prints it.
    pub kind: char,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    addr: LinkAddr,
    size: u64,
    name_at: u32,
    name_bytes: u32,
    kind: char,
}

/// All symbols of a kernel, or those of a module in front of its kernel's.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    /// The kernel's symbols, behind those of a module.
    base: Option<Arc<SymbolTable>>,
    /// By address; symbols of one address keep the order in which they came.
    entries: Vec<Entry>,
    names: String,
    /// Indexes of `entries`, by name and then address.
    by_name: Vec<u32>,
    /// Addresses that the image occupies, by address.
    areas: Vec<(LinkAddr, LinkAddr)>,
}

impl SymbolTable {
    /// The address of the first symbol with that name.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<LinkAddr> {
        self.all(name).next().map(|symbol| symbol.addr)
    }

    /// All symbols with that name, by ascending address: static functions of several files share names.
    ///
    /// A module's own symbols hide those of its kernel.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let (table, found) = match (self.named(name), &self.base) {
            ([], Some(base)) => (&**base, base.named(name)),
            (own, _) => (self, own),
        };
        found
            .iter()
            .filter_map(|i| table.entries.get(index(*i)))
            .map(|entry| table.symbol(entry))
    }

    /// Indexes of the entries with that name.
    fn named(&self, name: &str) -> &[u32] {
        let name_of = |i: &u32| {
            self.entries
                .get(index(*i))
                .map_or("", |entry| self.name(entry))
        };
        let start = self.by_name.partition_point(|i| name_of(i) < name);
        let end = self.by_name.partition_point(|i| name_of(i) <= name);
        self.by_name.get(start..end).unwrap_or_default()
    }

    /// The symbol that an address lies in or behind, and the distance from it.
    ///
    /// Of several symbols at one address a global function wins, as the most telling name. `None` outside the image.
    #[must_use]
    pub fn at(&self, addr: LinkAddr) -> Option<(Symbol<'_>, u64)> {
        let in_base = || self.base.as_ref().and_then(|base| base.own_at(addr));
        self.own_at(addr).or_else(in_base)
    }

    fn own_at(&self, addr: LinkAddr) -> Option<(Symbol<'_>, u64)> {
        let area = self
            .areas
            .partition_point(|(start, _)| *start <= addr)
            .checked_sub(1)?;
        let (area_start, area_end) = *self.areas.get(area)?;
        let last = self
            .entries
            .partition_point(|entry| entry.addr <= addr)
            .checked_sub(1)?;
        let base = self.entries.get(last)?.addr;
        if addr >= area_end || base < area_start {
            return None;
        }
        let first = self.entries.partition_point(|entry| entry.addr < base);
        let candidates = self.entries.get(first..=last)?;
        let best = candidates.iter().min_by_key(|entry| rank(entry.kind))?;
        Some((self.symbol(best), addr.0 - base.0))
    }

    /// All symbols that start at that address.
    pub fn exactly_at(&self, addr: LinkAddr) -> impl Iterator<Item = Symbol<'_>> {
        let in_base = self
            .base
            .iter()
            .flat_map(move |base| base.own_exactly_at(addr));
        self.own_exactly_at(addr).chain(in_base)
    }

    fn own_exactly_at(&self, addr: LinkAddr) -> impl Iterator<Item = Symbol<'_>> {
        let first = self.entries.partition_point(|entry| entry.addr < addr);
        let rest = self.entries.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(move |entry| entry.addr == addr)
            .map(|entry| self.symbol(entry))
    }

    /// All symbols by ascending address; of a module's symbols its own alone, as [`SymbolTable::len`] counts them.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.entries.iter().map(|entry| self.symbol(entry))
    }

    /// Number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Says whether there is no symbol at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn name(&self, entry: &Entry) -> &str {
        let start = index(entry.name_at);
        self.names
            .get(start..start + index(entry.name_bytes))
            .unwrap_or_default()
    }

    fn symbol(&self, entry: &Entry) -> Symbol<'_> {
        Symbol {
            addr: entry.addr,
            size: entry.size,
            name: self.name(entry),
            kind: entry.kind,
        }
    }
}

/// How telling a symbol of that kind is as the name of an address; lower is better.
fn rank(kind: char) -> u8 {
    match kind {
        'T' => 0,
        't' | 'W' => 1,
        'D' | 'R' | 'B' => 2,
        'd' | 'r' | 'b' | 'V' => 3,
        _ => 4,
    }
}

/// Collects symbols for a [`SymbolTable`].
#[derive(Debug, Default)]
pub(crate) struct SymbolTableBuilder {
    table: SymbolTable,
}

impl SymbolTableBuilder {
    /// Adds a symbol; `size` 0 means unknown. One that no longer fits 4 GiB of names is left out.
    pub(crate) fn push(&mut self, addr: LinkAddr, size: u64, kind: char, name: &str) {
        let place = u32::try_from(self.table.names.len())
            .ok()
            .zip(u32::try_from(name.len()).ok());
        let Some((name_at, name_bytes)) = place else {
            return;
        };
        self.table.names.push_str(name);
        self.table.entries.push(Entry {
            addr,
            size,
            name_at,
            name_bytes,
            kind,
        });
    }

    /// As [`SymbolTableBuilder::finish`], in front of the symbols of the kernel.
    pub(crate) fn finish_on(
        self,
        base: Arc<SymbolTable>,
        areas: Vec<(LinkAddr, LinkAddr)>,
    ) -> SymbolTable {
        SymbolTable {
            base: Some(base),
            ..self.finish(areas)
        }
    }

    /// Sorts and indexes; `areas` are the address ranges that the image occupies.
    pub(crate) fn finish(self, mut areas: Vec<(LinkAddr, LinkAddr)>) -> SymbolTable {
        let mut table = self.table;
        table.entries.sort_by_key(|entry| entry.addr);
        areas.sort_unstable();
        table.areas = areas;
        table.fill_sizes();
        let count = u32::try_from(table.entries.len()).unwrap_or(u32::MAX);
        let mut by_name: Vec<u32> = (0..count).collect();
        let name_of = |i: u32| {
            table
                .entries
                .get(index(i))
                .map_or("", |entry| table.name(entry))
        };
        // Stable: symbols of one name stay in the order of their addresses.
        by_name.sort_by(|a, b| name_of(*a).cmp(name_of(*b)));
        table.by_name = by_name;
        table
    }
}

impl SymbolTable {
    /// Gives symbols of unknown size the distance to the next other address, or to the end of their area.
    fn fill_sizes(&mut self) {
        let areas = std::mem::take(&mut self.areas);
        let area_end = |addr: LinkAddr| {
            let area = areas
                .partition_point(|(start, _)| *start <= addr)
                .checked_sub(1)?;
            areas
                .get(area)
                .map(|(_, end)| *end)
                .filter(|end| *end > addr)
        };
        let mut next: Option<LinkAddr> = None;
        let mut current: Option<LinkAddr> = None;
        for entry in self.entries.iter_mut().rev() {
            if current != Some(entry.addr) {
                next = current;
                current = Some(entry.addr);
            }
            if entry.size == 0 {
                let ends = [next, area_end(entry.addr)];
                let end = ends.into_iter().flatten().min().unwrap_or(entry.addr);
                entry.size = end.0 - entry.addr.0;
            }
        }
        self.areas = areas;
    }
}
