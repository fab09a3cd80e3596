//! `guesttrace repair`: what is whole of a damaged or cut trace, as a trace with an end and an index.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use trace_format::salvage;

use crate::console::Console;
use crate::{new_trace, tell};

/// Write what is whole of a damaged or cut trace into a new file
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  guesttrace repair out.bin.partial -o out.bin\n\n\
Chunks that are whole are copied as they are; what is lost is said, and stays visible in the new trace as a gap.\n\
Exit status: 0 nothing was lost, 1 something was, 3 nothing can be read"
)]
pub(crate) struct RepairArgs {
    /// Trace to repair; it is not changed
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// New file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(args: &RepairArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let file = tell::own(&trace, "repaired")?;
    let done = new_trace::write(&[&args.trace], &args.output, |out| Ok(salvage(file, out)?))?;
    for diagnostic in file.verify() {
        writeln!(console.out, "{diagnostic}")?;
    }
    let clock = trace.clock();
    for gap in &done.gaps {
        let time = |tsc| {
            format!(
                "{:.9}",
                std::time::Duration::from_nanos(clock.nanos(tsc).0).as_secs_f64()
            )
        };
        let from = gap.after_tsc.map_or("the start".to_owned(), time);
        let to = gap.before_tsc.map_or("the end".to_owned(), time);
        writeln!(
            console.out,
            "CPU {}: {} lost between {from} and {to}",
            gap.cpu,
            match gap.chunks {
                Some(1) => "1 chunk".to_owned(),
                Some(count) => format!("{count} chunks"),
                None => "whatever came last is".to_owned(),
            }
        )?;
    }
    writeln!(
        console.out,
        "{}: {} records in {} chunks",
        args.output.display(),
        done.records,
        done.chunks
    )?;
    Ok(ExitCode::from(u8::from(!done.gaps.is_empty())))
}
