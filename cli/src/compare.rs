//! `guesttrace compare`: the numbers of two traces' reports side by side; or the events of one run as two tracers saw them.

use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::inside::{Views, compare_views};
use analyzer::report::{CompareOptions, Options, REPORTS, compare};
use analyzer::sources::Trace;
use anyhow::Result;
use clap::Args;

use crate::console::Console;
use crate::report::{Format, PartArgs, show};
use crate::{Usage, tell};

/// Compare the numbers of all reports of two traces, or our trace of a run with the guest's own
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace compare before.bin after.bin\n  \
guesttrace compare before.bin after.bin --report syscalls --report sched --threshold 20 --format json\n  \
guesttrace compare out.bin out.trace.dat --base none.bin\n\n\
Less time is better, and so are fewer errors; other numbers that differ are changed.\n\
Where B is what the guest's own tracer wrote in the run that A is of (`record --native`), events are compared instead: \
which each has, which it missed, how late its stamps are.\n\
Exit status: 0 when nothing differs beyond --threshold, 1 when something does, 3 when a trace is not whole")]
pub(crate) struct CompareArgs {
    /// One trace
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The other
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Our trace of the same run without the guest's own tracer (`record --native none`): what that costs is shown
    #[arg(long, value_name = "TRACE")]
    base: Option<PathBuf>,
    /// Only this report; may be repeated
    #[arg(long, value_name = "NAME")]
    report: Vec<String>,
    /// Differences up to so much of the larger number are none
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    threshold: f64,
    #[command(flatten)]
    part: PartArgs,
    /// Show at most so many differences, those that matter most first [default: 40 as text, else all]
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
    if a.own().is_some() && b.own().is_none() {
        return compare_with_own(&a, &b, args, console);
    }
    if args.base.is_some() {
        let usage =
            Usage::new("--base goes with our trace of a run and the guest's own trace of it");
        return Err(usage
            .hint("guesttrace compare out.bin out.trace.dat --base none.bin")
            .into());
    }
    let shown = if args.format == Format::Text {
        40
    } else {
        usize::MAX
    };
    let options = |trace: &Trace| -> Result<Options> {
        Ok(Options {
            selection: args.part.selection(trace)?,
            top: ROWS_MAX,
            ..Options::default()
        })
    };
    let wish = CompareOptions {
        options: [options(&a)?, options(&b)?],
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

/// Compares our trace of a run with the guest's own.
fn compare_with_own(
    outside: &Trace,
    inside: &Trace,
    args: &CompareArgs,
    console: &mut Console<'_>,
) -> Result<ExitCode> {
    let base = args.base.as_ref().map(|path| tell::open(path));
    let base = base.transpose()?;
    let views = Views {
        outside,
        inside,
        base: base.as_ref(),
    };
    show(&compare_views(&views)?, args.format, console)
}
