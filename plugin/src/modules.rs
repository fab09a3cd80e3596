//! The guest's modules: where each one of the plan is, and the names of all of their functions.
//!
//! When a module comes, its symbols are read from the guest's memory as the kernel keeps them for its own use: ELF
//! symbols, relocated. They tell where each section of a module of the plan is; before its sites are armed its code must
//! be what the plan was made from.
//!
//! Invariant: memory is bounded, whatever the guest does: see the `_MAX` constants.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use probe_plan::{
    FieldSink, GuestView, Interpreter, LinkAddr, ModuleChange, ModuleHook, ModuleMap, ModulePlan,
    Plan, RuntimeAddr, SectionAnchor, Slide,
};

use trace_format::{ModuleState, ModuleUse};

use crate::memory::{GuardedGuest, MemoryMap, PageCache};
use crate::module_symbols::ModuleSymbols;

/// The largest section of code by far has fewer bytes.
const READ_BYTES_MAX: usize = 16 << 20;
/// What the names of all modules may take: a distribution's guest with 200 modules needs a tenth. A guest may load and
/// unload for ever.
const KEPT_BYTES_MAX: usize = 128 << 20;
/// Of 16 bytes of code, so many may differ: the kernel patches what it has loaded.
const DIFFERING_SIXTEENTHS_MAX: usize = 1;
const PAGE_BYTES: u64 = 4096;

/// The guest's modules.
#[derive(Debug)]
pub(crate) struct Modules {
    plan: Arc<Plan>,
    map: ModuleMap,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Made when the kernel's place is known.
    reader: Option<(Interpreter, PageCache)>,
    states: Vec<ModuleState>,
    /// In the order of their coming, those that went too: what was recorded while they were there is named later.
    known: Vec<Known>,
}

/// The symbols of a module that was there for a while.
#[derive(Debug)]
struct Known {
    symbols: ModuleSymbols,
    /// Stamps.
    while_loaded: Range<u64>,
}

impl Modules {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self {
            map: ModuleMap::new(&plan),
            state: Mutex::new(State {
                reader: None,
                states: vec![ModuleState::NeverLoaded; plan.modules.len()],
                known: Vec::new(),
            }),
            plan,
        }
    }

    /// Where the sections of the plan's modules are.
    pub(crate) fn map(&self) -> &ModuleMap {
        &self.map
    }

    /// What became of each module of the plan; of those that were never loaded, the ones that an event needs.
    pub(crate) fn uses(&self) -> Vec<ModuleUse> {
        let state = self.lock();
        let modules = self.plan.modules.iter().zip(&state.states);
        modules
            .filter(|(module, state)| module.is_only_place || **state != ModuleState::NeverLoaded)
            .map(|(module, state)| ModuleUse {
                name: module.name.clone(),
                build_id: module.build_id.clone(),
                state: *state,
            })
            .collect()
    }

    /// The function of a module that held `addr` at a moment: its name as `name [module]`, and its addresses.
    ///
    /// Does not depend on when it is asked, so that a trace does not depend on how busy its writer is.
    pub(crate) fn function_at(
        &self,
        addr: RuntimeAddr,
        stamp: u64,
    ) -> Option<(Range<u64>, String)> {
        let state = self.lock();
        let known =
            { state.known.iter().rev() }.filter(|known| known.while_loaded.contains(&stamp));
        // The latest first: what only a module's start needs has made room for those that came after it.
        { known }.find_map(|known| known.symbols.function_at(addr.0))
    }

    /// A module comes or goes.
    pub(crate) fn change(
        &self,
        hook: &ModuleHook,
        stamp: u64,
        slide: Slide,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) {
        let mut state = self.lock();
        let State {
            reader,
            states,
            known,
        } = &mut *state;
        let (interpreter, pages) =
            reader.get_or_insert_with(|| (Interpreter::new(slide), PageCache::new(slide)));
        let mut guest = GuardedGuest::new(guest, memory, pages);
        let probe = slide.to_runtime(hook.addr);
        let mut fetched = Fetched::default();
        if !interpreter.begin(&hook.program, probe, &mut guest) {
            return;
        }
        interpreter.fetch(&hook.program, probe, &mut guest, &mut fetched);
        let Some(name) = fetched.name.and_then(|name| String::from_utf8(name).ok()) else {
            return;
        };
        let index = self
            .plan
            .modules
            .iter()
            .position(|module| module.name == name);
        if let Some(index) = index {
            self.remove(&self.plan.modules[index]);
        }
        let gone = { known.iter_mut().rev() }.find(|known| known.symbols.module() == name);
        if let Some(gone) = gone {
            gone.while_loaded.end = gone.while_loaded.end.min(stamp);
        }
        if hook.change == ModuleChange::Unloads {
            return;
        }
        let [Some(table), Some(count), Some(names)] = fetched.numbers else {
            return;
        };
        let found = ModuleSymbols::read(&name, table, count, names, &mut |addr, length| {
            read(&mut guest, addr, length)
        });
        let Some(found) = found else { return };
        if let Some(index) = index {
            states[index] = self.place(&self.plan.modules[index], &found, &mut guest);
        }
        let kept: usize = known.iter().map(|known| known.symbols.bytes()).sum();
        if kept + found.bytes() <= KEPT_BYTES_MAX {
            known.push(Known {
                symbols: found,
                while_loaded: stamp..u64::MAX,
            });
        }
    }

    fn remove(&self, module: &ModulePlan) {
        for section in &module.sections {
            self.map.unload(section.addr);
        }
    }

    /// Publishes where the sections are, if all that is known of them agrees.
    fn place(
        &self,
        module: &ModulePlan,
        symbols: &ModuleSymbols,
        guest: &mut impl GuestView,
    ) -> ModuleState {
        let mut bases: Vec<(LinkAddr, u64)> = Vec::with_capacity(module.sections.len());
        for section in &module.sections {
            let by_symbols = section.anchors.iter().filter_map(|anchor| match anchor {
                SectionAnchor::Symbol { name, offset } => {
                    Some(symbols.address(name)?.wrapping_sub(*offset))
                }
                SectionAnchor::Field { .. } => None,
            });
            match agreed(by_symbols) {
                Agreement::None => {}
                Agreement::One(base) => bases.push((section.addr, base)),
                Agreement::Several => return ModuleState::Differs,
            }
        }
        for section in &module.sections {
            let Some((_, base)) = bases.iter().find(|(addr, _)| *addr == section.addr) else {
                continue;
            };
            if !section.code.is_empty()
                && !is_same_code(&section.code, &section.relocated, *base, guest)
            {
                return ModuleState::Differs;
            }
        }
        let anchored = bases.clone();
        for section in &module.sections {
            let by_fields = section.anchors.iter().filter_map(|anchor| match anchor {
                SectionAnchor::Field { .. } => field_base(module, &anchored, anchor, guest),
                SectionAnchor::Symbol { .. } => None,
            });
            // Its values will be missing, which is no reason to do without the rest.
            if let Agreement::One(base) = agreed(by_fields) {
                bases.push((section.addr, base));
            }
        }
        let has_all_code = module.sections.iter().all(|section| {
            section.code.is_empty() || bases.iter().any(|(addr, _)| *addr == section.addr)
        });
        if !has_all_code {
            return ModuleState::Differs;
        }
        for (addr, base) in bases {
            self.map.load(addr, RuntimeAddr(base));
        }
        ModuleState::Loaded
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a module hook's program fetched.
#[derive(Debug, Default)]
struct Fetched {
    name: Option<Vec<u8>>,
    numbers: [Option<u64>; 3],
    count: usize,
}

impl FieldSink for Fetched {
    fn number(&mut self, value: Option<u64>) {
        if let Some(slot) = self.numbers.get_mut(self.count) {
            *slot = value;
        }
        self.count += 1;
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        self.name = value.map(<[u8]>::to_vec);
    }
}

enum Agreement {
    None,
    One(u64),
    Several,
}

fn agreed(mut values: impl Iterator<Item = u64>) -> Agreement {
    match values.next() {
        None => Agreement::None,
        Some(first) if values.all(|value| value == first) => Agreement::One(first),
        Some(_) => Agreement::Several,
    }
}

/// Where a section is, as a field in a placed one tells.
fn field_base(
    module: &ModulePlan,
    bases: &[(LinkAddr, u64)],
    anchor: &SectionAnchor,
    guest: &mut impl GuestView,
) -> Option<u64> {
    let SectionAnchor::Field {
        at,
        bytes,
        is_relative,
        offset,
    } = *anchor
    else {
        return None;
    };
    let holder = module
        .sections
        .iter()
        .find(|section| at.0.wrapping_sub(section.addr.0) < section.bytes)?;
    let (_, base) = bases.iter().find(|(addr, _)| *addr == holder.addr)?;
    let place = base.wrapping_add(at.0 - holder.addr.0);
    let mut field = [0; 8];
    let length = usize::from(bytes).min(8);
    if !guest.read(place, &mut field[..length]) {
        return None;
    }
    let value = u64::from_le_bytes(field);
    let unused = 64 - 8 * u32::from(bytes).min(8);
    let value = ((value << unused).cast_signed() >> unused).cast_unsigned();
    let address = if is_relative {
        value.wrapping_add(place)
    } else {
        value
    };
    Some(address.wrapping_sub(offset.cast_unsigned()))
}

/// Whether the guest has that code at `base`, but for what its loader writes and its kernel patches.
fn is_same_code(
    code: &[u8],
    relocated: &[(u32, u8)],
    base: u64,
    guest: &mut impl GuestView,
) -> bool {
    let Some(found) = read(guest, base, code.len()) else {
        return false;
    };
    let mut compared = code.len();
    let mut differing = code.iter().zip(&found).filter(|(a, b)| a != b).count();
    for (offset, bytes) in relocated {
        let start = usize::try_from(*offset).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(usize::from(*bytes));
        if let (Some(a), Some(b)) = (code.get(range.clone()), found.get(range)) {
            compared = compared.saturating_sub(a.len());
            differing = differing.saturating_sub(a.iter().zip(b).filter(|(a, b)| a != b).count());
        }
    }
    differing * 16 <= compared * DIFFERING_SIXTEENTHS_MAX
}

/// So many bytes of the guest, page by page.
fn read(guest: &mut impl GuestView, addr: u64, length: usize) -> Option<Vec<u8>> {
    if length > READ_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length];
    let mut done = 0;
    while done < length {
        let at = addr.wrapping_add(done as u64);
        let in_page = usize::try_from(PAGE_BYTES - at % PAGE_BYTES).unwrap_or(1);
        let end = length.min(done + in_page);
        if !guest.read(at, &mut bytes[done..end]) {
            return None;
        }
        done = end;
    }
    Some(bytes)
}
