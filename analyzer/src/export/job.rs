//! What of a trace is exported, and the pass that hands its records over.

use std::{fmt, io};

use guesttrace_filter::BoundFilter;
use thiserror::Error;
use trace_format::EventId;

use super::gap::{Gap, GapKind, Gaps};
use crate::model::{CpuId, GuestNanos, Machine, Span};
use crate::report::{Analysis, Pass, Selection, run};
use crate::sources::{Clock, Finding, Item, Loss, Range, Record, Trace, TraceError};

/// Why a trace was not exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The result cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// No event of the trace can have bytes of packets.
    #[error("no event of the trace has the bytes of packets")]
    NoPackets,
    /// The format numbers its kinds of events, and has not enough numbers.
    #[error("the trace has more kinds of events than the {max} that the format can tell apart")]
    TooManyKinds {
        /// Most that it can tell apart.
        max: usize,
    },
}

/// Which events are exported.
#[derive(Debug, Default)]
pub struct Wanted {
    /// When, where and whose.
    pub selection: Selection,
    /// Which kinds, ascending; empty for all.
    pub events: Vec<EventId>,
    /// What has to hold for each.
    pub filter: Option<BoundFilter>,
}

/// A trace to be exported.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// What of it.
    pub wanted: &'a Wanted,
    /// Is told now and then how far the export has come, in time of the trace.
    pub progress: &'a dyn Fn(GuestNanos),
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut job = f.debug_struct("Job");
        job.field("wanted", self.wanted).finish_non_exhaustive()
    }
}

/// What came of an export.
#[derive(Debug, Default)]
pub struct Exported {
    /// Events that were handed over.
    pub events: u64,
    /// What is lost or doubtful in the trace.
    pub findings: Vec<Finding>,
}

/// Where exported events go.
pub(super) trait Sink {
    /// Takes the next event.
    fn record(&mut self, record: &Record<'_>) -> Result<(), ExportError>;

    /// Events are missing here.
    fn loss(&mut self, loss: &Loss) -> Result<(), ExportError>;

    /// The same, and where recording was stopped: for those who show gaps as such.
    fn gap(&mut self, gap: &Gap) -> Result<(), ExportError> {
        let _ = gap;
        Ok(())
    }
}

/// Items after which progress is told.
const PROGRESS_ITEMS: u64 = 1 << 14;

impl Wanted {
    /// Whether an event is wanted.
    #[must_use]
    pub fn has(&self, record: &Record<'_>) -> bool {
        !record.is_repeated
            && (!record.is_context || self.events.contains(&record.event))
            && (self.events.is_empty() || self.events.binary_search(&record.event).is_ok())
            && self.selection.has_record(record)
            && (self.filter.as_ref()).is_none_or(|filter| filter.matches(record))
    }

    fn concerns(&self, gap: &Gap) -> bool {
        let span = self.selection.span;
        let is_of_cpu = match gap.kind {
            GapKind::Lost(cpu, _) => self.selection.has_cpu(cpu),
            GapKind::NotRecorded => true,
        };
        let begins = gap.from.is_none_or(|from| from < span.end);
        is_of_cpu && begins && gap.to.is_none_or(|to| to >= span.start)
    }

    /// What has to be read.
    fn range(&self, clock: Clock) -> Range {
        let Span { start, end } = self.selection.span;
        let last = match end {
            end if end == Span::ALL.end => u64::MAX,
            end => clock.tsc(end),
        };
        let first = match start {
            GuestNanos(0) => 0,
            start => clock.tsc(start),
        };
        Range {
            tscs: first..=last,
            cpus: self.selection.cpus.clone(),
            events: self.events.clone(),
            threads: (self.selection.pids.iter().map(|pid| u64::from(pid.0))).collect(),
        }
    }
}

impl Job<'_> {
    /// Hands over what is wanted, in order of time.
    pub(super) fn pour(&self, sink: &mut dyn Sink) -> Result<Exported, ExportError> {
        let mut stream = self.trace.stream(&self.wanted.range(self.trace.clock()))?;
        let mut gaps = Gaps::new(self.trace.schema());
        let (mut events, mut items) = (0, 0_u64);
        while let Some(item) = stream.next_item()? {
            items += 1;
            let gap = gaps.before(&item);
            if let Some(gap) = gap.filter(|gap| self.wanted.concerns(gap)) {
                sink.gap(&gap)?;
                if let Item::Loss(loss) = item {
                    sink.loss(&loss)?;
                }
            }
            match item {
                Item::Record(record) if self.wanted.has(&record) => {
                    events += 1;
                    sink.record(&record)?;
                }
                Item::Loss(_) | Item::Record(_) => {}
            }
            if let Item::Record(record) = item
                && items.is_multiple_of(PROGRESS_ITEMS)
            {
                (self.progress)(record.at);
            }
        }
        if let Some(gap) = gaps.at_end().filter(|gap| self.wanted.concerns(gap)) {
            sink.gap(&gap)?;
        }
        let mut findings = self.trace.findings();
        findings.extend(stream.damage());
        Ok(Exported { events, findings })
    }

    /// Nanoseconds from the epoch (1970, UTC) to the trace's start, where the trace tells.
    pub(super) fn epoch_nanos(&self) -> Option<u64> {
        let Trace::Foreign(foreign) = self.trace else {
            return None;
        };
        u64::try_from(foreign.description().start_nanos()?).ok()
    }

    /// The machine as it is where the selection begins, unless that is the trace's start.
    pub(super) fn machine_at_start(&self) -> Result<Option<Machine>, ExportError> {
        let start = self.wanted.selection.span.start;
        if start == GuestNanos(0) {
            return Ok(None);
        }
        let before = Selection {
            span: Span {
                start: GuestNanos(0),
                end: start,
            },
            ..Selection::default()
        };
        Ok(Some(run(self.trace, &before, ())?.machine))
    }

    /// Runs an analysis that writes what it finds, over the selection's times.
    pub(super) fn analyse<A: Analysis>(&self, analysis: A) -> Result<(A, Pass<()>), ExportError> {
        let ticker = Ticker {
            progress: self.progress,
            items: 0,
        };
        let pass = run(self.trace, &self.wanted.selection, (analysis, ticker))?;
        Ok(pass.split(|(analysis, _)| (analysis, ())))
    }
}

/// Tells the progress of an analysis.
struct Ticker<'a> {
    progress: &'a dyn Fn(GuestNanos),
    items: u64,
}

impl crate::model::Observer for Ticker<'_> {}

impl Analysis for Ticker<'_> {
    fn record(&mut self, _: &Machine, record: &Record<'_>) {
        self.items += 1;
        if self.items.is_multiple_of(PROGRESS_ITEMS) {
            (self.progress)(record.at);
        }
    }

    /// The analysis beside it decides alone.
    fn is_done(&self) -> bool {
        true
    }
}

/// A slot for each CPU, made when it is first asked for.
#[derive(Debug)]
pub(super) struct PerCpu<T>(Vec<Option<T>>);

impl<T> Default for PerCpu<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> PerCpu<T> {
    pub(super) fn slot(&mut self, cpu: CpuId, make: impl FnOnce() -> T) -> &mut T {
        let index = cpu.0 as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index].get_or_insert_with(make)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }
}
