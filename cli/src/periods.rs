//! `guesttrace periods`: intervals that the user defines.

use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::report::{By, Options, Period, periods};
use anyhow::Result;
use clap::Args;

use crate::console::Console;
use crate::events::condition;
use crate::report::{Format, PartArgs, show};
use crate::{Usage, tell};

/// Measure intervals from one event to another: how many, how long, the longest
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace periods out.bin --begin 'event == block_rq_issue' --end 'event == block_rq_complete' --by sector\n  \
guesttrace periods out.bin --begin 'event == sched_waking' --end 'event == sched_switch' --by pid=next_pid\n  \
guesttrace periods out.bin --begin 'event == tick' --end 'event == tick' --by cpu\n\n\
A beginning whose key has begun already and not ended counts for nothing; what has no counterpart is counted.")]
pub(crate) struct PeriodsArgs {
    /// Trace to analyse
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Events that begin one
    #[arg(long, value_name = "EXPR")]
    begin: String,
    /// Events that end one
    #[arg(long, value_name = "EXPR")]
    end: String,
    /// What both have in common: tid, pid, cpu, none, a field, or BEGIN=END for fields of different names
    #[arg(long, value_name = "FIELD", default_value = "tid")]
    by: String,
    #[command(flatten)]
    part: PartArgs,
    /// Show at most so many of the longest
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &PeriodsArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let by = By::parse(&args.by, trace.schema()).map_err(|error| {
        let hint = "`guesttrace events FILE --limit 20` shows events with their fields";
        Usage::new(format!("--by: {error}")).hint(hint)
    })?;
    let period = Period {
        begin: condition("--begin", &args.begin, trace.schema())?,
        end: condition("--end", &args.end, trace.schema())?,
        by,
    };
    let options = Options {
        selection: args.part.selection(&trace)?,
        top: args.top,
        ..Options::default()
    };
    show(&periods(&trace, &options, &period)?, args.format, console)
}
