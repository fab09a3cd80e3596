//! The functions that the addresses of a trace lie in: of the kernel image from the plan, of modules from the guest.
//!
//! Only those that occur are kept, so that the trace can name them and stays small.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use probe_plan::{LinkAddr, Plan, RuntimeAddr, Slide, is_kernel_address};

use crate::modules::Modules;

/// A guest may load and unload modules for ever.
const MODULE_FUNCTIONS_MAX: usize = 1 << 16;

/// Symbols that occur in one trace.
#[derive(Debug)]
pub(crate) struct Symbols {
    plan: Arc<Plan>,
    modules: Arc<Modules>,
    /// Indices of the plan's.
    of_image: BTreeSet<usize>,
    /// Those of the plan's that were not written yet.
    fresh: BTreeSet<usize>,
    /// Link addresses.
    of_modules: BTreeMap<(u64, u64), String>,
}

impl Symbols {
    pub(crate) fn new(plan: Arc<Plan>, modules: Arc<Modules>) -> Self {
        Self {
            plan,
            modules,
            of_image: BTreeSet::new(),
            fresh: BTreeSet::new(),
            of_modules: BTreeMap::new(),
        }
    }

    /// An address occurs in a record.
    pub(crate) fn note(&mut self, addr: RuntimeAddr, stamp: u64, slide: Slide) {
        let link = slide.to_link(addr);
        if self.is_image(link) {
            if let Some(index) = self.index_of(link)
                && self.of_image.insert(index)
            {
                self.fresh.insert(index);
            }
        } else if is_kernel_address(addr.0)
            && self.of_modules.len() < MODULE_FUNCTIONS_MAX
            && let Some((range, name)) = self.modules.function_at(addr, stamp)
        {
            let to_link = |addr| slide.to_link(RuntimeAddr(addr)).0;
            let place = (to_link(range.start), to_link(range.end));
            self.of_modules.entry(place).or_insert(name);
        }
    }

    /// Link address and name of each of the image that came up since this was asked last, ascending.
    pub(crate) fn take_fresh(&mut self) -> Vec<(u64, String)> {
        let fresh = std::mem::take(&mut self.fresh);
        let symbol = |index: usize| {
            let symbol = &self.plan.symbols[index];
            (symbol.addr.0, symbol.name.clone())
        };
        let mut named: Vec<_> = fresh.into_iter().map(symbol).collect();
        named.sort();
        named
    }

    /// The same of modules, all of them; an empty name ends what the one before holds.
    ///
    /// Only in the end it is known which functions were in one place.
    pub(crate) fn of_modules(&self) -> Vec<(u64, String)> {
        told_apart(&self.of_modules)
    }

    /// Whether `addr` is in the kernel image or before it, where per-CPU variables may be linked.
    fn is_image(&self, addr: LinkAddr) -> bool {
        let last = self.plan.image.last();
        last.is_some_and(|last| addr.0 < last.addr.0 + last.bytes.len() as u64)
    }

    /// The plan's symbol that holds `addr`.
    fn index_of(&self, addr: LinkAddr) -> Option<usize> {
        let symbols = &self.plan.symbols;
        symbols
            .partition_point(|symbol| symbol.addr <= addr)
            .checked_sub(1)
    }
}

/// Functions of modules, each with its end.
///
/// Where two were in one place, one after the other, an address alone does not tell which is meant: there none is named.
fn told_apart(functions: &BTreeMap<(u64, u64), String>) -> Vec<(u64, String)> {
    let mut marks: BTreeMap<u64, String> = BTreeMap::new();
    let mut reach = 0;
    let mut next = functions.iter().peekable();
    while let Some(((start, end), name)) = next.next() {
        let limit = next.peek().map_or(u64::MAX, |((start, _), _)| *start);
        if *start >= reach && limit > *start {
            marks.insert(*start, name.clone());
            marks.entry((*end).min(limit)).or_default();
        } else {
            marks.entry(*start).or_default().clear();
        }
        reach = reach.max(*end);
    }
    marks.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::told_apart;

    fn check(functions: &[(u64, u64, &str)], expected: &[(u64, &str)]) {
        let functions = functions.iter();
        let functions = functions.map(|(start, end, name)| ((*start, *end), (*name).to_owned()));
        let marks = told_apart(&functions.collect());
        let marks: Vec<_> = { marks.iter() }
            .map(|(at, name)| (*at, name.as_str()))
            .collect();
        assert_eq!(marks, expected);
    }

    #[test]
    fn functions_end_where_nothing_follows() {
        check(
            &[(1, 3, "a"), (3, 4, "b"), (6, 9, "c")],
            &[(1, "a"), (3, "b"), (4, ""), (6, "c"), (9, "")],
        );
    }

    #[test]
    fn what_two_functions_held_is_named_after_neither() {
        check(
            &[(1, 5, "a"), (3, 8, "b"), (8, 9, "c")],
            &[(1, "a"), (3, ""), (8, "c"), (9, "")],
        );
        check(&[(1, 5, "a"), (1, 8, "b")], &[(1, "")]);
    }
}
