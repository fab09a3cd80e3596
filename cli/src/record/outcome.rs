//! How a recording ended, in an exit status and in words.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;

use analyzer::report::{Options, ReportFormat, report_named};
use anyhow::Result;
use trace_format::TraceFile;

use super::args::RecordArgs;
use super::process::Finished;
use crate::console::Console;
use crate::endpoint::Endpoint;
use crate::tell;

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Guest and recording ended well.
    Well,
    /// The guest panicked, or failed, or QEMU did: why, and what to do.
    GuestFailed(String),
    /// The trace is not whole.
    Incomplete(String),
    /// The guest was ended because it ran too long.
    TimedOut,
    /// The guest was ended by Ctrl-C or the like.
    Interrupted,
}

/// Lines of a failed guest's console that are shown.
const LAST_LINES: usize = 40;

/// What a console says when a guest fails, and what that means.
const CONSOLE_SIGNS: [(&str, &str); 5] = [
    (
        "(no such device appeared)",
        "hint: the initial ramdisk brings no driver for this disk: try another --disk",
    ),
    (
        "guesttrace-init: cannot mount root",
        "hint: is the image a file system that the kernel knows?",
    ),
    (
        "guesttrace-init: root ",
        "hint: the root file system needs /dev, /proc, /sys and an init; images/build.sh makes such an image",
    ),
    (
        "VFS: Unable to mount root fs",
        "hint: the kernel has no driver for this disk or file system built in: pass --initrd or another --disk",
    ),
    (
        "No working init found",
        "hint: the root file system has no /sbin/init",
    ),
];

/// Ends what QEMU says when an SD card cannot be read or written (`hw/sd/sd.c`).
const DISK_SIGN: &str = "error on host side";
/// What the guest's kernel says when another disk cannot be (`blk_errors` of `block/blk-core.c`).
const GUEST_DISK_SIGNS: [&str; 3] = [
    "I/O error, dev nvme0",
    "critical medium error, dev nvme0",
    "I/O error, dev vda",
];
const DISK_HINT: &str =
    "hint: what the guest writes goes to a temporary file: set TMPDIR to a directory that has room";

impl Outcome {
    /// Judges a run.
    pub(crate) fn judge(finished: &Finished, traced: bool) -> Self {
        match (Self::of_run(finished, traced), &finished.unconfirmed) {
            (Self::Well, Some(message)) => Self::Incomplete(message.clone()),
            (outcome, _) => outcome,
        }
    }

    /// Judges guest and recorder.
    fn of_run(finished: &Finished, traced: bool) -> Self {
        if let Some(message) = &finished.failure {
            return Self::Incomplete(message.clone());
        }
        if finished.timed_out {
            return Self::TimedOut;
        }
        if finished.interrupted && !ended_by_guest(finished) {
            return Self::Interrupted;
        }
        // An SD card answers as if all were well, and what it was to keep is gone.
        let lines = finished.complaints.lines();
        if let Some(line) = lines.rev().find(|line| line.ends_with(DISK_SIGN)) {
            return Self::GuestFailed(format!(
                "the guest's disk lost data: QEMU reports \"{line}\"\n{DISK_HINT}"
            ));
        }
        let said = String::from_utf8_lossy(&finished.console);
        let is_sign = |line: &&str| GUEST_DISK_SIGNS.iter().any(|sign| line.contains(sign));
        if let Some(line) = said.lines().find(is_sign) {
            let line = harmless(line.trim());
            return Self::GuestFailed(format!("the guest's disk lost data: {line}\n{DISK_HINT}"));
        }
        if finished.was_asked && finished.ended.is_some() {
            return Self::Well;
        }
        let console = String::from_utf8_lossy(&finished.console);
        if let Some(line) = failed_workload(&console) {
            return Self::GuestFailed(format!(
                "{}\nhint: the console above that line has what the workload said",
                harmless(line)
            ));
        }
        for (sign, hint) in CONSOLE_SIGNS {
            if let Some(line) = console.lines().find(|line| line.contains(sign)) {
                return Self::GuestFailed(format!("{}\n{hint}", harmless(line.trim())));
            }
        }
        let panicked = finished.panicked || console.contains("Kernel panic - not syncing");
        if panicked {
            let line = console
                .lines()
                .find(|line| line.contains("Kernel panic"))
                .unwrap_or("the guest's kernel panicked");
            return Self::GuestFailed(format!(
                "{}\nhint: the console above that line says where; the trace shows what led there",
                harmless(line.trim())
            ));
        }
        Self::of_emulator(finished, traced)
    }

    /// Judges a run in which nothing is known of a failing guest.
    fn of_emulator(finished: &Finished, traced: bool) -> Self {
        let complaints = finished.complaints.trim();
        if let Some(signal) = finished.exit.and_then(|exit| exit.signal()) {
            return Self::Incomplete(format!(
                "QEMU was ended by signal {signal}\nhint: signal 9 is often the host's out-of-memory killer: try a smaller --memory"
            ));
        }
        let exited_well = finished.exit.is_some_and(|exit| exit.success());
        if !exited_well && !ended_by_guest(finished) {
            let hint = if complaints.contains("\nhint: ") {
                ""
            } else {
                "\nhint: arguments after `--` go to QEMU as they are; `qemu-system-x86_64 -help` lists what it takes"
            };
            return Self::GuestFailed(format!("QEMU failed: {complaints}{hint}"));
        }
        if traced && !finished.armed {
            return Self::Incomplete("the guest never ran the kernel that these symbols are for\nhint: pass the kernel image that the guest boots".to_owned());
        }
        if traced && finished.ended.is_none() {
            return Self::Incomplete("QEMU ended before the trace was complete\nhint: `guesttrace info` says how much of it can be used".to_owned());
        }
        Self::Well
    }

    /// The contract's exit status.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Well => ExitCode::SUCCESS,
            Self::GuestFailed(_) => ExitCode::from(1),
            Self::Incomplete(_) | Self::Interrupted => ExitCode::from(3),
            Self::TimedOut => ExitCode::from(4),
        }
    }
}

/// Whether the guest came to an end of its own.
fn ended_by_guest(finished: &Finished) -> bool {
    finished
        .ended
        .as_ref()
        .is_some_and(|(reason, ..)| reason != "emulator_exit")
}

/// A line of the console within a message: a guest may print what commands a terminal.
fn harmless(line: &str) -> String {
    let shown = |character: char| match character {
        '\t' => ' ',
        other if other.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    line.chars().map(shown).collect()
}

/// The line by which our images report a workload that failed.
fn failed_workload(console: &str) -> Option<&str> {
    console.lines().map(str::trim).find(|line| {
        line.starts_with("guesttrace-init: workload")
            && line.contains("ended with status")
            && !line.ends_with(" 0")
    })
}

/// Tells the user what went wrong, where the trace is, and what to do with it.
pub(crate) fn report(
    args: &RecordArgs,
    outcome: &Outcome,
    finished: &Finished,
    console: &mut Console<'_>,
) -> Result<()> {
    let trouble = match outcome {
        Outcome::Well => None,
        Outcome::GuestFailed(message) | Outcome::Incomplete(message) => Some(message.clone()),
        Outcome::TimedOut => Some(format!(
            "the guest still ran after {} s and was ended\nhint: a longer --timeout, or look at its console for why it hangs",
            args.timeout
        )),
        Outcome::Interrupted => Some(format!(
            "interrupted: the guest was ended before it ended itself\nhint: {}",
            if finished.armed {
                "the trace up to there can be used"
            } else {
                "nothing was recorded yet"
            }
        )),
    };
    if matches!(outcome, Outcome::GuestFailed(_)) && args.serial.is_some() {
        show_last_lines(finished, console)?;
    }
    if let Some(trouble) = trouble {
        writeln!(console.talk, "error: {trouble}")?;
    }
    if args.no_plugin {
        return Ok(());
    }
    if let Some(endpoint) = Endpoint::parse(&args.trace) {
        if let (Some((_, records, _)), false) = (&finished.ended, args.quiet) {
            writeln!(console.talk, "{records} events went to {endpoint}")?;
        }
        return Ok(());
    }
    let partial = trace_format::partial_path(&args.trace);
    match &finished.ended {
        _ if !finished.armed => {}
        None if partial.exists() => {
            writeln!(
                console.talk,
                "what was recorded so far is in {}",
                partial.display()
            )?;
        }
        Some(_) if !args.quiet => summarise(args, finished, console)?,
        _ => {}
    }
    Ok(())
}

/// The end of a console that went to a file: what a failed guest said last.
fn show_last_lines(finished: &Finished, console: &mut Console<'_>) -> Result<()> {
    let text = String::from_utf8_lossy(&finished.console);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(console.talk, "the guest's console ends with")?;
    for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
        writeln!(console.talk, "  {}", harmless(line.trim_end()))?;
    }
    Ok(())
}

/// One screen about the trace, and the next commands to type.
fn summarise(args: &RecordArgs, finished: &Finished, console: &mut Console<'_>) -> Result<()> {
    let trace = tell::open(&args.trace)?;
    if let Some(kind) = report_named("summary") {
        let report = kind.make(&trace, &Options::default())?;
        report.write(
            ReportFormat::Text {
                width: console.width,
            },
            console.talk,
        )?;
    }
    if let Some(file) = trace.own() {
        for line in silence(file) {
            writeln!(console.talk, "{line}")?;
        }
    }
    let name = args.trace.display();
    writeln!(
        console.talk,
        "\nrecorded in {:.1} s; now try\n",
        finished.wall.as_secs_f64()
    )?;
    let program = program_to_type();
    for rest in [
        format!("report processes {name}"),
        format!("events {name} --event 'sched_*' --limit 20"),
        format!("serve {name}"),
        format!("info {name}"),
    ] {
        writeln!(console.talk, "  {program} {rest}")?;
    }
    Ok(())
}

/// This program as its user can type it here: by its name if the shell finds it, else by its path.
///
/// After `scripts/run-qemu.sh`, which builds it, the shell does not find it yet.
fn program_to_type() -> String {
    const NAME: &str = "guesttrace";
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::current_exe().ok();
    let Some(program) =
        program.filter(|_| !std::env::split_paths(&path).any(|dir| dir.join(NAME).is_file()))
    else {
        return NAME.to_owned();
    };
    let here = std::env::current_dir().unwrap_or_default();
    let short = program.strip_prefix(&here).unwrap_or(&program);
    short.display().to_string()
}

/// Events that were asked for and are not in the trace, a line for each reason: the kernel has no place for them, or they
/// did not happen.
fn silence(file: &TraceFile) -> Vec<String> {
    let mut lines = Vec::new();
    let absent = &file.header().absent;
    if !absent.is_empty() {
        let names: Vec<&str> = absent.iter().map(|one| one.event.as_str()).collect();
        lines.push(format!(
            "\nno place in this kernel ({}): {}",
            absent.len(),
            some_of(&names)
        ));
    }
    let hooks = file.trailer().map_or(&[][..], |trailer| &trailer.hooks);
    let fired: BTreeSet<&str> = { hooks.iter() }
        .filter(|hook| hook.fired > 0)
        .map(|hook| hook.event.as_str())
        .collect();
    let all: BTreeSet<&str> = hooks.iter().map(|hook| hook.event.as_str()).collect();
    let silent: Vec<&str> = all.difference(&fired).copied().collect();
    if !silent.is_empty() {
        lines.push(format!(
            "never fired ({} of {} events): {}",
            silent.len(),
            all.len(),
            some_of(&silent)
        ));
    }
    lines
}

/// The first names; `guesttrace info` has all.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    names[..names.len().min(SHOWN)].join(", ") + more
}
