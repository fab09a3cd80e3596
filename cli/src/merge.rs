//! `guesttrace merge`: cuts, files and sessions of one recording as one trace.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer::sources::Clock;
use anyhow::{Context as _, Result};
use clap::Args;
use trace_format::{MergeError, ReadError, TraceFile, later_part_files, merge};

use crate::console::Console;
use crate::new_trace;
use crate::{Usage, failure};

/// Put parts of a recording together into one file
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace merge first.bin second.bin -o both.bin\n  \
guesttrace merge out.bin -o whole.bin\n\n\
Parts are cuts, the files of a recording with --max-file-size, and sessions of one run.\n\
An event that several have is there once.\n\
Exit status: 0 no time is missing, 1 some is and stays visible as a gap, 2 what does not belong together,\n\
3 something is damaged")]
pub(crate) struct MergeArgs {
    /// Traces, in any order; the first file of a recording in several stands for all of them
    #[arg(value_name = "TRACE", required = true)]
    traces: Vec<PathBuf>,
    /// New file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(args: &MergeArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in wanted(&args.traces)? {
        files.push((path, open(path)?));
    }
    let mut is_bad = false;
    for (path, file) in &files {
        let is_whole = file.trailer().is_some() && file.diagnostics().is_empty();
        if !is_whole {
            let path = path.display();
            writeln!(
                console.talk,
                "warning: {path} is not whole; see `guesttrace info {path}`"
            )?;
        }
        is_bad |= !is_whole;
    }
    let all: Vec<&TraceFile> = files.iter().map(|(_, file)| file).collect();
    let paths: Vec<&Path> = args.traces.iter().map(PathBuf::as_path).collect();
    let merged = new_trace::write(&paths, &args.output, |out| Ok(merge(&all, out)?));
    let done = merged.map_err(|error| named(error, &files))?;
    let clock = Clock {
        first_tsc: all.iter().map(|file| file.origin_tsc()).min().unwrap_or(0),
        tsc_hz: all[0].header().clock.tsc_hz,
    };
    for gap in &done.gaps {
        let time = |tsc: Option<u64>| {
            let nanos = clock.nanos(tsc.unwrap_or(0)).0;
            format!(
                "{:.9}",
                std::time::Duration::from_nanos(nanos).as_secs_f64()
            )
        };
        let (from, to) = (time(gap.from_tsc), time(gap.to_tsc));
        writeln!(console.out, "nothing is known between {from} and {to}")?;
    }
    for damage in &done.damage {
        writeln!(console.talk, "warning: {damage}")?;
    }
    let output = args.output.display();
    let (records, chunks) = (done.records, done.chunks);
    writeln!(console.out, "{output}: {records} events in {chunks} chunks")?;
    Ok(if is_bad || !done.damage.is_empty() {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::from(u8::from(!done.gaps.is_empty()))
    })
}

/// The traces without those that come along with the first file of their recording.
fn wanted(traces: &[PathBuf]) -> Result<Vec<&PathBuf>> {
    let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let later: Vec<PathBuf> = traces
        .iter()
        .flat_map(|path| later_part_files(path))
        .map(|path| place(&path))
        .collect();
    let mut wanted = Vec::new();
    for path in traces {
        let is_later = trace_format::is_later_part(path);
        if is_later && !later.contains(&place(path)) {
            let usage = Usage::new(format!(
                "{} is a later file of a recording in several, whose first is not there",
                path.display()
            ));
            return Err(usage
                .hint("name the first one: it brings the others with it")
                .into());
        }
        if !is_later {
            wanted.push(path);
        }
    }
    Ok(wanted)
}

fn open(path: &Path) -> Result<TraceFile> {
    match TraceFile::open(path) {
        Ok(file) => Ok(file),
        Err(error @ ReadError::Io { .. }) => Err(error.into()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What does not belong together by its name, and not as a failure to write.
fn named(error: anyhow::Error, files: &[(&PathBuf, TraceFile)]) -> anyhow::Error {
    let number = match error.downcast_ref::<MergeError>() {
        Some(
            MergeError::Foreign { number, .. }
            | MergeError::Schema { number, .. }
            | MergeError::Selection { number },
        ) => *number,
        _ => return error,
    };
    let path = number.checked_sub(1).and_then(|index| files.get(index));
    let path = path.map_or(String::new(), |(path, _)| format!(" ({})", path.display()));
    let reason = error.root_cause().to_string();
    let usage = Usage::new(format!("{reason}{path}"));
    usage
        .hint("only parts of one recording can be put together")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_no_later_file() {
        let path = PathBuf::from("/nonexistent/trace.bin");
        assert_eq!(wanted(std::slice::from_ref(&path)).ok(), Some(vec![&path]));
    }
}
