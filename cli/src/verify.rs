//! `guesttrace verify`: whether a trace file is whole and unharmed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use trace_format::Severity;

use crate::console::Console;
use crate::{failure, tell};

/// Check that a trace file is whole and unharmed
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  guesttrace verify out.bin\n\nExit status: 0 whole and unharmed, 3 not so"
)]
pub(crate) struct VerifyArgs {
    /// Trace to check
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(args: &VerifyArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let file = tell::own(&trace, "verified")?;
    let diagnostics = file.verify();
    for diagnostic in &diagnostics {
        writeln!(console.out, "{diagnostic}")?;
    }
    if file.trailer().is_none() && diagnostics.is_empty() {
        writeln!(console.out, "the trace has no trailer")?;
    }
    let harm = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity() > Severity::Info)
        .count();
    let records: u64 = file
        .chunks()
        .iter()
        .map(|chunk| u64::from(chunk.record_count))
        .sum();
    let (chunks, path) = (file.chunks().len(), args.trace.display());
    if harm == 0 && file.trailer().is_some() {
        writeln!(
            console.out,
            "{path}: whole and unharmed: {records} records in {chunks} chunks"
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        console.out,
        "{path}: not whole or harmed; {records} records in {chunks} chunks are listed"
    )?;
    Ok(ExitCode::from(failure::BAD_DATA))
}
