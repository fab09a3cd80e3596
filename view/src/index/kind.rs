//! What time can go to, in the order in which it is shown.

use analyzer::model::{Activity, Asked, Via};
use serde::Serialize;

macro_rules! kinds {
    ($($variant:ident $name:literal $title:literal $runs:literal;)*) => {
        /// What a row's time can go to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $title] $variant,)*
        }

        impl Kind {
            /// Every kind; its position is its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name, for programs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Name, for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Whether a CPU, or the row's device, is busy with it.
            #[must_use]
            pub fn runs(self) -> bool {
                match self { $(Self::$variant => $runs,)* }
            }
        }
    };
}

kinds! {
    User "user" "user code" true;
    Syscall "syscall" "system call" true;
    Trap "trap" "exception" true;
    Irq "irq" "interrupt" true;
    Softirq "softirq" "softirq" true;
    Kernel "kernel" "kernel code" true;
    RunningUnknown "running_unknown" "running, unknown what" true;
    Idle "idle" "idle" false;
    Runnable "runnable" "waits for a CPU" false;
    WaitDisk "wait_disk" "waits for a disk" false;
    WaitFile "wait_file" "waits for a file or pipe" false;
    WaitSocket "wait_socket" "waits for a socket" false;
    WaitLock "wait_lock" "waits for a lock" false;
    WaitTime "wait_time" "sleeps for a time" false;
    WaitChild "wait_child" "waits for a child" false;
    WaitPoll "wait_poll" "waits for one of several files" false;
    WaitSignal "wait_signal" "waits for a signal" false;
    WaitPage "wait_page" "waits for a page" false;
    WaitWork "wait_work" "waits for work" false;
    WaitOther "wait_other" "waits" false;
    Busy "busy" "busy" true;
    Unknown "unknown" "unknown" false;
    Lost "lost" "events are lost" false;
    Nothing "none" "nothing" false;
}

/// How many kinds there are.
pub const KIND_COUNT: usize = Kind::ALL.len();

impl Kind {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Of a thread that does not wait, or of a CPU.
    #[must_use]
    pub fn of_activity(activity: Activity) -> Self {
        match activity {
            Activity::User => Self::User,
            Activity::Syscall => Self::Syscall,
            Activity::Trap => Self::Trap,
            Activity::Irq => Self::Irq,
            Activity::Softirq => Self::Softirq,
            Activity::Kernel => Self::Kernel,
            Activity::Idle => Self::Idle,
            Activity::RunningUnknown => Self::RunningUnknown,
            Activity::Runnable => Self::Runnable,
            Activity::Blocked => Self::WaitOther,
            Activity::Unknown => Self::Unknown,
            Activity::Unseen => Self::Nothing,
        }
    }

    /// Of a thread that asked for something and was woken by something, if that is known.
    #[must_use]
    pub fn of_wait(asked: Asked, via: Option<Via>) -> Self {
        if matches!(via, Some(Via::Request(_))) {
            return Self::WaitDisk;
        }
        match asked {
            Asked::Time => Self::WaitTime,
            Asked::Futex { .. } | Asked::Lock { .. } => Self::WaitLock,
            Asked::File { .. } | Asked::Path => Self::WaitFile,
            Asked::Sync { .. } => Self::WaitDisk,
            Asked::Socket { .. } => Self::WaitSocket,
            Asked::Poll => Self::WaitPoll,
            Asked::Child => Self::WaitChild,
            Asked::Signal => Self::WaitSignal,
            Asked::Page => Self::WaitPage,
            Asked::Kernel => Self::WaitWork,
            Asked::Ipc | Asked::Call { .. } | Asked::Start => Self::WaitOther,
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}
