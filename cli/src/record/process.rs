//! Runs QEMU: its console, its complaints, the recorder's status, the time limit.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use probe_plan::{MatchedEvent, Recording, Status};

use super::Prepared;
use super::args::RecordArgs;
use super::control::{Control, Link, TraceStatus};
use super::disk::escape;
use super::interrupts::Interrupts;
use super::progress::{megabytes, progress_bar, seconds};
use super::relay::Relays;
use super::triggers::Triggers;
use super::visit::{Arrival, Visitor};
use super::work_dir::WorkDir;
use crate::console::Console;
use crate::leash::{Leash, own_program};

/// How long a QEMU that was asked to end may take.
const GRACE: Duration = Duration::from_secs(10);
/// How long a guest that panicked may take to restart, which ends QEMU.
const PANIC_GRACE: Duration = Duration::from_secs(5);
/// How long a guest that is to end may take to come to its next event.
const QUIT_GRACE: Duration = Duration::from_secs(2);
/// How long somebody may look at a machine that stands still.
const VISIT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// What is kept of the console to explain a failure.
const CONSOLE_TAIL_BYTES: usize = 64 * 1024;

/// How a run went.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    pub(crate) exit: Option<ExitStatus>,
    pub(crate) armed: bool,
    pub(crate) ended: Option<(String, u64, u64)>,
    pub(crate) failure: Option<String>,
    /// A trace was sent, and nobody said that it arrived.
    pub(crate) unconfirmed: Option<String>,
    pub(crate) panicked: bool,
    pub(crate) timed_out: bool,
    /// By a signal such as Ctrl-C's.
    pub(crate) interrupted: bool,
    /// The machine stood still for somebody to look at it.
    pub(crate) was_visited: bool,
    /// By `guesttrace ctl`.
    pub(crate) was_asked: bool,
    /// The end of the console.
    pub(crate) console: Vec<u8>,
    /// What QEMU said.
    pub(crate) complaints: String,
    pub(crate) wall: Duration,
}

/// Who has to do with a run besides.
#[derive(Debug)]
pub(crate) struct Company<'a> {
    /// Acts on what was looked out for.
    pub(crate) triggers: Option<Triggers>,
    pub(crate) relays: Relays,
    /// Comes when the machine stands still.
    pub(crate) visitor: Option<&'a mut dyn Visitor>,
}

/// What the threads report.
pub(crate) enum Report {
    Console(Vec<u8>),
    Complaint(String),
    Status(Status),
    /// Somebody asked for the end.
    Quit,
    /// A trace cannot be sent any more: why.
    TraceLost(String),
    /// A trace was sent, and nobody said that it arrived whole: why that matters.
    Unconfirmed(String),
}

/// A QEMU, which ends at the latest when this is dropped.
struct Qemu(Child);

impl Qemu {
    fn start(args: &RecordArgs, prepared: &Prepared) -> Result<Self> {
        let mut command = command(args, prepared)?;
        let leash = Leash {
            ends_with_us: prepared.recording.is_none(),
            no_io_uring: prepared.emulator.interface.loses_wake_ups,
        };
        if leash != Leash::default() {
            command = leash.on(&own_program()?, &command);
        }
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if prepared.gdb_socket.is_some() {
            // A terminal's Ctrl-C is the debugger's, which stops the guest; QEMU would end by it.
            command.process_group(0);
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", prepared.emulator.program.display()))?;
        Ok(Self(child))
    }

    /// Asks it to end, which completes the trace.
    fn terminate(&self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("cannot end QEMU")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both do nothing when it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// QEMU's command line, with all that it names in place.
pub(crate) fn command(args: &RecordArgs, prepared: &Prepared) -> Result<Command> {
    let mut command = Command::new(&prepared.emulator.program);
    command.args(&prepared.machine.arguments);
    command.arg("-chardev").arg(match &args.serial {
        Some(path) => format!(
            "file,id=console,path={}",
            escape(&std::path::absolute(path)?)
        ),
        None => "file,id=console,path=/dev/stdout".to_owned(),
    });
    command.args(["-serial", "chardev:console"]);
    if let Some(socket) = &prepared.gdb_socket {
        command
            .arg("-gdb")
            .arg(format!("unix:{},server=on,wait=off", escape(socket)));
    }
    if let Some(recording) = &prepared.recording {
        let description = prepared.work_dir.path().join("recording.json");
        fs::write(&description, serde_json::to_vec(recording)?)?;
        let plugin = prepared.emulator.plugin()?;
        command.arg("-plugin").arg(format!(
            "{},recording={}",
            escape(&plugin),
            escape(&description)
        ));
    }
    Ok(command)
}

/// Starts QEMU and stays with it to the end.
pub(crate) fn run(
    args: &RecordArgs,
    prepared: &Prepared,
    company: Company<'_>,
    console: &mut Console<'_>,
) -> Result<Finished> {
    let (sender, reports) = channel();
    let link = Link::default();
    let traces = prepared.wishes.traces.iter();
    link.note(|status| {
        status.traces = traces
            .map(|wanted| TraceStatus {
                trace: wanted.trace.clone(),
                flight_recorder: wanted.is_flight_recorder(),
                ..TraceStatus::default()
            })
            .collect();
    });
    if let Some(recording) = &prepared.recording {
        listen(recording, link.clone(), sender.clone())?;
    }
    let socket = args.control.control.as_ref();
    let _control = socket
        .map(|path| Control::listen(path, link.clone(), sender.clone()))
        .transpose()?;
    let started = Instant::now();
    let mut qemu = Qemu::start(args, prepared)?;
    forward(&mut qemu.0, &sender);
    let relays = company.relays.start(&sender);
    drop(sender);
    let mut attendant = Attendant {
        finished: Finished::default(),
        progress: progress_bar(args),
        started,
        // Without an `out` the console goes where talk goes.
        out: (!prepared.wishes.takes_stdout()).then_some(&mut *console.out),
        has_console: true,
        talk: console.talk,
        link,
        triggers: company.triggers,
        visitor: company.visitor.map(|visitor| visitor as &mut dyn Visitor),
        slide: 0,
        arrival: None,
        work_dir: &prepared.work_dir,
    };
    let limit = Duration::from_secs(args.timeout);
    attendant.attend(&mut qemu, &reports, limit, &prepared.interrupts)?;
    // A QEMU that never came to load the plugin leaves the listener waiting.
    let recording = prepared.recording.as_ref();
    if let Some(path) = recording.and_then(|recording| recording.status_socket.as_ref()) {
        let _ = UnixStream::connect(path);
    }
    relays.finish();
    attendant.drain(&reports);
    attendant.finish_triggers()?;
    let mut finished = attendant.finished;
    finished.wall = started.elapsed();
    if let Some(path) = &args.serial {
        finished.console = tail(fs::read(path).unwrap_or_default());
    }
    Ok(finished)
}

/// Takes the recorder's status lines.
fn listen(recording: &Recording, link: Link, reports: Sender<Report>) -> Result<()> {
    let Some(path) = &recording.status_socket else {
        return Ok(());
    };
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else {
            return;
        };
        link.connect(&stream);
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if let Ok(status) = serde_json::from_str(&line) {
                let _ = reports.send(Report::Status(status));
            }
        }
    });
    Ok(())
}

/// Takes QEMU's console and complaints.
fn forward(child: &mut Child, reports: &Sender<Report>) {
    if let Some(mut console) = child.stdout.take() {
        let reports = reports.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = console.read(&mut bytes) {
                let _ = reports.send(Report::Console(bytes[..count].to_vec()));
            }
        });
    }
    if let Some(complaints) = child.stderr.take() {
        let reports = reports.clone();
        thread::spawn(move || {
            for line in BufReader::new(complaints).lines().map_while(Result::ok) {
                let _ = reports.send(Report::Complaint(line));
            }
        });
    }
}

/// Who stays with a running QEMU.
struct Attendant<'a> {
    finished: Finished,
    progress: ProgressBar,
    started: Instant,
    /// For the guest's console, unless a trace goes there.
    out: Option<&'a mut dyn Write>,
    /// Until the console's reader goes away.
    has_console: bool,
    talk: &'a mut dyn Write,
    link: Link,
    triggers: Option<Triggers>,
    visitor: Option<&'a mut dyn Visitor>,
    slide: u64,
    /// The machine stands still, and nobody has looked yet.
    arrival: Option<Arrival>,
    work_dir: &'a WorkDir,
}

impl Attendant<'_> {
    /// Waits for the end, in the meantime showing how it goes.
    fn attend(
        &mut self,
        qemu: &mut Qemu,
        reports: &Receiver<Report>,
        limit: Duration,
        interrupts: &Interrupts,
    ) -> Result<()> {
        let mut deadline = self.started + limit;
        let mut stopping = false;
        loop {
            let wait = deadline
                .saturating_duration_since(Instant::now())
                .min(Duration::from_millis(200));
            if let Ok(report) = reports.recv_timeout(wait)
                && let Some(grace) = self.take(report)
            {
                deadline = deadline.min(Instant::now() + grace);
            }
            if interrupts.take_snapshot()
                && let Err(problem) = self.link.snapshot()
            {
                writeln!(self.talk, "record: no snapshot: {problem}")?;
            }
            if self.visit(&mut deadline)? {
                deadline = Instant::now();
            }
            if interrupts.take() && !self.has_busy_visitor() {
                // The second one does not wait for QEMU any longer.
                self.finished.interrupted = true;
                deadline = Instant::now();
            }
            if let Some(exit) = qemu.0.try_wait()? {
                self.finished.exit = Some(exit);
                return Ok(());
            }
            if Instant::now() < deadline {
                continue;
            }
            if stopping {
                qemu.0.kill()?;
                self.finished.exit = Some(qemu.0.wait()?);
                return Ok(());
            }
            let finished = &mut self.finished;
            finished.timed_out = !finished.interrupted
                && !finished.was_visited
                && !finished.was_asked
                && !finished.panicked
                && finished.ended.is_none()
                && finished.failure.is_none();
            qemu.terminate()?;
            stopping = true;
            deadline = Instant::now() + GRACE;
        }
    }

    /// Lets the visitor in, who has as much time as he likes. Returns whether he has left.
    fn visit(&mut self, deadline: &mut Instant) -> Result<bool> {
        let Some(visitor) = &mut self.visitor else {
            return Ok(false);
        };
        if let Some(arrival) = self.arrival.take() {
            self.progress.finish_and_clear();
            self.finished.was_visited = true;
            *deadline = Instant::now() + VISIT_MAX;
            visitor.arrive(&arrival, self.talk)?;
        }
        Ok(self.finished.was_visited && visitor.has_left()?)
    }

    /// Whether Ctrl-C is for the visitor.
    fn has_busy_visitor(&self) -> bool {
        let visitor = self.visitor.as_ref();
        visitor.is_some_and(|visitor| visitor.takes_interrupts())
    }

    /// Takes what is still under way after QEMU's end; every sender goes away soon.
    fn drain(&mut self, reports: &Receiver<Report>) {
        while let Ok(report) = reports.recv_timeout(Duration::from_secs(2)) {
            self.take(report);
        }
        self.progress.finish_and_clear();
    }

    /// Takes a report. Returns how soon the guest is to be ended, if it is.
    fn take(&mut self, report: Report) -> Option<Duration> {
        match report {
            Report::Console(bytes) => self.show(&bytes),
            Report::Complaint(line) => {
                self.finished.complaints.push_str(&line);
                self.finished.complaints.push('\n');
            }
            Report::Status(status) => return self.take_status(status),
            Report::TraceLost(message) => {
                self.finished.failure.get_or_insert(message);
                return Some(PANIC_GRACE);
            }
            Report::Unconfirmed(message) => self.finished.unconfirmed = Some(message),
            Report::Quit => {
                self.finished.was_asked = true;
                return Some(QUIT_GRACE);
            }
        }
        None
    }

    /// Waits for what was started on the host.
    fn finish_triggers(&mut self) -> Result<()> {
        let dropped = self.triggers.as_mut().map_or(0, Triggers::finish);
        if dropped > 0 {
            writeln!(
                self.talk,
                "warning: {dropped} matches of --on came faster than their commands could run"
            )?;
        }
        Ok(())
    }

    /// Acts on something that was looked out for.
    fn act(&mut self, number: usize, event: Option<&MatchedEvent>) {
        let triggers = self.triggers.as_mut();
        if let Some(line) = triggers.and_then(|triggers| triggers.take(number, event)) {
            let talk = &mut self.talk;
            // Nobody may be left to read it.
            let _ = self.progress.suspend(|| talk.write_all(&line));
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        if self.has_console {
            let talk = &mut self.talk;
            let out = self.out.as_mut().unwrap_or(talk);
            let show = || out.write_all(bytes).and_then(|()| out.flush());
            // Whoever looked on may have gone; that is no reason to end a recording.
            self.has_console = self.progress.suspend(show).is_ok();
        }
        let console = &mut self.finished.console;
        console.extend_from_slice(bytes);
        if console.len() > 2 * CONSOLE_TAIL_BYTES {
            *console = tail(std::mem::take(console));
        }
    }

    /// Notes a status. Returns how soon the guest is to be ended, if it is.
    fn take_status(&mut self, status: Status) -> Option<Duration> {
        match status {
            Status::Halted { cpu, tsc } => {
                let slide = self.slide;
                self.arrival = Some(Arrival { cpu, tsc, slide });
            }
            Status::Armed { slide } => {
                self.slide = slide;
                self.finished.armed = true;
                self.link.note(|status| status.armed = true);
                self.work_dir.remove();
            }
            Status::Running {
                session,
                tsc,
                records,
                bytes,
                recording,
            } => {
                self.link.note(|status| {
                    status.tsc = status.tsc.max(tsc);
                    if let Some(trace) = status.traces.get_mut(session) {
                        (trace.records, trace.bytes) = (records, bytes);
                        trace.recording = recording;
                    }
                });
                if session != 0 {
                    return None;
                }
                self.progress.set_message(format!(
                    "guest {:.2} s, {records} events, {:.1} MB, {:.0} s",
                    seconds(tsc),
                    megabytes(bytes),
                    self.started.elapsed().as_secs_f64()
                ));
                self.progress.tick();
            }
            Status::Matched { number, event } => self.act(number, event.as_deref()),
            Status::Panicked => {
                self.finished.panicked = true;
                return Some(PANIC_GRACE);
            }
            Status::Ended {
                session,
                reason,
                records,
                bytes,
            } => {
                // The further traces of a recording end with the first one.
                if session != 0 {
                    return None;
                }
                let grace = match reason.as_str() {
                    "halt" => Some(PANIC_GRACE),
                    // The guest would go on.
                    "command" | "condition" => Some(Duration::ZERO),
                    _ => None,
                };
                self.finished.ended = Some((reason, records, bytes));
                return grace;
            }
            Status::Failed { message } => {
                self.finished.failure.get_or_insert(message);
                return Some(PANIC_GRACE);
            }
        }
        None
    }
}

fn tail(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.split_off(bytes.len().saturating_sub(CONSOLE_TAIL_BYTES))
}
