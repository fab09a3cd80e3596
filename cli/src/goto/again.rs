//! The recording of a trace once more: by which command it was made, and whether the machine is the same.

use std::path::{Path, PathBuf};

use analyzer::sources::Trace;
use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use trace_format::{ClockMode, Header, TraceFile};

use crate::record::{RecordArgs, Remembered, recall};
use crate::{Hint, Usage};

/// The options of `record`, without its name.
#[derive(Debug, Parser)]
#[command(name = "guesttrace goto TRACE EVENT --", no_binary_name = true)]
struct RecordCommand {
    #[command(flatten)]
    args: RecordArgs,
}

/// The file of a trace that can be repeated.
///
/// # Errors
/// When it cannot, with why.
pub(super) fn repeatable<'t>(trace: &'t Trace, path: &Path) -> Result<&'t TraceFile> {
    let path = path.display();
    let Some(file) = trace.own() else {
        return Err(anyhow!(
            "{path} cannot be gone back to: another tracer recorded it, on a machine that nobody can start again"
        ))
        .context(Hint("`guesttrace record` makes traces that can be"));
    };
    let header = file.header();
    if header.machine.reproducible && header.clock.mode == ClockMode::Deterministic {
        return Ok(file);
    }
    let why = header.machine.reproducible_obstacles.join("; ");
    Err(anyhow!(
        "{path} cannot be gone back to: its run is not reproducible ({why})"
    ))
    .context(Hint(
        "record with --require-reproducible, which says what to leave out",
    ))
}

/// The command that recorded a trace, as it is given behind `--` or as it is remembered. Relative names in it are from
/// then on understood as they were then.
pub(super) fn command(file: &TraceFile, given: &[String]) -> Result<RecordArgs> {
    let Remembered { dir, mut arguments } = if given.is_empty() {
        recall(file)?
            .context("it is not known here how this trace was recorded")
            .context(Hint(
                "give the options of `guesttrace record` again: guesttrace goto TRACE EVENT -- --kernel bzImage ...",
            ))?
    } else {
        Remembered {
            dir: PathBuf::from("."),
            arguments: given.to_vec(),
        }
    };
    let names_trace = |word: &String| word == "--trace" || word.starts_with("--trace=");
    if !arguments.iter().any(names_trace) {
        arguments.splice(0..0, ["--trace".to_owned(), "-".to_owned()]);
    }
    std::env::set_current_dir(&dir)
        .with_context(|| format!("cannot go to {}, where it was recorded", dir.display()))
        .context(Hint(
            "give the options of `guesttrace record` again behind --",
        ))?;
    let command = RecordCommand::try_parse_from(arguments).map_err(|error| {
        let text = error.to_string();
        let text = text.trim_start_matches("error: ");
        Usage::new(text.split("\n\n").next().unwrap_or_default())
            .hint("behind -- are the options that `guesttrace record` had")
    })?;
    Ok(command.args)
}

/// The same recording into another file, with nothing that it did besides.
pub(super) fn repeated(mut args: RecordArgs, trace: PathBuf) -> Result<RecordArgs> {
    args.trace = trace;
    args.quiet = true;
    args.dry_run = false;
    args.serial = None;
    args.max_file_size = None;
    args.control.control = None;
    args.control.session.clear();
    // A start or a stop is part of what the trace has; who was told then is not told again.
    let pairs = args.control.on.chunks_exact(2);
    let acts = |pair: &&[String]| matches!(pair[1].as_str(), "start" | "stop" | "quit");
    args.control.on = pairs.filter(acts).flatten().cloned().collect();
    if args.no_plugin {
        return Err(Usage::new("a machine without recorder has no trace to go back to").into());
    }
    Ok(args)
}

/// Refuses a machine that is not the trace's.
pub(super) fn check_same(then: &Header, now: &Header, command: &RecordArgs) -> Result<()> {
    const HINT: Hint = Hint("go back with what the trace was recorded with");
    let (old, new) = (&then.machine.qemu_version, &now.machine.qemu_version);
    if old != new {
        return Err(anyhow!(
            "the trace was recorded with QEMU {old}, and this is QEMU {new}, in which the same instructions may take other turns"
        ))
        .context(Hint("GUESTTRACE_QEMU names another QEMU"));
    }
    // Of the plan the events are what counts, and they are compared one by one.
    for (role, digest) in &then.digests {
        let is_other = now
            .digests
            .iter()
            .any(|(name, other)| name == role && other != digest);
        if is_other && role != "plan" {
            let file = match role.as_str() {
                "kernel" => command.kernel.as_ref(),
                "vmlinux" => command.vmlinux.as_ref(),
                "initrd" => command.initrd.as_ref(),
                "disk" => command.rootfs.as_ref(),
                _ => None,
            };
            let file = file.map_or_else(String::new, |path| format!(" {}", path.display()));
            let told = "is no longer that of the trace: its content has another digest";
            return Err(anyhow!("the {role}{file} {told}")).context(HINT);
        }
    }
    let (old, new) = (&then.machine.qemu_arguments, &now.machine.qemu_arguments);
    if old != new {
        let (old, new) = (settings(old), settings(new));
        let lacks = |words: &[String], word: &String| !words.contains(word);
        let only = |words: &[String], others: &[String]| {
            let words = words.iter().filter(|word| lacks(others, word));
            let words: Vec<&str> = words.map(String::as_str).collect();
            match words.as_slice() {
                [] => "nothing".to_owned(),
                words => words.join(" "),
            }
        };
        return Err(anyhow!(
            "the machine is not that of the trace, which had {} and not {}",
            only(&old, &new),
            only(&new, &old)
        ))
        .context(HINT);
    }
    if then.schema != now.schema {
        return Err(anyhow!("other events are recorded than the trace has")).context(HINT);
    }
    Ok(())
}

/// Options of QEMU, each with its value; of the kernel's command line each word.
fn settings(arguments: &[String]) -> Vec<String> {
    let mut settings: Vec<String> = Vec::new();
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        let value = words.next_if(|next| !next.starts_with('-'));
        match value {
            Some(value) if word == "-append" => {
                settings.extend(value.split(' ').map(|word| format!("-append {word}")));
            }
            Some(value) => settings.push(format!("{word} {value}")),
            None => settings.push(word.clone()),
        }
    }
    settings
}
