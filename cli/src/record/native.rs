//! `--native`: the guest's own kernel traces itself too, and what it recorded is brought out beside our trace.
//!
//! The guest's init runs the workload under its tracer and copies the tracer's file into the memory of a PCI device, which
//! is a file of the host: nothing of it goes through a disk or network whose events would be in both traces.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, ValueEnum};

use super::disk::escape;
use crate::failure::WRITABLE_HINT;
use crate::{Hint, Usage};

/// The kernel's own tracers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NativeTracer {
    /// ftrace by trace-cmd: a file trace.dat
    TraceCmd,
    /// perf record: a file perf.data
    Perf,
    /// No tracer, and the rest as with one: the baseline of what a tracer costs
    None,
}

/// What the guest's own tracer records.
#[derive(Clone, Debug, Args)]
pub(crate) struct NativeArgs {
    /// Have the guest's own kernel trace the workload too, and bring its file out beside the trace, as out.trace.dat or
    /// out.perf.data; the image must have the tracer (`images/build.sh --with trace-cmd`)
    #[arg(long, value_name = "TRACER", value_enum, requires = "workload")]
    pub(crate) native: Option<NativeTracer>,
    /// Tracepoints that the guest's own tracer switches on: groups, or group:name
    #[arg(
        long,
        value_name = "LIST",
        requires = "native",
        value_delimiter = ',',
        default_value = DEFAULT_EVENTS
    )]
    pub(crate) native_events: Vec<String>,
}

/// What LTT's core events are among the kernel's tracepoints.
const DEFAULT_EVENTS: &str = "sched:sched_switch,sched:sched_waking,sched:sched_wakeup,sched:sched_wakeup_new,\
sched:sched_process_fork,sched:sched_process_exec,sched:sched_process_exit,irq,raw_syscalls,signal,timer:timer_start,\
timer:timer_cancel,timer:timer_expire_entry,timer:timer_expire_exit,timer:hrtimer_start,timer:hrtimer_cancel,\
timer:hrtimer_expire_entry,timer:hrtimer_expire_exit";

/// Most bytes of a tracer's file; the memory is only taken where something is written.
const MEMORY_MIB: u64 = 256;
/// A line `== NAME BYTES ==` before the file, padded to so many bytes (images/programs/export.c).
const TITLE_BYTES: usize = 128;

impl NativeTracer {
    fn name(self) -> &'static str {
        match self {
            Self::TraceCmd => "trace-cmd",
            Self::Perf => "perf",
            Self::None => "none",
        }
    }

    /// The file beside a trace; `None` without a tracer.
    pub(crate) fn file_beside(self, trace: &Path) -> Option<PathBuf> {
        match self {
            Self::TraceCmd => Some(trace.with_extension("trace.dat")),
            Self::Perf => Some(trace.with_extension("perf.data")),
            Self::None => None,
        }
    }
}

/// Refuses what cannot be, before a guest boots for nothing.
pub(crate) fn check(args: &NativeArgs, trace: &Path) -> Result<()> {
    let Some(tracer) = args.native else {
        return Ok(());
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_:*-".contains(c);
    let strange =
        { args.native_events.iter() }.find(|name| name.is_empty() || !name.chars().all(is_name));
    if let Some(strange) = strange {
        let usage = Usage::new(format!("--native-events: {strange:?} is no tracepoint"));
        return Err(usage
            .hint("name groups as `sched`, or tracepoints as `sched:sched_switch`")
            .into());
    }
    if crate::endpoint::Endpoint::parse(trace).is_some() {
        let usage =
            Usage::new("--native needs a trace that is a file: its own file goes beside it");
        return Err(usage.hint("pass --trace out.bin").into());
    }
    if let Some(path) = tracer.file_beside(trace) {
        super::check_trace(&path)?;
    }
    Ok(())
}

/// The memory by which the guest's file comes out.
#[derive(Debug)]
pub(crate) struct Outbox {
    tracer: NativeTracer,
    memory: File,
    path: PathBuf,
}

impl Outbox {
    /// Makes it; `None` when no tracer is wanted.
    pub(crate) fn create(args: &NativeArgs, work_dir: &Path) -> Result<Option<Self>> {
        let Some(tracer) = args.native else {
            return Ok(None);
        };
        let path = work_dir.join("native");
        let made = File::create_new(&path).and_then(|file| {
            file.set_len(MEMORY_MIB << 20)?;
            File::open(&path)
        });
        let memory = made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Some(Self {
            tracer,
            memory,
            path,
        }))
    }

    /// Where QEMU finds it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The device that the guest writes to.
    pub(crate) fn qemu_arguments(&self) -> [String; 4] {
        let path = escape(&self.path);
        [
            "-object".to_owned(),
            format!("memory-backend-file,id=native,share=on,mem-path={path},size={MEMORY_MIB}M"),
            "-device".to_owned(),
            "ivshmem-plain,memdev=native".to_owned(),
        ]
    }

    /// Writes the file that the guest brought out beside `trace`; its name and size.
    pub(crate) fn bring_out(&self, trace: &Path) -> Result<Option<(PathBuf, u64)>> {
        let Some(path) = self.tracer.file_beside(trace) else {
            return Ok(None);
        };
        let mut memory = &self.memory;
        memory.seek(SeekFrom::Start(0))?;
        let mut title = [0; TITLE_BYTES];
        memory.read_exact(&mut title)?;
        let bytes = size_of_file(&title).ok_or_else(|| {
            let name = self.tracer.name();
            anyhow!("the guest brought no file of {name} out").context(NOTHING_HINT)
        })?;
        if bytes + 2 * TITLE_BYTES as u64 + PIECE_BYTES > MEMORY_MIB << 20 {
            return Err(anyhow!(
                "the guest's file is larger than {MEMORY_MIB} MiB and was not kept"
            )
            .context(Hint("record fewer --native-events, or a shorter workload")));
        }
        let mut written = File::create(&path)
            .with_context(|| format!("cannot write {}", path.display()))
            .context(WRITABLE_HINT)?;
        let copied = std::io::copy(&mut memory.take(bytes), &mut written)?;
        written.flush()?;
        Ok(Some((path, copied)))
    }
}

const NOTHING_HINT: Hint = Hint(
    "the console has what its tracer said; the image must be one of images/build.sh --with trace-cmd (or perf)",
);
/// What the guest copies at a time, and leaves free at the end.
const PIECE_BYTES: u64 = 4096;

/// Words of the kernel command line by which the guest's init knows what to do.
pub(crate) fn command_line_words(args: &NativeArgs) -> Vec<String> {
    args.native.map_or_else(Vec::new, |tracer| {
        vec![
            format!("guesttrace.native={}", tracer.name()),
            format!("guesttrace.native_events={}", args.native_events.join(",")),
        ]
    })
}

/// Bytes of the file behind a title; `None` when there is none.
fn size_of_file(title: &[u8]) -> Option<u64> {
    let line = title.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("== ")?;
    let (_, size) = line.strip_suffix(" ==")?.rsplit_once(' ')?;
    size.parse().ok().filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_how_long_the_file_is() {
        let of = |line: &str| size_of_file(line.as_bytes());
        assert_eq!(of("== /tmp/trace.dat 4711 ==\n\0\0"), Some(4711));
        for none in [
            "",
            "\0\0\0",
            "== /tmp/trace.dat 0 ==\n",
            "== /tmp/trace.dat x ==\n",
            "== 7",
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn its_file_is_beside_the_trace() {
        let beside = |tracer: NativeTracer| tracer.file_beside(Path::new("a/out.bin"));
        assert_eq!(
            beside(NativeTracer::Perf),
            Some(PathBuf::from("a/out.perf.data"))
        );
        assert_eq!(beside(NativeTracer::None), None);
    }
}
