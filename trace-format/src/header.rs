//! What a trace says about itself before its first event, and after its last.
//!
//! Holds only facts of the guest and of the recording's set-up: nothing of the host's clock, paths or processes,
//! so that the same command gives the same bytes.

use serde::{Deserialize, Serialize};

use crate::part::Piece;
use crate::schema::Schema;
use crate::stats::Stats;

/// First block of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What recorded the trace, such as `guesttrace 0.1.0`.
    pub producer: String,
    /// The guest's kernel.
    pub kernel: KernelInfo,
    /// The machine it ran on.
    pub machine: MachineInfo,
    /// How stamps came about.
    pub clock: ClockInfo,
    /// Events and enumerations.
    pub schema: Schema,
    /// SHA-256 digests in hexadecimal, by name: `plan`, `kernel`, `initrd`, `disk`.
    pub digests: Vec<(String, String)>,
    /// Events that were asked for and that this kernel has no place for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<AbsentEvent>,
    /// How the records were cut into chunks, of which the events do not depend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<ChunkRule>,
}

/// When a chunk is written, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRule {
    /// Size of each of a CPU's two buffers.
    pub buffer_kib: u64,
    /// Guest time after which what is in the buffers is written at the latest.
    pub flush_interval_ms: u64,
    /// zstd level.
    pub compression_level: i32,
}

/// An event that was asked for and cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentEvent {
    /// Its name.
    pub event: String,
    /// Why: what became of its hooks, in words.
    pub reason: String,
}

/// The kernel that was traced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelInfo {
    /// `uname -r`.
    pub release: String,
    /// The `Linux version ...` line.
    pub banner: String,
    /// GNU build id in hexadecimal.
    pub build_id: String,
    /// Kernel command line.
    pub command_line: String,
}

/// The emulated machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    /// QEMU's version, such as `10.0.2`.
    pub qemu_version: String,
    /// Arguments that describe the machine; file names are replaced by their role.
    pub qemu_arguments: Vec<String>,
    /// Number of CPUs.
    pub cpu_count: u32,
    /// Guest memory.
    pub memory_mib: u64,
    /// Whether the same command gives the same trace.
    pub reproducible: bool,
    /// Why not, one sentence each; empty when it is reproducible.
    pub reproducible_obstacles: Vec<String>,
}

/// Where the stamps come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockInfo {
    /// How stamps were obtained.
    pub mode: ClockMode,
    /// Ticks of the guest's TSC in a second.
    pub tsc_hz: u64,
}

/// How stamps are obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockMode {
    /// The guest's TSC counts the instructions that it executed, and its idle time.
    Deterministic,
    /// The guest's TSC is the host's less a constant.
    Wall,
}

/// Last block of a complete trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// Why the recording ended: `power_off`, `restart`, `halt`, `panic`, `emulator_exit`.
    pub end_reason: String,
    /// What was lost or is doubtful, and other counts.
    pub stats: Stats,
    /// How exact the stamps are.
    pub exactness: Exactness,
    /// Difference of run-time from link addresses of the kernel image; hexadecimal text in the file.
    #[serde(default, with = "hex::option")]
    pub kernel_slide: Option<u64>,
    /// Every hook of the plan and how often it fired.
    pub hooks: Vec<HookCount>,
    /// Every module that has hooks, and whether the guest loaded it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleUse>,
    /// How often the emulator delivered an interrupt or exception to which handler, where it says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handlers: Vec<HandlerCount>,
    /// Of a file that does not hold all of its recording, what it holds: as in the block behind the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Piece>,
}

/// Why a file ended, in the trailer of one after which its recording goes on in the next.
pub const END_CONTINUED: &str = "continued";
/// Why a file ended, in the trailer of a cut that leaves out the recording's end.
pub const END_CUT: &str = "cut";

/// Predicted against actual TSC at the guest's own RDTSCs; ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exactness {
    /// RDTSCs compared.
    pub compared: u64,
    /// Of these, predicted to the tick.
    pub exact: u64,
    /// 99th percentile of the absolute error.
    pub error_p99: u64,
    /// Largest absolute error.
    pub error_max: u64,
}

/// A hook and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCount {
    /// Event it records.
    pub event: String,
    /// The hook as written in the event table.
    pub hook: String,
    /// Times it fired.
    pub fired: u64,
}

/// A handler and how often a CPU was sent there, by the emulator's own account; from the moment on when the kernel was
/// recognised, whatever the trace records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerCount {
    /// The kernel's symbol at its first instruction, or before it with the distance: `irq_entries_start+0x8`.
    pub handler: String,
    /// How often.
    pub count: u64,
}

/// A module that has hooks and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleUse {
    /// Its name.
    pub name: String,
    /// GNU build id of the file that the hooks were made from, in hex.
    pub build_id: String,
    /// What became of it.
    pub state: ModuleState,
}

/// What became of a module that has hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleState {
    /// The guest never loaded it.
    NeverLoaded,
    /// It was loaded and its hooks were watched.
    Loaded,
    /// It was loaded, but is another build than the hooks are for: they were not watched.
    Differs,
}

/// Addresses as `"0xffffffff81000000"`: many readers of JSON round numbers beyond 2^53.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    fn parse<E: Error>(text: &str) -> Result<u64, E> {
        text.strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| E::custom(format_args!("{text:?} is not a hexadecimal number")))
    }

    pub(super) mod option {
        use super::{Deserialize, Deserializer, Serializer, parse};

        pub(in super::super) fn serialize<S: Serializer>(
            value: &Option<u64>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.collect_str(&format_args!("{value:#x}")),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<u64>, D::Error> {
            Option::<String>::deserialize(deserializer)?
                .map(|text| parse(&text))
                .transpose()
        }
    }
}
