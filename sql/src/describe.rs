//! Tables and their columns as text: for the prompt, and for `docs/sql.md`, which is held to it by a test.

use crate::column::Column;
use crate::functions::FUNCTIONS;
use crate::tables::{Table, fixed_tables};

/// A table with its columns and their comments, for people.
#[must_use]
pub fn table_text(table: &Table) -> String {
    let mut text = format!("{}: {}\n", table.name, table.comment);
    let names = table.columns.iter().map(|column| column.name.len());
    let width = names.max().unwrap_or(0);
    for column in &table.columns {
        let (name, kind) = (&column.name, column.kind.sql_name());
        text.push_str(&format!("  {name:width$}  {kind:7}  {}\n", comment(column)));
    }
    text
}

fn comment(column: &Column) -> String {
    match &column.unit {
        Some(unit) => format!("{} ({unit})", column.comment),
        None => column.comment.clone(),
    }
}

/// The chapter of `docs/sql.md` about the tables that every trace has and about functions.
#[must_use]
pub fn document() -> String {
    let mut text = String::new();
    for table in fixed_tables() {
        text.push_str(&format!("### {}\n\n{}\n\n", table.name, table.comment));
        text.push_str("| column | type | what |\n|---|---|---|\n");
        for column in &table.columns {
            let (name, kind) = (&column.name, column.kind.sql_name());
            text.push_str(&format!("| `{name}` | {kind} | {} |\n", comment(column)));
        }
        text.push('\n');
    }
    text.push_str("### Functions\n\n| call | what |\n|---|---|\n");
    for (call, what) in FUNCTIONS {
        text.push_str(&format!("| `{call}` | {what} |\n"));
    }
    text
}
