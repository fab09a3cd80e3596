//! What a file says of itself that does not hold all of its recording: one of several, or a cut.
//!
//! Stands in a block of its own behind the header, so that every part has the header, and with it the identity, of the
//! recording; and again in the trailer, for the day the block is damaged.

use serde::{Deserialize, Serialize};

/// What of its recording a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// TSC of time 0; where it is not said, that of the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_tsc: Option<u64>,
    /// Of a recording in several files, which: the first is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Where each CPU was when the file before ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<CpuPlace>,
    /// Of a cut, the times that it holds, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<TscSpan>,
    /// Of a cut, the only CPUs in it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_cpus: Vec<u32>,
    /// Of a cut, names of the only events in it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_events: Vec<String>,
}

/// Where a CPU is between two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuPlace {
    /// The CPU.
    pub cpu: u32,
    /// Sequence of its next chunk.
    pub sequence: u64,
    /// TSC of its last record.
    pub tsc: u64,
}

/// Ticks from `from_tsc` on, and before `to_tsc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TscSpan {
    /// The first tick; `None` for the start of the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_tsc: Option<u64>,
    /// The tick after the last; `None` for the end of the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_tsc: Option<u64>,
}

impl TscSpan {
    /// Whether a tick is in it.
    #[must_use]
    pub fn has(&self, tsc: u64) -> bool {
        self.from_tsc.is_none_or(|from| from <= tsc) && self.to_tsc.is_none_or(|to| tsc < to)
    }
}

impl Piece {
    /// Whether it was cut out of a recording.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        !self.spans.is_empty() || !self.only_cpus.is_empty() || !self.only_events.is_empty()
    }
}
