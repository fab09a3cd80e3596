//! The lists.

use analyzer::report::{Cell, Column, REPORTS, column};
use anyhow::{Context as _, Result};
use guest_symbols::{Abi, Kernel, Type};
use guesttrace_events::{EventRow, EventTable};
use plan_compiler::{Resolution, Selection, compile, list_tracepoints};
use serde_json::{Value, json};

use super::{List, Row};
use crate::modules::ModuleArgs;

/// The workloads of our guest images; each begins with a line that says what it does.
const WORKLOADS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/workloads.rs"));

fn text(text: &str) -> Cell {
    if text.is_empty() {
        Cell::Absent
    } else {
        Cell::Text(text.to_owned())
    }
}

/// The event table; with a kernel, what becomes of it there.
pub(super) fn events(kernel: Option<&Kernel>) -> Result<List> {
    let table = EventTable::builtin();
    let resolutions = match kernel {
        Some(kernel) => {
            let all = Selection::parse("all");
            Some(
                compile(kernel, &table, &all)
                    .context("cannot plan for this kernel")?
                    .resolutions,
            )
        }
        None => None,
    };
    let rows = table.events().iter().filter(|event| !event.retired);
    Ok(List {
        columns: vec![
            column("name", "Name"),
            column("id", "Id"),
            column("category", "Category"),
            column("hook", "Hook"),
            column("sites", "Sites"),
            column("resolved", "Found"),
            column("ltt", "LTT"),
            column("doc", "What"),
        ],
        rows: rows
            .map(|event| event_row(event, resolutions.as_deref()))
            .collect(),
    })
}

fn event_row(event: &EventRow, resolutions: Option<&[Resolution]>) -> Row {
    let mine: Vec<&Resolution> = resolutions
        .unwrap_or_default()
        .iter()
        .filter(|resolution| resolution.event == event.name)
        .collect();
    let found: Vec<&Resolution> = mine
        .iter()
        .copied()
        .filter(|resolution| resolution.chosen.is_some())
        .collect();
    let chosen = found
        .first()
        .and_then(|resolution| resolution.candidates.get(resolution.chosen?));
    let first = event
        .sites
        .first()
        .and_then(|site| site.hooks.first())
        .map(ToString::to_string);
    let hook = chosen
        .map(|(hook, _)| hook.clone())
        .or(first)
        .unwrap_or_default();
    let resolved = resolutions.map(|_| !found.is_empty());
    let (sites, ltt) = (event.sites.len(), event.ltt.as_deref());
    Row {
        cells: vec![
            text(&event.name),
            Cell::Count(u64::from(event.id)),
            text(&event.category),
            text(&hook),
            Cell::Count(sites as u64),
            resolved.map_or(Cell::Absent, Cell::Flag),
            text(ltt.unwrap_or("")),
            text(&event.doc),
        ],
        object: json!({
            "name": event.name, "id": event.id, "category": event.category, "hook": hook, "resolved": resolved,
            "sites": sites, "ltt": ltt, "doc": event.doc,
            "fields": event.fields.iter().map(|field| json!({
                "name": field.name, "type": field.field_type.to_string(), "unit": field.unit, "doc": field.doc,
            })).collect::<Vec<_>>(),
        }),
    }
}

/// Tracepoints with their arguments.
pub(super) fn tracepoints(kernel: &Kernel) -> Result<List> {
    let reports =
        list_tracepoints(kernel).context("the tracepoints of this kernel cannot be read")?;
    let row = |report: &plan_compiler::TracepointReport| {
        let shown = report
            .arguments
            .as_ref()
            .map(|arguments| declarations(arguments));
        Row {
            cells: vec![
                text(report.system.as_deref().unwrap_or("")),
                text(&report.name),
                text(report.module.as_deref().unwrap_or("")),
                Cell::Count(report.sites as u64),
                shown.map_or(Cell::Absent, Cell::Text),
                text(report.reason.as_deref().unwrap_or("")),
            ],
            object: json!({
                "name": report.name, "system": report.system, "module": report.module, "sites": report.sites,
                "arguments": report.arguments.as_ref().map(|arguments| objects(arguments)),
                "reason": report.reason,
            }),
        }
    };
    Ok(List {
        columns: vec![
            column("system", "System"),
            column("name", "Name"),
            column("module", "Module"),
            column("sites", "Sites"),
            column("arguments", "Arguments"),
            column("reason", "Missing"),
        ],
        rows: reports.iter().map(row).collect(),
    })
}

/// Functions of the kernel by address, then those of modules, which have no address yet.
pub(super) fn functions(kernel: &Kernel, modules: &ModuleArgs) -> Result<List> {
    let functions = kernel
        .symbols()
        .iter()
        .filter(|symbol| matches!(symbol.kind, 't' | 'T' | 'w' | 'W'));
    let row = |symbol: guest_symbols::Symbol<'_>| {
        let signature = signature(kernel, symbol.name);
        let shown = signature
            .as_ref()
            .map(|(returns, arguments)| format!("{returns} ({})", declarations(arguments)));
        Row {
            cells: vec![
                Cell::Hex(symbol.addr.0),
                Cell::Count(symbol.size),
                Cell::Text(symbol.kind.to_string()),
                text(symbol.name),
                shown.map_or(Cell::Absent, Cell::Text),
                Cell::Absent,
            ],
            object: json!({
                "name": symbol.name, "address": format!("{:#x}", symbol.addr.0), "size": symbol.size,
                "kind": symbol.kind.to_string(),
                "arguments": signature.as_ref().map(|(_, arguments)| objects(arguments)),
                "returns": signature.as_ref().map(|(returns, _)| returns),
            }),
        }
    };
    let mut rows: Vec<Row> = functions.map(row).collect();
    for path in modules.all()? {
        let file = crate::modules::open(&path)?;
        let module = file.name();
        rows.extend(file.functions().map(|(name, size)| Row {
            cells: vec![
                Cell::Absent,
                Cell::Count(size),
                Cell::Absent,
                text(name),
                Cell::Absent,
                text(module),
            ],
            object: json!({ "name": name, "size": size, "module": module }),
        }));
    }
    Ok(List {
        columns: vec![
            column("address", "Address"),
            column("size", "Size"),
            column("kind", "Kind"),
            column("name", "Name"),
            column("signature", "Result and arguments"),
            column("module", "Module"),
        ],
        rows,
    })
}

/// Type of a function's result, and name and type of each argument.
fn signature(kernel: &Kernel, function: &str) -> Option<(String, Vec<(String, String)>)> {
    let types = kernel.types();
    let Type::Function { returns, params } = types.get(types.function(function)?) else {
        return None;
    };
    let argument = |(index, (name, type_id)): (usize, &(Option<String>, _))| {
        let name = name.clone().unwrap_or_else(|| format!("arg{index}"));
        (name, types.c_name(*type_id))
    };
    let arguments = params.iter().enumerate().map(argument).collect();
    Some((types.c_name(*returns), arguments))
}

/// System calls by table and number.
pub(super) fn syscalls(kernel: &Kernel) -> Result<List> {
    let calls = kernel
        .syscalls()
        .context("the system calls of this kernel cannot be read")?;
    let row = |call: &guest_symbols::Syscall| {
        let abi = match call.abi {
            Abi::X64 => "x64",
            Abi::Ia32 => "ia32",
        };
        let function = call.function.map(|function| function.0);
        Row {
            cells: vec![
                text(abi),
                Cell::Count(u64::from(call.number)),
                text(&call.name),
                Cell::Text(declarations(&call.arguments)),
                function.map_or(Cell::Absent, Cell::Hex),
            ],
            object: json!({
                "name": call.name, "number": call.number, "abi": abi,
                "function": function.map(|function| format!("{function:#x}")),
                "arguments": objects(&call.arguments),
            }),
        }
    };
    Ok(List {
        columns: vec![
            column("abi", "Table"),
            column("number", "Number"),
            column("name", "Name"),
            column("arguments", "Arguments"),
            column("function", "Function"),
        ],
        rows: calls.iter().map(row).collect(),
    })
}

/// What our images can run.
pub(crate) fn workloads() -> List {
    List {
        columns: named_columns(),
        rows: WORKLOADS
            .iter()
            .map(|(name, doc)| named(name, doc))
            .collect(),
    }
}

/// What `guesttrace report` can make.
pub(super) fn reports() -> List {
    List {
        columns: named_columns(),
        rows: REPORTS
            .iter()
            .map(|report| named(report.name, report.doc))
            .collect(),
    }
}

fn named_columns() -> Vec<Column> {
    vec![column("name", "Name"), column("doc", "What")]
}

fn named(name: &str, doc: &str) -> Row {
    Row {
        cells: vec![text(name), text(doc)],
        object: json!({ "name": name, "doc": doc }),
    }
}

fn declarations(arguments: &[(String, String)]) -> String {
    let declare = |(name, kind): &(String, String)| {
        let space = if kind.ends_with('*') { "" } else { " " };
        format!("{kind}{space}{name}")
    };
    arguments.iter().map(declare).collect::<Vec<_>>().join(", ")
}

fn objects(arguments: &[(String, String)]) -> Value {
    arguments
        .iter()
        .map(|(name, kind)| json!({ "name": name, "type": kind }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_of_the_images_is_listed() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../images/workloads");
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            WORKLOADS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            names
        );
        for row in workloads().rows {
            assert!(
                row.object["doc"].as_str().is_some_and(|doc| doc.len() > 10),
                "{}",
                row.object
            );
        }
    }
}
