//! `guesttrace record`: boots a guest under QEMU and traces it.
//!
//! Reading order: what the user asked for (`args`), the disk and machine that follow from it, the plan, the run, the end.

mod args;
mod disk;
mod emulator;
mod kernel;
mod machine;
mod outcome;
mod plan;
mod process;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use probe_plan::Recording;
use tempfile::TempDir;
use trace_format::{ClockInfo, ClockMode, CpuIdentity, Header};

pub(crate) use args::RecordArgs;

use args::Clock;
use emulator::Emulator;
use kernel::BootKernel;
use machine::Machine;
use outcome::Outcome;

use crate::console::Console;
use crate::failure;

/// Ticks of the guest's TSC in a second under `-icount`: it counts virtual nanoseconds.
const COUNTED_TSC_HZ: u64 = 1_000_000_000;
/// `-icount shift=`: the cheapest on every kernel measured; smaller values make delay loops longer.
const ICOUNT_SHIFT: u8 = 3;
/// So often in guest time a buffer is written at least, so that a killed recording lacks little.
const FLUSHES_PER_SECOND: u64 = 4;

/// Runs the verb.
pub(crate) fn run(args: &RecordArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let prepared = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => {
            failure::print(&error, console.talk);
            return Ok(ExitCode::from(failure::USAGE));
        }
    };
    if !args.quiet {
        prepared.machine.describe(console.talk)?;
    }
    let finished = process::run(args, &prepared, console.out)?;
    let outcome = Outcome::judge(&finished, prepared.recording.is_some());
    outcome::report(args, &outcome, &finished, console)?;
    Ok(outcome.exit_code())
}

/// Everything that a run needs; nothing was started yet.
#[derive(Debug)]
struct Prepared {
    emulator: Emulator,
    machine: Machine,
    recording: Option<Recording>,
    /// Removed with all it holds at the end.
    work_dir: TempDir,
}

fn prepare(args: &RecordArgs) -> Result<Prepared> {
    if !args.no_plugin {
        check_writable(&args.trace)?;
    }
    let emulator = Emulator::find()?;
    let kernel = BootKernel::load(args)?;
    let work_dir = tempfile::Builder::new()
        .prefix("guesttrace-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let machine = Machine::build(args, &kernel, work_dir.path())?;
    let recording = if args.no_plugin {
        None
    } else {
        let plan = plan::prepare(args, &kernel, work_dir.path())?;
        Some(recording(
            args,
            &emulator,
            &machine,
            &kernel,
            &plan,
            work_dir.path(),
        ))
    };
    Ok(Prepared {
        emulator,
        machine,
        recording,
        work_dir,
    })
}

fn recording(
    args: &RecordArgs,
    emulator: &Emulator,
    machine: &Machine,
    kernel: &BootKernel,
    plan: &plan::PreparedPlan,
    work_dir: &std::path::Path,
) -> Recording {
    let deterministic = args.clock == Clock::Deterministic;
    let mut kernel_info = plan.kernel.clone();
    kernel_info.command_line = machine.command_line.clone();
    let mut digests = vec![
        ("plan".to_owned(), plan.digest.clone()),
        ("kernel".to_owned(), kernel.digest.clone()),
    ];
    digests.extend(machine.digests.iter().cloned());
    Recording {
        plan: plan.path.clone(),
        out: absolute(&args.trace),
        status_socket: Some(work_dir.join("status")),
        header: Header {
            producer: concat!("guesttrace ", env!("CARGO_PKG_VERSION")).to_owned(),
            kernel: kernel_info,
            machine: machine.info(emulator),
            clock: ClockInfo {
                mode: if deterministic {
                    ClockMode::Deterministic
                } else {
                    ClockMode::Wall
                },
                // In wall mode the recorder measures the host's.
                tsc_hz: if deterministic { COUNTED_TSC_HZ } else { 0 },
                cpu_identity: if deterministic && args.smp > 1 {
                    CpuIdentity::Guest
                } else {
                    CpuIdentity::Emulator
                },
            },
            schema: plan.schema.clone(),
            digests,
        },
        icount_shift: ICOUNT_SHIFT,
        buffer_bytes: args.buffer_size * 1024,
        flush_interval_ticks: COUNTED_TSC_HZ / FLUSHES_PER_SECOND,
        compression_level: 3,
        audit_clock: args.audit_clock,
    }
}

/// Refuses an output that cannot be written before a guest boots for nothing.
fn check_writable(trace: &std::path::Path) -> Result<()> {
    let partial = partial_path(trace);
    std::fs::File::create(&partial)
        .map(drop)
        .and_then(|()| std::fs::remove_file(&partial))
        .with_context(|| format!("cannot write {}", trace.display()))
        .context(crate::Hint(
            "choose a file in a directory that exists and can be written",
        ))
}

fn partial_path(trace: &std::path::Path) -> std::path::PathBuf {
    let mut name = trace.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn absolute(path: &std::path::Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
