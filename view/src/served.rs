//! A trace that is shown, with what is known about it by now.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use analyzer::model::Span;
use analyzer::sources::Trace;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::Refusal;
use crate::events::Events;
use crate::index::{Batch, Index};
use crate::reports;

/// A trace that is shown.
#[derive(Debug)]
pub struct Served {
    /// What people call it.
    pub name: String,
    /// Its files; several are read as one.
    pub paths: Vec<PathBuf>,
    trace: RwLock<Arc<Trace>>,
    index: RwLock<Index>,
    status: RwLock<Status>,
    /// Its events, by number.
    pub(crate) events: Events,
}

/// How the trace stands.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Whether it is still being recorded.
    pub is_live: bool,
    /// What is lost or doubtful, worst first, as the page gets it.
    pub findings: Value,
}

/// What can be asked of this trace, beyond what every trace answers.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Features {
    filter: bool,
    path: bool,
    sql: bool,
    cut: bool,
}

impl Served {
    /// Serves that trace, of which nothing is known yet.
    #[must_use]
    pub fn new(name: String, paths: Vec<PathBuf>, trace: Trace) -> Self {
        let status = Status {
            is_live: false,
            findings: json!(trace.findings()),
        };
        Self {
            name,
            paths,
            trace: RwLock::new(Arc::new(trace)),
            index: RwLock::default(),
            status: RwLock::new(status),
            events: Events::default(),
        }
    }

    /// The trace; of one that is still being recorded what was there at the last look.
    #[must_use]
    pub fn trace(&self) -> Arc<Trace> {
        Arc::clone(&read(&self.trace))
    }

    /// From now on the trace is what was found at a later look.
    pub(crate) fn replace_trace(&self, trace: Trace) {
        *write(&self.trace) = Arc::new(trace);
    }

    /// What is known by now. Nothing is added while this is held.
    pub fn index(&self) -> RwLockReadGuard<'_, Index> {
        read(&self.index)
    }

    /// Takes what a pass has found.
    pub(crate) fn apply(&self, mut batch: Batch) {
        if let Some(events) = batch.events.take() {
            self.events.publish(events);
        }
        write(&self.index).apply(batch);
    }

    /// Takes an index that is complete.
    pub(crate) fn replace_index(&self, index: Index) {
        let mut own = write(&self.index);
        let version = own.version + 1;
        *own = Index { version, ..index };
    }

    /// The recording goes on.
    pub fn set_live(&self) {
        write(&self.status).is_live = true;
    }

    /// All of the trace is known.
    pub(crate) fn finish(&self) {
        let mut index = write(&self.index);
        index.is_done = true;
        index.version += 1;
    }

    /// How the trace stands.
    #[must_use]
    pub fn status(&self) -> Status {
        read(&self.status).clone()
    }

    pub(crate) fn set_status(&self, status: Status) {
        *write(&self.status) = status;
    }

    /// How many events of each kind an interval has.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub(crate) fn counts_of(&self, span: Span) -> Result<Vec<(u16, u64)>, Refusal> {
        let counts = self.events.counts(&self.trace(), span)?;
        Ok(counts
            .into_iter()
            .map(|(id, count)| (id.0, count))
            .collect())
    }

    pub(crate) fn features(&self) -> Features {
        Features {
            filter: true,
            path: true,
            sql: reports::has_sql(),
            cut: self.trace().own().is_some(),
        }
    }
}

/// A thread that panicked while it held this may have left one row longer than its neighbour, which no answer minds.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
