//! `guesttrace chain`: from an interrupt or event forward to its last effect.

use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::causes::{ChainError, ChainOptions, ChainStart, chain};
use analyzer::model::GuestNanos;
use anyhow::Result;
use clap::Args;

use crate::console::Console;
use crate::events::condition;
use crate::report::{Format, TimeArgs, show};
use crate::time::parse_time;
use crate::{Usage, tell};

/// Follow an interrupt, or an event, forward to its last effect
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace chain out.bin --from-irq 1\n  \
guesttrace chain out.bin --event 'event == netif_rx' --within 10ms --all-steps\n\n\
An interrupt raises softirqs, queues work and wakes threads; those do the same until they sleep again.\n\
The last effect is the last call that writes or sends, or else the last step. Needs 96 bytes for each step.")]
pub(crate) struct ChainArgs {
    /// Trace to analyse
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Begin with each interrupt of this line
    #[arg(
        long,
        value_name = "LINE",
        required_unless_present = "event",
        conflicts_with = "event"
    )]
    from_irq: Option<u16>,
    /// Begin with each event for which this holds
    #[arg(long, value_name = "EXPR")]
    event: Option<String>,
    #[command(flatten)]
    time: TimeArgs,
    /// Follow effects for so long after the start
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "1s")]
    within: GuestNanos,
    /// Show every step of the chain, indented below its cause, not only those that lead to the last effect
    #[arg(long)]
    all_steps: bool,
    /// List at most so many chains
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &ChainArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let start = match (&args.event, args.from_irq) {
        (Some(text), _) => ChainStart::Event(condition("--event", text, trace.schema())?),
        (None, Some(line)) => ChainStart::Line(i64::from(line)),
        (None, None) => return Err(Usage::new("--from-irq or --event has to be given").into()),
    };
    let options = ChainOptions {
        span: args.time.span(&trace)?,
        start,
        within: args.within,
        top: args.top,
        all_steps: args.all_steps,
    };
    match chain(&trace, &options) {
        Ok(report) => show(&report, args.format, console),
        Err(error @ ChainError::NoStart) => {
            let hint = "`guesttrace report irqs` has the lines, `guesttrace events --filter EXPR` the events";
            Err(Usage::new(error.to_string()).hint(hint).into())
        }
        Err(error) => Err(error.into()),
    }
}
