//! All events by number: pages of them as text, what a filter lets pass, the nearest that fits, counts of any interval.
//!
//! An event's number is its position among those that `guesttrace events` shows.
//! Memory: of the index about 40 bytes for each 4,096 events, some blocks of text, and what a few filters let pass.

mod answers;
mod blocks;
mod decoder;
mod index;
mod job;
mod jobs;
mod numbers;
mod read;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use analyzer::model::Span;
use analyzer::sources::{Trace, TraceError};
use trace_format::EventId;

pub(crate) use answers::{events, find, position};
pub(crate) use index::EventIndex;

use blocks::Blocks;
use decoder::Decoder;
use jobs::Jobs;

/// What is known about the events of a trace.
#[derive(Debug, Default)]
pub(crate) struct Events {
    index: RwLock<Arc<EventIndex>>,
    /// With the trace that it is for.
    decoder: Mutex<Option<(Arc<Trace>, Arc<Decoder>)>>,
    blocks: Mutex<Blocks>,
    jobs: Mutex<Jobs>,
}

impl Events {
    /// From now on that many events are known.
    pub(crate) fn publish(&self, index: EventIndex) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
    }

    /// Where events are, as far as that is known.
    pub(crate) fn index(&self) -> Arc<EventIndex> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many events of each kind an interval has, kinds without any left out.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub(crate) fn counts(
        &self,
        trace: &Trace,
        span: Span,
    ) -> Result<Vec<(EventId, u64)>, TraceError> {
        let index = self.index();
        let before = read::counts_before(trace, &index, span.start)?;
        let mut counts = read::counts_before(trace, &index, span.end)?;
        for (count, before) in counts.iter_mut().zip(before) {
            *count = count.saturating_sub(before);
        }
        let counts = (0..=u16::MAX).zip(counts);
        Ok(counts
            .filter(|(_, count)| *count > 0)
            .map(|(id, count)| (EventId(id), count))
            .collect())
    }

    fn decoder(&self, trace: &Arc<Trace>) -> Arc<Decoder> {
        let mut kept = lock(&self.decoder);
        match &*kept {
            Some((known, decoder)) if Arc::ptr_eq(known, trace) => Arc::clone(decoder),
            _ => {
                let decoder = Arc::new(Decoder::new(trace));
                *kept = Some((Arc::clone(trace), Arc::clone(&decoder)));
                decoder
            }
        }
    }
}

/// What a thread that panicked left is still whole: nothing is changed in several steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
