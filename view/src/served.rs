//! A trace that is shown, with what is known about it by now.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use analyzer::sources::Trace;

use crate::events::Events;

/// A trace that is shown.
#[derive(Debug)]
pub struct Served {
    /// What people call it.
    pub name: String,
    /// Its files; several are read as one.
    pub paths: Vec<PathBuf>,
    trace: RwLock<Arc<Trace>>,
    /// Its events, by number.
    pub(crate) events: Events,
}

impl Served {
    /// Serves that trace.
    #[must_use]
    pub fn new(name: String, paths: Vec<PathBuf>, trace: Trace) -> Self {
        Self {
            name,
            paths,
            trace: RwLock::new(Arc::new(trace)),
            events: Events::default(),
        }
    }

    /// The trace; of one that is still being recorded what was there at the last look.
    #[must_use]
    pub fn trace(&self) -> Arc<Trace> {
        let trace = self.trace.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&trace)
    }
}
