//! Loadable modules in a plan: where the kernel takes them in and lets them go, and what the plugin must know of each.
//!
//! Relies on `kernel/module/main.c` and `arch/x86/kernel/module.c` (5.10 to the last tested): `module_finalize` runs when
//! a module is relocated and its symbols are set up, before alternatives are applied and before anything of it runs.

use std::collections::{BTreeMap, BTreeSet};

use guest_symbols::{Anchor, Kernel, LinkedModule, LinkedSection};
use guesttrace_events::{FieldType, Hook};
use probe_plan::{
    Field, LinkAddr, ModuleChange, ModuleHook, ModulePlan, ModuleSection, Op, Program,
    SectionAnchor, Site,
};
use trace_format::EventId;

use crate::expression::parse;
use crate::hook::resolve;
use crate::typed::Compiler;

/// Functions with the name of their parameter, in order: the first that the kernel has is taken.
const LOADS: [(&str, &str); 3] = [
    ("module_finalize", "me"),
    ("module_finalize", "mod"),
    ("do_init_module", "mod"),
];
const UNLOADS: [(&str, &str); 1] = [("free_module", "mod")];

/// Where modules come and go; nothing in a kernel that cannot tell.
pub(crate) fn module_hooks(kernel: &Kernel) -> Vec<ModuleHook> {
    let name = "string(kernel, M->name)";
    let loads = [
        name,
        "M->kallsyms->symtab",
        "M->kallsyms->num_symtab",
        "M->kallsyms->strtab",
    ];
    let loads = LOADS
        .iter()
        .find_map(|place| module_hook(kernel, *place, ModuleChange::Loads, &loads));
    let unloads = UNLOADS
        .iter()
        .find_map(|place| module_hook(kernel, *place, ModuleChange::Unloads, &[name]));
    loads.into_iter().chain(unloads).collect()
}

/// `M` stands for the parameter in the expressions; the first is a text, the others are addresses and numbers.
fn module_hook(
    kernel: &Kernel,
    (function, parameter): (&str, &str),
    change: ModuleChange,
    expressions: &[&str],
) -> Option<ModuleHook> {
    let hook = Hook::Entry {
        function: function.to_owned(),
        offset: 0,
    };
    let resolved = resolve(kernel, &hook).ok()?;
    let site = resolved.sites.first()?;
    let mut compiler = Compiler::new(kernel, &site.scope, &[]);
    let mut fields: Vec<Field> = Vec::with_capacity(expressions.len());
    for text in expressions {
        let field_type = if fields.is_empty() {
            FieldType::Text
        } else {
            FieldType::Hex
        };
        let expr = parse(&text.replace('M', parameter)).ok()?;
        fields.push(compiler.field(&expr, &field_type).ok()?);
    }
    Some(ModuleHook {
        addr: site.addr,
        change,
        program: Program {
            bindings: compiler.into_slots(),
            condition: None,
            fields,
        },
    })
}

/// What the plugin must know of each module that has sites.
pub(crate) fn module_plans(
    kernel: &Kernel,
    sites: &[Site],
    programs: &[Program],
) -> Vec<ModulePlan> {
    let modules: Vec<&LinkedModule> = kernel.modules().iter().filter_map(Kernel::module).collect();
    let mut places: BTreeMap<EventId, BTreeSet<Option<usize>>> = BTreeMap::new();
    for site in sites {
        let addr = guest_symbols::LinkAddr(site.addr.0);
        let place = modules.iter().position(|module| module.holds(addr));
        places.entry(site.event).or_default().insert(place);
    }
    let is_only = |index| {
        places
            .values()
            .any(|places| places.iter().eq([&Some(index)]))
    };
    let plans = modules.iter().enumerate();
    plans
        .filter_map(|(index, module)| module_plan(module, sites, programs, is_only(index)))
        .collect()
}

/// `None` when the plan has no site in it.
fn module_plan(
    module: &LinkedModule,
    sites: &[Site],
    programs: &[Program],
    is_only_place: bool,
) -> Option<ModulePlan> {
    let is_within =
        |section: &LinkedSection, addr: u64| addr.wrapping_sub(section.addr.0) < section.bytes;
    let sections = module.sections();
    let index_of = |addr: u64| sections.iter().position(|section| is_within(section, addr));
    let with_sites: BTreeSet<usize> = sites
        .iter()
        .filter_map(|site| index_of(site.addr.0))
        .collect();
    if with_sites.is_empty() {
        return None;
    }
    let mut wanted = with_sites.clone();
    wanted.extend(
        programs
            .iter()
            .flat_map(link_addresses)
            .filter_map(index_of),
    );
    let holders: Vec<usize> = wanted
        .iter()
        .filter_map(|index| sections.get(*index))
        .flat_map(|section| &section.anchors)
        .filter_map(|anchor| match anchor {
            Anchor::Field { section, .. } => Some(*section),
            Anchor::Symbol { .. } => None,
        })
        .collect();
    wanted.extend(holders);
    let wanted = wanted.into_iter().filter_map(|index| {
        let section = sections.get(index)?;
        Some(section_plan(module, section, with_sites.contains(&index)))
    });
    Some(ModulePlan {
        name: module.name().to_owned(),
        build_id: module.build_id().to_owned(),
        is_only_place,
        sections: wanted.collect(),
    })
}

/// The addresses of the image and of modules that a program uses.
fn link_addresses(program: &Program) -> Vec<u64> {
    let fields = program.fields.iter().map(|field| &field.ops);
    let evaluations = program
        .bindings
        .iter()
        .chain(&program.condition)
        .chain(fields);
    let addresses = evaluations.flatten().filter_map(|op| match op {
        Op::LinkAddr(addr) => Some(*addr),
        _ => None,
    });
    addresses.collect()
}

fn section_plan(module: &LinkedModule, section: &LinkedSection, has_sites: bool) -> ModuleSection {
    let anchors = section.anchors.iter().filter_map(|anchor| match anchor {
        Anchor::Symbol { name, offset } => Some(SectionAnchor::Symbol {
            name: name.clone(),
            offset: *offset,
        }),
        Anchor::Field {
            section,
            at,
            bytes,
            is_relative,
            offset,
        } => Some(SectionAnchor::Field {
            at: LinkAddr(module.sections().get(*section)?.addr.0.wrapping_add(*at)),
            bytes: *bytes,
            is_relative: *is_relative,
            offset: *offset,
        }),
    });
    let relocated = section.relocated.iter().filter_map(|range| {
        let bytes = u8::try_from(range.end - range.start).ok()?;
        Some((u32::try_from(range.start).ok()?, bytes))
    });
    ModuleSection {
        addr: LinkAddr(section.addr.0),
        bytes: section.bytes,
        anchors: anchors.collect(),
        code: if has_sites {
            section.contents.clone()
        } else {
            Vec::new()
        },
        relocated: if has_sites {
            relocated.collect()
        } else {
            Vec::new()
        },
    }
}
