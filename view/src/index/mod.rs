//! What is known of a trace for drawing it: what each row did at every scale, latencies, wake-ups, rates.
//!
//! Made in one pass of the analyzer's model (`gather`), read while that goes on, and kept beside the trace (`cache`).
//! Nothing here is interpreted: what a thread does is what the model says.

mod arrows;
mod cache;
mod column;
mod gather;
mod histogram;
mod kind;
mod latency;
mod piece;
mod states;
mod timeline;

pub use arrows::{Arrow, Arrows, Ways};
pub use cache::CacheKey;
pub(crate) use cache::{Kept, load, save};
pub use column::Column;
pub use gather::Gather;
pub use histogram::{BUCKETS_MAX, Histogram, HistogramPicture, Rate};
pub use kind::{KIND_COUNT, Kind};
pub use latency::{Latencies, Latency, LatencyKind, LatencyPicture, LatencyQuestion};
pub use piece::{Merger, Piece, WHOLE};
pub use states::{StateId, States};
pub use timeline::{Level, Sums, Timeline};

use serde::{Deserialize, Serialize};

use crate::events::EventIndex;

/// Number of a row.
pub type RowId = u32;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowType {
    /// A CPU: what it does, or which threads it runs.
    Cpu,
    /// A device's interrupt line, or another interrupt.
    Irq,
    /// A softirq.
    Softirq,
    /// A block device.
    Disk,
    /// A thread.
    Thread,
}

/// What a row is called and belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RowInfo {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: RowType,
    /// Its name.
    pub name: String,
    /// Of a CPU's row.
    pub cpu: Option<u32>,
    /// Of a thread.
    pub tid: Option<u32>,
    /// Process of a thread.
    pub pid: Option<u32>,
    /// Row of the thread that made it.
    pub parent: Option<RowId>,
    /// When a thread began, in nanoseconds.
    pub born_ns: u64,
    /// When it ended.
    pub died_ns: Option<u64>,
    /// How often a thread was woken.
    pub wakes: u64,
    /// What it does since its last span, up to what is known.
    pub open: Option<StateId>,
}

/// Which thread a CPU ran when.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// When a thread got the CPU.
    pub starts: Column<u64>,
    /// Its row.
    pub rows: Column<RowId>,
}

impl Runs {
    /// The row of the thread that ran at that time.
    #[must_use]
    pub fn at(&self, at: u64) -> Option<RowId> {
        let index = self.starts.partition_point(|start| *start <= at);
        self.rows.get(index.checked_sub(1)?).copied()
    }
}

/// Events that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Of which CPU.
    pub cpu: u32,
    /// Up to when, in nanoseconds.
    pub at: u64,
    /// How many; none where that is not known.
    pub count: Option<u64>,
}

/// What a pass has found since it told last.
#[derive(Debug, Default)]
pub struct Batch {
    /// States that are new, behind those that are known.
    pub states: Vec<(Kind, String)>,
    /// Row, start, end and state.
    pub spans: Vec<(RowId, u64, u64, StateId)>,
    /// What took how long.
    pub latencies: Vec<Latency>,
    /// Wake-ups.
    pub arrows: Vec<Arrow>,
    /// CPU, time and row of a thread that got it.
    pub runs: Vec<(usize, u64, RowId)>,
    /// Missing events.
    pub gaps: Vec<Gap>,
    /// What is told less often.
    pub overview: Option<Overview>,
    /// With that, where events are.
    pub(crate) events: Option<EventIndex>,
}

/// What a pass knows altogether.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Overview {
    /// The rows, by number.
    pub rows: Vec<RowInfo>,
    /// What states are called by now.
    pub labels: Vec<(StateId, String)>,
    /// Ways to be woken, by number.
    pub ways: Vec<String>,
    /// How much happened when.
    pub histogram: Histogram,
    /// Numbers of events, by id.
    pub counts: Vec<u64>,
    /// How far it is, in nanoseconds.
    pub end: u64,
}

/// What is known of a trace.
#[derive(Debug, Default)]
pub struct Index {
    /// What rows can do.
    pub states: States,
    /// What each row does.
    pub timelines: Vec<Timeline>,
    /// Latencies, by kind.
    pub latencies: [Latencies; LatencyKind::ALL.len()],
    /// Wake-ups.
    pub arrows: Arrows,
    /// Which threads CPUs ran.
    pub runs: Vec<Runs>,
    /// Missing events.
    pub gaps: Vec<Gap>,
    /// The rest.
    pub overview: Overview,
    /// Grows with every change.
    pub version: u64,
    /// Whether all of the trace is in it.
    pub is_done: bool,
}

impl Index {
    /// Takes what a pass has found.
    pub fn apply(&mut self, batch: Batch) {
        for (kind, label) in batch.states {
            self.states.number(kind, label);
        }
        for (row, start, end, state) in batch.spans {
            let row = row as usize;
            if self.timelines.len() <= row {
                self.timelines.resize_with(row + 1, Timeline::default);
            }
            self.timelines[row].push(start, end, state, &self.states);
        }
        for latency in &batch.latencies {
            self.latencies[latency.kind as usize].push(latency);
        }
        for arrow in &batch.arrows {
            self.arrows.push(arrow);
        }
        for (cpu, at, row) in batch.runs {
            if self.runs.len() <= cpu {
                self.runs.resize_with(cpu + 1, Runs::default);
            }
            self.runs[cpu].starts.push(at);
            self.runs[cpu].rows.push(row);
        }
        self.gaps.extend(batch.gaps);
        if let Some(overview) = batch.overview {
            for (state, label) in &overview.labels {
                self.states.rename(*state, label.clone());
            }
            self.overview = overview;
        }
        self.version += 1;
    }

    /// What a row does now: since its last span, up to the end of what is known.
    #[must_use]
    pub fn open(&self, row: RowId) -> Option<(StateId, u64)> {
        let info = self.overview.rows.get(row as usize)?;
        Some((info.open?, self.overview.end))
    }

    /// What a row does; nothing for one that never did anything.
    #[must_use]
    pub fn timeline(&self, row: RowId) -> Option<&Timeline> {
        self.timelines.get(row as usize)
    }
}
