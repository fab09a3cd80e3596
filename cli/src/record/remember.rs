//! How traces were recorded, kept for `guesttrace goto` beside the plans: the command, by what the trace itself says.
//!
//! A trace has no file names of the host in it. Whoever has the trace only, on another machine perhaps, names the files
//! again.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use trace_format::TraceFile;

use super::kernel::sha256;
use super::plan::{cache_dir, write_whole};
use crate::endpoint::Endpoint;

/// A command `guesttrace record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Where it was given.
    pub(crate) dir: PathBuf,
    /// What was behind `record`.
    pub(crate) arguments: Vec<String>,
}

/// Keeps the command of this process for the trace that it has recorded; where that fails nothing is lost but comfort.
pub(super) fn remember(trace: &Path) {
    let mut words = env::args_os().skip(1);
    let is_record = words.next().is_some_and(|verb| verb == "record");
    if !is_record || Endpoint::parse(trace).is_some() {
        return;
    }
    let arguments: Option<Vec<String>> = words.map(|word| word.into_string().ok()).collect();
    if let (Some(arguments), Ok(dir), Ok(file)) =
        (arguments, env::current_dir(), TraceFile::open(trace))
    {
        let _ = keep(&file, &Remembered { dir, arguments });
    }
}

fn keep(file: &TraceFile, remembered: &Remembered) -> Result<()> {
    if file.header().machine.reproducible && file.trailer().is_some() {
        write_whole(&place(file)?, &serde_json::to_vec(remembered)?)?;
    }
    Ok(())
}

/// The command that recorded a trace, if that was here.
///
/// # Errors
/// When there is no directory for what is kept.
pub(crate) fn recall(file: &TraceFile) -> Result<Option<Remembered>> {
    let bytes = fs::read(place(file)?).ok();
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Where the command of a trace is kept: two traces that say the same of themselves at both ends are of the same run.
fn place(file: &TraceFile) -> Result<PathBuf> {
    let ends = serde_json::to_vec(&(file.header(), file.trailer()))?;
    Ok(cache_dir()?.join(format!("recorded-{}", sha256(&ends))))
}
