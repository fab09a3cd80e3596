//! How a recording is kept, and what recorder and `record` say to each other while it runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use trace_format::{ClockInfo, ClockMode, Header};

use crate::addr::LinkAddr;

/// Everything about a recording but the plan; one JSON file, named by the plugin's only argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The plan file.
    pub plan: PathBuf,
    /// Unix socket that takes a [`Status`] a line and gives a [`Command`] a line.
    pub status_socket: Option<PathBuf>,
    /// How stamps come about; the header of every session says the same.
    pub clock: ClockInfo,
    /// Guest memory in MiB.
    pub memory_mib: u64,
    /// QEMU's `-icount shift=`, which makes one instruction `1 << shift` ticks; in deterministic mode.
    pub icount_shift: u8,
    /// Size of one of a CPU's two buffers.
    pub buffer_bytes: usize,
    /// A buffer is written at the latest so many ticks of guest time after its first event.
    pub flush_interval_ticks: u64,
    /// A trace goes on in another file when one has so many bytes.
    pub max_file_bytes: Option<u64>,
    /// zstd level.
    pub compression_level: i32,
    /// Compares every RDTSC of the guest with the prediction, not only the first after each event.
    pub audit_clock: bool,
    /// What is recorded: one trace each.
    pub sessions: Vec<SessionSpec>,
    /// What is looked out for, besides.
    pub watches: Vec<WatchSpec>,
    /// Processes that are followed, with all that descend from them: `current.followed` of a filter.
    pub followed: Vec<u32>,
    /// Where the machine is to stand still; in deterministic mode.
    pub halt: Option<HaltSpec>,
}

/// Where the machine is to stand still, which ends the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltSpec {
    /// Before the first instruction with an event that is not earlier, in ticks of the guest's TSC.
    pub tsc: u64,
    /// Every instruction is looked at from the first event on that is not before this; `None` when there is an event at
    /// `tsc`.
    pub closer_from: Option<u64>,
}

/// One trace of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// The trace, once it is complete. Until then the name has `.partial` after it.
    pub out: PathBuf,
    /// Whether `out` is a Unix socket on which somebody waits for the trace.
    pub is_stream: bool,
    /// First block of the trace. Its schema has the events that are recorded, each with the fields that are kept.
    pub header: Header,
    /// What happens when a CPU's buffers are full.
    pub mode: Mode,
    /// Only events for which this holds; those that say which thread runs are always recorded.
    pub filter: Option<String>,
    /// Whether something has to start the session.
    pub starts_stopped: bool,
    /// Starts and stops at times.
    pub times: Vec<TimeSpec>,
    /// Stops so long after each start.
    pub duration_nanos: Option<u64>,
}

/// What happens when a CPU's buffers are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The guest waits.
    Lossless,
    /// What happens until there is room is counted and lost.
    Discard,
    /// A flight recorder: the oldest make room, and nothing is written until somebody wants it.
    Overwrite {
        /// Memory of a CPU.
        bytes: usize,
    },
}

/// A start or a stop at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpec {
    /// Guest time since the start of the trace.
    pub nanos: u64,
    /// Whether it is a start.
    pub is_start: bool,
}

/// Something to look out for and what to do then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSpec {
    /// What to look out for.
    pub when: When,
    /// What to do.
    pub action: Action,
}

/// What to look out for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// An event for which a filter holds.
    Event(String),
    /// The instruction at an address is about to execute.
    Reached(LinkAddr),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Starts a session, by its index; the event is its first.
    Start(usize),
    /// Stops a session, by its index; the event is its last.
    Stop(usize),
    /// Writes what a session's flight recorder remembers, by its index; the event is its last.
    Snapshot(usize),
    /// Tells `record`, which acts: [`Status::Matched`] with this number.
    Tell(usize),
    /// Ends the recording, and tells `record`.
    End(usize),
}

/// What `record` asks of a recorder that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Starts every session that is stopped.
    Start,
    /// Stops every session.
    Stop,
    /// Puts a row with this text into every trace that is recorded.
    Mark {
        /// The text.
        text: String,
    },
    /// Writes what flight recorders remember.
    Snapshot,
    /// Completes the traces.
    End,
}

impl Recording {
    /// Whether stamps are counted instructions.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        self.clock.mode == ClockMode::Deterministic
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
        /// Which session, by its index.
        session: usize,
        /// Guest time, ticks of its TSC since power-on.
        tsc: u64,
        /// Records so far.
        records: u64,
        /// Bytes of the trace so far.
        bytes: u64,
        /// Whether it is recording, rather than stopped.
        recording: bool,
    },
    /// Something that was looked out for happened.
    Matched {
        /// The number in [`Action::Tell`] or [`Action::End`].
        number: usize,
        /// The event; `None` when an address was reached.
        event: Option<Box<MatchedEvent>>,
    },
    /// The guest's kernel panicked.
    Panicked,
    /// The traces are complete, and the machine is about to stand still.
    Halted {
        /// CPU whose instruction is next.
        cpu: u32,
        /// Time as that instruction would read it.
        tsc: u64,
    },
    /// A trace is complete.
    Ended {
        /// Which session, by its index.
        session: usize,
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

/// An event that was looked out for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedEvent {
    /// Its id in the plan's schema.
    pub event: u16,
    /// Time as the guest would have read it.
    pub tsc: u64,
    /// TSC at the start of the trace.
    pub first_tsc: u64,
    /// CPU on which it happened.
    pub cpu: u32,
    /// The thread that ran.
    pub tid: u64,
    /// Its process.
    pub pid: u64,
    /// Its name.
    pub comm: Vec<u8>,
    /// Bit `i` is set when field `i` could not be fetched.
    pub missing: u32,
    /// The fields as in a plain record.
    pub payload: Vec<u8>,
}
