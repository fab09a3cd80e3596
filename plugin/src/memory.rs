//! Which guest addresses may be read: those behind which there is ordinary memory of this machine.
//!
//! QEMU's read of guest memory walks the page tables and then accesses whatever is there, a device's registers included,
//! and such an access has effects. The kernel image and the direct map are known to be memory; for every other address
//! the page tables are walked here first, through the direct map, and only frames of memory are accepted.
//!
//! Rests on the x86-64 page tables (Intel SDM volume 3, 4.5) and on QEMU's memory layout of `q35` (`hw/i386/pc_q35.c`).

use std::ops::Range;

use probe_plan::{
    GuestView, Interpreter, Plan, Program, Register, RuntimeAddr, Slide, is_kernel_address,
};

const PAGE_BYTES: u64 = 4096;
/// Bits of a table's or frame's physical address in an entry.
const FRAME_MASK: u64 = 0x000f_ffff_ffff_f000;
const PRESENT: u64 = 1;
/// In an entry of level 2 or 3: it maps a page of 2 MiB or 1 GiB.
const LARGE: u64 = 1 << 7;
/// Bits of an entry that say which frame it maps; the processor sets others, such as "accessed".
const MAPPING_BITS: u64 = FRAME_MASK | PRESENT | LARGE;
/// In cr4: five levels.
const FIVE_LEVELS: u64 = 1 << 12;
/// The direct map is at most this large with four levels, and no smaller area follows it within.
const DIRECT_MAP_BYTES: u64 = 1 << 46;
/// Pages remembered per CPU; a power of two.
const CACHE_PAGES: usize = 256;

/// Memory of the machine, by physical address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ram(Vec<Range<u64>>);

impl Ram {
    /// Layout of q35: a hole for video and firmware below 1 MiB, devices below 4 GiB, the rest of a large memory above.
    pub(crate) fn of_q35(memory_mib: u64) -> Self {
        const HOLE: Range<u64> = 0xa_0000..0x10_0000;
        const FOUR_GIB: u64 = 4 << 30;
        let bytes = memory_mib << 20;
        let below = if bytes >= 0xb000_0000 {
            0x8000_0000
        } else {
            bytes
        };
        Self(vec![
            0..HOLE.start,
            HOLE.end..below,
            FOUR_GIB..FOUR_GIB + (bytes - below),
        ])
    }

    fn has(&self, physical: u64) -> bool {
        self.0.iter().any(|range| range.contains(&physical))
    }
}

/// What is known of the guest's address space.
#[derive(Debug)]
pub(crate) struct MemoryMap {
    ram: Ram,
    image: Range<u64>,
    direct_map_base: Option<Program>,
}

/// Pages found to be memory; one per CPU.
///
/// What was memory at one probe may be a device at the next: a program maps something else there, the kernel uses an
/// address again. So a page is known for one probe only; a page of the kernel for longer, as long as the last entry of
/// its walk says the same (the tables above it are not given up but for pages of 2 MiB).
#[derive(Debug)]
pub(crate) struct PageCache {
    pages: Vec<Option<KnownPage>>,
    /// Number of the probe that is under way.
    probe: u64,
    interpreter: Interpreter,
}

/// A page that is memory.
#[derive(Clone, Copy, Debug)]
struct KnownPage {
    page: u64,
    probe: u64,
    mapping: Mapping,
}

/// How an address leads to its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mapping {
    /// The direct map never changes.
    Direct,
    /// By this page table entry, which lies at this address in the direct map.
    Entry { at: u64, entry: u64 },
}

impl PageCache {
    pub(crate) fn new(slide: Slide) -> Self {
        Self {
            pages: vec![None; CACHE_PAGES],
            probe: 0,
            interpreter: Interpreter::new(slide),
        }
    }

    /// Whether the page is known to be memory still.
    fn knows(&mut self, slot: usize, page: u64, guest: &mut impl GuestView) -> bool {
        let Some(known) = self.pages[slot].as_mut().filter(|known| known.page == page) else {
            return false;
        };
        if known.probe == self.probe {
            return true;
        }
        let holds = match known.mapping {
            Mapping::Direct => true,
            Mapping::Entry { at, entry } => {
                is_kernel_address(page)
                    && read_entry(at, guest)
                        .is_some_and(|found| found & MAPPING_BITS == entry & MAPPING_BITS)
            }
        };
        if holds {
            known.probe = self.probe;
        }
        holds
    }
}

fn read_entry(at: u64, guest: &mut impl GuestView) -> Option<u64> {
    let mut bytes = [0; 8];
    guest
        .read(at, &mut bytes)
        .then(|| u64::from_le_bytes(bytes))
}

impl MemoryMap {
    /// The address space of a kernel that runs at that slide.
    pub(crate) fn new(plan: &Plan, memory_mib: u64, slide: Slide) -> Self {
        let image = plan.loaded.map_or(0..0, |(start, end)| {
            slide.to_runtime(start).0..slide.to_runtime(end).0
        });
        Self {
            ram: Ram::of_q35(memory_mib),
            image,
            direct_map_base: plan.direct_map_base.clone(),
        }
    }

    /// Whether the page of `addr` is ordinary memory.
    pub(crate) fn is_memory(
        &self,
        addr: u64,
        cache: &mut PageCache,
        guest: &mut impl GuestView,
    ) -> bool {
        if self.image.contains(&addr) {
            return true;
        }
        let page = addr & !(PAGE_BYTES - 1);
        let slot = usize::try_from((page / PAGE_BYTES) % CACHE_PAGES as u64).unwrap_or(0);
        if cache.knows(slot, page, guest) {
            return true;
        }
        let Some(program) = &self.direct_map_base else {
            // A kernel that does not say where its direct map is: QEMU's own walk has to do.
            return true;
        };
        let base = cache.interpreter.number(program, RuntimeAddr(0), guest);
        let mapped = base.and_then(|base| self.translate(page, base, guest));
        // What is not mapped yet may be so at the next look.
        let Some((frame, mapping)) = mapped.filter(|(frame, _)| self.ram.has(*frame)) else {
            return false;
        };
        debug_assert_eq!(frame % PAGE_BYTES, 0, "pages begin with pages");
        cache.pages[slot] = Some(KnownPage {
            page,
            probe: cache.probe,
            mapping,
        });
        true
    }

    /// Physical address of a page, and how it is mapped; `None` where nothing is, or a table is not in memory.
    fn translate(
        &self,
        page: u64,
        base: u64,
        guest: &mut impl GuestView,
    ) -> Option<(u64, Mapping)> {
        let physical = page.wrapping_sub(base);
        if physical < DIRECT_MAP_BYTES && self.ram.has(physical) {
            return Some((physical, Mapping::Direct));
        }
        let mut table = guest.register(Register::Cr3).unwrap_or(0) & FRAME_MASK;
        let five_levels = guest.register(Register::Cr4).unwrap_or(0) & FIVE_LEVELS != 0;
        for level in (1..=if five_levels { 5 } else { 4 }).rev() {
            let shift = 12 + 9 * (level - 1);
            let physical = table + ((page >> shift) & 0x1ff) * 8;
            if !self.ram.has(physical) {
                return None;
            }
            let at = base.wrapping_add(physical);
            let entry = read_entry(at, guest)?;
            if entry & PRESENT == 0 {
                return None;
            }
            if level == 1 || (level <= 3 && entry & LARGE != 0) {
                let within = (1_u64 << shift) - 1;
                let frame = (entry & FRAME_MASK & !within) | (page & within);
                return Some((frame, Mapping::Entry { at, entry }));
            }
            table = entry & FRAME_MASK;
        }
        None
    }
}

/// A guest whose devices are out of reach.
#[derive(Debug)]
pub(crate) struct GuardedGuest<'a, G> {
    guest: &'a mut G,
    map: &'a MemoryMap,
    cache: &'a mut PageCache,
}

impl<'a, G: GuestView> GuardedGuest<'a, G> {
    /// For one probe: what is learnt of the guest's pages holds that long.
    pub(crate) fn new(guest: &'a mut G, map: &'a MemoryMap, cache: &'a mut PageCache) -> Self {
        cache.probe += 1;
        Self::within_probe(guest, map, cache)
    }

    /// For more of the same probe.
    pub(crate) fn within_probe(
        guest: &'a mut G,
        map: &'a MemoryMap,
        cache: &'a mut PageCache,
    ) -> Self {
        Self { guest, map, cache }
    }
}

impl<G: GuestView> GuestView for GuardedGuest<'_, G> {
    fn register(&mut self, register: Register) -> Option<u64> {
        self.guest.register(register)
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        let last = addr.wrapping_add(out.len().saturating_sub(1) as u64);
        let mut allowed = |addr| self.map.is_memory(addr, self.cache, self.guest);
        let whole = allowed(addr) && (addr / PAGE_BYTES == last / PAGE_BYTES || allowed(last));
        whole && self.guest.read(addr, out)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use probe_plan::{Field, LinkAddr, Op, Output};

    use super::*;

    const BASE: u64 = 0xffff_8880_0000_0000;
    const IMAGE: u64 = 0xffff_ffff_8100_0000;

    /// Physical memory as words; everything is readable through the direct map.
    #[derive(Default)]
    struct FakeGuest {
        words: BTreeMap<u64, u64>,
        reads: Vec<u64>,
    }

    impl GuestView for FakeGuest {
        fn register(&mut self, register: Register) -> Option<u64> {
            Some(if register == Register::Cr3 { 0x1000 } else { 0 })
        }

        fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
            self.reads.push(addr);
            let word = self
                .words
                .get(&addr.wrapping_sub(BASE))
                .copied()
                .unwrap_or(0);
            let bytes = word.to_le_bytes();
            out.iter_mut()
                .zip(bytes.iter().cycle())
                .for_each(|(out, byte)| *out = *byte);
            true
        }
    }

    fn map() -> MemoryMap {
        let plan = Plan {
            loaded: Some((LinkAddr(IMAGE), LinkAddr(IMAGE + 0x1000))),
            direct_map_base: Some(Program {
                fields: vec![Field {
                    ops: vec![Op::Const(BASE)],
                    output: Output::Number,
                }],
                ..Program::default()
            }),
            ..Plan::default()
        };
        MemoryMap::new(&plan, 512, Slide(0))
    }

    /// Maps user page 0x7000 to `frame` by four tables at 0x1000 to 0x4000.
    fn guest(frame: u64) -> FakeGuest {
        let words = [
            (0x1000, 0x2001),
            (0x2000, 0x3001),
            (0x3000, 0x4001),
            (0x4000 + 7 * 8, frame | 1),
        ];
        FakeGuest {
            words: words.into_iter().collect(),
            reads: Vec::new(),
        }
    }

    fn check(addr: u64, guest: &mut FakeGuest, expected: bool) {
        let map = map();
        let mut cache = PageCache::new(Slide(0));
        assert_eq!(
            map.is_memory(addr, &mut cache, guest),
            expected,
            "{addr:#x}"
        );
    }

    #[test]
    fn image_and_direct_map_are_memory_without_a_walk() {
        let mut guest = guest(0);
        check(IMAGE + 0x10, &mut guest, true);
        check(BASE + 0x20_0000, &mut guest, true);
        assert!(guest.reads.is_empty());
    }

    #[test]
    fn mapped_memory_can_be_read_and_mapped_devices_cannot() {
        check(0x7123, &mut guest(0x50_0000), true);
        check(0x7123, &mut guest(0xfec0_0000), false);
        check(0x7123, &mut guest(0xa_0000), false);
        check(0x8000, &mut guest(0x50_0000), false);
    }

    #[test]
    fn a_large_page_ends_the_walk() {
        let mut guest = guest(0);
        guest.words.insert(0x3000, 0x40_0081);
        check(0x7123, &mut guest, true);
        guest.words.insert(0x3000, 0xfe00_0081);
        check(0x7123, &mut guest, false);
    }

    #[test]
    fn a_known_page_costs_nothing() {
        let map = map();
        let mut cache = PageCache::new(Slide(0));
        let mut guest = guest(0x50_0000);
        assert!(map.is_memory(0x7000, &mut cache, &mut guest));
        let reads = guest.reads.len();
        assert!(map.is_memory(0x7fff, &mut cache, &mut guest));
        assert_eq!(guest.reads.len(), reads);
    }

    /// Whether 0x7000 and the kernel's page of the same table are memory at a probe, and at the next with that entry.
    fn check_next_probe(addr: u64, entry: u64, expected: bool) {
        let map = map();
        let mut cache = PageCache::new(Slide(0));
        let mut guest = guest(0x50_0000);
        // The upper half has its own entry in the top table, for the same tables below.
        guest.words.insert(0x1000 + 0x1ff * 8, 0x2001);
        let mut bytes = [0; 8];
        assert!(GuardedGuest::new(&mut guest, &map, &mut cache).read(addr, &mut bytes));
        guest.words.insert(0x4000 + 7 * 8, entry);
        guest.reads.clear();
        let is_read = GuardedGuest::new(&mut guest, &map, &mut cache).read(addr, &mut bytes);
        assert_eq!(is_read, expected, "{addr:#x} with {entry:#x}");
        assert_eq!(guest.reads.contains(&addr), expected, "the read itself");
    }

    #[test]
    fn memory_that_becomes_a_device_is_not_read_again() {
        // Sign-extended: index 0x1ff in the top table, 0 below.
        const KERNEL_PAGE: u64 = 0xffff_ff80_0000_7000;
        for addr in [0x7000, KERNEL_PAGE] {
            check_next_probe(addr, 0x50_0001, true);
            // The processor notes that it used the page; a program gets another page.
            check_next_probe(addr, 0x50_0061, true);
            check_next_probe(addr, 0x60_0001, true);
            check_next_probe(addr, 0xfec0_0001, false);
            check_next_probe(addr, 0x50_0000, false);
        }
    }

    #[test]
    fn a_large_memory_has_a_hole_for_devices() {
        let ram = Ram::of_q35(4096);
        assert!(ram.has(0x7fff_ffff) && !ram.has(0x8000_0000) && ram.has(0x1_0000_0000));
        assert!(ram.has(0x1_7fff_ffff) && !ram.has(0x1_8000_0000));
    }
}
