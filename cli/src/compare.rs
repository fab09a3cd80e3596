//! `guesttrace compare`: the numbers of two traces' reports side by side.

use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::report::{CompareOptions, Options, REPORTS, compare};
use anyhow::Result;
use clap::Args;

use crate::console::Console;
use crate::report::{Format, PartArgs, show};
use crate::{Usage, tell};

/// Compare the numbers of all reports of two traces
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace compare before.bin after.bin\n  \
guesttrace compare before.bin after.bin --report syscalls --report sched --threshold 20 --format json\n\n\
Less time is better, and so are fewer errors; other numbers that differ are changed.\n\
Exit status: 0 when nothing differs beyond --threshold, 1 when something does, 3 when a trace is not whole")]
pub(crate) struct CompareArgs {
    /// One trace
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The other
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Only this report; may be repeated
    #[arg(long, value_name = "NAME")]
    report: Vec<String>,
    /// Differences up to so much of the larger number are none
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    threshold: f64,
    #[command(flatten)]
    part: PartArgs,
    /// Show at most so many differences, the largest first [default: 40 as text, else all]
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Rows of reports that are compared, beyond those that people look at.
const ROWS_MAX: usize = 1000;

/// Runs the verb.
pub(crate) fn run(args: &CompareArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let is_known = |name: &&String| {
        REPORTS
            .iter()
            .any(|kind| kind.name == name.as_str() && kind.is_whole())
    };
    if let Some(name) = args.report.iter().find(|name| !is_known(name)) {
        let names = REPORTS
            .iter()
            .filter(|kind| kind.is_whole())
            .map(|kind| kind.name);
        let hint = format!("there are {}", names.collect::<Vec<_>>().join(", "));
        let usage = Usage::new(format!("there is no report {name:?} to compare"));
        return Err(usage.hint(hint).into());
    }
    if !(0.0..=100.0).contains(&args.threshold) {
        return Err(Usage::new("--threshold is a percentage from 0 to 100").into());
    }
    let (a, b) = (tell::open(&args.a)?, tell::open(&args.b)?);
    let shown = if args.format == Format::Text {
        40
    } else {
        usize::MAX
    };
    let wish = CompareOptions {
        options: Options {
            selection: args.part.selection()?,
            top: ROWS_MAX,
        },
        reports: args.report.clone(),
        threshold: args.threshold,
        top: args.top.unwrap_or(shown),
    };
    let compared = compare(&a, &b, &wish)?;
    let code = show(&compared.report, args.format, console)?;
    Ok(if compared.differs {
        ExitCode::from(1)
    } else {
        code
    })
}
