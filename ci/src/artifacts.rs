//! What is kept of a run for people to look at.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::cache::{CONSOLE, TALK, TRACE, link};
use crate::judge::{Made, words};
use crate::outcome::RunOutcome;
use crate::text::write_checks;
use crate::tools::{Tools, complaint};

const CHECKS: &str = "checks.txt";
const DIVERGENCE: &str = "diff.txt";
const OTHER: &str = "other.bin";
const PAGE: &str = "report.html";
/// Traces that are larger give pages that no browser likes.
const PAGE_EVENTS_MAX: u64 = 2_000_000;

/// Where artifacts go, a directory for each run.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The directory above those.
    pub dir: PathBuf,
    /// Also of runs that passed.
    pub of_all: bool,
}

impl Artifacts {
    /// Keeps what there is of a run.
    ///
    /// # Errors
    /// When there is no room, for example; what was written stays.
    pub(crate) fn keep(
        &self,
        outcome: &RunOutcome,
        made: &Made,
        tools: &Tools<'_>,
    ) -> io::Result<PathBuf> {
        let dir = self.dir.join(&outcome.name);
        self.forget(&outcome.name)?;
        fs::create_dir_all(&dir)?;
        // The small ones first: they are what is read first, where there is no room for all.
        let mut text = Vec::new();
        write_checks(outcome, &mut text)?;
        fs::write(dir.join(CHECKS), text)?;
        if let Some(divergence) = &outcome.divergence {
            fs::write(dir.join(DIVERGENCE), divergence)?;
        }
        for name in [TALK, CONSOLE] {
            present(link(&made.recording.dir.join(name), &dir.join(name)))?;
        }
        if let Some(trace) = &outcome.trace {
            link(
                trace,
                &dir.join(trace.file_name().unwrap_or(TRACE.as_ref())),
            )?;
        }
        if let Some(other) = &made.other {
            link(other, &dir.join(OTHER))?;
        }
        let is_short = outcome
            .facts
            .is_some_and(|facts| facts.events <= PAGE_EVENTS_MAX);
        if let Some(trace) = outcome.trace.as_ref().filter(|_| is_short) {
            let page = dir.join(PAGE);
            let output = tools.ask(words!["html", trace, "-o", &page])?;
            if !page.is_file() {
                return Err(io::Error::other(complaint(&output.stderr)));
            }
        }
        Ok(dir)
    }

    /// Removes what an earlier suite kept of a run; nothing else is touched.
    pub(crate) fn forget(&self, name: &str) -> io::Result<()> {
        let dir = self.dir.join(name);
        let partial = format!("{TRACE}.partial");
        let names = [
            CHECKS, DIVERGENCE, TALK, CONSOLE, TRACE, &partial, OTHER, PAGE,
        ];
        for name in names {
            present(fs::remove_file(dir.join(name)))?;
        }
        // Somebody else's files stay, and with them the directory.
        let _ = fs::remove_dir(&dir);
        Ok(())
    }
}

/// That a file was not there is no failure.
fn present(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
