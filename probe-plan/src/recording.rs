//! How a recording is kept, and what the recorder says while it runs: the words between `record` and the plugin.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use trace_format::{ClockMode, Header};

/// Everything about a recording but the plan; one JSON file, named by the plugin's only argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The plan file.
    pub plan: PathBuf,
    /// The trace, once it is complete. Until then the name has `.partial` after it.
    pub out: PathBuf,
    /// Unix socket that takes a [`Status`] a line.
    pub status_socket: Option<PathBuf>,
    /// First block of the trace.
    pub header: Header,
    /// QEMU's `-icount shift=`, which makes one instruction `1 << shift` ticks; in deterministic mode.
    pub icount_shift: u8,
    /// Size of one of a CPU's two buffers.
    pub buffer_bytes: usize,
    /// A buffer is written at the latest so many ticks of guest time after its first event.
    pub flush_interval_ticks: u64,
    /// zstd level.
    pub compression_level: i32,
    /// Compares every RDTSC of the guest with the prediction instead of those that the clock needs.
    pub audit_clock: bool,
}

impl Recording {
    /// Whether stamps are counted instructions.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        self.header.clock.mode == ClockMode::Deterministic
    }
}

/// A line about the recording's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// The kernel was recognised and the probes are armed.
    Armed {
        /// How far the kernel image was moved.
        slide: u64,
    },
    /// The recording goes on.
    Running {
        /// Guest time, ticks of its TSC since power-on.
        tsc: u64,
        /// Records so far.
        records: u64,
        /// Bytes of the trace so far.
        bytes: u64,
    },
    /// The guest's kernel panicked.
    Panicked,
    /// The trace is complete.
    Ended {
        /// As in the trailer.
        reason: String,
        /// Records in the trace.
        records: u64,
        /// Bytes of the trace.
        bytes: u64,
    },
    /// The recording failed.
    Failed {
        /// What, where, and what to do.
        message: String,
    },
}
