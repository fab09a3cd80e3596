//! Scheduling changes, wake-ups, and the lives of threads.

use super::doubt::Doubt;
use super::event::{
    KernelEvent, ProcessExec, ProcessExit, ProcessFork, SchedSwitch, SchedWakeupNew, TaskRename,
    TaskState, ThreadContext,
};
use super::follow::Model;
use super::ids::{CpuId, GuestNanos, Pid, Tid};
use super::machine::Evidence;
use super::observer::Observer;
use super::state::{Activity, Doing, Frame, Ground, Scheduling, Wait};
use super::thread::{OpenFrame, ThreadIndex};
use super::wait::Asked;

/// `include/linux/sched.h`: in the state of a thread that has ended.
const EXIT_DEAD: u64 = 0x10;
const EXIT_ZOMBIE: u64 = 0x20;

impl<O: Observer> Model<O> {
    /// Moves `prev` off and `next` onto the CPU.
    pub(super) fn switch(&mut self, at: GuestNanos, cpu: CpuId, event: &SchedSwitch<'_>) {
        let prev = self.living(at, event.prev_pid, cpu);
        let current = self.machine.cpus[cpu.0 as usize].current;
        if current != Some(prev) {
            if current.is_some() {
                self.machine.doubts.count(Doubt::SwitchFromUnexpectedThread);
            }
            self.evict(at, cpu);
            self.take_from_other_cpu(at, cpu, prev);
        }
        self.name(prev, event.prev_comm);
        self.machine.cpus[cpu.0 as usize].evidence = [Evidence::default(); 3];
        self.machine.threads[prev].queue_cpu = Some(cpu);
        self.switch_out(at, prev, event.prev_state);
        let next = self.living(at, event.next_pid, cpu);
        self.name(next, event.next_comm);
        self.switch_in(at, cpu, next);
    }

    fn switch_out(&mut self, at: GuestNanos, index: ThreadIndex, prev_state: Option<u64>) {
        let asked = self.machine.asked(&self.machine.threads[index].frames);
        let thread = &mut self.machine.threads[index];
        let left = match prev_state {
            _ if thread.idle_of.is_some() => {
                thread.ground = Ground::Idle;
                Scheduling::Runnable
            }
            Some(state) => Scheduling::from_kernel(state),
            None if thread.exiting => Scheduling::Dead,
            None => Scheduling::Unknown,
        };
        let early_wake = thread.early_wake.take();
        thread.waker = None;
        thread.asked = asked;
        thread.scheduling = match (left, early_wake) {
            // The waker may have run on another CPU before this: a wake-up that was seen already wins.
            (Scheduling::Blocked(_), Some(waker)) => {
                thread.waker = Some(waker);
                Scheduling::Runnable
            }
            _ => left,
        };
        if left == Scheduling::Dead {
            self.bury(at, index);
        } else {
            self.refresh_thread(at, index);
        }
    }

    fn switch_in(&mut self, at: GuestNanos, cpu: CpuId, next: ThreadIndex) {
        self.take_from_other_cpu(at, cpu, next);
        let blocked = match self.machine.threads[next].scheduling {
            Scheduling::Blocked(Wait::New) => self.machine.first_wakes_seen,
            Scheduling::Blocked(_) => true,
            Scheduling::Unknown
            | Scheduling::Running(_)
            | Scheduling::Runnable
            | Scheduling::Dead => false,
        };
        if blocked && self.machine.threads[next].idle_of.is_none() {
            self.machine.doubts.count(Doubt::SwitchToBlockedThread);
        }
        self.machine.threads[next].scheduling = Scheduling::Running(cpu);
        self.refresh_thread(at, next);
        self.machine.cpus[cpu.0 as usize].current = Some(next);
        self.refresh_cpu(at, cpu);
    }

    /// The thread with that number; a new one if the one that had it has ended.
    fn living(&mut self, at: GuestNanos, tid: Tid, cpu: CpuId) -> ThreadIndex {
        let index = self.machine.threads.known(tid, cpu);
        if self.machine.threads[index].scheduling != Scheduling::Dead {
            return index;
        }
        self.machine.doubts.count(Doubt::SwitchToDeadThread);
        self.machine.threads.begin(tid, at)
    }

    /// A thread is woken from `cpu`.
    pub(super) fn wake(&mut self, at: GuestNanos, cpu: CpuId, tid: Tid, comm: Option<&[u8]>) {
        self.machine.wakes_seen = true;
        let waker = self.machine.actor(at, cpu);
        let index = self.machine.threads.known(tid, cpu);
        self.name(index, comm);
        // A thread of which nothing is known may be running where nothing is known either.
        let may_run = self.machine.cpus.iter().any(|slot| slot.current.is_none());
        let thread = &mut self.machine.threads[index];
        match thread.scheduling {
            Scheduling::Running(_) => thread.early_wake = Some(waker),
            Scheduling::Unknown if may_run => {}
            Scheduling::Blocked(_) | Scheduling::Unknown => {
                thread.scheduling = Scheduling::Runnable;
                thread.waker = Some(waker);
                self.refresh_thread(at, index);
            }
            Scheduling::Runnable | Scheduling::Dead => {}
        }
    }

    /// A wake-up is complete: a thread that still runs has been told not to sleep, so a later sleep is another one.
    pub(super) fn wake_done(&mut self, tid: Tid) {
        if let Some(index) = self.machine.threads.with_tid(tid) {
            self.machine.threads[index].early_wake = None;
        }
    }

    /// A new thread is woken from `cpu`.
    pub(super) fn wake_first(&mut self, at: GuestNanos, cpu: CpuId, event: &SchedWakeupNew<'_>) {
        self.machine.first_wakes_seen = true;
        self.wake(at, cpu, event.pid, event.comm);
        self.queue_on(event.pid, event.target_cpu);
    }

    /// A thread that can run is to do so on that CPU.
    pub(super) fn queue_on(&mut self, tid: Tid, cpu: Option<CpuId>) {
        if let (Some(index), Some(cpu)) = (self.machine.threads.with_tid(tid), cpu) {
            self.machine.threads[index].queue_cpu = Some(cpu);
        }
    }

    /// A thread makes another.
    pub(super) fn fork(&mut self, at: GuestNanos, cpu: CpuId, event: &ProcessFork<'_>) {
        let parent = self.machine.threads.known(event.parent_pid, cpu);
        if let Some(old) = self.machine.threads.with_tid(event.child_pid)
            && self.machine.threads[old].scheduling != Scheduling::Dead
        {
            self.machine.doubts.count(Doubt::TidReused);
            self.end(at, old);
        }
        let child = self.machine.threads.begin(event.child_pid, at);
        let (ground, frames) = self.inherited(at, parent);
        let comm = event
            .child_comm
            .unwrap_or(&self.machine.threads[parent].comm)
            .to_vec();
        let thread = &mut self.machine.threads[child];
        thread.parent = Some(parent);
        thread.pid = event.child_tgid;
        thread.comm = comm;
        thread.scheduling = Scheduling::Blocked(Wait::New);
        thread.asked = Asked::Start;
        (thread.ground, thread.frames) = (ground, frames);
        let (from, to) = (
            self.machine.threads[parent].process(),
            self.machine.threads[child].process(),
        );
        self.machine.files.forked(from, to);
        self.refresh_thread(at, child);
    }

    /// What a new thread starts in: the call that made it, or the kernel.
    fn inherited(&self, at: GuestNanos, parent: ThreadIndex) -> (Ground, Vec<OpenFrame>) {
        let parent = &self.machine.threads[parent];
        let mut frames = parent.frames.iter().rev().map(|open| open.frame);
        let call = frames.find(|frame| matches!(frame, Frame::Syscall { .. }));
        match (parent.ground, call) {
            (Ground::Kernel | Ground::Idle, _) => (Ground::Kernel, Vec::new()),
            (Ground::User, Some(frame)) => (Ground::User, vec![OpenFrame::of(frame, at)]),
            (Ground::User | Ground::Unknown, _) => (Ground::Unknown, Vec::new()),
        }
    }

    /// A thread runs another program; one that did not lead its process takes the leader's number.
    pub(super) fn exec(&mut self, at: GuestNanos, cpu: CpuId, event: &ProcessExec<'_>) {
        let old_tid = event.old_pid.unwrap_or(event.pid);
        let Some(index) = self.current_named(cpu, old_tid) else {
            return;
        };
        if old_tid != event.pid {
            if let Some(leader) = self.machine.threads.with_tid(event.pid) {
                self.end(at, leader);
            }
            self.machine.threads.renumber(index, event.pid);
        }
        let thread = &mut self.machine.threads[index];
        thread.program = event.filename.map(<[u8]>::to_vec).or(thread.program.take());
        thread.execed = true;
        let pid = thread.process();
        if thread.ground == Ground::Kernel {
            thread.ground = Ground::User;
            thread.frames.insert(0, OpenFrame::of(Frame::Launch, at));
        }
        self.machine.files.execed(pid);
    }

    /// A thread is about to end: it will be switched away from once more.
    pub(super) fn exit(&mut self, _at: GuestNanos, cpu: CpuId, event: &ProcessExit<'_>) {
        if let Some(index) = self.current_named(cpu, event.pid) {
            let thread = &mut self.machine.threads[index];
            thread.exiting = true;
            // The others of its process go before it, or at once with it.
            let (pid, leads) = (thread.process(), thread.process().0 == thread.tid.0);
            if leads {
                self.machine.files.ended(pid);
            }
            self.name(index, event.comm);
        }
    }

    /// A thread is known to be the kernel's own.
    pub(super) fn kernel_thread(&mut self, cpu: CpuId, tid: Tid) {
        let index = self.machine.threads.known(tid, cpu);
        if self.machine.threads[index].ground == Ground::Unknown {
            self.machine.threads[index].ground = Ground::Kernel;
        }
    }

    /// A thread changes its name.
    pub(super) fn rename(&mut self, cpu: CpuId, event: &TaskRename<'_>) {
        let index = self.machine.threads.known(event.pid, cpu);
        self.name(index, Some(event.newcomm));
    }

    /// The recorder says which thread runs from here on.
    pub(super) fn context(&mut self, at: GuestNanos, cpu: CpuId, event: &ThreadContext<'_>) {
        let index = self.living(at, event.tid, cpu);
        self.name(index, event.comm);
        if event.pid.is_some() {
            self.machine.threads[index].pid = event.pid;
        }
        let is_first = !self.is_seen(cpu);
        let slot = &mut self.machine.cpus[cpu.0 as usize];
        match slot.current {
            // A CPU's first thread boots it.
            None if is_first && event.tid == Tid(0) && !self.machine.was_stopped => {
                self.start_idle(at, cpu)
            }
            None => self.adopt(at, cpu, index),
            Some(current) if current == index => {}
            // It may come before the scheduling change that it belongs to.
            Some(_) => slot.claimed = Some(index),
        }
    }

    /// The recorder says which thread exists. Which one a CPU runs is said by the context.
    pub(super) fn task_state(&mut self, at: GuestNanos, cpu: CpuId, event: &TaskState<'_>) {
        let mut index = self.machine.threads.known(event.pid, cpu);
        if self.machine.threads[index].scheduling == Scheduling::Dead {
            // While nothing was recorded its number was given to another.
            index = self.machine.threads.begin(event.pid, at);
        }
        self.name(index, event.comm);
        if event.pid == Tid(1) {
            self.end_boot(at);
        }
        let parent = event.ppid.filter(|parent| *parent != Pid(0));
        let parent = parent.map(|parent| self.machine.threads.known(Tid(parent.0), cpu));
        let thread = &mut self.machine.threads[index];
        thread.pid = event.tgid.or(thread.pid);
        thread.parent = thread.parent.or(parent.filter(|parent| *parent != index));
        if event.kthread == Some(true) && thread.ground == Ground::Unknown {
            thread.ground = Ground::Kernel;
        }
        if thread.scheduling == Scheduling::Unknown && event.on_cpu != Some(true) {
            thread.scheduling = match event.state {
                Some(0) => Scheduling::Runnable,
                // One that has ended is still to be waited for: nothing is heard of it any more.
                Some(state) if state & (EXIT_DEAD | EXIT_ZOMBIE) != 0 => Scheduling::Unknown,
                Some(state) => Scheduling::from_kernel(state),
                None => Scheduling::Unknown,
            };
            self.refresh_thread(at, index);
        }
    }

    /// There is a first process: the thread that booted the machine idles from now on, if it runs.
    fn end_boot(&mut self, at: GuestNanos) {
        for index in self.machine.threads.indices() {
            if self.machine.threads[index].idle_of.is_some()
                && self.machine.threads[index].frames.is_empty()
            {
                self.machine.threads[index].ground = Ground::Idle;
                self.refresh_thread(at, index);
            }
        }
        for cpu in self.machine.cpus() {
            self.refresh_cpu(at, cpu);
        }
    }

    /// Believes a context record that no scheduling change followed.
    pub(super) fn settle_claim(&mut self, at: GuestNanos, cpu: CpuId, event: &KernelEvent<'_>) {
        let Some(claimed) = self.machine.cpus[cpu.0 as usize].claimed.take() else {
            return;
        };
        let explained = match event {
            KernelEvent::SchedSwitch(switch) => {
                self.machine.threads.known(switch.next_pid, cpu) == claimed
            }
            KernelEvent::ProcessExec(exec) => exec.pid == self.machine.threads[claimed].tid,
            _ => false,
        };
        let is_dead = self.machine.threads[claimed].scheduling == Scheduling::Dead;
        if !explained && !is_dead && self.machine.cpus[cpu.0 as usize].current != Some(claimed) {
            self.machine.doubts.count(Doubt::ContextDisagrees);
            self.adopt(at, cpu, claimed);
        }
    }

    /// The thread on `cpu`, which must have that number; or else the thread that has it.
    fn current_named(&mut self, cpu: CpuId, tid: Tid) -> Option<ThreadIndex> {
        let current = self.machine.cpus[cpu.0 as usize].current;
        if current.is_some_and(|index| self.machine.threads[index].tid == tid) {
            return current;
        }
        self.machine.doubts.count(Doubt::EventOfOtherThread);
        self.machine.threads.with_tid(tid)
    }

    /// Ends a thread whose end was not seen.
    fn end(&mut self, at: GuestNanos, index: ThreadIndex) {
        if let Scheduling::Running(cpu) = self.machine.threads[index].scheduling {
            self.evict(at, cpu);
        }
        if self.machine.threads[index].died.is_none() {
            self.bury(at, index);
        }
    }

    fn bury(&mut self, at: GuestNanos, index: ThreadIndex) {
        let thread = &mut self.machine.threads[index];
        thread.scheduling = Scheduling::Dead;
        thread.frames.clear();
        thread.died = Some(at);
        self.close_thread(at, index, Doing::of(Activity::Unknown));
    }

    fn name(&mut self, index: ThreadIndex, comm: Option<&[u8]>) {
        let thread = &mut self.machine.threads[index];
        if let Some(comm) = comm
            && thread.idle_of.is_none()
            && thread.comm != comm
        {
            thread.comm.clear();
            thread.comm.extend_from_slice(comm);
        }
    }
}
