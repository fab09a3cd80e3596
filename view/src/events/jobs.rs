//! The filters that were asked for last.

use std::sync::Arc;

use super::job::{Job, Shown};
use crate::answer::Refusal;
use crate::filter;

/// Filters that are remembered, and at work at the same time.
const JOBS_MAX: usize = 4;

/// The filters, the last used last.
#[derive(Debug, Default)]
pub(super) struct Jobs(Vec<Arc<Job>>);

impl Jobs {
    /// The one with that text, if it is known.
    pub(super) fn known(&mut self, text: &str) -> Option<Arc<Job>> {
        let at = self.0.iter().position(|job| job.text == text)?;
        let job = self.0.remove(at);
        self.0.push(Arc::clone(&job));
        Some(job)
    }

    /// The one with that text, which is at work from now on.
    ///
    /// # Errors
    /// When the text is no filter for this trace.
    pub(super) fn ask(&mut self, text: &str, shown: &Shown) -> Result<Arc<Job>, Refusal> {
        let job = match self.known(text) {
            Some(job) => job,
            None => {
                let bound = filter::bind(text, shown.trace.schema())?;
                let job = Arc::new(Job::new(text.to_owned(), bound));
                if self.0.len() == JOBS_MAX {
                    self.0.remove(0).end();
                }
                self.0.push(Arc::clone(&job));
                job
            }
        };
        job.ask(shown);
        Ok(job)
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.0.iter().for_each(|job| job.end());
    }
}
