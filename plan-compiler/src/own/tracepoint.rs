//! A row for each tracepoint of the kernel: its arguments, and what is worth knowing of the objects they point to.
//!
//! The event is called `SYSTEM:NAME`, whatever else is selected: a row of the table may have the tracepoint's bare name
//! and other fields. Its id is the tracepoint's place among all of the kernel, so that it is the same under every
//! selection; those of modules follow, and depend on which modules are looked at.

use std::collections::BTreeMap;

use guest_symbols::{Kernel, Tracepoint};
use guesttrace_events::{
    BindRow, EventRow, FieldRow, FieldType, Hook, SiteRow, Source, TRACEPOINT_ID_FIRST,
};
use trace_format::FIELDS_MAX;

use super::field::{is_char, scalar_field};
use super::members::followed;
use crate::facts::Facts;
use crate::selection::{Selection, system_of};
use crate::tracepoint::tracepoint_arguments;
use crate::typed::{Shape, Ty};
use crate::{CompileError, HookProblem};

/// Most members of all objects together: the rest of the record is for the arguments themselves.
const MEMBERS_MAX: usize = 24;

/// As many objects are kept at hand; those of more arguments are fetched anew for each member.
const OBJECTS_MAX: usize = 12;

/// Rows of the tracepoints that are selected, and whether the user named each rather than a pattern.
pub(crate) fn tracepoint_rows(
    kernel: &Kernel,
    selection: &Selection,
) -> Result<Vec<(EventRow, bool)>, CompileError> {
    if !selection.has_tracepoints() {
        return Ok(Vec::new());
    }
    let mut views = vec![(kernel, tracepoints(kernel)?)];
    for view in kernel.modules() {
        views.push((view, tracepoints(view)?));
    }
    // Those of modules come behind the kernel's own; what a module only runs is listed where it is defined.
    let all: Vec<(&Kernel, &Tracepoint)> = views
        .iter()
        .flat_map(|(view, all)| all.iter().map(|tracepoint| (*view, tracepoint)))
        .filter(|(_, tracepoint)| !tracepoint.is_foreign)
        .collect();
    let selected = selection.tracepoints(all.iter().map(|(_, tracepoint)| *tracepoint))?;
    for selected in &selected {
        if let Some((view, tracepoint)) = all.get(selected.index)
            && let Some(module) = view.module()
            && tracepoint.prototype.is_none()
        {
            return Err(CompileError::ModuleWithoutTypes {
                module: module.name().to_owned(),
                event: format!("{}:{}", system_of(tracepoint), tracepoint.name),
            });
        }
    }
    let rows = selected.into_iter().filter_map(|selected| {
        let id = u16::try_from(selected.index)
            .ok()
            .and_then(|index| TRACEPOINT_ID_FIRST.checked_add(index))?;
        let (view, tracepoint) = *all.get(selected.index)?;
        let arguments = arguments(view, tracepoint);
        let row = row(view, tracepoint, id, &arguments);
        Some((row, selected.is_named))
    });
    Ok(rows.collect())
}

fn tracepoints(kernel: &Kernel) -> Result<&[Tracepoint], CompileError> {
    kernel
        .tracepoints()
        .map_err(|error| CompileError::Tracepoints {
            source: HookProblem::NoTracepoints {
                reason: error.to_string(),
            },
        })
}

fn arguments(kernel: &Kernel, tracepoint: &Tracepoint) -> Vec<(String, Ty)> {
    tracepoint_arguments(kernel, tracepoint)
        .unwrap_or_default()
        .into_iter()
        .map(|argument| (argument.name, Ty::Of(argument.type_id)))
        .collect()
}

fn row(
    facts: &dyn Facts,
    tracepoint: &Tracepoint,
    id: u16,
    arguments: &[(String, Ty)],
) -> EventRow {
    let system = system_of(tracepoint);
    let mut fields = Fields::default();
    for (name, _) in arguments {
        fields.reserve(name);
    }
    let bind = arguments
        .iter()
        .filter(|(_, ty)| matches!(ty.shape(facts), Shape::Pointer(_)))
        .take(OBJECTS_MAX)
        .map(|(name, _)| BindRow {
            name: name.clone(),
            fetch: Some(name.clone()),
            line: 0,
        });
    let bind = bind.collect();
    let mut members_left = MEMBERS_MAX.min(FIELDS_MAX.saturating_sub(arguments.len()));
    for (name, ty) in arguments.iter().take(FIELDS_MAX) {
        members_left -= fields.argument(facts, name, ty, members_left);
    }
    EventRow {
        id,
        name: format!("{system}:{}", tracepoint.name),
        category: system.to_owned(),
        ltt: None,
        doc: format!("The kernel's tracepoint {}.", tracepoint.name),
        core: false,
        sticky: false,
        end: None,
        sites: vec![SiteRow {
            hooks: vec![Hook::Tracepoint {
                system: system.to_owned(),
                name: tracepoint.name.clone(),
            }],
            unless: None,
            set: BTreeMap::new(),
            when: None,
        }],
        bind,
        when: None,
        fields: fields.rows,
        retired: false,
        source: Source::Builtin,
    }
}

/// The fields of a row while it is made.
#[derive(Default)]
struct Fields {
    names: Vec<String>,
    rows: Vec<FieldRow>,
}

impl Fields {
    fn reserve(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    /// Adds an argument with at most so many members of what it points to; how many these are.
    fn argument(&mut self, facts: &dyn Facts, name: &str, ty: &Ty, members_max: usize) -> usize {
        let doc = format!("argument {}", ty.name(facts));
        let Shape::Pointer(target) = ty.shape(facts) else {
            // A struct of up to 8 bytes travels as a number.
            let field_type = scalar_field(facts, ty, name).unwrap_or(FieldType::Hex);
            self.add(name, field_type, name, &doc);
            return 0;
        };
        if is_char(facts, &target) {
            let fetch = format!("string(kernel, {name})");
            self.add(name, FieldType::Text, &fetch, &doc);
            return 0;
        }
        self.add(name, FieldType::Hex, name, &doc);
        let mut count = 0;
        for member in followed(facts, &target).into_iter().take(members_max) {
            let fetch = format!("{name}->{}", member.path);
            if let Some(field_name) = self.free_name(name, &member.path) {
                self.reserve(&field_name);
                self.add(&field_name, member.field_type, &fetch, &fetch);
                count += 1;
            }
        }
        count
    }

    /// `next_comm` for `next->comm`; more of the path, or the member's own underscores, where the short form is taken.
    fn free_name(&self, argument: &str, path: &str) -> Option<String> {
        let leaf = path.rsplit('.').next().unwrap_or(path);
        let long = path.replace('.', "_");
        let names = [leaf.trim_start_matches('_'), leaf, &long]
            .map(|member| format!("{argument}_{member}"));
        names.into_iter().find(|name| !self.names.contains(name))
    }

    fn add(&mut self, name: &str, field_type: FieldType, fetch: &str, doc: &str) {
        self.rows.push(FieldRow {
            name: name.to_owned(),
            field_type,
            unit: None,
            doc: doc.to_owned(),
            // Where the compiler left one argument out of reach, the others are still worth having.
            fetch: Some(format!("either({fetch}, missing)")),
            line: 0,
        });
    }
}
