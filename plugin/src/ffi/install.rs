//! Loading: reads the recording's description and checks everything before any callback is registered.
//!
//! Errors are printed here, in words for the user, and end QEMU.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use probe_plan::{Command, Plan, Recording, Status};

use super::clock::{GuestClock, NotExported};
use super::execute::host_tsc_hz;
use super::halt::Halt;
use super::translate::Translation;
use super::{SESSION, Session, guard, guest};
use crate::recorder::Recorder;
use crate::sink::OutputError;
use crate::status::StatusLine;

/// What QEMU says of itself and its command line.
#[derive(Debug)]
pub(super) struct Emulator {
    /// Such as `x86_64`.
    pub(super) target: String,
    /// `None` where it runs programs and no system.
    pub(super) cpus_max: Option<i64>,
    pub(super) arguments: Vec<String>,
}

/// Starts the recording, or ends QEMU with a sentence.
#[allow(
    clippy::print_stderr,
    clippy::exit,
    reason = "there is no other way to tell a user why QEMU does not start"
)]
pub(super) fn load(emulator: &Emulator) {
    if let Err(error) = start(emulator) {
        eprintln!("guesttrace plugin: error: {error}");
        std::process::exit(1);
    }
}

/// Why the plugin cannot start.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(
        "the argument recording=FILE is missing\nhint: use `guesttrace record`, which starts QEMU with it"
    )]
    NoRecording,
    #[error("unknown argument {0:?}\nhint: the only argument is recording=FILE")]
    UnknownArgument(String),
    #[error("the plugin traces x86_64 system emulation, not {0}\nhint: use qemu-system-x86_64")]
    WrongTarget(String),
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    #[error("{0} is no description of a recording: {1}")]
    BadRecording(String, serde_json::Error),
    #[error("{0}: {1}")]
    BadPlan(String, probe_plan::PlanError),
    #[error(transparent)]
    Clock(#[from] NotExported),
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn start(emulator: &Emulator) -> Result<(), InstallError> {
    let Some(cpus_max) = emulator.cpus_max.filter(|_| emulator.target == "x86_64") else {
        return Err(InstallError::WrongTarget(emulator.target.clone()));
    };
    let mut recording = read_recording(&emulator.arguments)?;
    if !recording.is_deterministic() {
        let tsc_hz = host_tsc_hz();
        recording.clock.tsc_hz = tsc_hz;
        for session in &mut recording.sessions {
            session.header.clock.tsc_hz = tsc_hz;
        }
    }
    let cpu_count = usize::try_from(cpus_max).unwrap_or(1).max(1);
    let icount_shift = recording
        .is_deterministic()
        .then_some(recording.icount_shift);
    let clock = GuestClock::find(icount_shift, cpu_count)?;
    let halt = recording.halt.map(Halt::find).transpose()?;
    let socket = recording.status_socket.as_deref();
    let socket = socket.map(connect).transpose()?;
    let orders = socket.as_ref().and_then(|socket| socket.try_clone().ok());
    let status = Arc::new(StatusLine::new(socket));
    let (sender, commands) = crossbeam_channel::unbounded();
    let started = read_plan(&recording.plan).and_then(|plan| {
        let status = Arc::clone(&status);
        let recorder = Recorder::start(plan, recording, status, commands, cpu_count);
        recorder.map_err(InstallError::from)
    });
    let recorder = started.inspect_err(|error| {
        status.send(&Status::Failed {
            message: error.to_string(),
        });
    })?;
    let session = Session {
        recorder,
        translation: Mutex::new(Translation::new()),
        clock,
        halt,
    };
    if SESSION.set(session).is_ok()
        && let Some(orders) = orders
    {
        std::thread::spawn(move || take_orders(orders, &sender));
    }
    Ok(())
}

/// Hands on what `record` commands. When `record` is gone, killed perhaps, nobody would end the guest: QEMU is asked to,
/// which completes the trace.
fn take_orders(socket: UnixStream, orders: &crossbeam_channel::Sender<Command>) {
    for line in BufReader::new(socket).lines().map_while(Result::ok) {
        let Ok(command) = serde_json::from_str(&line) else {
            continue;
        };
        if orders.send(command).is_err() {
            return;
        }
        guard(|session| session.recorder.commands.announce());
    }
    // Where that fails there is no one to tell.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
}

fn connect(path: &Path) -> Result<UnixStream, InstallError> {
    UnixStream::connect(path).map_err(|error| InstallError::Read(path.display().to_string(), error))
}

fn read_plan(path: &Path) -> Result<Plan, InstallError> {
    let bytes = read(path)?;
    Plan::from_bytes(&bytes)
        .map_err(|error| InstallError::BadPlan(path.display().to_string(), error))
}

fn read_recording(arguments: &[String]) -> Result<Recording, InstallError> {
    let mut path = None;
    for argument in arguments {
        match argument.strip_prefix("recording=") {
            Some(value) => path = Some(value),
            None => return Err(InstallError::UnknownArgument(argument.clone())),
        }
    }
    let path = path.ok_or(InstallError::NoRecording)?;
    let bytes = read(Path::new(path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| InstallError::BadRecording(path.to_owned(), error))
}

fn read(path: &Path) -> Result<Vec<u8>, InstallError> {
    std::fs::read(path).map_err(|error| InstallError::Read(path.display().to_string(), error))
}

/// A CPU was made; on its thread.
pub(super) fn cpu_started(cpu_index: u32) {
    guard(|session| {
        guest::learn_registers();
        session.clock.learn(cpu_index);
    });
}

/// QEMU ends.
pub(super) fn ended() {
    guard(|session| session.recorder.finish("emulator_exit"));
}
