//! The traces that a verb reads: one, or several as one.

use std::path::{Path, PathBuf};

use analyzer::sources::{NamedTrace, Several, Trace};
use anyhow::{Context as _, Result};
use clap::Args;

use crate::time::parse_time;
use crate::{Hint, Usage, tell};

/// Traces to read.
#[derive(Clone, Debug, Args)]
pub(crate) struct TracesArgs {
    /// Trace to read; `-` for standard input. Several are read as one
    #[arg(value_name = "TRACE", required = true, num_args = 1..)]
    traces: Vec<PathBuf>,
    /// How much later than the first trace the second starts, such as 1.5s or -20ms, where the traces do not tell
    /// themselves; once for each further trace
    #[arg(long, value_name = "TIME", value_parser = parse_offset, allow_hyphen_values = true)]
    offset: Vec<i64>,
}

const TIME_HINT: Hint =
    Hint("say with --offset how much later than the first each further trace starts");

impl TracesArgs {
    /// The one trace that an option goes with.
    pub(crate) fn only(&self, option: &str) -> Result<&Path> {
        match &self.traces[..] {
            [only] => Ok(only),
            _ => Err(Usage::new(format!("{option} takes one trace")).into()),
        }
    }

    /// Their names.
    pub(crate) fn paths(&self) -> Vec<&Path> {
        self.traces.iter().map(PathBuf::as_path).collect()
    }

    /// Opens them.
    pub(crate) fn open(&self) -> Result<Trace> {
        if self.offset.len() > self.traces.len().saturating_sub(1) {
            let usage = Usage::new("there are more --offset than traces after the first");
            return Err(usage
                .hint("--offset moves the second trace, the next one the third, and so on")
                .into());
        }
        if let [only] = &self.traces[..] {
            return tell::open(only);
        }
        let offsets = std::iter::once(None).chain(self.offset.iter().copied().map(Some));
        let offsets = offsets.chain(std::iter::repeat(None));
        let mut named = Vec::new();
        for (path, offset) in self.traces.iter().zip(offsets) {
            named.push(NamedTrace {
                name: path.display().to_string(),
                trace: tell::open(path)?,
                offset,
            });
        }
        Ok(Trace::Several(Several::new(named).context(TIME_HINT)?))
    }
}

/// A time that may be negative, in nanoseconds.
fn parse_offset(text: &str) -> Result<i64, String> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text),
    };
    let nanos = parse_time(length).map_err(|error| error.to_string())?;
    let nanos = i64::try_from(nanos.0).ok();
    nanos
        .map(|nanos| sign * nanos)
        .ok_or_else(|| "it is too long".to_owned())
}
