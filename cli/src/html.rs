//! `guesttrace html`: a trace as one file for a browser.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use guesttrace_view::{HtmlError, Keep, Served, build, foreseen, html};

use crate::console::Console;
use crate::report::TimeArgs;
use crate::{Usage, failure, new_trace, tell};

/// Write a trace as one page that needs no server
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace html out.bin -o report.html\n  \
guesttrace html out.bin -o part.html --from 1.5s --to 2s\n\n\
The file has the page of `guesttrace serve` with all states, events, latencies and reports in it, and opens by double\n\
click, without a network. What needs the analyzer is missing: filters but for text, critical paths, SQL, cuts.\n\
An event takes 10 to 15 bytes: 1 million are some 12 MB.")]
pub(crate) struct HtmlArgs {
    /// Trace to show
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// New file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    time: TimeArgs,
}

/// Runs the verb.
pub(crate) fn run(args: &HtmlArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let span = args.time.span(&trace)?;
    let name = args.trace.file_name().unwrap_or(args.trace.as_os_str());
    let served = Served::new(
        name.to_string_lossy().into_owned(),
        vec![args.trace.clone()],
        trace,
    );
    build(&served, Keep::Nowhere).with_context(|| cannot_read(&args.trace))?;
    let findings = served.trace().findings();
    tell::warn(&findings, console.talk)?;
    let bytes = foreseen(&served, span).map_err(explained)?;
    if bytes > LARGE_BYTES {
        let megabytes = bytes >> 20;
        writeln!(
            console.talk,
            "the file will have about {megabytes} MiB; --from and --to make it smaller"
        )?;
    }
    let written = new_trace::write(&[&args.trace], &args.output, |mut out| {
        let written = html(&served, span, &mut out).map_err(explained)?;
        Ok((out, written))
    })?;
    let output = args.output.display();
    #[allow(clippy::cast_precision_loss, reason = "a size for people")]
    let megabytes = written.bytes as f64 / 1e6;
    writeln!(
        console.out,
        "{output}: {} events, {megabytes:.1} MB",
        written.events
    )?;
    Ok(if tell::is_unreliable(&findings) {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::SUCCESS
    })
}

/// A file that is larger is announced.
const LARGE_BYTES: u64 = 30 << 20;

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn explained(error: HtmlError) -> anyhow::Error {
    match error {
        HtmlError::TooLarge { .. } => {
            let hint =
                "choose a part with --from and --to, or look at all of it by `guesttrace serve`";
            Usage::new(error.to_string()).hint(hint).into()
        }
        error => error.into(),
    }
}
