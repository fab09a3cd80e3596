//! `guesttrace exec-on-leash`: becomes another program that ends when whoever started it does.
//!
//! Nobody asks for it by hand: `record` starts a QEMU without plugin by it, which would otherwise go on alone when
//! `record` is killed. One with plugin notices by itself, and completes its trace.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Run a program that ends when this process does
#[derive(Debug, Args)]
pub(crate) struct LeashArgs {
    /// Process that has to be the parent
    parent: i32,
    /// Program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// The command, started so that it ends with this process.
///
/// # Errors
/// When this program's own file cannot be told.
pub(crate) fn leashed(command: &Command) -> Result<Command> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let mut leashed = Command::new(program);
    leashed
        .arg("exec-on-leash")
        .arg(getpid().as_raw_nonzero().to_string())
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    Ok(leashed)
}

/// Runs the verb.
pub(crate) fn run(args: &LeashArgs) -> Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot bind to the parent")?;
    // It may have ended before it was asked to be waited for.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
    let Some((program, arguments)) = args.command.split_first() else {
        return Ok(ExitCode::SUCCESS);
    };
    if parent != Some(args.parent) {
        return Ok(ExitCode::FAILURE);
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
