//! A trace whose reading somebody may end who no longer wants what it is read for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::finding::Finding;
use super::record::Item;
use super::stream::{Range, RecordStream};
use super::trace::{Trace, TraceError};

/// Items between two looks whether to stop.
const LOOK_ITEMS: u32 = 1 << 10;

/// A trace that is read until it is told to stop: then its streams fail with [`TraceError::Stopped`].
#[derive(Clone, Debug)]
pub struct Stoppable {
    trace: Arc<Trace>,
    stop: Arc<AtomicBool>,
}

impl Stoppable {
    /// Reads `trace` until `stop` is set.
    #[must_use]
    pub fn new(trace: Arc<Trace>, stop: Arc<AtomicBool>) -> Self {
        Self { trace, stop }
    }

    /// The trace itself.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Its records in order of time.
    pub(super) fn stream(&self, range: &Range) -> Result<Box<dyn RecordStream + '_>, TraceError> {
        Ok(Box::new(StoppableStream {
            stream: self.trace.stream(range)?,
            stop: &self.stop,
            items: 0,
        }))
    }
}

struct StoppableStream<'t> {
    stream: Box<dyn RecordStream + 't>,
    stop: &'t AtomicBool,
    /// Since the last look.
    items: u32,
}

impl RecordStream for StoppableStream<'_> {
    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        if self.items == 0 {
            if self.stop.load(Ordering::Relaxed) {
                return Err(TraceError::Stopped);
            }
            self.items = LOOK_ITEMS;
        }
        self.items -= 1;
        self.stream.next_item()
    }

    fn next_tsc(&mut self) -> Result<Option<u64>, TraceError> {
        self.stream.next_tsc()
    }

    fn chunks_skipped(&self) -> usize {
        self.stream.chunks_skipped()
    }

    fn damage(&self) -> Vec<Finding> {
        self.stream.damage()
    }
}
