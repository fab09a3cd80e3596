//! What system calls wait for, by their names: the kernel's numbers differ from table to table.

use super::wait::Asked;

/// A system call that was seen.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: Vec<u8>,
    pub(super) kind: CallKind,
    pub(super) descriptors: Descriptors,
    pub(super) transfer: Option<Transfer>,
}

/// What a system call does to the descriptors of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descriptors {
    /// Nothing, or what an event of its own tells.
    None,
    /// Its first argument is one no more.
    Close,
    /// Its result is the same file as its first argument.
    Copy,
    /// Its result is something new, of that kind.
    Make(&'static str),
}

/// How a system call moves bytes; its result says how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// From the file of its first argument.
    Read,
    /// To the file of its first argument.
    Write,
    /// From the file of its second argument to that of its first.
    Send,
}

impl Descriptors {
    fn of(name: &[u8]) -> Self {
        match name {
            b"close" => Self::Close,
            b"dup" | b"dup2" | b"dup3" => Self::Copy,
            b"epoll_create" | b"epoll_create1" => Self::Make("[epoll]"),
            b"eventfd" | b"eventfd2" => Self::Make("[eventfd]"),
            b"timerfd_create" => Self::Make("[timerfd]"),
            b"signalfd" | b"signalfd4" => Self::Make("[signalfd]"),
            b"inotify_init" | b"inotify_init1" => Self::Make("[inotify]"),
            b"memfd_create" => Self::Make("[memfd]"),
            b"accept" | b"accept4" => Self::Make("[connection]"),
            b"pidfd_open" => Self::Make("[pidfd]"),
            _ => Self::None,
        }
    }
}

impl Transfer {
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"read" | b"pread64" | b"readv" | b"preadv" | b"preadv2" | b"recvfrom" | b"recvmsg"
            | b"recv" => Some(Self::Read),
            b"write" | b"pwrite64" | b"writev" | b"pwritev" | b"pwritev2" | b"sendto"
            | b"sendmsg" | b"send" => Some(Self::Write),
            b"sendfile" | b"sendfile64" => Some(Self::Send),
            _ => None,
        }
    }
}

/// Arguments of a system call, as far as the trace has them.
pub type CallArgs = [Option<u64>; 6];

macro_rules! kinds {
    ($($kind:ident: $($name:literal)*;)*) => {
        /// What a system call waits for when it waits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum CallKind {
            $($kind,)*
            Other,
        }

        impl CallKind {
            fn of(name: &[u8]) -> Self {
                $(
                    if [$($name.as_bytes()),*].contains(&name) {
                        return Self::$kind;
                    }
                )*
                Self::Other
            }
        }
    };
}

kinds! {
    Time: "nanosleep" "clock_nanosleep" "clock_nanosleep_time64";
    Futex: "futex" "futex_time64" "futex_wait" "futex_waitv";
    // What they work on is in their first argument.
    File: "read" "pread64" "readv" "preadv" "preadv2" "write" "pwrite64" "writev" "pwritev" "pwritev2" "splice" "tee"
        "sendfile" "sendfile64" "ioctl" "getdents" "getdents64" "ftruncate" "fallocate" "close" "vmsplice" "copy_file_range";
    Socket: "recvfrom" "recvmsg" "recvmmsg" "recv" "sendto" "sendmsg" "sendmmsg" "send" "accept" "accept4" "connect"
        "shutdown";
    Sync: "fsync" "fdatasync" "sync_file_range" "syncfs" "sync" "msync";
    Poll: "poll" "ppoll" "ppoll_time64" "select" "_newselect" "pselect6" "pselect6_time64" "epoll_wait" "epoll_pwait"
        "epoll_pwait2" "io_getevents" "io_uring_enter";
    Child: "wait4" "waitid" "waitpid" "vfork" "clone" "clone3";
    Signal: "pause" "rt_sigsuspend" "sigsuspend" "rt_sigtimedwait" "rt_sigtimedwait_time64";
    Ipc: "msgsnd" "msgrcv" "semop" "semtimedop" "semtimedop_time64" "mq_timedsend" "mq_timedreceive" "ipc";
    Lock: "flock" "fcntl" "fcntl64";
    Path: "open" "openat" "openat2" "creat" "stat" "lstat" "newfstatat" "statx" "access" "faccessat" "faccessat2" "unlink"
        "unlinkat" "rename" "renameat" "renameat2" "mkdir" "mkdirat" "rmdir" "link" "linkat" "symlink" "symlinkat"
        "readlink" "readlinkat" "execve" "execveat" "chdir" "mount" "umount2" "truncate" "utimensat";
}

impl Call {
    pub(super) fn new(name: &[u8]) -> Self {
        Self {
            kind: CallKind::of(name),
            descriptors: Descriptors::of(name),
            transfer: Transfer::of(name),
            name: name.to_owned(),
        }
    }
}

impl Asked {
    /// What a call of that kind waits for.
    pub(super) fn of_call(kind: CallKind, nr: u64, args: &CallArgs) -> Self {
        let fd = args[0];
        match kind {
            CallKind::Time => Self::Time,
            CallKind::Futex => Self::Futex { addr: args[0] },
            CallKind::File => Self::File { fd },
            CallKind::Socket => Self::Socket { fd },
            CallKind::Sync => Self::Sync { fd },
            CallKind::Poll => Self::Poll,
            CallKind::Child => Self::Child,
            CallKind::Signal => Self::Signal,
            CallKind::Ipc => Self::Ipc,
            CallKind::Lock => Self::Lock { fd },
            CallKind::Path => Self::Path,
            CallKind::Other => Self::Call { nr },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_known_by_their_names() {
        assert_eq!(CallKind::of(b"epoll_pwait"), CallKind::Poll);
        assert_eq!(CallKind::of(b"epoll"), CallKind::Other);
    }
}
