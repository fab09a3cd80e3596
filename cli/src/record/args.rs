//! What the user can ask of a recording.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use probe_plan::Mode;
use trace_format::ChunkRule;

use super::limits::{ControlArgs, LimitArgs};
use super::masks::MaskArgs;
use super::native::NativeArgs;
use crate::event_choice::EventArgs;

/// Boot a guest and trace its kernel from outside
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace record --trace out.bin --kernel bzImage --rootfs rootfs.img --smp 2\n  \
guesttrace record ... --filter 'event == syscall_exit && ret < 0'\n  \
guesttrace record ... --uid 1000 --syscalls openat,unlinkat --details 'sched_*:off'\n  \
guesttrace record ... --start marker:phase-files --duration 200ms\n  \
guesttrace record ... --stack kernel=sched_switch --probe 'kfree_skb_reason by=stack(kernel)'\n  \
guesttrace record ... --on 'event == sched_process_exec && current.uid != 0' log\n  \
guesttrace record ... --uprobe '/lib/x86_64-linux-gnu/libc.so.6:malloc%return size=arg0 p:hex=retval took=elapsed'\n  \
guesttrace record ... --session 'trace=irq.bin,events=irq,cpus=0'\n  \
guesttrace record ... --workload mix --native trace-cmd\n  \
guesttrace record --trace - ... | guesttrace events --follow -\n\n\
Exit status: 0 guest and recording ended well, 1 guest panicked or failed, 2 usage, 3 incomplete recording, 4 timeout")]
pub(crate) struct RecordArgs {
    /// Trace to write; `FILE.partial` until it is complete. `-` for standard output, with the guest's console on standard
    /// error; `unix:PATH` or `tcp:HOST:PORT` for `guesttrace collect`
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: PathBuf,
    /// Kernel to boot: a stock bzImage, or a vmlinux
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,
    /// Kernel image with DWARF, of the same build as --kernel
    #[arg(long, value_name = "FILE")]
    pub(crate) vmlinux: Option<PathBuf>,
    /// Root file system image; it is never written, the guest's changes go to a temporary overlay
    #[arg(long, value_name = "FILE")]
    pub(crate) rootfs: Option<PathBuf>,
    /// Initial ramdisk (cpio, as the kernel takes it)
    #[arg(long, value_name = "FILE")]
    pub(crate) initrd: Option<PathBuf>,
    /// More kernel command line
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub(crate) append: String,
    /// Workload of our images to run, as `guesttrace list workloads` names them
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<String>,
    #[command(flatten)]
    pub(crate) native: NativeArgs,
    #[command(flatten)]
    pub(crate) events: EventArgs,
    /// Where time comes from
    #[arg(long, value_enum, default_value_t = Clock::Deterministic)]
    pub(crate) clock: Clock,
    /// Number of CPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) smp: u32,
    /// Guest memory
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(64..))]
    pub(crate) memory: u64,
    /// CPU model as QEMU names it [default: qemu64 with --boot pvh, else max]
    #[arg(long, value_name = "MODEL")]
    pub(crate) cpu: Option<String>,
    /// How the guest gets its root file system
    #[arg(long, value_enum, default_value_t = DiskChoice::Auto)]
    pub(crate) disk: DiskChoice,
    /// Network of the guest
    #[arg(long, value_enum, default_value_t = Net::None)]
    pub(crate) net: Net,
    /// How the kernel starts: as a boot loader would, or unpacked on the host (faster; no address randomisation)
    #[arg(long, value_enum, default_value_t = Boot::Bzimage)]
    pub(crate) boot: Boot,
    /// Seed of everything that QEMU draws by chance
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u32,
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
    #[command(flatten)]
    pub(crate) chunks: ChunkArgs,
    /// Go on in another file when one has so many MiB: out.bin, out.1.bin, out.2.bin and so on, which are read as one
    #[arg(long, value_name = "MIB", value_parser = parse_file_size)]
    pub(crate) max_file_size: Option<u64>,
    /// Send the guest's console to a file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) serial: Option<PathBuf>,
    /// End a guest that still runs after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) timeout: u64,
    /// Compare every RDTSC of the guest with the stamp that was predicted for it, not only the first after each event
    #[arg(long)]
    pub(crate) audit_clock: bool,
    /// Fail when the same command would not give the same trace, and say why
    #[arg(long)]
    pub(crate) require_reproducible: bool,
    /// Run the same machine without tracing: the baseline of every cost figure
    #[arg(long)]
    pub(crate) no_plugin: bool,
    /// Prepare everything, say how long that took, print QEMU's command line, and start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Say only what went wrong
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) masks: MaskArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    /// Arguments passed to QEMU unchanged
    #[arg(last = true, value_name = "QEMU ARGUMENTS")]
    pub(crate) qemu_arguments: Vec<String>,
}

/// Where time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clock {
    /// Counted instructions: reproducible
    Deterministic,
    /// The host's clock: faster with several CPUs, never twice the same
    Wall,
}

/// How the guest gets its root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiskChoice {
    /// The best that the kernel has a driver for
    Auto,
    /// SD card on sdhci-pci: reproducible, real interrupts
    Sd,
    /// Persistent memory: reproducible, no interrupts
    Pmem,
    /// NVMe: not reproducible
    Nvme,
    /// virtio-blk: not reproducible
    Virtio,
    /// No disk, only the initial ramdisk: reproducible
    Initramfs,
}

/// Network of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Net {
    /// Loopback only
    None,
    /// One e1000 on QEMU's own user network, cut off from the outside
    User,
    /// Two e1000 on one hub
    Hub,
}

/// How the kernel starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Boot {
    /// As a boot loader would
    Bzimage,
    /// Unpacked on the host, entered through its PVH note
    Pvh,
}

/// What happens when a CPU's buffers are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeChoice {
    /// The guest waits, which in deterministic time costs it nothing
    Lossless,
    /// Events are lost and counted until there is room
    Discard,
    /// Flight recorder: only the newest are kept in memory, written at a snapshot and at the end
    Overwrite,
}

/// What happens when buffers are full, and their sizes.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModeArgs {
    /// What happens when a CPU's buffers are full
    #[arg(long, value_enum, default_value_t = ModeChoice::Lossless)]
    pub(crate) mode: ModeChoice,
    /// Memory of a flight recorder, for each CPU
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) ring_size: u16,
}

impl ModeArgs {
    /// As the recorder is told.
    pub(crate) fn mode(&self) -> Mode {
        match self.mode {
            ModeChoice::Lossless => Mode::Lossless,
            ModeChoice::Discard => Mode::Discard,
            ModeChoice::Overwrite => Mode::Overwrite {
                bytes: usize::from(self.ring_size) << 20,
            },
        }
    }
}

/// Largest of the intervals.
const FLUSH_INTERVAL_MS_MAX: u64 = 60_000;

/// How records are cut into the chunks of a trace; its events do not depend on that.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ChunkArgs {
    /// Size of each of a CPU's two buffers
    #[arg(long, value_name = "KIB", default_value_t = 1024, value_parser = parse_buffer_size)]
    pub(crate) buffer_size: usize,
    /// Write what is in the buffers after so much guest time at the latest: what a killed recording lacks at most, and
    /// how long events are on their way to somebody who follows them
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=FLUSH_INTERVAL_MS_MAX))]
    pub(crate) flush_interval: u64,
    /// How hard zstd tries: 1 is fastest, 19 is smallest
    #[arg(long, value_name = "LEVEL", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub(crate) compression: i32,
}

impl ChunkArgs {
    /// As the header says it.
    pub(crate) fn rule(&self) -> ChunkRule {
        ChunkRule {
            buffer_kib: self.buffer_size as u64,
            flush_interval_ms: self.flush_interval,
            compression_level: self.compression,
        }
    }

    /// The interval in ticks; in wall mode the recorder learns their rate only later, and counts nanoseconds.
    pub(crate) fn flush_ticks(&self, tsc_hz: u64) -> u64 {
        let hertz = if tsc_hz == 0 { 1_000_000_000 } else { tsc_hz };
        self.flush_interval * (hertz / 1000)
    }
}

/// Reads MiB, possibly a fraction, as bytes.
fn parse_file_size(text: &str) -> Result<u64, String> {
    let bad = || "a number of MiB is needed, at least 0.01, such as 512".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = whole.parse().ok().ok_or_else(bad)?;
    let digits = part.get(..part.len().min(6)).unwrap_or("");
    let number: u64 = digits.parse().ok().ok_or_else(bad)?;
    let scale = 10u64.pow(u32::try_from(digits.len()).unwrap_or(0));
    let bytes = whole.checked_mul(1 << 20).and_then(|whole| {
        let part = number.checked_mul(1 << 20)? / scale;
        whole.checked_add(part)
    });
    bytes.filter(|bytes| *bytes >= 10_000).ok_or_else(bad)
}

fn parse_buffer_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(kib) if (128..=16_384).contains(&kib) => Ok(kib),
        _ => Err("a number of KiB from 128 to 16384 is needed".to_owned()),
    }
}
