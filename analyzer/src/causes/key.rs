//! What time goes to, as keys: small, ordered, and named only when a report is written.

use crate::model::{Abi, Activity, Asked, Doing, FileName, Frame, Pid, ThreadIndex};

/// A place in a tree of where time went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// All threads of a process.
    Process(Pid),
    /// A thread.
    Thread(ThreadIndex),
    /// One stretch of a path, by its number.
    Stretch(usize),
    /// With a CPU.
    Running,
    /// Ready to run, without a CPU.
    Runnable,
    /// Waiting.
    Blocked,
    /// What runs, by its kind.
    Group(Group),
    /// What runs, exactly.
    Doing(Doing),
    /// The thread that had the CPU meanwhile.
    Behind(ThreadIndex),
    /// The interrupt that had the CPU meanwhile.
    BehindInterrupt(Doing),
    /// What a thread asked for when it went to sleep.
    Want(Want),
    /// What ended that.
    Ender(Ender),
    /// A place in the code.
    Code(u64),
    /// A part of a wait for a device.
    Phase(Phase),
    /// What the thread did that made another.
    Parent(ThreadIndex),
    /// The trace does not say.
    Unknown,
}

/// Kinds of what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    User,
    Calls,
    Traps,
    Interrupts,
    Kernel,
    Idle,
    Unknown,
}

impl Group {
    pub(crate) fn of(activity: Activity) -> Self {
        match activity {
            Activity::User => Self::User,
            Activity::Syscall => Self::Calls,
            Activity::Trap => Self::Traps,
            Activity::Irq | Activity::Softirq => Self::Interrupts,
            Activity::Kernel => Self::Kernel,
            Activity::Idle => Self::Idle,
            Activity::RunningUnknown
            | Activity::Runnable
            | Activity::Blocked
            | Activity::Unknown
            | Activity::Unseen => Self::Unknown,
        }
    }

    /// Whether what is in it needs no names of its own.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::User | Self::Idle | Self::Unknown)
    }
}

/// What a thread asked for when it went to sleep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Want {
    pub(crate) asked: Asked,
    /// The system call that it sleeps in.
    pub(crate) call: Option<(Abi, u64)>,
    pub(crate) file: Option<FileName>,
    /// The work item of a thread of the kernel.
    pub(crate) work: Option<u64>,
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ender {
    /// A timer with that function, set by that thread; `None` when it is the waiting thread's own or was not seen.
    Timer {
        function: u64,
        owner: Option<ThreadIndex>,
    },
    /// A request to a disk.
    Disk {
        dev: u64,
        op: Option<u64>,
        /// The file that it was for, as far as the call tells that made it.
        file: Option<FileName>,
    },
    Packet {
        sender: Option<ThreadIndex>,
    },
    Device(i64),
    Softirq(u64),
    Irq(u64),
    /// Another thread, in its own name.
    Thread {
        thread: ThreadIndex,
        frame: Option<Frame>,
        /// The file that its call was about.
        file: Option<FileName>,
    },
    /// A work item had to be begun by a thread of the kernel.
    Work {
        function: u64,
        /// The interrupt or softirq that had queued it, if none did it in a thread's name.
        by: Option<Frame>,
    },
    /// Nobody was seen.
    Unknown,
    /// It was not over when the trace, or the thread, ended.
    Never,
}

/// Parts of a wait for a device, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// Before the request was made, the timer set, the packet sent.
    Before,
    /// In the queue of the device.
    Queued,
    /// At the device; the timer ran, the packet was under way.
    UnderWay,
    /// In the interrupt or softirq that ended it.
    Interrupt,
}
