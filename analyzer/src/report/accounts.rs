//! Adds up what the model sees: times of threads and CPUs, and how often frames were entered.

use std::collections::HashSet;

use super::pass::Analysis;
use super::selection::Selection;
use crate::model::{
    Activity, Cause, CpuId, Frame, GuestNanos, KernelEvent, Machine, Moment, Observer, OpenFrame,
    Span, ThreadIndex, ThreadInterval,
};

/// Time by activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    times: [GuestNanos; Activity::ALL.len()],
}

impl Default for Times {
    fn default() -> Self {
        Self {
            times: [GuestNanos(0); Activity::ALL.len()],
        }
    }
}

impl Times {
    /// Time that went to an activity.
    #[must_use]
    pub fn of(&self, activity: Activity) -> GuestNanos {
        self.times[activity as usize]
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> GuestNanos {
        self.times.iter().copied().sum()
    }

    /// Time with a CPU.
    #[must_use]
    pub fn running(&self) -> GuestNanos {
        let running = Activity::ALL
            .iter()
            .filter(|activity| activity.is_running());
        running.map(|activity| self.of(*activity)).sum()
    }

    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.times.iter_mut().zip(&other.times) {
            *mine += *theirs;
        }
    }

    fn charge(&mut self, activity: Activity, time: GuestNanos) {
        self.times[activity as usize] += time;
    }
}

/// What one thread did.
#[derive(Clone, Debug, Default)]
pub struct ThreadAccount {
    /// Its time.
    pub times: Times,
    /// Of its waiting, that for a block device: a request of one ended it, or a page or buffer was what it waited for.
    pub io_wait: GuestNanos,
    /// System calls it made.
    pub syscall_count: u64,
    /// Exceptions it raised.
    pub trap_count: u64,
}

/// The accounts of a machine within a selection.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    selection: Selection,
    threads: Vec<ThreadAccount>,
    cpus: Vec<Times>,
    /// Threads that wait for a page or buffer.
    waiting: HashSet<ThreadIndex>,
}

impl Accounts {
    /// Counts what lies within `selection`.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            ..Self::default()
        }
    }

    /// What is counted.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Account of a thread.
    #[must_use]
    pub fn thread(&self, index: ThreadIndex) -> ThreadAccount {
        self.threads.get(index.index()).cloned().unwrap_or_default()
    }

    /// Time of a CPU.
    #[must_use]
    pub fn cpu(&self, cpu: CpuId) -> Times {
        self.cpus.get(cpu.0 as usize).cloned().unwrap_or_default()
    }

    fn account(&mut self, index: ThreadIndex) -> &mut ThreadAccount {
        if self.threads.len() <= index.index() {
            self.threads
                .resize_with(index.index() + 1, ThreadAccount::default);
        }
        &mut self.threads[index.index()]
    }
}

impl Analysis for Accounts {}

impl Observer for Accounts {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        let thread = || machine.current(moment.cpu);
        match event {
            E::PageWaitStart(_) | E::BufferWaitStart(_) => self.waiting.extend(thread()),
            E::PageWaitEnd(_) | E::BufferWaitEnd(_) => {
                thread().map(|thread| self.waiting.remove(&thread));
            }
            _ => {}
        }
    }

    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let span = interval.span.within(self.selection.span);
        let elsewhere = interval.cpu.is_some_and(|cpu| !self.selection.has_cpu(cpu));
        if elsewhere {
            return;
        }
        let is_io = interval.activity == Activity::Blocked
            && (self.waiting.contains(&interval.index)
                || matches!(
                    Cause::of(interval.thread.waker.as_ref()),
                    Cause::Disk { .. }
                ));
        let account = self.account(interval.index);
        account.times.charge(interval.activity, span.length());
        if is_io {
            account.io_wait += span.length();
        }
    }

    fn cpu_interval(&mut self, _machine: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        let inside = span.within(self.selection.span);
        if !self.selection.has_cpu(cpu) {
            return;
        }
        let slot = cpu.0 as usize;
        if self.cpus.len() <= slot {
            self.cpus.resize_with(slot + 1, Times::default);
        }
        self.cpus[slot].charge(activity, inside.length());
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        self.waiting.clear();
    }

    fn frame_entered(&mut self, _machine: &Machine, thread: ThreadIndex, open: &OpenFrame) {
        if !self.selection.span.contains(open.entered) {
            return;
        }
        match open.frame {
            Frame::Syscall { .. } => self.account(thread).syscall_count += 1,
            Frame::Trap { .. } => self.account(thread).trap_count += 1,
            Frame::Launch
            | Frame::Irq { .. }
            | Frame::IrqHandler { .. }
            | Frame::Softirq { .. } => {}
        }
    }
}
