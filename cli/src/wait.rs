//! `guesttrace wait`: where the time of a process or thread went.

use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::causes::{Subject, WaitOptions, wait};
use analyzer::model::{Pid, Tid};
use analyzer::report::{Glob, Selection};
use anyhow::Result;
use clap::Args;

use crate::console::Console;
use crate::report::{Format, TimeArgs, show};
use crate::tell;

/// Show where the time of a process went: running, ready to run, waiting for what
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace wait out.bin --comm gzip\n  \
guesttrace wait out.bin --pid 68 --from 1.5s --to 2s --depth 3 --format json\n\n\
The parts of each row sum up to it exactly. Below a wait that another thread ended is what that thread did meanwhile.\n\
Needs 64 bytes of memory for each wait in the chosen time, and 96 for each piece of an explanation.")]
pub(crate) struct WaitArgs {
    /// Trace to analyse
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    #[command(flatten)]
    time: TimeArgs,
    /// Only this process; may be repeated
    #[arg(long, value_name = "N")]
    pid: Vec<u32>,
    /// Only threads of this name, which may have `*` and `?`; may be repeated
    #[arg(long, value_name = "NAME")]
    comm: Vec<String>,
    /// Only this thread
    #[arg(long, value_name = "N")]
    tid: Option<u32>,
    /// Follow waits so many threads deep
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=16))]
    depth: u8,
    /// Show at most so many rows below each; the others are summed up
    #[arg(long, value_name = "N", default_value_t = 8)]
    top: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &WaitArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let options = WaitOptions {
        selection: Selection {
            span: args.time.span(&trace)?,
            pids: args.pid.iter().copied().map(Pid).collect(),
            comms: args.comm.iter().map(|name| Glob::new(name)).collect(),
            ..Selection::default()
        },
        subject: args
            .tid
            .map_or(Subject::Selected, |tid| Subject::Thread(Tid(tid))),
        depth: usize::from(args.depth),
        top: args.top,
    };
    show(&wait(&trace, &options)?, args.format, console)
}
