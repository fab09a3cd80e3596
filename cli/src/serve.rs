//! `guesttrace serve`: a trace in the browser.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use analyzer::sources::{Following, Found};
use anyhow::{Context as _, Result};
use clap::Args;
use guesttrace_view::{Keep, Served, Server, build_in_background, follow_in_background};

use crate::console::Console;
use crate::traces::TracesArgs;
use crate::{Hint, tell};

/// Look at a trace in the browser
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guesttrace serve out.bin\n  guesttrace serve out.bin --beside other.bin\n  \
guesttrace serve ~/lttng-traces/session --open\n\n\
Prints the address of a page and answers it until Ctrl-C. Only a browser on this machine that knows the whole address\n\
gets anything. Going through a large trace takes some seconds; what was found is kept in a file beside the trace\n\
(TRACE.view), where that can be written, and the page can be used meanwhile."
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    traces: TracesArgs,
    /// Another trace, to be compared with the first
    #[arg(long, value_name = "TRACE")]
    beside: Option<PathBuf>,
    /// Port on 127.0.0.1; any free one if it is not said
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Keep no file beside the trace
    #[arg(long)]
    no_index_file: bool,
    /// Open the page with the system's browser
    #[arg(long)]
    open: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &ServeArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let following = match args.traces.paths()[..] {
        [only] if only != Path::new("-") => live(only),
        _ => None,
    };
    let first = match &following {
        Some(following) => tell::open(following.beginning())?,
        None => args.traces.open()?,
    };
    let paths = args.traces.paths().into_iter().map(PathBuf::from);
    let mut all = vec![served(paths.collect(), first)];
    if let Some(path) = &args.beside {
        all.push(served(vec![path.clone()], tell::open(path)?));
    }
    let server = Server::listen(args.port)
        .with_context(|| format!("cannot listen on port {}", args.port))
        .context(Hint("without --port a free one is taken"))?;
    let keep = if args.no_index_file {
        Keep::Nowhere
    } else {
        Keep::Beside
    };
    let mut whole = &all[..];
    if let (Some(following), [first, rest @ ..]) = (following, whole) {
        first.set_live();
        follow_in_background(first, following);
        whole = rest;
    }
    for served in whole {
        build_in_background(served, keep);
    }
    let url = server.url();
    writeln!(console.out, "{url}")?;
    console.out.flush()?;
    writeln!(
        console.talk,
        "open this address in a browser; Ctrl-C ends it"
    )?;
    if args.open {
        open(&url, console)?;
    }
    server.run(all.into()).context("cannot serve")?;
    Ok(ExitCode::SUCCESS)
}

/// A recording that goes on.
fn live(path: &Path) -> Option<Following> {
    match Following::find(path) {
        Ok(Found::Growing(following)) => Some(*following),
        _ => None,
    }
}

fn served(paths: Vec<PathBuf>, trace: analyzer::sources::Trace) -> Arc<Served> {
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned()
    };
    let names: Vec<String> = paths.iter().map(name).collect();
    Arc::new(Served::new(names.join(" + "), paths, trace))
}

fn open(url: &str, console: &mut Console<'_>) -> Result<()> {
    let mut command = Command::new("xdg-open");
    let quiet = command
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Err(error) = quiet.spawn() {
        writeln!(console.talk, "cannot open a browser: {error}")?;
    }
    Ok(())
}
