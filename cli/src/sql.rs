//! `guesttrace sql`: hands over to the program that queries, which is built apart because that takes minutes.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::Usage;

/// Name of the program, which lies beside this one.
const PROGRAM: &str = "guesttrace-sql";

/// Query a trace by SQL, or open a prompt for queries
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SqlArgs {
    /// Traces, the query, options: `guesttrace sql --help` lists them
    #[arg(
        value_name = "ARGUMENT",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Runs the verb.
pub(crate) fn run(args: &SqlArgs) -> Result<ExitCode> {
    let arguments = if args.arguments.is_empty() {
        &[OsString::from("--help")][..]
    } else {
        &args.arguments
    };
    hand_over("sql", arguments)
}

/// Becomes the program that queries, with that verb.
///
/// # Errors
/// When it is not there, or cannot be started.
pub(crate) fn hand_over(verb: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let own = std::env::current_exe().context("cannot find out where guesttrace lies")?;
    let program = own.parent().unwrap_or(Path::new(".")).join(PROGRAM);
    if !program.exists() {
        let usage = Usage::new(format!(
            "{} is not there: it is built apart",
            program.display()
        ));
        let hint = "cargo build --release --manifest-path sql/Cargo.toml --target-dir target";
        return Err(usage.hint(hint).into());
    }
    let error = Command::new(&program).arg(verb).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
