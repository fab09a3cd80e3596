//! `guesttrace list`: what can be recorded, and what a kernel has.

pub(crate) mod rows;

use std::process::ExitCode;

use analyzer::report::{Cell, Column, Glob, Shape, Table};
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::Usage;
use crate::console::Console;
use crate::kernel_image::KernelArgs;
use crate::modules::ModuleArgs;
use crate::report::Format;

/// List events, a kernel's tracepoints, functions or system calls, workloads, or reports
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guesttrace list events --kernel bzImage\n  \
guesttrace list tracepoints --kernel bzImage --format json\n  \
guesttrace list functions 'do_sys_open*' --kernel bzImage\n\nJSON is one object a line."
)]
pub(crate) struct ListArgs {
    /// What to list
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
    /// Only what has such a name; `*` and `?` are wildcards
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    modules: ModuleArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Events of the event table; with --kernel, which of them that kernel has
    Events,
    /// Tracepoints compiled into a kernel
    Tracepoints,
    /// Functions of a kernel, with their arguments where its types tell them
    Functions,
    /// System calls of a kernel
    Syscalls,
    /// Workloads of our guest images
    Workloads,
    /// Reports
    Reports,
}

/// A list: for people and spreadsheets as a table, for programs as objects.
pub(crate) struct List {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

/// An item.
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) object: Value,
}

impl List {
    /// Writes the rows whose names fit.
    pub(crate) fn write(
        mut self,
        pattern: Option<&str>,
        format: Format,
        console: &mut Console<'_>,
    ) -> Result<()> {
        if let Some(pattern) = pattern {
            self.rows.retain(|row| row.fits(pattern));
            if self.rows.is_empty() {
                return Err(Usage::new(format!("nothing here is called {pattern:?}"))
                    .hint(format!(
                        "put wildcards around a part of a name: '*{pattern}*'"
                    ))
                    .into());
            }
        }
        if format == Format::Json {
            for row in &self.rows {
                writeln!(console.out, "{}", row.object)?;
            }
            return Ok(());
        }
        let table = Table {
            name: "list",
            title: String::new(),
            shape: Shape::Rows,
            columns: self.columns,
            rows: self.rows.into_iter().map(|row| row.cells).collect(),
        };
        match format {
            Format::Csv => table.write_csv(console.out)?,
            Format::Text | Format::Json => table.write_text(console.width, console.out)?,
        }
        Ok(())
    }
}

impl Row {
    /// Whether its name, or `SYSTEM:NAME`, fits.
    fn fits(&self, pattern: &str) -> bool {
        let text = |key: &str| self.object[key].as_str().unwrap_or_default();
        let glob = Glob::new(pattern);
        let full = format!("{}:{}", text("system"), text("name"));
        glob.matches(text("name").as_bytes()) || glob.matches(full.as_bytes())
    }
}

/// Runs the verb.
pub(crate) fn run(args: &ListArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let list = match args.what {
        What::Events if args.kernel.is_empty() => rows::events(None)?,
        What::Events => rows::events(Some(&args.kernel.load()?))?,
        What::Tracepoints => {
            let mut kernel = args.kernel.load()?;
            args.modules.add_with_tracepoints(&mut kernel)?;
            rows::tracepoints(&kernel)?
        }
        What::Functions => rows::functions(&args.kernel.load()?, &args.modules)?,
        What::Syscalls => rows::syscalls(&args.kernel.load()?)?,
        What::Workloads | What::Reports if !args.kernel.is_empty() => {
            return Err(Usage::new("this list does not depend on a kernel")
                .hint("leave --kernel out")
                .into());
        }
        What::Workloads => rows::workloads(),
        What::Reports => rows::reports(),
    };
    list.write(args.pattern.as_deref(), args.format, console)?;
    Ok(ExitCode::SUCCESS)
}
