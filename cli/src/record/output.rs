//! The files that a recording writes: refused before a guest boots for nothing.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use trace_format::{is_later_part, later_part_files, partial_path};

use super::args::RecordArgs;
use super::sessions::Wishes;
use crate::Usage;
use crate::endpoint::Endpoint;
use crate::failure::WRITABLE_HINT;

/// Refuses outputs that cannot be written, and those that would destroy an input.
pub(crate) fn check(args: &RecordArgs, wishes: &Wishes) -> Result<()> {
    let traces = wishes.traces.iter().map(|wanted| &wanted.trace);
    let traced: Vec<_> = traces.filter(|_| !args.no_plugin).collect();
    for output in traced.iter().copied().chain(&args.serial) {
        refuse_inputs(args, output)?;
    }
    for trace in traced {
        match Endpoint::parse(trace) {
            Some(_) if args.max_file_size.is_some() => {
                let told = "--max-file-size needs a file: a stream goes on";
                return Err(Usage::new(told)
                    .hint("leave it out, or record into a file")
                    .into());
            }
            Some(endpoint) => endpoint.check()?,
            None => check_trace(trace)?,
        }
        if args.max_file_size.is_some() {
            check_later_files(trace)?;
        }
    }
    if let Some(serial) = &args.serial {
        // QEMU empties it in any case.
        File::create(serial)
            .with_context(|| format!("cannot write {}", serial.display()))
            .context(WRITABLE_HINT)?;
    }
    Ok(())
}

/// Refuses to take the place of files that no recording has written.
fn check_later_files(trace: &Path) -> Result<()> {
    let mut later = later_part_files(trace).into_iter();
    match later.find(|path| !is_later_part(path)) {
        Some(path) => {
            let told = format!("{} is in the way of the recording's files", path.display());
            let hint = "move it away, or choose another name for the trace";
            Err(Usage::new(told).hint(hint).into())
        }
        None => Ok(()),
    }
}

/// A trace gets its name by renaming, which only a plain file survives.
pub(crate) fn check_trace(trace: &Path) -> Result<()> {
    let partial = partial_path(trace);
    for path in [trace, &partial] {
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            let what = if path.is_dir() {
                "a directory"
            } else {
                "no plain file"
            };
            let usage = Usage::new(format!("cannot write {}: it is {what}", path.display()));
            return Err(usage.hint("choose another name for the trace").into());
        }
    }
    // An earlier recording's rest stays until the new one begins.
    let dir = match trace.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".guesttrace-")
        .tempfile_in(dir)
        .map(drop)
        .map_err(|error| {
            let usage = Usage::new(format!("cannot write {}: {error}", trace.display()));
            usage.hint(WRITABLE_HINT.0).into()
        })
}

fn refuse_inputs(args: &RecordArgs, output: &Path) -> Result<()> {
    let identity = |path: &Path| {
        let data = fs::metadata(path).ok()?;
        Some((data.dev(), data.ino()))
    };
    let Some(written) = identity(output) else {
        return Ok(());
    };
    let inputs = [&args.kernel, &args.vmlinux, &args.initrd, &args.rootfs];
    match inputs
        .into_iter()
        .flatten()
        .find(|input| identity(input) == Some(written))
    {
        Some(input) => Err(Usage::new(format!(
            "{} would be overwritten: it is the guest's {}",
            output.display(),
            input.display()
        ))
        .hint("choose another name for the output")
        .into()),
        None => Ok(()),
    }
}
