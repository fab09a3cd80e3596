//! One filter on its way through a trace.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use analyzer::sources::{Record, Trace, TraceError};
use guesttrace_filter::BoundFilter;
use trace_format::EventId;

use super::blocks::Texts;
use super::decoder::Decoder;
use super::index::{BLOCK, EventIndex};
use super::numbers::Numbers;
use super::{lock, read};

/// Bytes of text that are kept of the first events that pass.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// One that nobody asks for any more pauses after so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Blocks without anything of interest over which it pays to begin to read anew.
const LEAP_BLOCKS: u64 = 16;

/// A filter, and what it lets pass as far as it has come.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) text: String,
    pub(super) filter: BoundFilter,
    found: Mutex<Found>,
    grown: Condvar,
    is_over: AtomicBool,
    asked: Mutex<Instant>,
}

/// What passes.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) numbers: Numbers,
    /// The texts of the first of them.
    pub(super) texts: Texts,
    /// How many events of the trace have been looked at.
    pub(super) seen: u64,
    is_running: bool,
    /// Why it cannot go on.
    pub(super) failure: Option<String>,
}

/// A trace at some moment.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) trace: Arc<Trace>,
    pub(super) index: Arc<EventIndex>,
    pub(super) decoder: Arc<Decoder>,
}

impl Job {
    pub(super) fn new(text: String, filter: BoundFilter) -> Self {
        Self {
            text,
            filter,
            found: Mutex::default(),
            grown: Condvar::new(),
            is_over: AtomicBool::new(false),
            asked: Mutex::new(Instant::now()),
        }
    }

    /// Ends it for good.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Somebody wants to know: it goes on, if there is anything left to look at.
    pub(super) fn ask(self: &Arc<Self>, shown: &Shown) {
        *lock(&self.asked) = Instant::now();
        let mut found = lock(&self.found);
        let is_through = found.seen >= shown.index.total() || found.failure.is_some();
        if found.is_running || is_through {
            return;
        }
        let (job, shown) = (Arc::clone(self), shown.clone());
        let thread = std::thread::Builder::new().name("filter".to_owned());
        match thread.spawn(move || job.work(&shown)) {
            Ok(_) => found.is_running = true,
            Err(error) => found.failure = Some(format!("no thread can be started: {error}")),
        }
    }

    /// Looks at what is found, after waiting for at most so long until `is_enough`.
    pub(super) fn look<T>(
        &self,
        patience: Duration,
        is_enough: impl Fn(&Found) -> bool,
        look: impl FnOnce(&Found) -> T,
    ) -> T {
        let found = lock(&self.found);
        let waits = |found: &mut Found| found.is_running && !is_enough(found);
        match self.grown.wait_timeout_while(found, patience, waits) {
            Ok((found, _)) => look(&found),
            Err(poisoned) => look(&poisoned.into_inner().0),
        }
    }

    /// From where on the first event has to be looked for that passes and is not before that number.
    pub(super) fn first_from(&self, from: u64) -> u64 {
        let found = lock(&self.found);
        let Some(all) = found.numbers.all() else {
            return from;
        };
        let next = all.get(all.partition_point(|own| *own < from));
        next.copied().unwrap_or(found.seen).max(from)
    }

    /// Up to where the last event has to be looked for that passes and is before that number.
    pub(super) fn last_to(&self, to: u64) -> u64 {
        let found = lock(&self.found);
        match found.numbers.all() {
            Some(all) if found.seen >= to => {
                let before = all.partition_point(|own| *own < to).checked_sub(1);
                before.map_or(0, |at| all[at] + 1)
            }
            _ => to,
        }
    }

    fn work(&self, shown: &Shown) {
        let done = self.go_on(shown);
        let mut found = lock(&self.found);
        found.is_running = false;
        if let Err(error) = done {
            found.failure = Some(error.to_string());
        }
        drop(found);
        self.grown.notify_all();
    }

    fn go_on(&self, shown: &Shown) -> Result<(), TraceError> {
        let (from, mut has_room) = {
            let found = lock(&self.found);
            (found.seen, found.texts.bytes() < TEXT_BYTES_MAX)
        };
        for run in runs(&shown.index, Some(&self.filter), from..shown.index.total()) {
            let mut batch = Batch::default();
            let mut stopped = false;
            read::read(&shown.trace, &shown.index, run.clone(), |number, record| {
                if self.filter.matches(record) {
                    batch.add(number, record, has_room.then_some(&shown.decoder));
                }
                batch.seen = number + 1;
                if !batch.seen.is_multiple_of(BLOCK) {
                    return ControlFlow::Continue(());
                }
                has_room = self.take(&mut batch);
                stopped = self.is_unwanted();
                if stopped {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
            if stopped {
                return Ok(());
            }
            batch.seen = run.end;
            has_room = self.take(&mut batch);
        }
        let mut found = lock(&self.found);
        found.seen = found.seen.max(shown.index.total());
        Ok(())
    }

    /// Takes over what was found; whether there is room for more text.
    fn take(&self, batch: &mut Batch) -> bool {
        let mut found = lock(&self.found);
        for number in batch.numbers.drain(..) {
            found.numbers.push(number);
        }
        found.texts.append(&std::mem::take(&mut batch.texts));
        found.seen = batch.seen;
        let has_room = found.texts.bytes() < TEXT_BYTES_MAX;
        drop(found);
        self.grown.notify_all();
        has_room
    }

    fn is_unwanted(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || lock(&self.asked).elapsed() > PATIENCE
    }
}

/// What was found and is not told yet.
#[derive(Default)]
struct Batch {
    numbers: Vec<u64>,
    texts: Texts,
    seen: u64,
}

impl Batch {
    fn add(&mut self, number: u64, record: &Record<'_>, decoder: Option<&Arc<Decoder>>) {
        self.numbers.push(number);
        if let Some(decoder) = decoder {
            self.texts.push(|out| decoder.push(out, number, record));
        }
    }
}

/// The stretches in which something may pass: blocks whose kinds of events all fail are left out.
pub(super) fn runs(
    index: &EventIndex,
    filter: Option<&BoundFilter>,
    numbers: Range<u64>,
) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let fails = |id: u16| {
        let decided = filter.and_then(|filter| filter.decided_by_event(EventId(id)));
        decided == Some(false)
    };
    let failing: Vec<bool> = (0..=u16::MAX)
        .zip(0..index.counts().len())
        .map(|(id, _)| fails(id))
        .collect();
    let may_pass = |id: u16| !failing.get(usize::from(id)).copied().unwrap_or(false);
    for block in numbers.start / BLOCK..numbers.end.div_ceil(BLOCK) {
        let kinds = index.kinds(block);
        if kinds.is_some_and(|kinds| !kinds.iter().any(|(id, _)| may_pass(*id))) {
            continue;
        }
        let start = (block * BLOCK).max(numbers.start);
        let end = ((block + 1) * BLOCK).min(numbers.end);
        match runs.last_mut() {
            Some(last) if start.saturating_sub(last.end) < LEAP_BLOCKS * BLOCK => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}
