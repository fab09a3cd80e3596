//! `guesttrace exec-on-leash`: becomes another program, under conditions that its parent sets.
//!
//! Nobody asks for it by hand. `record` starts a QEMU without plugin by it, which would otherwise go on alone when
//! `record` is killed; one with plugin notices by itself, and completes its trace. A QEMU that would lose wake-ups of its
//! main loop is kept from what loses them.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Run a program under conditions that its parent sets
#[derive(Debug, Args)]
pub(crate) struct LeashArgs {
    /// Process that has to be the parent; the program ends when it does
    #[arg(long)]
    parent: Option<i32>,
    /// Let the program find a kernel without io_uring
    #[arg(long)]
    no_io_uring: bool,
    /// Program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Conditions under which a program is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leash {
    /// It ends with this process.
    pub(crate) ends_with_us: bool,
    /// It finds a kernel without `io_uring`.
    pub(crate) no_io_uring: bool,
}

/// This program's own file.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot tell where this program lies")
}

impl Leash {
    /// The command under these conditions, which the program `own` sets: this one.
    pub(crate) fn on(self, own: &Path, command: &Command) -> Command {
        let mut leashed = Command::new(own);
        leashed.arg("exec-on-leash");
        if self.ends_with_us {
            let parent = getpid().as_raw_nonzero().to_string();
            leashed.args(["--parent", &parent]);
        }
        if self.no_io_uring {
            leashed.arg("--no-io-uring");
        }
        leashed
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        leashed
    }
}

/// Runs the verb.
pub(crate) fn run(args: &LeashArgs) -> Result<ExitCode> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(parent) = args.parent {
        set_parent_process_death_signal(Some(Signal::TERM)).context("cannot bind to the parent")?;
        // It may have ended before it was asked to be waited for.
        if getppid().map(Pid::as_raw_pid) != Some(parent) {
            return Ok(ExitCode::FAILURE);
        }
    }
    if args.no_io_uring {
        hide_io_uring().context("cannot keep io_uring from QEMU")?;
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}

/// From here on this process asks in vain for an `io_uring`, as on a kernel that was built without.
fn hide_io_uring() -> Result<()> {
    let asked = [(libc::SYS_io_uring_setup, Vec::new())];
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(asked.into(), SeccompAction::Allow, missing, arch)?;
    seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    Ok(())
}
