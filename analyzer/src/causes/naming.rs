//! What keys are called, for people and programs alike.

use super::history::want;
use super::key::{Ender, Group, Key, Phase, Want};
use crate::model::{
    Activity, Asked, Doing, FileName, Frame, Machine, Thread, ThreadIndex, Via, Waker,
};
use crate::report::guest_text;
use crate::report::names::{Namer, call_name, disk_name, op_name, thread_label};

/// Names what threads do and what ends their waits.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub(crate) namer: &'a Namer,
    pub(crate) machine: &'a Machine,
}

impl<'a> Names<'a> {
    /// Names by a trace's tables and what a machine has shown so far.
    #[must_use]
    pub fn new(namer: &'a Namer, machine: &'a Machine) -> Self {
        Self { namer, machine }
    }

    /// What a thread that waits has asked for: its call, and the file if that is known.
    #[must_use]
    pub fn wait(&self, thread: &Thread) -> String {
        let mut want = want(self.machine, thread);
        // An address tells nobody anything, and there is any number of them.
        if let Asked::Futex { addr } = &mut want.asked {
            *addr = None;
        }
        self.want(&want)
    }

    /// By what a thread was woken; of another thread what that was doing.
    #[must_use]
    pub fn via(&self, waker: &Waker) -> String {
        match waker.via {
            Via::Timer { function, .. } => format!("timer {}", self.namer.function(function)),
            Via::Request(request) => {
                format!("{} of disk {}", op_name(request.op), disk_name(request.dev))
            }
            Via::Packet { .. } => "packet".to_owned(),
            Via::Device { irq } => self.line(irq),
            Via::Softirq { vec } => format!("softirq {}", self.namer.softirq(vec)),
            Via::Irq { vector } => self.vector(vector),
            Via::Thread => waker
                .frame
                .map_or_else(|| "its own code".to_owned(), |frame| self.frame(frame)),
        }
    }

    pub(crate) fn key(&self, key: &Key) -> String {
        match key {
            Key::Process(pid) => format!("process {pid}"),
            Key::Thread(thread) => self.thread(*thread),
            Key::Stretch(number) => number.to_string(),
            Key::Running => "running".to_owned(),
            Key::Runnable => "could run".to_owned(),
            Key::Blocked => "waiting".to_owned(),
            Key::Group(group) => group_name(*group).to_owned(),
            Key::Doing(doing) => self.doing(*doing),
            Key::Behind(thread) if self.machine.threads()[*thread].idle_of.is_some() => {
                "the CPU left its idle loop".to_owned()
            }
            Key::Behind(thread) => format!("{} ran", self.thread(*thread)),
            Key::BehindInterrupt(doing) => self.doing(*doing),
            Key::Want(want) => self.want(want),
            Key::Ender(ender) => self.ender(ender),
            Key::Code(addr) => self.namer.code(*addr),
            Key::Phase(phase) => phase_name(*phase).to_owned(),
            Key::Parent(thread) => format!("made by {}", self.thread(*thread)),
            Key::Unknown => "unknown".to_owned(),
        }
    }

    /// A thread by its name and number.
    #[must_use]
    pub fn thread(&self, thread: ThreadIndex) -> String {
        thread_label(&self.machine.threads()[thread])
    }

    /// What a thread does.
    #[must_use]
    pub fn doing(&self, doing: Doing) -> String {
        let Doing {
            activity,
            frame,
            work,
        } = doing;
        if let Some(work) = work {
            return format!("work {}", self.namer.function(work));
        }
        match frame {
            Some(frame) => self.frame(frame),
            None => match activity {
                Activity::User => "user code",
                Activity::Syscall => "system call",
                Activity::Trap => "exception",
                Activity::Irq => "interrupt",
                Activity::Softirq => "softirq",
                Activity::Kernel => "own code",
                Activity::Idle => "idle",
                Activity::RunningUnknown => "running, unknown what",
                Activity::Runnable => "could run",
                Activity::Blocked => "waiting",
                Activity::Unknown | Activity::Unseen => "unknown",
            }
            .to_owned(),
        }
    }

    /// A system call, exception, interrupt or softirq.
    #[must_use]
    pub fn frame(&self, frame: Frame) -> String {
        match frame {
            Frame::Launch => "start of a program".to_owned(),
            Frame::Syscall { abi, nr } => call_name(self.machine, abi, nr),
            Frame::Trap { vector } => self.namer.trap(vector),
            Frame::Irq { vector } => self.vector(vector),
            Frame::IrqHandler { irq } => self.line(irq),
            Frame::Softirq { vec } => format!("softirq {}", self.namer.softirq(vec)),
        }
    }

    /// A vector by its line, or by its own name.
    fn vector(&self, vector: u64) -> String {
        let lines = self.machine.lines();
        match (lines.line_of(vector), lines.vector_name(vector)) {
            (Some(line), _) => self.line(line),
            (None, Some(name)) => format!("interrupt {}", guest_text(name)),
            (None, None) => format!("interrupt vector {vector}"),
        }
    }

    /// A device's line by its number and driver.
    pub(crate) fn line(&self, line: i64) -> String {
        match self.machine.lines().handler_name(line) {
            Some(name) => format!("interrupt {line} {}", guest_text(name)),
            None => format!("interrupt {line}"),
        }
    }

    pub(crate) fn want(&self, want: &Want) -> String {
        let call = want.call.map(|(abi, nr)| call_name(self.machine, abi, nr));
        let call = call.unwrap_or_else(|| want.asked.name().to_owned());
        let with = |what: String| format!("{call} {what}");
        match (want.asked, &want.file) {
            (_, Some(file)) => with(file_name(file)),
            (
                Asked::File { fd: Some(fd) }
                | Asked::Socket { fd: Some(fd) }
                | Asked::Sync { fd: Some(fd) }
                | Asked::Lock { fd: Some(fd) },
                None,
            ) => with(format!("fd {}", crate::model::descriptor_of(fd))),
            (Asked::Futex { addr: Some(addr) }, None) => with(format!("{addr:#x}")),
            (Asked::Page, None) => "page fault".to_owned(),
            (Asked::Start, None) => "its start".to_owned(),
            (Asked::Kernel, None) => match want.work {
                Some(work) => format!("work {}", self.namer.function(work)),
                None => "work".to_owned(),
            },
            _ => call,
        }
    }

    pub(crate) fn ender(&self, ender: &Ender) -> String {
        match ender {
            Ender::Timer { function, owner } => {
                let timer = format!("timer {}", self.namer.function(*function));
                match owner {
                    Some(owner) => format!("{timer} of {}", self.thread(*owner)),
                    None => timer,
                }
            }
            Ender::Disk { dev, op, file } => {
                let request = format!("{} of disk {}", op_name(*op), disk_name(*dev));
                with_file(request, file.as_ref())
            }
            Ender::Packet { sender } => match sender {
                Some(sender) => format!("packet of {}", self.thread(*sender)),
                None => "packet".to_owned(),
            },
            Ender::Device(line) => self.line(*line),
            Ender::Softirq(vec) => format!("softirq {}", self.namer.softirq(*vec)),
            Ender::Irq(vector) => self.vector(*vector),
            Ender::Thread {
                thread,
                frame,
                file,
            } => {
                let thread = self.thread(*thread);
                match frame {
                    Some(frame) => {
                        with_file(format!("{thread} in {}", self.frame(*frame)), file.as_ref())
                    }
                    None => thread,
                }
            }
            Ender::Work { function, by } => {
                let work = format!("work {}", self.namer.function(*function));
                match by {
                    Some(frame) => format!("{work} queued by {}", self.frame(*frame)),
                    None => work,
                }
            }
            Ender::Unknown => "nobody was seen to end it".to_owned(),
            Ender::Never => "not over".to_owned(),
        }
    }
}

fn with_file(what: String, file: Option<&FileName>) -> String {
    match file {
        Some(file) => format!("{what} ({})", file_name(file)),
        None => what,
    }
}

fn file_name(file: &FileName) -> String {
    guest_text(file)
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::User => "user code",
        Group::Calls => "system calls",
        Group::Traps => "exceptions",
        Group::Interrupts => "interrupted",
        Group::Kernel => "kernel code",
        Group::Idle => "idle loop",
        Group::Unknown => "running, unknown what",
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Before => "before that was asked for",
        Phase::Queued => "in the queue",
        Phase::UnderWay => "under way",
        Phase::Interrupt => "in its interrupt",
    }
}
