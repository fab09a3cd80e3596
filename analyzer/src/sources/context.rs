//! Whose an event is: the thread that its CPU ran.

use crate::model::{CpuId, Pid, Tid};

/// The thread on a CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its number; 0 for the idle thread.
    pub tid: Tid,
    /// Its process.
    pub pid: Pid,
    /// Its name.
    pub comm: Vec<u8>,
    /// Changes whenever something else does: so that users need not compare names.
    pub generation: u64,
    /// Whether the trace has not yet said so: a CPU starts with its idle thread.
    pub is_assumed: bool,
}

impl Context {
    /// What a CPU runs until the trace says otherwise.
    #[must_use]
    pub fn idle(cpu: CpuId) -> Self {
        Self {
            tid: Tid(0),
            pid: Pid(0),
            comm: idle_comm(cpu),
            generation: 0,
            is_assumed: true,
        }
    }

    /// Another thread, or the same by another name. Missing parts of the thread that was there remain.
    pub(super) fn set(&mut self, cpu: CpuId, tid: Tid, pid: Option<Pid>, comm: Option<&[u8]>) {
        let same = tid == self.tid;
        self.pid = pid.unwrap_or(if same { self.pid } else { Pid(tid.0) });
        self.tid = tid;
        self.generation += 1;
        self.is_assumed = false;
        if tid == Tid(0) {
            // The boot thread is plain `swapper` until the scheduler starts: the same thread by a lesser name.
            self.comm = idle_comm(cpu);
        } else if let Some(comm) = comm {
            self.comm.clear();
            self.comm.extend_from_slice(comm);
        } else if !same {
            self.comm.clear();
        }
    }
}

fn idle_comm(cpu: CpuId) -> Vec<u8> {
    format!("swapper/{cpu}").into_bytes()
}
