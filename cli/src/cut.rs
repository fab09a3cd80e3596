//! `guesttrace cut`: a part of a trace as a trace of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use trace_format::{CutWish, TscSpan, cut};

use crate::console::Console;
use crate::events::events_named;
use crate::new_trace;
use crate::report::TimeArgs;
use crate::{failure, tell};

/// Write a part of a trace into a new file
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace cut out.bin --from 1.5s --to 2s -o part.bin\n  \
guesttrace cut out.bin --cpu 0 --event 'sched_*' -o part.bin\n\n\
Times stay what they are in the whole trace, and events know their threads. `guesttrace merge` puts cuts together.\n\
Exit status: 3 when something in that part is damaged or missing")]
pub(crate) struct CutArgs {
    /// Trace to take it from
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    #[command(flatten)]
    time: TimeArgs,
    /// Only this CPU; may be repeated
    #[arg(long, value_name = "N")]
    cpu: Vec<u32>,
    /// Only events of this name, which may have `*` and `?`; may be repeated, or several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    event: Vec<String>,
    /// New file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(args: &CutArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let findings = trace.findings();
    tell::warn(&findings, console.talk)?;
    let file = tell::own(&trace, "cut")?;
    let span = args.time.span(&trace)?;
    let clock = trace.clock();
    let wish = CutWish {
        span: TscSpan {
            from_tsc: args.time.from.map(|_| clock.tsc(span.start)),
            to_tsc: args.time.to.map(|_| clock.tsc(span.end)),
        },
        cpus: args.cpu.clone(),
        events: events_named(&args.event, &file.header().schema)?,
    };
    let done = new_trace::write(&[&args.trace], &args.output, |out| {
        Ok(cut(file, &wish, out)?)
    })?;
    for damage in &done.damage {
        writeln!(console.talk, "warning: {damage}")?;
    }
    writeln!(
        console.out,
        "{}: {} events in {} chunks",
        args.output.display(),
        done.records,
        done.chunks
    )?;
    let is_bad = tell::is_unreliable(&findings) || !done.damage.is_empty();
    Ok(if is_bad {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::SUCCESS
    })
}
