//! The tracepoints of a kernel: where each one's nop lies, its arguments' types, its system.
//!
//! Relies on `include/linux/jump_label.h` (relative entries since 4.19), `include/linux/tracepoint.h` and the typedefs
//! `btf_trace_*` of `include/trace/bpf_probe.h` (since 5.5). A tracepoint is off or on by a static key: its nop is the
//! code of the jump entries whose key is `__tracepoint_<name>.key`.

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::{distance, i32_at, i64_at, text_at, u64_at};
use crate::c_type::{Type, TypeId};
use crate::{Kernel, LinkAddr, SymbolError};

/// A tracepoint that is compiled into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracepoint {
    /// Its name, such as `sched_switch`.
    pub name: String,
    /// Its system, such as `sched`; none for a tracepoint without an event in tracefs.
    pub system: Option<String>,
    /// The [`Type::Function`] of its probes; the first parameter is the probe's own `void *`.
    pub prototype: Option<TypeId>,
    /// Where it stands in the code, by address; none when the linker dropped all uses.
    pub sites: Vec<TracepointSite>,
    /// Whether it is another's, which a module only runs: the kernel's or another module's.
    pub is_foreign: bool,
}

/// One place in the code where a tracepoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TracepointSite {
    /// The nop that runs whether or not the tracepoint is on.
    pub code: LinkAddr,
    /// Where the code goes on when it is on.
    pub target: LinkAddr,
}

const SYMBOL_PREFIX: &str = "__tracepoint_";

/// Reads the tracepoints, by name.
pub(crate) fn read(kernel: &Kernel) -> Result<Vec<Tracepoint>, SymbolError> {
    let key_offset = member_offset(kernel, "tracepoint", "key").unwrap_or(8);
    let listed = listed(kernel);
    let mut names: BTreeMap<LinkAddr, &str> = kernel
        .symbols()
        .iter()
        .filter(|symbol| {
            listed
                .as_ref()
                .is_none_or(|listed| listed.contains(&symbol.addr))
        })
        .filter_map(|symbol| Some((symbol.addr, symbol.name.strip_prefix(SYMBOL_PREFIX)?)))
        .collect();
    let mut sites: BTreeMap<LinkAddr, Vec<TracepointSite>> = BTreeMap::new();
    let mut foreign = BTreeSet::new();
    for (key, site) in jump_entries(kernel)? {
        let tracepoint = key.offset_by(-key_offset);
        if kernel.module().is_some()
            && !names.contains_key(&tracepoint)
            && let Some(name) = symbol_name(kernel, tracepoint)
        {
            names.insert(tracepoint, name);
            foreign.insert(tracepoint);
        }
        if names.contains_key(&tracepoint) {
            sites.entry(tracepoint).or_default().push(site);
        }
    }
    let systems = systems(kernel);
    let mut out: Vec<Tracepoint> = names
        .iter()
        .map(|(addr, name)| {
            let mut sites = sites.remove(addr).unwrap_or_default();
            sites.sort_unstable();
            let (name, system) = ((*name).to_owned(), systems.get(addr).cloned());
            Tracepoint {
                prototype: prototype(kernel, &name),
                name,
                system,
                sites,
                is_foreign: foreign.contains(addr),
            }
        })
        .collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

fn member_offset(kernel: &Kernel, of: &str, member: &str) -> Option<i64> {
    let place = kernel
        .types()
        .member(kernel.types().struct_named(of)?, member)?;
    place
        .byte_offset()
        .and_then(|offset| i64::try_from(offset).ok())
}

/// The name of the tracepoint whose structure lies there.
fn symbol_name(kernel: &Kernel, tracepoint: LinkAddr) -> Option<&str> {
    kernel
        .symbols()
        .exactly_at(tracepoint)
        .find_map(|symbol| symbol.name.strip_prefix(SYMBOL_PREFIX))
}

/// A table of the kernel lies between two marks of the linker script, that of a module in a section.
struct Table {
    section: &'static str,
    start: &'static str,
    stop: &'static str,
    purpose: &'static str,
}

fn table<'k>(kernel: &'k Kernel, wanted: &Table) -> Result<(LinkAddr, &'k [u8]), SymbolError> {
    let Table {
        section,
        start,
        stop,
        purpose,
    } = *wanted;
    if let Some(module) = kernel.module() {
        let found = module.section(section);
        return Ok(found.map_or((LinkAddr(0), &[]), |found| (found.addr, &found.contents)));
    }
    between_marks(kernel, start, stop, purpose)
}

/// The bytes between two marks of the linker script, and where they begin.
pub(crate) fn between_marks<'k>(
    kernel: &'k Kernel,
    start: &'static str,
    stop: &'static str,
    purpose: &'static str,
) -> Result<(LinkAddr, &'k [u8]), SymbolError> {
    let address = |name| {
        let address = kernel.symbols().address(name);
        address.ok_or(SymbolError::MissingSymbol { name, purpose })
    };
    let (from, to) = (address(start)?, address(stop)?);
    let bytes = distance(from, to).and_then(|len| kernel.read(from, len));
    let outside = SymbolError::OutsideImage {
        what: start,
        addr: from.0,
        len: to.0.wrapping_sub(from.0),
    };
    Ok((from, bytes.ok_or(outside)?))
}

/// All jump labels with the addresses of their keys.
fn jump_entries(kernel: &Kernel) -> Result<Vec<(LinkAddr, TracepointSite)>, SymbolError> {
    const ENTRY_BYTES: usize = 16;
    /// Branch by default, and code of init sections.
    const FLAGS: u64 = 3;
    let (start, bytes) = table(
        kernel,
        &Table {
            section: "__jump_table",
            start: "__start___jump_table",
            stop: "__stop___jump_table",
            purpose: "the places of tracepoints",
        },
    )?;
    let places = (0..)
        .step_by(ENTRY_BYTES)
        .map(|offset| start.offset_by(offset));
    let entries = places
        .zip(bytes.chunks_exact(ENTRY_BYTES))
        .filter_map(|(place, entry)| {
            let code = place.offset_by(i32_at(entry, 0)?.into());
            let target = place.offset_by(4).offset_by(i32_at(entry, 4)?.into());
            let key = place.offset_by(8).offset_by(i64_at(entry, 8)?);
            Some((LinkAddr(key.0 & !FLAGS), TracepointSite { code, target }))
        });
    Ok(entries.collect())
}

/// The addresses of all `struct tracepoint`, by which the kernel itself finds them; `None` where that list is not told.
///
/// Other symbols have names of that form too: since 6.14 `__tracepoint_ext_*` are their rarely used halves.
fn listed(kernel: &Kernel) -> Option<BTreeSet<LinkAddr>> {
    let (start, bytes) = table(
        kernel,
        &Table {
            section: "__tracepoints_ptrs",
            start: "__start___tracepoints_ptrs",
            stop: "__stop___tracepoints_ptrs",
            purpose: "the list of tracepoints",
        },
    )
    .ok()?;
    let places = (0..).step_by(4).map(|offset| start.offset_by(offset));
    // Relative to their own places (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS, x86 since 4.19).
    let targets = places.zip(bytes.chunks_exact(4));
    let listed =
        targets.filter_map(|(place, entry)| Some(place.offset_by(i32_at(entry, 0)?.into())));
    let listed: BTreeSet<LinkAddr> = listed.collect();
    // A module may have none; a kernel without any keeps its list in another form.
    (!listed.is_empty() || kernel.module().is_some()).then_some(listed)
}

/// The prototype of a tracepoint's probes: that of the function that calls them (since 5.10), which names its
/// parameters, or the type behind `typedef void (*btf_trace_<name>)(void *, ...)`.
fn prototype(kernel: &Kernel, name: &str) -> Option<TypeId> {
    let types = kernel.types();
    let from_typedef = || {
        let typedef = types.typedef_named(&format!("btf_trace_{name}"))?;
        match types.get(types.resolve_typedefs(typedef)) {
            Type::Pointer(function) => Some(types.resolve_typedefs(*function)),
            _ => None,
        }
    };
    let function = types
        .function(&format!("__traceiter_{name}"))
        .or_else(from_typedef)?;
    matches!(types.get(function), Type::Function { .. }).then_some(function)
}

/// The system of each tracepoint that has an event: `trace_event_call.class->system` by `trace_event_call.tp`.
fn systems(kernel: &Kernel) -> BTreeMap<LinkAddr, String> {
    let mut out = BTreeMap::new();
    let offsets = || {
        Some((
            member_offset(kernel, "trace_event_call", "class")?,
            member_offset(kernel, "trace_event_call", "tp")?,
            member_offset(kernel, "trace_event_class", "system")?,
        ))
    };
    let calls = table(
        kernel,
        &Table {
            section: "_ftrace_events",
            start: "__start_ftrace_events",
            stop: "__stop_ftrace_events",
            purpose: "the systems of tracepoints",
        },
    );
    let (Some((class_at, tp_at, system_at)), Ok((_, calls))) = (offsets(), calls) else {
        return out;
    };
    let pointer = |at: LinkAddr| {
        kernel
            .read(at, 8)
            .and_then(|bytes| u64_at(bytes, 0))
            .map(LinkAddr)
    };
    for call in calls
        .chunks_exact(8)
        .filter_map(|word| u64_at(word, 0))
        .map(LinkAddr)
    {
        let Some(tracepoint) = pointer(call.offset_by(tp_at)) else {
            continue;
        };
        let Some(class) = pointer(call.offset_by(class_at)) else {
            continue;
        };
        let system = pointer(class.offset_by(system_at))
            .and_then(|at| kernel.rest(at))
            .and_then(|b| text_at(b, 0));
        if let Some(system) = system {
            out.insert(tracepoint, system.to_owned());
        }
    }
    out
}
