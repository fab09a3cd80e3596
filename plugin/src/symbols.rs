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
    /// By link address, as the trailer has them.
    of_modules: BTreeMap<u64, String>,
}

impl Symbols {
    pub(crate) fn new(plan: Arc<Plan>, modules: Arc<Modules>) -> Self {
        Self {
            plan,
            modules,
            of_image: BTreeSet::new(),
            of_modules: BTreeMap::new(),
        }
    }

    /// An address occurs.
    pub(crate) fn note(&mut self, addr: RuntimeAddr, slide: Slide) {
        let link = slide.to_link(addr);
        if self.is_image(link) {
            self.of_image.extend(self.index_of(link));
        } else if is_kernel_address(addr.0)
            && self.of_modules.len() < MODULE_FUNCTIONS_MAX
            && let Some((start, name)) = self.modules.function_at(addr)
        {
            let start = slide.to_link(start);
            self.of_modules.entry(start.0).or_insert(name);
        }
    }

    /// Link address and name of each, by ascending address.
    pub(crate) fn named(&self) -> Vec<(u64, String)> {
        let of_image = self.of_image.iter().map(|index| {
            let symbol = &self.plan.symbols[*index];
            (symbol.addr.0, symbol.name.clone())
        });
        let mut named: Vec<_> = of_image.chain(self.of_modules.clone()).collect();
        named.sort();
        named
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
