//! How reports name what the model knows by numbers.

use std::collections::BTreeMap;

use trace_format::EnumSchema;

use crate::model::{Abi, Cause, Machine, Pid, Thread, ThreadIndex, errno_name, signal_name};
use crate::sources::{Symbols, Trace};

/// Name of a system call, or its number.
#[must_use]
pub fn call_name(machine: &Machine, abi: Abi, nr: u64) -> String {
    let name = machine.syscall_name(abi, nr).map(super::guest_text);
    let name = name.unwrap_or_else(|| format!("call {nr}"));
    match abi {
        Abi::Native => name,
        Abi::Compat => format!("{name} (32-bit)"),
    }
}

/// Name of an error, or its number.
#[must_use]
pub fn error_name(number: u64) -> String {
    errno_name(number).map_or_else(|| format!("error {number}"), str::to_owned)
}

/// Name of a thread, or `?`.
pub(crate) fn comm(thread: &Thread) -> String {
    super::guest_text(if thread.comm.is_empty() {
        b"?"
    } else {
        &thread.comm
    })
}

/// `comm:tid`, as events are shown.
pub(crate) fn thread_label(thread: &Thread) -> String {
    format!("{}:{}", comm(thread), thread.tid)
}

/// The thread by which each process is named: the one that leads it, or the first that is known.
fn leaders(machine: &Machine) -> BTreeMap<Pid, ThreadIndex> {
    let mut leaders = BTreeMap::new();
    for (index, thread) in machine.threads().iter() {
        let pid = thread.process();
        // A number may have been given twice: the latest bearer is the one that people know.
        if thread.tid.0 == pid.0 {
            leaders.insert(pid, index);
        } else {
            leaders.entry(pid).or_insert(index);
        }
    }
    leaders
}

/// Names of processes.
pub(super) struct Leaders(BTreeMap<Pid, ThreadIndex>);

impl Leaders {
    pub(super) fn new(machine: &Machine) -> Self {
        Self(leaders(machine))
    }

    /// The thread by which a process is named.
    pub(super) fn of(&self, pid: Pid) -> Option<ThreadIndex> {
        self.0.get(&pid).copied()
    }

    /// Name of a process; empty when none of its threads is known.
    pub(super) fn name(&self, machine: &Machine, pid: Pid) -> String {
        let leader = self.0.get(&pid);
        leader.map_or_else(String::new, |index| comm(&machine.threads()[*index]))
    }
}

/// Name of a signal, or its number.
pub(super) fn signal_label(number: u64) -> String {
    signal_name(number).map_or_else(|| format!("signal {number}"), str::to_owned)
}

/// Names what only the trace's own tables name: addresses, softirqs.
#[derive(Clone, Debug)]
pub struct Namer {
    symbols: Symbols,
    softirqs: Option<EnumSchema>,
    traps: Option<EnumSchema>,
}

impl Namer {
    /// Names what is in that trace.
    #[must_use]
    pub fn new(trace: &Trace) -> Self {
        Self {
            symbols: trace.symbols(),
            softirqs: trace.schema().enumeration("softirq").cloned(),
            traps: trace.schema().enumeration("trap").cloned(),
        }
    }

    /// Name of a function of the kernel, or its address.
    #[must_use]
    pub fn function(&self, addr: u64) -> String {
        match self.symbols.find(addr) {
            Some((name, 0)) => super::guest_text(name.as_bytes()),
            Some((name, offset)) => {
                format!("{}+{offset:#x}", super::guest_text(name.as_bytes()))
            }
            None => format!("{addr:#x}"),
        }
    }

    /// Name of the function that holds an address, or the address.
    pub(crate) fn code(&self, addr: u64) -> String {
        match self.symbols.find(addr) {
            Some((name, _)) => super::guest_text(name.as_bytes()),
            None => format!("{addr:#x}"),
        }
    }

    /// Name of a softirq, or its number.
    #[must_use]
    pub fn softirq(&self, vec: u64) -> String {
        let name = self.softirqs.as_ref().and_then(|names| names.name_of(vec));
        name.map_or_else(|| format!("softirq {vec}"), str::to_owned)
    }

    /// Name of an exception, or its number.
    #[must_use]
    pub fn trap(&self, vector: u64) -> String {
        let name = self.traps.as_ref().and_then(|names| names.name_of(vector));
        name.map_or_else(|| format!("trap {vector}"), str::to_owned)
    }

    /// What ended a wait, in a few words.
    #[must_use]
    pub fn cause(&self, machine: &Machine, cause: Cause) -> String {
        match cause {
            Cause::Timer(function) => format!("timer {}", self.function(function)),
            Cause::Disk { dev, op } => format!("{} of disk {}", op_name(op), disk_name(dev)),
            Cause::Packet => "packet".to_owned(),
            Cause::Device(irq) => format!("interrupt {irq}"),
            Cause::Softirq(vec) => format!("softirq {}", self.softirq(vec)),
            Cause::Irq(vector) => format!("interrupt vector {vector}"),
            Cause::Thread(thread) => thread_label(&machine.threads()[thread]),
            Cause::Unknown => "?".to_owned(),
        }
    }
}

/// Major and minor number of a disk.
#[must_use]
pub fn disk_name(dev: u64) -> String {
    format!("{}:{}", dev >> 20, dev & 0xf_ffff)
}

/// What a block request does (`enum req_op` of the kernel).
#[must_use]
pub fn op_name(op: Option<u64>) -> &'static str {
    match op {
        Some(0) => "read",
        Some(1) => "write",
        Some(2) => "flush",
        Some(3) => "discard",
        Some(_) => "other request",
        None => "request",
    }
}
