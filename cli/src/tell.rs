//! What every verb that reads a trace says about its faults.

use std::io::{self, Write};
use std::path::Path;

use analyzer::report::write_findings;
use analyzer::sources::{Finding, Trace, TraceError};
use anyhow::{Context as _, Result};
use trace_format::{ReadError, Severity, TraceFile};

use crate::Usage;

/// Opens a trace.
pub(crate) fn open(path: &Path) -> Result<Trace> {
    if path == Path::new("-") {
        return of_stdin();
    }
    match Trace::open(path) {
        Err(TraceError::IsDirectory) => {
            let usage = Usage::new(format!("{} is a directory without a trace", path.display()));
            Err(usage.hint("name the trace file in it").into())
        }
        Ok(trace) => Ok(trace),
        // The message names the file already.
        Err(error @ TraceError::Own(ReadError::Io { .. })) => Err(error.into()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The file of a trace of our own: nothing else can be `done` to.
pub(crate) fn own<'t>(trace: &'t Trace, done: &str) -> Result<&'t TraceFile> {
    trace.own().ok_or_else(|| {
        let usage = Usage::new(format!("only traces of guesttrace can be {done}"));
        usage
            .hint("the tracer that wrote this one may have a tool for it")
            .into()
    })
}

/// A trace that is piped in. Verbs go back and forth in it, so it has to be a file while they do.
fn of_stdin() -> Result<Trace> {
    let mut file = tempfile::NamedTempFile::new()?;
    io::copy(&mut io::stdin().lock(), &mut file).context("cannot keep standard input")?;
    Trace::open(file.path()).context("cannot read standard input")
}

/// Warns of what is missing in a trace, or in it for what was asked.
pub(crate) fn warn(findings: &[Finding], talk: &mut dyn Write) -> io::Result<()> {
    let bad: Vec<Finding> = findings
        .iter()
        .filter(|finding| finding.severity >= Severity::DataLoss || finding.is_of_question())
        .cloned()
        .collect();
    write_findings(&bad, talk)
}

/// Whether results rest on bad or incomplete data, which every verb says by its exit status too.
pub(crate) fn is_unreliable(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.is_damage || finding.severity == Severity::Error)
}
