//! How reports name what the model knows by numbers.

use crate::model::{Abi, Machine, Pid, Thread, ThreadIndex, errno_name};

/// Name of a system call, or its number.
pub(super) fn call_name(machine: &Machine, abi: Abi, nr: u64) -> String {
    let name = machine.syscall_name(abi, nr).map(super::guest_text);
    let name = name.unwrap_or_else(|| format!("call {nr}"));
    match abi {
        Abi::Native => name,
        Abi::Compat => format!("{name} (32-bit)"),
    }
}

/// Name of an error, or its number.
pub(super) fn error_name(number: u64) -> String {
    errno_name(number).map_or_else(|| format!("error {number}"), str::to_owned)
}

/// Name of a thread, or `?`.
pub(super) fn comm(thread: &Thread) -> String {
    super::guest_text(if thread.comm.is_empty() { b"?" } else { &thread.comm })
}

/// `comm:tid`, as events are shown.
pub(super) fn thread_label(thread: &Thread) -> String {
    format!("{}:{}", comm(thread), thread.tid)
}

/// The process of a thread; a thread whose process is not known stands for itself.
pub(super) fn process_of(thread: &Thread) -> Pid {
    thread.pid.unwrap_or(Pid(thread.tid.0))
}

/// The thread by which a process is named: the one that leads it, or the first that is known.
pub(super) fn leader(machine: &Machine, pid: Pid) -> Option<ThreadIndex> {
    let mut members = machine
        .threads()
        .iter()
        .filter(|(_, thread)| thread.idle_of.is_none() && process_of(thread) == pid);
    let first = members.clone().next()?;
    // A number may have been given twice: the latest bearer is the one that people know.
    let leads = members.rfind(|(_, thread)| thread.tid.0 == pid.0);
    Some(leads.unwrap_or(first).0)
}
