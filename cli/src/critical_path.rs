//! `guesttrace critical-path`: from an event or the end of a thread back to its causes.

use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::causes::{PathEnd, PathError, PathOptions, critical_path};
use analyzer::model::Tid;
use anyhow::Result;
use clap::Args;

use crate::console::Console;
use crate::events::condition;
use crate::report::{Format, TimeArgs, show};
use crate::{Usage, tell};

/// Follow an event, or the end of a thread, back to its causes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace critical-path out.bin --tid 68\n  \
guesttrace critical-path out.bin --event 'event == sched_process_exit && comm == \"gzip\"' --from 6s\n\n\
Each wait of the thread is replaced by what ended it: what another thread did meanwhile, a request at a disk,\n\
a timer, an interrupt. The stretches follow each other without a gap; indented is what another thread did.\n\
Needs 64 bytes of memory for each wait in the chosen time, and about 200 for each stretch of the path.")]
pub(crate) struct CriticalPathArgs {
    /// Trace to analyse
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The thread whose end is explained, or whose event
    #[arg(long, value_name = "N", required_unless_present = "event")]
    tid: Option<u32>,
    /// Explain the first event for which this holds
    #[arg(long, value_name = "EXPR")]
    event: Option<String>,
    #[command(flatten)]
    time: TimeArgs,
    /// Follow waits so many threads deep
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(0..=64))]
    depth: u8,
    /// Show at most so many stretches, the longest, and so many causes
    #[arg(long, value_name = "N", default_value_t = 30)]
    top: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &CriticalPathArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let tid = args.tid.map(Tid);
    let end = match (&args.event, tid) {
        (Some(text), _) => PathEnd::Event(condition("--event", text, trace.schema())?, tid),
        (None, Some(tid)) => PathEnd::Thread(tid),
        (None, None) => return Err(Usage::new("--tid or --event has to be given").into()),
    };
    let options = PathOptions {
        span: args.time.span(&trace)?,
        end,
        depth: usize::from(args.depth),
        top: args.top,
    };
    match critical_path(&trace, &options) {
        Ok(report) => show(&report, args.format, console),
        Err(error @ (PathError::NoThread(_) | PathError::NoEvent)) => {
            let hint = "`guesttrace report processes` has the threads, `guesttrace events --filter EXPR` the events";
            Err(Usage::new(error.to_string()).hint(hint).into())
        }
        Err(error) => Err(error.into()),
    }
}
