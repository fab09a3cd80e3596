//! Threads by what a trace says of them: their processes and names, which most tracers give only here and there.

use std::collections::HashMap;

use super::description::KnownThread;
use crate::model::{KernelEvent, Pid, ProcessFork, Tid};

/// Threads that are known.
#[derive(Debug, Default)]
pub(super) struct Threads {
    known: HashMap<Tid, Known>,
}

#[derive(Debug, Default)]
struct Known {
    pid: Option<Pid>,
    comm: Vec<u8>,
    /// Whether a context record has said so.
    is_told: bool,
}

impl Threads {
    /// Takes what the trace says apart from its events.
    pub(super) fn new(known: &[KnownThread]) -> Self {
        let mut threads = Self::default();
        for thread in known {
            threads.learn(thread.tid, thread.pid, Some(&thread.comm));
        }
        threads
    }

    /// The process of a thread.
    pub(super) fn pid(&self, tid: Tid) -> Option<Pid> {
        self.known.get(&tid)?.pid
    }

    /// The name of a thread.
    pub(super) fn comm(&self, tid: Tid) -> Option<&[u8]> {
        let comm = &self.known.get(&tid)?.comm;
        (!comm.is_empty()).then_some(comm)
    }

    /// Whether something is known of a thread that no context record has said; it is taken for said from here on.
    pub(super) fn take_untold(&mut self, tid: Tid) -> bool {
        let known = self.known.get_mut(&tid);
        known.is_some_and(|known| !std::mem::replace(&mut known.is_told, true))
    }

    /// Something is said of a thread.
    pub(super) fn learn(&mut self, tid: Tid, pid: Option<Pid>, comm: Option<&[u8]>) {
        if tid == Tid(0) {
            return;
        }
        let known = self.known.entry(tid).or_default();
        if let Some(pid) = pid.filter(|pid| known.pid != Some(*pid)) {
            (known.pid, known.is_told) = (Some(pid), false);
        }
        if let Some(comm) = comm.filter(|comm| !comm.is_empty() && known.comm != *comm) {
            known.comm.clear();
            known.comm.extend_from_slice(comm);
        }
    }

    /// Learns from an event; the thread that its CPU runs when it is over, if that is another.
    pub(super) fn see(&mut self, event: &KernelEvent<'_>) -> Option<Tid> {
        use KernelEvent as E;
        match event {
            E::SchedSwitch(switch) => {
                self.learn(switch.prev_pid, None, switch.prev_comm);
                self.learn(switch.next_pid, None, switch.next_comm);
                return Some(switch.next_pid);
            }
            E::SchedWaking(wake) => self.learn(wake.pid, None, wake.comm),
            E::SchedWakeup(wake) => self.learn(wake.pid, None, wake.comm),
            E::SchedWakeupNew(wake) => self.learn(wake.pid, None, wake.comm),
            E::TaskRename(rename) => self.learn(rename.pid, None, Some(rename.newcomm)),
            E::TaskState(task) => {
                self.learn(task.pid, task.tgid, task.comm);
                // The event itself tells the model.
                self.take_untold(task.pid);
            }
            E::ProcessFork(fork) => self.fork(fork),
            E::ThreadContext(context) => {
                self.learn(context.tid, context.pid, context.comm);
                self.take_untold(context.tid);
                return Some(context.tid);
            }
            _ => {}
        }
        None
    }

    /// A thread is new: its number may have been that of another.
    fn fork(&mut self, fork: &ProcessFork<'_>) {
        self.known.remove(&fork.child_pid);
        self.learn(fork.child_pid, fork.child_tgid, fork.child_comm);
    }
}

/// Events of the model that say something of threads.
pub(super) const ABOUT_THREADS: &[&str] = &[
    "sched_switch",
    "sched_waking",
    "sched_wakeup",
    "sched_wakeup_new",
    "sched_process_fork",
    "task_rename",
    "task_state",
    "thread_context",
];
