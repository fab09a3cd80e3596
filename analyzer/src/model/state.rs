//! The states that threads and CPUs can be in, and how the kernel's own codes map to them.
//!
//! Task states are those that `sched_switch` reports since 4.14 (`include/trace/events/sched.h`); sources that have the
//! kernel's inner states turn them into these.

use super::ids::CpuId;

/// What a thread is doing, as far as the scheduler is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// The trace does not say.
    Unknown,
    /// Runs on a CPU.
    Running(CpuId),
    /// Could run.
    Runnable,
    /// Waits for something.
    Blocked(Wait),
    /// Has ended.
    Dead,
}

/// How a blocked thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Made, and not yet started.
    New,
    /// A signal would end the wait.
    Interruptible,
    /// No signal ends the wait.
    Uninterruptible,
    /// Stopped by a signal or a tracer.
    Stopped,
    /// Parked or frozen.
    Parked,
}

impl Scheduling {
    /// State of a thread that was switched away from with that `prev_state`, as the kernel reports it.
    #[must_use]
    pub fn from_kernel(prev_state: u64) -> Self {
        match prev_state {
            0 | PREEMPTED => Self::Runnable,
            state if state & 0x2 != 0 => Self::Blocked(Wait::Uninterruptible),
            state if state & 0x1 != 0 => Self::Blocked(Wait::Interruptible),
            state if state & (0x10 | 0x20) != 0 => Self::Dead,
            state if state & (0x4 | 0x8) != 0 => Self::Blocked(Wait::Stopped),
            state if state & 0x40 != 0 => Self::Blocked(Wait::Parked),
            // 0x80: a kernel thread that sleeps without adding to the load.
            _ => Self::Blocked(Wait::Uninterruptible),
        }
    }
}

/// What `sched_switch` adds for a thread that was preempted: it may have been about to wait.
pub(super) const PREEMPTED: u64 = 0x100;

/// What a thread runs when nothing is nested in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The trace has not shown it yet.
    Unknown,
    /// User code.
    User,
    /// The kernel's own threads.
    Kernel,
    /// Nothing: a CPU's idle thread.
    Idle,
}

/// One of the system call tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 64-bit calls.
    Native,
    /// 32-bit calls.
    Compat,
}

/// A stretch of kernel code with an entry and an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Frame {
    /// A kernel thread on its way to running a user program for the first time.
    Launch,
    /// A system call.
    Syscall {
        /// Its table.
        abi: Abi,
        /// Its number.
        nr: u64,
    },
    /// An exception.
    Trap {
        /// Its vector.
        vector: u64,
    },
    /// An interrupt.
    Irq {
        /// Its vector.
        vector: u64,
    },
    /// A driver's handler of an interrupt.
    IrqHandler {
        /// Number of the interrupt's line.
        irq: i64,
    },
    /// A softirq.
    Softirq {
        /// Its number.
        vec: u64,
    },
}

macro_rules! activities {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// What a thread's or a CPU's time goes to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Activity {
            $(#[doc = $doc] $variant,)*
        }

        impl Activity {
            /// Every activity.
            pub const ALL: &[Activity] = &[$(Activity::$variant,)*];

            /// Short name, for JSON and CSV.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Activity::$variant => $name,)* }
            }
        }
    };
}

activities! {
    User "user" "User code.";
    Syscall "syscall" "A system call.";
    Trap "trap" "The handler of an exception.";
    Irq "irq" "An interrupt.";
    Softirq "softirq" "A softirq.";
    Kernel "kernel" "A kernel thread's own code, or the boot of a CPU.";
    Idle "idle" "A CPU's idle thread.";
    RunningUnknown "running_unknown" "Running, but the trace does not say what.";
    Runnable "runnable" "Ready to run, without a CPU.";
    Blocked "blocked" "Waiting for something.";
    Unknown "unknown" "The trace does not say.";
    Unseen "unseen" "A CPU before its first event.";
}

impl Activity {
    /// Whether a thread has a CPU.
    #[must_use]
    pub fn is_running(self) -> bool {
        match self {
            Self::User
            | Self::Syscall
            | Self::Trap
            | Self::Irq
            | Self::Softirq
            | Self::Kernel
            | Self::Idle
            | Self::RunningUnknown => true,
            Self::Runnable | Self::Blocked | Self::Unknown | Self::Unseen => false,
        }
    }
}

impl Frame {
    pub(super) fn trap(vector: u64) -> Self {
        Self::Trap { vector }
    }

    pub(super) fn irq(vector: u64) -> Self {
        Self::Irq { vector }
    }
}

/// What a thread does, in as much detail as is the same for many stretches of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doing {
    /// What its time goes to.
    pub activity: Activity,
    /// The system call, trap, interrupt or softirq that makes it so; an interrupt rather than the handlers in it.
    pub frame: Option<Frame>,
    /// Function of the work item that a thread of the kernel is busy with.
    pub work: Option<u64>,
}

impl Doing {
    /// That activity, of which no more is known.
    #[must_use]
    pub fn of(activity: Activity) -> Self {
        Self {
            activity,
            frame: None,
            work: None,
        }
    }
}
