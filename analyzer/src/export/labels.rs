//! What slices are called in pictures of a trace.

use crate::model::{Activity, Doing, Frame, Machine, Thread};
use crate::report::names::{Namer, call_name, comm};

/// Name of a system call, trap, interrupt or softirq.
pub(super) fn frame_label(machine: &Machine, namer: &Namer, frame: Frame) -> String {
    match frame {
        Frame::Launch => "first program".to_owned(),
        Frame::Syscall { abi, nr } => call_name(machine, abi, nr),
        Frame::Trap { vector } => format!("trap {}", namer.trap(vector)),
        Frame::Irq { vector } => match machine.lines().vector_name(vector) {
            Some(name) => format!("interrupt {}", crate::report::guest_text(name)),
            None => format!("interrupt vector {vector}"),
        },
        Frame::IrqHandler { irq } => match machine.lines().handler_name(irq) {
            Some(name) => format!("irq {irq} {}", crate::report::guest_text(name)),
            None => format!("irq {irq}"),
        },
        Frame::Softirq { vec } => format!("softirq {}", namer.softirq(vec)),
    }
}

/// Name of what a thread does, where no frame tells it.
pub(super) fn state_label(namer: &Namer, doing: Doing) -> String {
    match (doing.activity, doing.work) {
        (Activity::Kernel, Some(function)) => format!("work {}", namer.function(function)),
        (activity, _) => activity.name().to_owned(),
    }
}

/// Whether a stretch is wholly told by the frames that it lies in.
pub(super) fn is_told_by_frames(activity: Activity) -> bool {
    match activity {
        Activity::Syscall | Activity::Trap | Activity::Irq | Activity::Softirq => true,
        Activity::User
        | Activity::Kernel
        | Activity::Idle
        | Activity::RunningUnknown
        | Activity::Runnable
        | Activity::Blocked
        | Activity::Unknown
        | Activity::Unseen => false,
    }
}

/// Name of a thread, and of the process that it leads.
pub(super) fn thread_name(thread: &Thread) -> String {
    match thread.idle_of {
        Some(cpu) => format!("swapper/{cpu}"),
        None => comm(thread),
    }
}
