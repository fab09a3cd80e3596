//! What the model tells those who account for time.

use super::event::KernelEvent;
use super::ids::{CpuId, GuestNanos, Span};
use super::machine::Machine;
use super::requests::Request;
use super::state::{Activity, Doing, Frame};
use super::thread::{OpenFrame, Thread, ThreadIndex};

/// Listens to the model. Whatever is not of interest need not be written.
pub trait Observer {
    /// An event happens: the machine is as it was just before.
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        let _ = (machine, moment, event);
    }

    /// A thread did one thing for the whole of a stretch.
    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        let _ = (machine, interval);
    }

    /// A CPU did one thing for the whole of `span`.
    fn cpu_interval(&mut self, machine: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        let _ = (machine, cpu, activity, span);
    }

    /// A thread entered a system call, trap, interrupt or softirq.
    fn frame_entered(&mut self, machine: &Machine, thread: ThreadIndex, frame: &OpenFrame) {
        let _ = (machine, thread, frame);
    }

    /// A thread left it by its exit.
    fn frame_left(&mut self, machine: &Machine, frame: &FrameInterval<'_>) {
        let _ = (machine, frame);
    }

    /// A block device has done a request, with the kernel's error or 0.
    fn request_done(
        &mut self,
        machine: &Machine,
        request: &Request,
        at: GuestNanos,
        error: Option<i64>,
    ) {
        let _ = (machine, request, at, error);
    }

    /// Events of a CPU before `at` are missing.
    fn lost(&mut self, machine: &Machine, cpu: CpuId, at: GuestNanos) {
        let _ = (machine, cpu, at);
    }
}

/// Nobody listens.
impl Observer for () {}

/// Two that listen, each to everything.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        self.0.event(machine, moment, event);
        self.1.event(machine, moment, event);
    }

    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        self.0.thread_interval(machine, interval);
        self.1.thread_interval(machine, interval);
    }

    fn cpu_interval(&mut self, machine: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        self.0.cpu_interval(machine, cpu, activity, span);
        self.1.cpu_interval(machine, cpu, activity, span);
    }

    fn frame_entered(&mut self, machine: &Machine, thread: ThreadIndex, frame: &OpenFrame) {
        self.0.frame_entered(machine, thread, frame);
        self.1.frame_entered(machine, thread, frame);
    }

    fn frame_left(&mut self, machine: &Machine, frame: &FrameInterval<'_>) {
        self.0.frame_left(machine, frame);
        self.1.frame_left(machine, frame);
    }

    fn request_done(
        &mut self,
        machine: &Machine,
        request: &Request,
        at: GuestNanos,
        error: Option<i64>,
    ) {
        self.0.request_done(machine, request, at, error);
        self.1.request_done(machine, request, at, error);
    }

    fn lost(&mut self, machine: &Machine, cpu: CpuId, at: GuestNanos) {
        self.0.lost(machine, cpu, at);
        self.1.lost(machine, cpu, at);
    }
}

/// When and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: GuestNanos,
    /// On which CPU.
    pub cpu: CpuId,
}

/// A stretch of a thread's life.
#[derive(Clone, Copy, Debug)]
pub struct ThreadInterval<'a> {
    /// Which thread.
    pub index: ThreadIndex,
    /// The same, after the stretch: what it asked for and who woke it tell why it waited.
    pub thread: &'a Thread,
    /// What it did.
    pub activity: Activity,
    /// The same in detail.
    pub doing: Doing,
    /// Where, if it ran.
    pub cpu: Option<CpuId>,
    /// When.
    pub span: Span,
}

/// A system call, trap, interrupt or softirq from entry to exit, whatever was nested in it or ran meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct FrameInterval<'a> {
    /// Whose.
    pub thread: ThreadIndex,
    /// On which CPU it ended.
    pub cpu: CpuId,
    /// What, with a call's arguments.
    pub open: &'a OpenFrame,
    /// When.
    pub span: Span,
    /// What a system call or a handler returned.
    pub ret: Option<i64>,
}

impl FrameInterval<'_> {
    /// What it is.
    #[must_use]
    pub fn frame(&self) -> Frame {
        self.open.frame
    }
}
