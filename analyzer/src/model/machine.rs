//! Follows a kernel's events: the only place that decides what each thread and each CPU is doing.
//!
//! Invariant: at every instant a thread and a CPU do exactly one thing; what the trace cannot tell is `Unknown`, never
//! a guess. What contradicts itself is counted as a [`Doubt`] and the newer evidence is believed.
//! Does not know where events came from, nor how anything is shown.

use std::collections::BTreeMap;

use super::doubt::{Doubt, Doubts};
use super::event::KernelEvent;
use super::frames::Left;
use super::ids::{CpuId, GuestNanos, Span};
use super::observer::{Observer, ThreadInterval};
use super::state::{Abi, Activity, Frame, Ground, Scheduling};
use super::thread::{ThreadIndex, Threads};

/// State of a machine, fed with events in order of time.
#[derive(Debug)]
pub struct Model<O> {
    /// Who listens.
    pub observer: O,
    pub(super) threads: Threads,
    pub(super) cpus: Vec<Cpu>,
    pub(super) doubts: Doubts,
    pub(super) syscall_names: BTreeMap<(Abi, u64), Vec<u8>>,
    /// Whether the trace has wake-ups: without them a thread's way from waiting to running cannot be seen.
    pub(super) wakes_seen: bool,
    /// Recording was stopped at least once: a CPU's first event need not be its boot.
    pub(super) was_stopped: bool,
    now: GuestNanos,
}

/// What is known of a CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    pub(super) current: Option<ThreadIndex>,
    /// The thread that a context record named, until the scheduling change that it belongs to.
    pub(super) claimed: Option<ThreadIndex>,
    /// Time of its latest event.
    last_event: Option<GuestNanos>,
    activity: Activity,
    since: GuestNanos,
}

impl Cpu {
    const UNSEEN: Self = Self {
        current: None,
        claimed: None,
        last_event: None,
        activity: Activity::Unseen,
        since: GuestNanos(0),
    };
}

impl<O: Observer> Model<O> {
    /// Knows nothing yet.
    pub fn new(observer: O) -> Self {
        Self {
            observer,
            threads: Threads::default(),
            cpus: Vec::new(),
            doubts: Doubts::default(),
            syscall_names: BTreeMap::new(),
            wakes_seen: false,
            was_stopped: false,
            now: GuestNanos(0),
        }
    }

    /// The threads.
    #[must_use]
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The CPUs, up to the highest number seen.
    pub fn cpus(&self) -> impl Iterator<Item = CpuId> + use<O> {
        (0u32..).map(CpuId).take(self.cpus.len())
    }

    /// Counts doubts that arose outside.
    pub fn add_doubts(&mut self, doubt: Doubt, count: u64) {
        self.doubts.add(doubt, count);
    }

    /// What did not fit so far.
    #[must_use]
    pub fn doubts(&self) -> &Doubts {
        &self.doubts
    }

    /// Whether any wake-up was seen: if not, time spent runnable counts as waiting.
    #[must_use]
    pub fn wakes_seen(&self) -> bool {
        self.wakes_seen
    }

    /// The thread that runs on a CPU.
    #[must_use]
    pub fn current(&self, cpu: CpuId) -> Option<ThreadIndex> {
        self.cpus.get(cpu.0 as usize)?.current
    }

    /// Name of a system call, if the trace gave it.
    #[must_use]
    pub fn syscall_name(&self, abi: Abi, nr: u64) -> Option<&[u8]> {
        self.syscall_names.get(&(abi, nr)).map(Vec::as_slice)
    }

    /// Takes the next event. Times must not decrease over all CPUs.
    pub fn apply(&mut self, at: GuestNanos, cpu: CpuId, event: &KernelEvent<'_>) {
        let at = self.advance(at);
        self.see(cpu);
        self.settle_claim(at, cpu, event);
        self.dispatch(at, cpu, event);
        self.cpus[cpu.0 as usize].last_event = Some(at);
        self.refresh_current(at, cpu);
    }

    /// Says that `cpu` runs its idle thread if nothing is known of it: what it does before its first scheduling change.
    pub fn start_assumed(&mut self, at: GuestNanos, cpu: CpuId) {
        if !self.is_seen(cpu) {
            self.start_idle(at, cpu);
        }
    }

    /// Says that `cpu` runs its idle thread, which boots it until it idles or is switched away from.
    pub fn start_idle(&mut self, at: GuestNanos, cpu: CpuId) {
        let at = self.advance(at);
        self.see(cpu);
        let idle = self.threads.idle(cpu);
        self.threads[idle].ground = Ground::Kernel;
        self.adopt(at, cpu, idle);
    }

    /// Says that events of `cpu` between its latest one and now are missing: nothing that it could have changed is
    /// known any more.
    pub fn lose(&mut self, at: GuestNanos, cpu: CpuId) {
        let at = self.advance(at);
        self.see(cpu);
        let slot = &mut self.cpus[cpu.0 as usize];
        let last = slot.last_event.unwrap_or(GuestNanos(0));
        (slot.current, slot.claimed) = (None, None);
        for index in self.threads.indices() {
            match self.threads[index].scheduling {
                Scheduling::Running(other) if other != cpu => {}
                Scheduling::Dead => {}
                Scheduling::Unknown
                | Scheduling::Running(_)
                | Scheduling::Runnable
                | Scheduling::Blocked(_) => {
                    self.threads[index].forget_context();
                    self.refresh_thread(last.max(self.threads[index].since), index);
                }
            }
        }
        let from = last.max(self.cpus[cpu.0 as usize].since);
        self.refresh_cpu(from, cpu);
        self.cpus[cpu.0 as usize].last_event = Some(at);
    }

    /// Nothing is recorded from here on: nothing is known, until it is said anew.
    fn stop(&mut self, at: GuestNanos) {
        self.was_stopped = true;
        for slot in &mut self.cpus {
            (slot.current, slot.claimed) = (None, None);
        }
        for index in self.threads.indices() {
            if self.threads[index].scheduling != Scheduling::Dead {
                self.threads[index].forget_context();
                self.refresh_thread(at, index);
            }
        }
        for cpu in self.cpus() {
            self.refresh_cpu(at, cpu);
        }
    }

    /// Ends the trace: every stretch that is still open ends here.
    pub fn finish(&mut self, at: GuestNanos) {
        let at = self.advance(at);
        if !self.wakes_seen {
            self.doubts.clear(Doubt::SwitchToBlockedThread);
        }
        for index in self.threads.indices() {
            if self.threads[index].died.is_none() {
                self.close_thread(at, index, Activity::Unknown);
            }
        }
        for cpu in self.cpus() {
            self.close_cpu(at, cpu, Activity::Unknown);
        }
    }

    fn advance(&mut self, at: GuestNanos) -> GuestNanos {
        if at < self.now {
            self.doubts.count(Doubt::TimeBackwards);
        }
        self.now = self.now.max(at);
        self.now
    }

    fn see(&mut self, cpu: CpuId) {
        let number = cpu.0 as usize;
        if self.cpus.len() <= number {
            self.cpus.resize(number + 1, Cpu::UNSEEN);
        }
    }

    fn dispatch(&mut self, at: GuestNanos, cpu: CpuId, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        match event {
            E::SyscallEntry(call) => self.call(at, cpu, Abi::Native, call.nr, call.name),
            E::CompatSyscallEntry(call) => self.call(at, cpu, Abi::Compat, call.nr, call.name),
            E::SyscallExit(exit) => self.leave_syscall(at, cpu, exit.nr, exit.ret),
            E::CompatSyscallExit(exit) => self.leave_syscall(at, cpu, exit.nr, exit.ret),
            E::TrapEntry(trap) => {
                let vector = trap.vector;
                self.enter(at, cpu, Frame::Trap { vector }, trap.user);
            }
            E::TrapExit(exit) => self.leave(at, cpu, Left::Trap(exit.vector), None),
            E::IrqEntry(irq) => {
                let vector = irq.vector;
                self.enter(at, cpu, Frame::Irq { vector }, irq.user);
            }
            E::IrqExit(exit) => self.leave(at, cpu, Left::irq(exit.vector), None),
            E::IrqHandlerEntry(handler) => {
                self.enter(at, cpu, Frame::IrqHandler { irq: handler.irq }, None);
            }
            E::IrqHandlerExit(exit) => self.leave(at, cpu, Left::IrqHandler(exit.irq), exit.ret),
            E::SoftirqEntry(softirq) => {
                self.enter(at, cpu, Frame::Softirq { vec: softirq.vec }, None);
            }
            E::SoftirqExit(exit) => self.leave(at, cpu, Left::Softirq(exit.vec), None),
            E::SchedSwitch(switch) => self.switch(at, cpu, switch),
            E::SchedWaking(wake) => self.wake(at, cpu, wake.pid, wake.comm),
            E::SchedWakeup(wake) => {
                self.wake(at, cpu, wake.pid, wake.comm);
                self.wake_done(wake.pid);
            }
            E::SchedWakeupNew(wake) => self.wake(at, cpu, wake.pid, wake.comm),
            E::ProcessFork(fork) => self.fork(at, cpu, fork),
            E::ProcessExec(exec) => self.exec(at, cpu, exec),
            E::ProcessExit(exit) => self.exit(at, cpu, exit),
            E::KthreadCreate(thread) => self.kernel_thread(cpu, thread.pid),
            E::TaskRename(rename) => self.rename(cpu, rename),
            E::ThreadContext(context) => self.context(at, cpu, context),
            E::CpuIdle(_) => self.idle_evidence(at, cpu),
            E::RecordingStop(_) => self.stop(at),
            E::TaskState(task) => self.task_state(at, cpu, task),
            // These change neither what a thread nor what a CPU is doing: reports count them.
            E::SoftirqRaise(_)
            | E::SchedMigrate(_)
            | E::ProcessWait(_)
            | E::SignalGenerate(_)
            | E::SignalDeliver(_)
            | E::Tick(_)
            | E::TimerExpireEntry(_)
            | E::TimerExpireExit(_)
            | E::HrtimerExpireEntry(_)
            | E::HrtimerExpireExit(_)
            | E::PowerOff(_)
            | E::Restart(_)
            | E::Halt(_)
            // What is known from here on is said by the rows after it.
            | E::RecordingStart(_)
            | E::Panic(_) => {}
        }
    }

    /// Whether the CPU had an event.
    pub(super) fn is_seen(&self, cpu: CpuId) -> bool {
        self.cpus
            .get(cpu.0 as usize)
            .is_some_and(|slot| slot.last_event.is_some())
    }

    /// Makes `thread` the one that runs on `cpu`, without a scheduling change having been seen.
    pub(super) fn adopt(&mut self, at: GuestNanos, cpu: CpuId, thread: ThreadIndex) {
        if self.cpus[cpu.0 as usize].current == Some(thread) {
            return;
        }
        self.evict(at, cpu);
        self.take_from_other_cpu(at, cpu, thread);
        self.threads[thread].scheduling = Scheduling::Running(cpu);
        self.refresh_thread(at, thread);
        self.cpus[cpu.0 as usize].current = Some(thread);
        self.refresh_cpu(at, cpu);
    }

    /// Takes the thread that was believed to run off the CPU: it stopped at some time since the CPU's latest event.
    pub(super) fn evict(&mut self, at: GuestNanos, cpu: CpuId) {
        let slot = &mut self.cpus[cpu.0 as usize];
        let Some(thread) = slot.current.take() else {
            return;
        };
        let from = slot.last_event.unwrap_or(at).max(slot.since);
        self.threads[thread].forget_context();
        self.refresh_thread(from.max(self.threads[thread].since), thread);
        self.refresh_cpu(from, cpu);
    }

    /// When `thread` is believed to run on another CPU, it no longer does.
    pub(super) fn take_from_other_cpu(&mut self, at: GuestNanos, cpu: CpuId, thread: ThreadIndex) {
        let Scheduling::Running(other) = self.threads[thread].scheduling else {
            return;
        };
        if other != cpu {
            self.doubts.count(Doubt::SwitchToRunningThread);
            self.evict(at, other);
        }
    }

    /// A CPU that goes to sleep runs its idle thread, and has booted.
    fn idle_evidence(&mut self, at: GuestNanos, cpu: CpuId) {
        let idle = self.threads.idle(cpu);
        if self.cpus[cpu.0 as usize].current.is_none() {
            self.adopt(at, cpu, idle);
        }
        self.threads[idle].ground = Ground::Idle;
    }

    fn refresh_current(&mut self, at: GuestNanos, cpu: CpuId) {
        if let Some(thread) = self.cpus[cpu.0 as usize].current {
            self.refresh_thread(at, thread);
        }
        self.refresh_cpu(at, cpu);
    }

    /// Ends the thread's stretch if it does something else now.
    pub(super) fn refresh_thread(&mut self, at: GuestNanos, index: ThreadIndex) {
        let thread = &self.threads[index];
        let activity = thread.activity();
        if thread.activity != activity {
            self.close_thread(at, index, activity);
        }
    }

    pub(super) fn close_thread(&mut self, at: GuestNanos, index: ThreadIndex, next: Activity) {
        let thread = &mut self.threads[index];
        let (activity, start) = (thread.activity, thread.since);
        (thread.activity, thread.since) = (next, at);
        let running_cpu = match thread.scheduling {
            Scheduling::Running(cpu) => Some(cpu),
            Scheduling::Unknown
            | Scheduling::Runnable
            | Scheduling::Blocked(_)
            | Scheduling::Dead => None,
        };
        let cpu = running_cpu
            .or(thread.last_cpu)
            .filter(|_| activity.is_running());
        thread.last_cpu = running_cpu.or(thread.last_cpu);
        if start < at {
            let (span, thread) = (Span { start, end: at }, &self.threads[index]);
            self.observer.thread_interval(&ThreadInterval {
                index,
                thread,
                activity,
                cpu,
                span,
            });
        }
    }

    /// Ends the CPU's stretch if it does something else now.
    pub(super) fn refresh_cpu(&mut self, at: GuestNanos, cpu: CpuId) {
        let slot = &self.cpus[cpu.0 as usize];
        let activity = match slot.current {
            Some(thread) => self.threads[thread].activity(),
            None => Activity::Unknown,
        };
        if slot.activity != activity {
            self.close_cpu(at, cpu, activity);
        }
    }

    fn close_cpu(&mut self, at: GuestNanos, cpu: CpuId, next: Activity) {
        let slot = &mut self.cpus[cpu.0 as usize];
        let (activity, start) = (slot.activity, slot.since);
        (slot.activity, slot.since) = (next, at);
        if start < at {
            let span = Span { start, end: at };
            self.observer.cpu_interval(cpu, activity, span);
        }
    }
}
