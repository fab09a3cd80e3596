//! `guesttrace record`: boots a guest under QEMU and traces it.
//!
//! Reading order: what the user asked for (`args`), the disk and machine that follow from it, the plan, the run, the end.

mod args;
mod control;
mod disk;
pub(crate) mod emulator;
mod glob;
mod initrd;
mod interrupts;
mod kernel;
mod limits;
mod machine;
mod masks;
mod native;
mod outcome;
mod output;
mod plan;
mod process;
mod progress;
mod relay;
mod remember;
mod sessions;
mod triggers;
mod visit;
mod work_dir;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result};
use probe_plan::Recording;
use trace_format::{ClockInfo, ClockMode, Header};

pub(crate) use args::RecordArgs;
pub(crate) use control::{Answer, Ask, ask};
pub(crate) use emulator::Emulator;
pub(crate) use glob::is_match;
pub(crate) use kernel::{BootKernel, file_stamp, sha256};
pub(crate) use masks::MaskArgs;
pub(crate) use output::check_trace;
pub(crate) use plan::{cache_dir, write_whole};
pub(crate) use process::Finished;
pub(crate) use remember::{Remembered, recall};
pub(crate) use visit::{Arrival, Repetition, Visitor};
pub(crate) use work_dir::WorkDir;

use args::Clock;
use initrd::Drivers;
use interrupts::Interrupts;
use machine::Machine;
use native::Outbox;
use outcome::Outcome;
use process::Company;
use relay::Relays;
use sessions::Wishes;
use triggers::Triggers;

use crate::console::Console;
use crate::{Hint, failure};

/// Ticks of the guest's TSC in a second under `-icount`: it counts virtual nanoseconds.
const COUNTED_TSC_HZ: u64 = 1_000_000_000;
/// `-icount shift=`: the cheapest on every kernel measured; smaller values make delay loops longer.
const ICOUNT_SHIFT: u8 = 3;
const WORK_DIR_HINT: Hint = Hint("set TMPDIR to a directory that has room and can be written");

/// Runs the verb.
pub(crate) fn run(args: &RecordArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let started = Instant::now();
    let mut prepared = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => {
            failure::print(&error, console.talk);
            return Ok(ExitCode::from(failure::USAGE));
        }
    };
    if !args.quiet {
        prepared.machine.describe(console.talk)?;
        if let Some(drivers) = &prepared.drivers {
            let origin = drivers.origin();
            writeln!(
                console.talk,
                "guesttrace: initial ramdisk: made of the modules in {origin}"
            )?;
        }
    }
    if args.dry_run {
        let took = started.elapsed().as_secs_f64();
        writeln!(console.talk, "guesttrace: prepared in {took:.2} s")?;
        let command = process::command(args, &prepared)?;
        writeln!(console.out, "{}", shell_line(&command))?;
        return Ok(ExitCode::SUCCESS);
    }
    let traced = if args.no_plugin { 0 } else { usize::MAX };
    let traces = prepared.wishes.traces.iter().take(traced);
    let relays = match Relays::connect(traces, prepared.work_dir.path()) {
        Ok(relays) => relays,
        Err(error) => {
            failure::print(&error, console.talk);
            return Ok(ExitCode::from(failure::USAGE));
        }
    };
    let company = Company {
        triggers: prepared.triggers.take(),
        relays,
        visitor: None,
    };
    let finished = process::run(args, &prepared, company, console)?;
    if !finished.armed && !args.no_plugin {
        // There is nothing in them.
        for wanted in prepared.wishes.files() {
            let _ = std::fs::remove_file(trace_format::partial_path(&wanted.trace));
        }
    }
    let outcome = Outcome::judge(&finished, prepared.recording.is_some());
    outcome::report(args, &outcome, &finished, console)?;
    if !args.no_plugin {
        remember::remember(&args.trace);
    }
    if let Some(outbox) = &prepared.outbox {
        match outbox.bring_out(&args.trace) {
            Ok(Some((path, bytes))) if !args.quiet => {
                let path = path.display();
                writeln!(
                    console.talk,
                    "guesttrace: the guest's own trace is {path} ({bytes} bytes)"
                )?;
            }
            Ok(_) => {}
            Err(error) => {
                failure::print(&error, console.talk);
                return Ok(ExitCode::from(failure::BAD_DATA));
            }
        }
    }
    Ok(outcome.exit_code())
}

/// Everything that a run needs; nothing was started yet.
#[derive(Debug)]
struct Prepared {
    emulator: Emulator,
    machine: Machine,
    /// Of which the initial ramdisk was made, where the user gave none.
    drivers: Option<Drivers>,
    recording: Option<Recording>,
    /// Acts on what was looked out for.
    triggers: Option<Triggers>,
    wishes: Wishes,
    /// By which the file of the guest's own tracer comes out.
    outbox: Option<Outbox>,
    work_dir: WorkDir,
    interrupts: Interrupts,
    /// Where a debugger finds the machine.
    gdb_socket: Option<PathBuf>,
}

fn prepare(args: &RecordArgs) -> Result<Prepared> {
    let wishes = Wishes::new(args)?;
    output::check(args, &wishes)?;
    native::check(&args.native, &args.trace)?;
    let followed = wishes.followed()?;
    let emulator = Emulator::find()?;
    let mut kernel = BootKernel::load(args)?;
    machine::check_inputs(args)?;
    let drivers = Drivers::find(args, &kernel)?;
    let mut args = args.clone();
    if let Some(drivers) = &drivers {
        args.events.modules.or_dir(drivers.directory());
    }
    let plan = if args.no_plugin {
        None
    } else {
        let mut events = wishes.events(&args.events)?;
        events.program_files.rootfs.clone_from(&args.rootfs);
        Some(plan::prepare(&events, &mut kernel)?)
    };
    // All that takes long is done: what is on the way from here on has to be removed at the end.
    let interrupts = Interrupts::watch()?;
    let work_dir = WorkDir::new()
        .context("cannot make a temporary directory")
        .context(WORK_DIR_HINT)?;
    let outbox = Outbox::create(&args.native, work_dir.path()).context(WORK_DIR_HINT)?;
    if let Some(drivers) = &drivers {
        args.initrd = Some(drivers.write(work_dir.path())?);
    }
    let args = &args;
    let machine = Machine::build(args, &wishes, &kernel, work_dir.path(), outbox.as_ref())?;
    if args.require_reproducible {
        machine.require_reproducible()?;
    }
    let mut triggers = None;
    let mut recording = None;
    if let Some(plan) = plan {
        plan.write(work_dir.path())
            .context("cannot write the plan")
            .context(WORK_DIR_HINT)?;
        let header = header(args, &emulator, &machine, &kernel, &plan);
        let (mut sessions, watches) = wishes.tell(args, &kernel, &plan, &header)?;
        relay::aim(&mut sessions, &wishes.traces, work_dir.path());
        let actions = wishes.triggers.iter().map(|(_, action)| action.clone());
        triggers = Some(Triggers::new(
            actions.collect(),
            &plan.schema,
            header.clock.tsc_hz,
        ));
        let dir = work_dir.path();
        recording = Some(Recording {
            sessions,
            watches,
            followed,
            ..recording_of(args, header.clock, dir)
        });
    }
    Ok(Prepared {
        emulator,
        machine,
        drivers,
        recording,
        triggers,
        wishes,
        outbox,
        work_dir,
        interrupts,
        gdb_socket: None,
    })
}

/// How the recording is kept, whatever is recorded.
fn recording_of(args: &RecordArgs, clock: ClockInfo, work_dir: &std::path::Path) -> Recording {
    let flush_interval_ticks = args.chunks.flush_ticks(clock.tsc_hz);
    Recording {
        plan: work_dir.join(plan::FILE_NAME),
        status_socket: Some(work_dir.join("status")),
        clock,
        memory_mib: args.memory,
        icount_shift: ICOUNT_SHIFT,
        buffer_bytes: args.chunks.buffer_size * 1024,
        flush_interval_ticks,
        compression_level: args.chunks.compression,
        max_file_bytes: args.max_file_size,
        audit_clock: args.audit_clock,
        sessions: Vec::new(),
        watches: Vec::new(),
        followed: Vec::new(),
        halt: None,
    }
}

/// What a trace says of itself; the schema is that of the plan.
fn header(
    args: &RecordArgs,
    emulator: &Emulator,
    machine: &Machine,
    kernel: &BootKernel,
    plan: &plan::PreparedPlan,
) -> Header {
    let deterministic = args.clock == Clock::Deterministic;
    let mut kernel_info = plan.kernel.clone();
    kernel_info.command_line = machine.command_line.clone();
    let mut digests = vec![
        ("plan".to_owned(), plan.digest.clone()),
        ("kernel".to_owned(), kernel.digest.clone()),
    ];
    digests.extend(machine.digests.iter().cloned());
    Header {
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
        },
        schema: plan.schema.clone(),
        digests,
        absent: plan.absent.clone(),
        chunks: Some(args.chunks.rule()),
    }
}

/// A command as one would type it into a shell.
fn shell_line(command: &Command) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%".contains(c);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
