//! Where the running guest has the sections of a plan's modules; changes while it runs.
//!
//! A section is either loaded at one address or nowhere. Readers take no lock; each section appears and goes at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::addr::{LinkAddr, RuntimeAddr};
use crate::plan::Plan;

/// Sections by ascending link address; shared by all who translate addresses.
#[derive(Clone, Debug, Default)]
pub struct ModuleMap(Arc<[Entry]>);

#[derive(Debug)]
struct Entry {
    start: u64,
    bytes: u64,
    /// Where the guest has it; 0 while it does not.
    base: AtomicU64,
}

impl ModuleMap {
    /// The sections of a plan's modules, none of them loaded.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let sections = plan.modules.iter().flat_map(|module| &module.sections);
        let mut entries: Vec<Entry> = sections
            .map(|section| Entry {
                start: section.addr.0,
                bytes: section.bytes,
                base: AtomicU64::new(0),
            })
            .collect();
        entries.sort_by_key(|entry| entry.start);
        Self(entries.into())
    }

    /// Whether an address is a module's, as linked.
    #[must_use]
    pub fn holds(&self, addr: LinkAddr) -> bool {
        self.0.first().is_some_and(|first| addr.0 >= first.start)
    }

    fn entry(&self, addr: LinkAddr) -> Option<&Entry> {
        let after = self.0.partition_point(|entry| entry.start <= addr.0);
        let entry = &self.0[after.checked_sub(1)?];
        (addr.0 - entry.start < entry.bytes).then_some(entry)
    }

    /// Where the guest has what is linked at `addr`; `None` while that module is not loaded.
    #[must_use]
    pub fn to_runtime(&self, addr: LinkAddr) -> Option<RuntimeAddr> {
        let entry = self.entry(addr)?;
        let base = entry.base.load(Ordering::Acquire);
        (base != 0).then(|| RuntimeAddr(base.wrapping_add(addr.0 - entry.start)))
    }

    /// Where what the guest has at `addr` is linked; `None` outside loaded modules.
    #[must_use]
    pub fn to_link(&self, addr: RuntimeAddr) -> Option<LinkAddr> {
        self.0.iter().find_map(|entry| {
            let base = entry.base.load(Ordering::Acquire);
            let offset = addr.0.wrapping_sub(base);
            (base != 0 && offset < entry.bytes).then(|| LinkAddr(entry.start + offset))
        })
    }

    /// The section linked at `addr` is at `base` from now on. Whatever was there is gone.
    pub fn load(&self, addr: LinkAddr, base: RuntimeAddr) {
        let Some(new) = self.entry(addr) else { return };
        for old in self.0.iter() {
            let at = old.base.load(Ordering::Acquire);
            let overlaps =
                at < base.0.saturating_add(new.bytes) && base.0 < at.saturating_add(old.bytes);
            if at != 0 && overlaps {
                old.base.store(0, Ordering::Release);
            }
        }
        new.base.store(base.0, Ordering::Release);
    }

    /// The section linked at `addr` is nowhere from now on.
    pub fn unload(&self, addr: LinkAddr) {
        if let Some(entry) = self.entry(addr) {
            entry.base.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module_plan::{ModulePlan, ModuleSection};

    fn map() -> ModuleMap {
        let section = |addr, bytes| ModuleSection {
            addr: LinkAddr(addr),
            bytes,
            anchors: Vec::new(),
            code: Vec::new(),
            relocated: Vec::new(),
        };
        ModuleMap::new(&Plan {
            modules: vec![ModulePlan {
                name: "m".to_owned(),
                build_id: String::new(),
                is_only_place: true,
                sections: vec![section(0x1000, 0x100), section(0x1100, 0x10)],
            }],
            ..Plan::default()
        })
    }

    #[test]
    fn addresses_go_both_ways_while_the_module_is_loaded() {
        let map = map();
        assert_eq!(map.to_runtime(LinkAddr(0x1000)), None);
        map.load(LinkAddr(0x1000), RuntimeAddr(0x7000));
        map.load(LinkAddr(0x1100), RuntimeAddr(0x5000));
        assert_eq!(map.to_runtime(LinkAddr(0x10ff)), Some(RuntimeAddr(0x70ff)));
        assert_eq!(map.to_runtime(LinkAddr(0x1105)), Some(RuntimeAddr(0x5005)));
        assert_eq!(map.to_runtime(LinkAddr(0x1110)), None);
        assert_eq!(map.to_link(RuntimeAddr(0x70ff)), Some(LinkAddr(0x10ff)));
        assert_eq!(map.to_link(RuntimeAddr(0x7100)), None);
        assert!(map.holds(LinkAddr(0x1110)) && !map.holds(LinkAddr(0xfff)));
        map.unload(LinkAddr(0x1000));
        assert_eq!(map.to_link(RuntimeAddr(0x70ff)), None);
        assert_eq!(map.to_link(RuntimeAddr(0x500f)), Some(LinkAddr(0x110f)));
    }

    #[test]
    fn what_is_loaded_over_another_section_replaces_it() {
        let map = map();
        map.load(LinkAddr(0x1100), RuntimeAddr(0x7010));
        map.load(LinkAddr(0x1000), RuntimeAddr(0x7000));
        assert_eq!(map.to_runtime(LinkAddr(0x1100)), None);
        assert_eq!(map.to_link(RuntimeAddr(0x7010)), Some(LinkAddr(0x1010)));
    }
}
