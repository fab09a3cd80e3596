//! `guesttrace goto`: the machine of a trace once more, standing still at one of its events.
//!
//! Reading order: where to go (`place`), by which command the trace was recorded (`again`), who looks at the machine
//! there (`visit`) with which debugger (`debugger`, `symbols`), or what is recorded from there on (`finer`).

mod again;
mod debug_types;
mod debugger;
mod finer;
mod place;
mod symbols;
mod visit;

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer::model::GuestNanos;
use analyzer::sources::Trace;
use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use trace_format::TraceFile;

use crate::console::Console;
use crate::record::{Finished, RecordArgs, Repetition, WorkDir};
use crate::time::parse_time;
use crate::{Hint, Usage, failure, tell};
use debugger::Debugger;
use place::Place;
use visit::Visit;

/// Boot the machine of a trace again and stop it at one of its events
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace goto out.bin 12345 --gdb\n  \
guesttrace goto out.bin 'sched_switch.next_comm == \"sh\"' --gdb-script look.gdb\n  \
guesttrace goto out.bin 1.25s\n  \
guesttrace goto out.bin 12345 --record fine.bin --events all --duration 10ms\n  \
guesttrace goto out.bin 12345 --gdb -- --kernel bzImage --rootfs rootfs.img --smp 2\n\n\
The machine stands still before the very instruction of the event; what it recorded until then is compared with the\n\
trace. The command that recorded the trace is remembered on this machine, by what the trace says of itself.\n\
Exit status: 0 well, 1 it was another run, 2 usage, 3 the run cannot be repeated")]
pub(crate) struct GotoArgs {
    /// Trace of a reproducible recording
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Number of an event (its line of `guesttrace events`), a time such as 1.25s, or an event's name or condition for the
    /// first one of that kind
    #[arg(value_name = "EVENT|TIME")]
    place: String,
    /// Start gdb there, with the kernel's symbols
    #[arg(long)]
    gdb: bool,
    /// Have gdb do what is in a file, and end
    #[arg(long, value_name = "FILE")]
    gdb_script: Option<PathBuf>,
    /// Do not stop there: record from there on
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gdb", "gdb_script"])]
    record: Option<PathBuf>,
    /// Events that are recorded from there on, as `guesttrace record` takes them
    #[arg(
        long,
        value_name = "SPEC",
        default_value = "all",
        requires = "record",
        allow_hyphen_values = true
    )]
    events: String,
    /// Record so much of guest time
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "record")]
    duration: Option<GuestNanos>,
    /// Kernel image with debug information, for gdb
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,
    /// The options that `guesttrace record` had, where that is not remembered
    #[arg(last = true, value_name = "RECORD OPTIONS")]
    options: Vec<String>,
}

/// Runs the verb.
pub(crate) fn run(args: &GotoArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = tell::open(&args.trace)?;
    let file = again::repeatable(&trace, &args.trace)?;
    let place = Place::find(&trace, &args.trace, &args.place)?;
    let named = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
    let script = named(&args.gdb_script)?;
    let vmlinux = named(&args.vmlinux)?;
    let finer = named(&args.record)?;
    if let Some(finer) = &finer {
        check_other(finer, &args.trace)?;
    }
    let mut recording = again::command(file, &args.options)?;
    if vmlinux.is_some() && recording.vmlinux.is_none() {
        recording.vmlinux.clone_from(&vmlinux);
    }
    if let Some(finer) = finer {
        return finer::record(args, (&trace, file, &place), recording, (&finer, console));
    }
    let dir = WorkDir::new().context("cannot make a temporary directory")?;
    let recording = again::repeated(recording, dir.path().join("until-there.bin"))?;
    let debugger = Debugger::prepare(&recording, dir.path())?;
    let debugger = match script {
        Some(script) => debugger.in_batch(script)?,
        None if args.gdb => debugger.at_the_terminal()?,
        None => debugger,
    };
    visit(&trace, (file, &place), (&recording, debugger), console)
}

/// Starts the machine, and stays until whoever looks at it has left.
fn visit(
    trace: &Trace,
    (file, place): (&TraceFile, &Place),
    (recording, debugger): (&RecordArgs, Debugger),
    console: &mut Console<'_>,
) -> Result<ExitCode> {
    let mut machine = Repetition::prepare(recording)?;
    if let Some(header) = machine.header() {
        again::check_same(file.header(), header, recording)?;
    }
    machine.halt_at(place.halt(), Some(debugger.socket().to_owned()))?;
    let until_there = recording.trace.clone();
    let mut visit = Visit::new(trace, (place, &until_there), debugger, console.out);
    let finished = machine.run(recording, &mut visit, console.talk)?;
    if let Some(message) = finished.failure {
        return Err(anyhow!(message));
    }
    match visit.ended() {
        Some(code) => Ok(code),
        None if finished.interrupted => Ok(ExitCode::from(failure::BAD_DATA)),
        None => Err(never_there(recording, &finished)),
    }
}

/// Why nobody could look at the machine.
fn never_there(recording: &RecordArgs, finished: &Finished) -> anyhow::Error {
    if finished.timed_out {
        let limit = recording.timeout;
        return anyhow!("the machine was not there after {limit} s and was ended")
            .context(Hint("a longer --timeout behind -- where the host is slow"));
    }
    if let Some(signal) = finished.exit.and_then(|exit| exit.signal()) {
        return anyhow!("QEMU was ended by signal {signal} before the machine was there");
    }
    let said = finished.complaints.trim();
    let why = if said.is_empty() { "" } else { ": " };
    anyhow!("the machine ended before it was there{why}{said}").context(Hint(
        "is it the run of that trace? `guesttrace record` with the same options and `guesttrace diff` tell",
    ))
}

/// Refuses to write over the trace that the run is held to.
fn check_other(finer: &Path, trace: &Path) -> Result<()> {
    let is_same = match (finer.canonicalize(), trace.canonicalize()) {
        (Ok(finer), Ok(trace)) => finer == trace,
        _ => false,
    };
    if !is_same {
        return Ok(());
    }
    let told = format!(
        "--record would write over {}, the trace itself",
        trace.display()
    );
    Err(Usage::new(told).hint("name another file").into())
}

/// Whether a file can be read, said before a machine is started for nothing.
fn check_readable(path: &Path) -> Result<()> {
    std::fs::File::open(path)
        .map(drop)
        .with_context(|| format!("cannot read {}", path.display()))
        .context(Hint("is the name right, and may you read it?"))
}
