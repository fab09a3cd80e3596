//! `guesttrace flame`: where time went, as a flame graph.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::causes::{FlameKind, flame};
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use inferno::flamegraph::{self, Options};

use crate::console::Console;
use crate::report::PartArgs;
use crate::{Usage, failure, new_trace, tell};

/// Write where time went as a flame graph, or as folded stacks
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace flame out.bin -o flame.svg\n  \
guesttrace flame out.bin -o waits.folded --kind off-cpu --comm gzip\n\n\
A stack is process, thread, state, system call or interrupt; of a wait, what it was for and what ended it.\n\
Call stacks of scheduling changes (`record --stack kernel=sched_switch`) are part of it. Times are nanoseconds.")]
pub(crate) struct FlameArgs {
    /// Trace to analyse
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Which time
    #[arg(long, value_enum, default_value_t = Kind::All)]
    kind: Kind,
    /// How to write it; svg if the file is called so, else folded
    #[arg(long, value_enum)]
    format: Option<FlameFormat>,
    #[command(flatten)]
    part: PartArgs,
}

/// Which time of threads is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// With a CPU
    Cpu,
    /// Without one
    OffCpu,
    /// Both
    All,
}

/// How a flame graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FlameFormat {
    /// A line for each stack
    Folded,
    /// A picture
    Svg,
}

/// Runs the verb.
pub(crate) fn run(args: &FlameArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let kind = match args.kind {
        Kind::Cpu => FlameKind::Cpu,
        Kind::OffCpu => FlameKind::OffCpu,
        Kind::All => FlameKind::All,
    };
    let flame = flame(&trace, &args.part.selection(&trace)?, kind)?;
    tell::warn(&flame.findings, console.talk)?;
    if flame.lines.is_empty() {
        let usage = Usage::new("no time of that kind is in that part of the trace");
        return Err(usage
            .hint("`guesttrace report processes` has the threads")
            .into());
    }
    let is_svg = args
        .output
        .extension()
        .is_some_and(|extension| extension == "svg");
    let format = args.format.unwrap_or(if is_svg {
        FlameFormat::Svg
    } else {
        FlameFormat::Folded
    });
    new_trace::write(&[&args.trace], &args.output, |mut out| {
        match format {
            FlameFormat::Folded => {
                for line in &flame.lines {
                    writeln!(out, "{line}")?;
                }
            }
            FlameFormat::Svg => draw(&flame.lines, args, &mut out)?,
        }
        Ok((out, ()))
    })?;
    writeln!(
        console.talk,
        "{} stacks in {}",
        flame.lines.len(),
        args.output.display()
    )?;
    Ok(if tell::is_unreliable(&flame.findings) {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::SUCCESS
    })
}

fn draw(lines: &[String], args: &FlameArgs, out: &mut impl std::io::Write) -> Result<()> {
    let mut options = Options::default();
    options.title = match args.kind {
        Kind::Cpu => "Time with a CPU",
        Kind::OffCpu => "Time without a CPU",
        Kind::All => "Time of all threads",
    }
    .to_owned();
    options.count_name = "ns".to_owned();
    // The same trace gives the same picture.
    options.deterministic = true;
    let lines = lines.iter().map(String::as_str);
    flamegraph::from_lines(&mut options, lines, out).context("cannot draw the stacks")
}
