//! Why a thread waits, and what ended that: evidence, not guesses.
//!
//! What it asked for is told by the call or exception that it sleeps in; what ended it by what the waking CPU was doing.
//! The two are kept apart: a `read` of a pipe is ended by the thread that writes, one of a file by a device's request.

use super::ids::GuestNanos;
use super::requests::Request;
use super::thread::{ThreadIndex, Waker};

/// What a blocked thread waits for, as its own last steps tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    /// A length of time.
    Time,
    /// A futex.
    Futex {
        /// Its address in the process.
        addr: Option<u64>,
    },
    /// To read, write or do something else with a file, a pipe, a terminal.
    File {
        /// Its descriptor.
        fd: Option<u64>,
    },
    /// To receive, send, accept or connect.
    Socket {
        /// Its descriptor.
        fd: Option<u64>,
    },
    /// That data is on its device.
    Sync {
        /// The file's descriptor; of `sync` itself it means nothing.
        fd: Option<u64>,
    },
    /// One of several descriptors, or a length of time.
    Poll,
    /// A child: that it ends, or that it runs its own program.
    Child,
    /// A signal.
    Signal,
    /// A message or semaphore of System V or POSIX.
    Ipc,
    /// A lock on a file.
    Lock {
        /// The file's descriptor.
        fd: Option<u64>,
    },
    /// Something about a file by its name: a directory's block, a lock of the file system.
    Path,
    /// A page of its memory.
    Page,
    /// Whatever that system call waits for.
    Call {
        /// Number of the call.
        nr: u64,
    },
    /// To be started, after it was made.
    Start,
    /// Work: a thread of the kernel, or one on its way to its first program.
    Kernel,
}

impl Asked {
    /// Short name, for JSON and CSV.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Futex { .. } => "futex",
            Self::File { .. } => "file",
            Self::Socket { .. } => "socket",
            Self::Sync { .. } => "sync",
            Self::Poll => "poll",
            Self::Child => "child",
            Self::Signal => "signal",
            Self::Ipc => "ipc",
            Self::Lock { .. } => "lock",
            Self::Path => "path",
            Self::Page => "page",
            Self::Call { .. } => "call",
            Self::Start => "start",
            Self::Kernel => "kernel",
        }
    }
}

/// Who brought about what happens later: set a timer, sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The thread that did it in its own name.
    pub thread: Option<ThreadIndex>,
    /// When.
    pub at: GuestNanos,
}

/// What the waking CPU was doing when it ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A timer expired.
    Timer {
        /// Address of its function.
        function: u64,
        /// Who had set it, if that was seen.
        set: Option<Origin>,
    },
    /// A block device had done a request.
    Request(Request),
    /// A packet had come in.
    Packet {
        /// Its length in bytes.
        bytes: u64,
        /// Who had sent it, if that was in this machine and was seen.
        sent: Option<Origin>,
    },
    /// A device's interrupt.
    Device {
        /// Number of its line.
        irq: i64,
    },
    /// A softirq, for none of the reasons above.
    Softirq {
        /// Its number.
        vec: u64,
    },
    /// An interrupt, for none of the reasons above.
    Irq {
        /// Its vector.
        vector: u64,
    },
    /// The thread that ran there, in its own name.
    Thread,
}

impl Via {
    /// Short name, for JSON and CSV.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timer { .. } => "timer",
            Self::Request(_) => "request",
            Self::Packet { .. } => "packet",
            Self::Device { .. } => "device",
            Self::Softirq { .. } => "softirq",
            Self::Irq { .. } => "irq",
            Self::Thread => "thread",
        }
    }
}

/// What ended a wait, as far as it is the same for many waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A timer with that function.
    Timer(u64),
    /// A request to a disk.
    Disk {
        /// The disk: major << 20 | minor.
        dev: u64,
        /// What it did, as the kernel numbers it.
        op: Option<u64>,
    },
    /// A packet.
    Packet,
    /// A device's line.
    Device(i64),
    /// A softirq.
    Softirq(u64),
    /// An interrupt's vector.
    Irq(u64),
    /// Another thread.
    Thread(ThreadIndex),
    /// Nobody was seen.
    Unknown,
}

impl Cause {
    /// What ended a wait that this waker ended, if one was seen.
    #[must_use]
    pub fn of(waker: Option<&Waker>) -> Self {
        waker.map_or(Self::Unknown, |waker| Self::of_via(waker.via, waker.thread))
    }

    /// On whose behalf a CPU acts that runs `thread`.
    pub(super) fn of_via(via: Via, thread: Option<ThreadIndex>) -> Self {
        match via {
            Via::Timer { function, .. } => Self::Timer(function),
            Via::Request(Request { dev, op, .. }) => Self::Disk { dev, op },
            Via::Packet { .. } => Self::Packet,
            Via::Device { irq } => Self::Device(irq),
            Via::Softirq { vec } => Self::Softirq(vec),
            Via::Irq { vector } => Self::Irq(vector),
            Via::Thread => thread.map_or(Self::Unknown, Self::Thread),
        }
    }
}
