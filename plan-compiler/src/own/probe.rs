//! A row for a probe of the user's: what it leaves open is taken from the kernel.

use std::collections::BTreeMap;

use guest_symbols::Kernel;
use guesttrace_events::{
    EventRow, EventTable, FieldRow, FieldType, Hook, RowProblem, SiteRow, Source,
};
use trace_format::FIELDS_MAX;

use super::field::{is_char, scalar_field};
use super::spec::{ProbeSpec, SpecField};
use crate::expression::{ExprError, parse};
use crate::facts::Facts;
use crate::fault::RowFault;
use crate::hook::{HookSite, resolve};
use crate::typed::{Compiler, Scope, Shape, Ty};

/// Adds the event of a probe to a table; its name.
///
/// # Errors
/// The kernel has no such place, an expression is wrong, or the name is taken.
pub fn add_probe(
    table: &mut EventTable,
    kernel: &Kernel,
    spec: &ProbeSpec,
) -> Result<String, ProbeError> {
    let mut row = empty_row(spec);
    let resolved = resolve(kernel, &spec.hook)
        .map_err(|problem| ProbeError::from(RowFault::hook(&row, &spec.hook, problem)))?;
    let sites = resolved.richest_sites();
    let kernel = resolved.view(kernel, &spec.hook);
    row.fields = if spec.fields.is_empty() {
        default_fields(kernel, sites)
    } else {
        let mut fields = Vec::with_capacity(spec.fields.len());
        for field in &spec.fields {
            // Of a fault the row shows the expression as it is written.
            row.fields.push(field_row(field, FieldType::Hex));
            let field_type = field_type(kernel, sites, field).map_err(|error| {
                RowFault::expression(&row, &SiteRow::default(), &field.name, error)
            })?;
            fields.push(field_row(field, field_type));
        }
        fields
    };
    let name = row.name.clone();
    match table.push(row) {
        Ok(()) => Ok(name),
        Err(problem) => Err(ProbeError::Row { name, problem }),
    }
}

/// Why a probe is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The kernel does not have what it names.
    #[error(transparent)]
    Fault(#[from] Box<RowFault>),
    /// It makes no row of a table.
    #[error("probe {name}: {problem}{}", hint(.problem))]
    Row {
        /// The event.
        name: String,
        /// The rule that it breaks.
        problem: RowProblem,
    },
}

fn hint(problem: &RowProblem) -> &'static str {
    match problem {
        RowProblem::DuplicateEvent { .. } => {
            "\nhint: give the probe a name of its own: NAME=FUNCTION ..."
        }
        _ => "",
    }
}

impl From<RowFault> for ProbeError {
    fn from(fault: RowFault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

fn empty_row(spec: &ProbeSpec) -> EventRow {
    let place = match &spec.hook {
        Hook::Entry {
            function,
            offset: 0,
        } => function.clone(),
        Hook::Entry { function, offset } => format!("{function}+{offset:#x}"),
        Hook::Return { function } => format!("{function}%return"),
        Hook::Address(addr) => format!("{addr:#x}"),
        Hook::Line { file, line } => format!("{file}:{line}"),
        Hook::Tracepoint { system, name } => format!("{system}:{name}"),
        Hook::Program { .. } | Hook::Recorder { .. } => spec.hook.to_string(),
    };
    // What is in a program says so itself.
    let (name, category) = match &spec.hook {
        Hook::Program { .. } => (place.clone(), "uprobe"),
        _ => (format!("probe:{place}"), "probe"),
    };
    EventRow {
        id: 0,
        name: spec.name.clone().unwrap_or(name),
        category: category.to_owned(),
        ltt: None,
        doc: format!("Your probe on {place}."),
        core: false,
        sticky: false,
        end: None,
        sites: vec![SiteRow {
            hooks: vec![spec.hook.clone()],
            unless: None,
            set: BTreeMap::new(),
            when: None,
        }],
        bind: Vec::new(),
        when: None,
        fields: Vec::new(),
        retired: false,
        source: Source::Probe {
            text: spec.text.clone(),
        },
    }
}

fn field_row(field: &SpecField, field_type: FieldType) -> FieldRow {
    FieldRow {
        name: field.name.clone(),
        field_type,
        unit: None,
        doc: field.expression.clone(),
        fetch: Some(field.expression.clone()),
        line: 0,
    }
}

/// The type of a field: as written, else that of its expression at the first site where it means something.
fn field_type(
    kernel: &Kernel,
    sites: &[HookSite],
    field: &SpecField,
) -> Result<FieldType, ExprError> {
    let expr = parse(&field.expression)?;
    if let Some(field_type) = &field.field_type {
        return Ok(field_type.clone());
    }
    let mut first_error = None;
    for site in sites {
        match Compiler::new(kernel, &site.scope, &[]).infer(&expr, &field.name) {
            Ok(field_type) => return Ok(field_type),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(FieldType::Hex),
    }
}

/// All arguments, or at a return the result.
fn default_fields(facts: &dyn Facts, sites: &[HookSite]) -> Vec<FieldRow> {
    let Some(scope) = sites.first().map(|site| &site.scope) else {
        return Vec::new();
    };
    let Some(ty) = &scope.returns else {
        let fields = arguments(facts, scope).chain(parameters(facts, scope));
        return fields.take(FIELDS_MAX).collect();
    };
    let result = scalar_field(facts, ty, "ret");
    let result = result.map(|field_type| FieldRow {
        fetch: Some("retval".to_owned()),
        ..default_field("ret", field_type, &ty.name(facts))
    });
    result.into_iter().collect()
}

fn arguments(facts: &dyn Facts, scope: &Scope) -> impl Iterator<Item = FieldRow> {
    // Those that are known by their number alone may not be there at all.
    let is_known = scope.why_no_arguments.is_none();
    let known = scope.arguments.iter().enumerate();
    known
        .filter(move |_| is_known)
        .map(move |(index, argument)| {
            let name = argument.name.clone();
            let name = name.unwrap_or_else(|| format!("arg{index}"));
            let doc = argument.ty.name(facts);
            let field_type = match argument.ty.shape(facts) {
                Shape::Pointer(target) if is_const_char(facts, &argument.ty, &target) => {
                    FieldType::Text
                }
                _ => scalar_field(facts, &argument.ty, &name).unwrap_or(FieldType::Hex),
            };
            default_field(&name, field_type, &doc)
        })
}

/// Arguments as they are inside the function, in their order.
fn parameters(facts: &dyn Facts, scope: &Scope) -> impl Iterator<Item = FieldRow> {
    let known = scope.locals.iter().rev();
    known.filter(|local| local.is_parameter).map(move |local| {
        let field_type = scalar_field(facts, &local.ty, &local.name).unwrap_or(FieldType::Hex);
        default_field(&local.name, field_type, &local.ty.name(facts))
    })
}

/// Characters that the function does not write are there when it begins.
fn is_const_char(facts: &dyn Facts, pointer: &Ty, target: &Ty) -> bool {
    let Ty::Of(id) = pointer else { return false };
    is_char(facts, target) && facts.points_to_const(*id)
}

fn default_field(name: &str, field_type: FieldType, doc: &str) -> FieldRow {
    FieldRow {
        name: name.to_owned(),
        field_type,
        unit: None,
        doc: doc.to_owned(),
        fetch: Some(format!("either({name}, missing)")),
        line: 0,
    }
}
