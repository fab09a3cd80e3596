//! A trace while it is queried: what all tables and functions need of it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use analyzer::sources::{Finding, NamedTrace, RecordStream, Several, Symbols, Trace, TraceError};
use anyhow::Context as _;
use trace_format::{ReadError, Severity};

use crate::failure::Failure;

/// A trace that is open.
#[derive(Debug)]
pub struct Opened {
    /// The trace.
    pub trace: Trace,
    /// What its file is called.
    pub name: String,
    /// Names of its kernel addresses.
    pub symbols: Symbols,
    /// What it lacks, as far as that is known without reading it.
    pub findings: Vec<Finding>,
    /// Damage that queries have met.
    damage: Mutex<BTreeSet<String>>,
}

impl Opened {
    /// Opens a trace, or several as one; `offsets` say how much later than the first each further one starts, in
    /// nanoseconds, where the traces do not tell.
    ///
    /// # Errors
    /// When one cannot be read, or when their clocks have nothing in common.
    pub fn open(paths: &[PathBuf], offsets: &[i64]) -> anyhow::Result<Self> {
        let names = paths.iter().map(|path| path.display().to_string());
        let name = names.collect::<Vec<_>>().join(" ");
        if let [path] = paths {
            return Ok(Self::new(open_one(path)?, &name));
        }
        if offsets.len() >= paths.len() {
            let hint = "--offset moves the second trace, the next one the third, and so on";
            let text = "there are more --offset than traces after the first";
            return Err(Failure::usage(text, hint).into());
        }
        let mut traces = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            let offset = index.checked_sub(1).and_then(|index| offsets.get(index));
            traces.push(NamedTrace {
                name: path.display().to_string(),
                trace: open_one(path)?,
                offset: offset.copied(),
            });
        }
        let several = Several::new(traces).map_err(|error| {
            let hint = "say with --offset how much later than the first each further trace starts";
            Failure::usage(error.to_string(), hint)
        })?;
        Ok(Self::new(Trace::Several(several), &name))
    }

    /// Of a trace that is open already.
    #[must_use]
    pub fn new(trace: Trace, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            symbols: trace.symbols(),
            findings: trace.findings(),
            damage: Mutex::default(),
            trace,
        }
    }

    /// Remembers the damage that a stream has met.
    pub(crate) fn note_damage(&self, stream: &dyn RecordStream) {
        let texts = stream.damage().into_iter().map(|finding| finding.text);
        self.note_findings(texts);
    }

    /// Remembers what is to be told after the query.
    pub(crate) fn note_findings(&self, texts: impl IntoIterator<Item = String>) {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.extend(texts);
    }

    /// The damage that queries have met since this was asked last.
    pub fn take_damage(&self) -> Vec<String> {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *damage).into_iter().collect()
    }

    /// What is lost in the trace, as far as that is known without reading it.
    pub fn losses(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.severity >= Severity::DataLoss)
    }

    /// Whether results rest on bad or incomplete data.
    #[must_use]
    pub fn is_unreliable(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.is_damage || finding.severity == Severity::Error)
    }
}

fn open_one(path: &Path) -> anyhow::Result<Trace> {
    if path == Path::new("-") {
        // Queries go back and forth in a trace, so it has to be a file while they do.
        let mut file = tempfile::NamedTempFile::new()?;
        io::copy(&mut io::stdin().lock(), &mut file).context("cannot keep standard input")?;
        return Trace::open(file.path()).context("cannot read standard input");
    }
    match Trace::open(path) {
        Ok(trace) => Ok(trace),
        // The message names the file already.
        Err(error @ TraceError::Own(ReadError::Io { .. })) => Err(error.into()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
