//! Follows a kernel's events: the only place that decides what each thread and each CPU is doing.
//!
//! Invariant: at every instant a thread and a CPU do exactly one thing; what the trace cannot tell is `Unknown`, never
//! a guess. What contradicts itself is counted as a [`Doubt`] and the newer evidence is believed.
//! Does not know where events came from, nor how anything is shown.

use super::doubt::Doubt;
use super::event::KernelEvent;
use super::frames::Left;
use super::ids::{CpuId, GuestNanos, Pid, Span};
use super::machine::{Cpu, Evidence, Machine};
use super::observer::{Moment, Observer, ThreadInterval};
use super::state::{Abi, Activity, Doing, Frame, Ground, Scheduling};
use super::thread::ThreadIndex;

/// Follows a machine, fed with events in order of time.
#[derive(Debug, Default)]
pub struct Model<O> {
    /// Who listens.
    pub observer: O,
    pub(super) machine: Machine,
}

impl<O: Observer> Model<O> {
    /// Knows nothing yet.
    pub fn new(observer: O) -> Self {
        Self {
            observer,
            machine: Machine::default(),
        }
    }

    /// What is known now.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The observer, and what is known now.
    pub fn parts_mut(&mut self) -> (&mut O, &Machine) {
        (&mut self.observer, &self.machine)
    }

    /// Counts doubts that arose outside.
    pub fn add_doubts(&mut self, doubt: Doubt, count: u64) {
        self.machine.doubts.add(doubt, count);
    }

    /// The observer, and what is known in the end.
    #[must_use]
    pub fn into_parts(self) -> (O, Machine) {
        (self.observer, self.machine)
    }

    /// Takes the next event. Times must not decrease over all CPUs.
    pub fn apply(&mut self, at: GuestNanos, cpu: CpuId, event: &KernelEvent<'_>) {
        let at = self.advance(at);
        self.see(cpu);
        self.settle_claim(at, cpu, event);
        self.observer
            .event(&self.machine, Moment { at, cpu }, event);
        self.dispatch(at, cpu, event);
        self.machine.cpus[cpu.0 as usize].last_event = Some(at);
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
        let idle = self.machine.threads.idle(cpu);
        self.machine.threads[idle].ground = Ground::Kernel;
        self.adopt(at, cpu, idle);
    }

    /// Says that events of `cpu` between its latest one and now are missing: nothing that it could have changed is
    /// known any more.
    pub fn lose(&mut self, at: GuestNanos, cpu: CpuId) {
        let at = self.advance(at);
        self.see(cpu);
        let slot = &mut self.machine.cpus[cpu.0 as usize];
        let last = slot.last_event.unwrap_or(GuestNanos(0));
        (slot.current, slot.claimed) = (None, None);
        self.machine.requests.clear();
        self.machine.origins.clear();
        self.observer.lost(&self.machine, cpu, at);
        for index in self.machine.threads.indices() {
            match self.machine.threads[index].scheduling {
                Scheduling::Running(other) if other != cpu => {}
                Scheduling::Dead => {}
                Scheduling::Unknown
                | Scheduling::Running(_)
                | Scheduling::Runnable
                | Scheduling::Blocked(_) => {
                    self.machine.threads[index].forget_context();
                    self.refresh_thread(last.max(self.machine.threads[index].since), index);
                }
            }
        }
        let from = last.max(self.machine.cpus[cpu.0 as usize].since);
        self.refresh_cpu(from, cpu);
        self.machine.cpus[cpu.0 as usize].last_event = Some(at);
    }

    /// Nothing is recorded from here on: nothing is known, until it is said anew.
    fn stop(&mut self, at: GuestNanos) {
        self.machine.was_stopped = true;
        self.machine.files.forget();
        self.machine.requests.clear();
        self.machine.origins.clear();
        for slot in &mut self.machine.cpus {
            (slot.current, slot.claimed) = (None, None);
        }
        for index in self.machine.threads.indices() {
            if self.machine.threads[index].scheduling != Scheduling::Dead {
                self.machine.threads[index].forget_context();
                self.refresh_thread(at, index);
            }
        }
        for cpu in self.machine.cpus() {
            self.refresh_cpu(at, cpu);
        }
    }

    /// Ends the trace: every stretch that is still open ends here.
    pub fn finish(&mut self, at: GuestNanos) {
        let at = self.advance(at);
        if !self.machine.wakes_seen {
            self.machine.doubts.clear(Doubt::SwitchToBlockedThread);
        }
        for index in self.machine.threads.indices() {
            if self.machine.threads[index].died.is_none() {
                self.close_thread(at, index, Doing::of(Activity::Unknown));
            }
        }
        for cpu in self.machine.cpus() {
            self.close_cpu(at, cpu, Activity::Unknown);
        }
    }

    fn advance(&mut self, at: GuestNanos) -> GuestNanos {
        if at < self.machine.now {
            self.machine.doubts.count(Doubt::TimeBackwards);
        }
        self.machine.now = self.machine.now.max(at);
        self.machine.now
    }

    fn see(&mut self, cpu: CpuId) {
        let number = cpu.0 as usize;
        if self.machine.cpus.len() <= number {
            self.machine.cpus.resize(number + 1, Cpu::UNSEEN);
        }
    }

    #[allow(
        clippy::too_many_lines,
        reason = "every kind of event is named, so that a new one does not compile before somebody has decided what it means"
    )]
    fn dispatch(&mut self, at: GuestNanos, cpu: CpuId, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        match event {
            E::SyscallEntry(call) => {
                self.call(at, cpu, (Abi::Native, call.nr), call.name, call.args());
            }
            E::CompatSyscallEntry(call) => {
                self.call(at, cpu, (Abi::Compat, call.nr), call.name, call.args());
            }
            E::SyscallExit(exit) => self.leave_syscall(at, cpu, exit.nr, exit.ret),
            E::CompatSyscallExit(exit) => self.leave_syscall(at, cpu, exit.nr, exit.ret),
            E::TrapEntry(trap) => {
                self.enter(at, cpu, Frame::trap(trap.vector), trap.user);
            }
            E::TrapExit(exit) => self.leave(at, cpu, Left::Trap(exit.vector), None),
            E::IrqEntry(irq) => {
                self.machine.lines.entered(irq.vector, irq.irq, irq.name);
                self.enter(at, cpu, Frame::irq(irq.vector), irq.user);
            }
            E::IrqExit(exit) => self.leave(at, cpu, Left::irq(exit.vector), None),
            E::IrqHandlerEntry(handler) => {
                self.machine.lines.handled(handler.irq, handler.name);
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
                self.queue_on(wake.pid, wake.target_cpu);
            }
            E::SchedWakeupNew(wake) => self.wake_first(at, cpu, wake),
            E::SchedMigrate(migration) => self.queue_on(migration.pid, migration.dest_cpu),
            E::ProcessFork(fork) => self.fork(at, cpu, fork),
            E::ProcessExec(exec) => self.exec(at, cpu, exec),
            E::ProcessExit(exit) => self.exit(at, cpu, exit),
            E::KthreadCreate(thread) => self.kernel_thread(cpu, thread.pid),
            E::TaskRename(rename) => self.rename(cpu, rename),
            E::ThreadContext(context) => self.context(at, cpu, context),
            E::CpuIdle(_) => self.idle_evidence(at, cpu),
            E::RecordingStop(_) => self.stop(at),
            E::TaskState(task) => self.task_state(at, cpu, task),
            E::FileOpen(_) | E::OpenFile(_) | E::SocketCreate(_) => self.name_file(cpu, event),
            E::BlockRqInsert(request) => self.queue_request(at, cpu, request),
            E::BlockRqIssue(request) => self.issue_request(at, cpu, request),
            E::BlockRqComplete(request) => self.complete_request(at, cpu, request),
            E::BlockRqRequeue(request) => self.requeue_request(request),
            E::TimerStart(_)
            | E::HrtimerStart(_)
            | E::TimerExpireEntry(_)
            | E::HrtimerExpireEntry(_)
            | E::TimerExpireExit(_)
            | E::HrtimerExpireExit(_)
            | E::NetifRx(_)
            | E::NetifReceiveSkb(_)
            | E::WorkQueue(_)
            | E::WorkStart(_)
            | E::WorkEnd(_) => self.trace_back(at, cpu, event),
            // The others change neither what a thread nor what a CPU is doing: reports look at them.
            _ => {}
        }
    }

    /// Whether the CPU had an event.
    pub(super) fn is_seen(&self, cpu: CpuId) -> bool {
        self.machine
            .cpus
            .get(cpu.0 as usize)
            .is_some_and(|slot| slot.last_event.is_some())
    }

    /// Makes `thread` the one that runs on `cpu`, without a scheduling change having been seen.
    pub(super) fn adopt(&mut self, at: GuestNanos, cpu: CpuId, thread: ThreadIndex) {
        if self.machine.cpus[cpu.0 as usize].current == Some(thread) {
            return;
        }
        self.evict(at, cpu);
        self.take_from_other_cpu(at, cpu, thread);
        self.machine.threads[thread].scheduling = Scheduling::Running(cpu);
        self.refresh_thread(at, thread);
        self.machine.cpus[cpu.0 as usize].current = Some(thread);
        self.refresh_cpu(at, cpu);
    }

    /// Takes the thread that was believed to run off the CPU: it stopped at some time since the CPU's latest event.
    pub(super) fn evict(&mut self, at: GuestNanos, cpu: CpuId) {
        let slot = &mut self.machine.cpus[cpu.0 as usize];
        let Some(thread) = slot.current.take() else {
            return;
        };
        let from = slot.last_event.unwrap_or(at).max(slot.since);
        self.machine.threads[thread].forget_context();
        self.refresh_thread(from.max(self.machine.threads[thread].since), thread);
        self.refresh_cpu(from, cpu);
    }

    /// When `thread` is believed to run on another CPU, it no longer does.
    pub(super) fn take_from_other_cpu(&mut self, at: GuestNanos, cpu: CpuId, thread: ThreadIndex) {
        let Scheduling::Running(other) = self.machine.threads[thread].scheduling else {
            return;
        };
        if other != cpu {
            self.machine.doubts.count(Doubt::SwitchToRunningThread);
            self.evict(at, other);
        }
    }

    /// A CPU that goes to sleep runs its idle thread, and has booted.
    fn idle_evidence(&mut self, at: GuestNanos, cpu: CpuId) {
        let idle = self.machine.threads.idle(cpu);
        if self.machine.cpus[cpu.0 as usize].current.is_none() {
            self.adopt(at, cpu, idle);
        }
        self.machine.threads[idle].ground = Ground::Idle;
    }

    fn refresh_current(&mut self, at: GuestNanos, cpu: CpuId) {
        if let Some(thread) = self.machine.cpus[cpu.0 as usize].current {
            self.refresh_thread(at, thread);
        }
        self.refresh_cpu(at, cpu);
    }

    /// What has just happened on a CPU, in the context that it is in.
    pub(super) fn evidence(&mut self, cpu: CpuId) -> &mut Evidence {
        let context = self.machine.context(cpu);
        &mut self.machine.cpus[cpu.0 as usize].evidence[context]
    }

    /// A descriptor gets a name.
    fn name_file(&mut self, cpu: CpuId, event: &KernelEvent<'_>) {
        let process = self.process_on(cpu);
        let files = &mut self.machine.files;
        match (event, process) {
            (KernelEvent::OpenFile(open), _) => files.found(open),
            (KernelEvent::FileOpen(open), Some(pid)) => files.opened(pid, open),
            (KernelEvent::SocketCreate(socket), Some(pid)) => files.socket(pid, socket),
            _ => {}
        }
    }

    /// The process of the thread that runs on `cpu`.
    fn process_on(&self, cpu: CpuId) -> Option<Pid> {
        Some(self.machine.current_thread(cpu)?.process())
    }

    /// Ends the thread's stretch if it does something else now.
    pub(super) fn refresh_thread(&mut self, at: GuestNanos, index: ThreadIndex) {
        let thread = &self.machine.threads[index];
        let doing = thread.doing();
        if thread.doing != doing {
            self.close_thread(at, index, doing);
        }
    }

    pub(super) fn close_thread(&mut self, at: GuestNanos, index: ThreadIndex, next: Doing) {
        let thread = &mut self.machine.threads[index];
        let (doing, start) = (thread.doing, thread.since);
        (thread.doing, thread.since) = (next, at);
        thread.accounted += at.since(start);
        let running_cpu = match thread.scheduling {
            Scheduling::Running(cpu) => Some(cpu),
            Scheduling::Unknown
            | Scheduling::Runnable
            | Scheduling::Blocked(_)
            | Scheduling::Dead => None,
        };
        let cpu = running_cpu
            .or(thread.last_cpu)
            .filter(|_| doing.activity.is_running());
        thread.last_cpu = running_cpu.or(thread.last_cpu);
        if start < at {
            let (span, thread) = (Span { start, end: at }, &self.machine.threads[index]);
            let interval = ThreadInterval {
                index,
                thread,
                activity: doing.activity,
                doing,
                cpu,
                span,
            };
            self.observer.thread_interval(&self.machine, &interval);
        }
    }

    /// Ends the CPU's stretch if it does something else now.
    pub(super) fn refresh_cpu(&mut self, at: GuestNanos, cpu: CpuId) {
        let slot = &self.machine.cpus[cpu.0 as usize];
        let activity = match slot.current {
            Some(thread) => self.machine.threads[thread].activity(),
            None => Activity::Unknown,
        };
        if slot.activity != activity {
            self.close_cpu(at, cpu, activity);
        }
    }

    fn close_cpu(&mut self, at: GuestNanos, cpu: CpuId, next: Activity) {
        let slot = &mut self.machine.cpus[cpu.0 as usize];
        let (activity, start) = (slot.activity, slot.since);
        (slot.activity, slot.since) = (next, at);
        slot.accounted += at.since(start);
        if start < at {
            let span = Span { start, end: at };
            self.observer
                .cpu_interval(&self.machine, cpu, activity, span);
        }
    }
}
