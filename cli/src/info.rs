//! `guesttrace info`: what a trace file says about itself.

use std::process::ExitCode;

use analyzer::report;
use anyhow::Result;
use clap::Args;

use crate::console::Console;
use crate::failure;
use crate::report::Format;
use crate::traces::TracesArgs;

/// Show what a trace holds, how exact it is and what was lost
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  guesttrace info out.bin\n\nExit status: 3 when the trace is not complete"
)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    traces: TracesArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &InfoArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = args.traces.open()?;
    let info = report::info(&trace);
    info.write(args.format.of_report(console.width), console.out)?;
    let is_complete = !info.findings.iter().any(|finding| finding.is_gap);
    Ok(if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(failure::BAD_DATA)
    })
}
