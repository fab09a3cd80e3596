//! What system calls do at futexes (`include/uapi/linux/futex.h`).

use super::calls::CallArgs;

/// What a system call does at a futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutexUse {
    /// Waits until another thread wakes it, or takes a lock.
    Wait {
        /// Its address in the process; that of several is not known.
        addr: Option<u64>,
    },
    /// Wakes threads, moves them to another futex, or gives a lock back.
    Wake {
        /// Its address in the process.
        addr: Option<u64>,
    },
}

/// Bits of the operation that say how, not what.
const FUTEX_CMD_MASK: u64 = 0x7f;

impl FutexUse {
    /// What a call of that name does with these arguments; nothing when it only tries.
    pub(super) fn of(name: &[u8], args: &CallArgs) -> Option<Self> {
        let addr = args[0];
        match name {
            b"futex_wait" => Some(Self::Wait { addr }),
            b"futex_waitv" => Some(Self::Wait { addr: None }),
            _ => match args[1]? & FUTEX_CMD_MASK {
                // WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2.
                0 | 6 | 9 | 11 | 13 => Some(Self::Wait { addr }),
                // WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, UNLOCK_PI, WAKE_BITSET, CMP_REQUEUE_PI.
                1 | 3 | 4 | 5 | 7 | 10 | 12 => Some(Self::Wake { addr }),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_does_not_change_what() {
        let args = |op: u64| [Some(0x1000), Some(op), None, None, None, None];
        let addr = Some(0x1000);
        // FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME.
        let wait = FutexUse::of(b"futex", &args(9 | 128 | 256));
        assert_eq!(wait, Some(FutexUse::Wait { addr }));
        let wake = FutexUse::of(b"futex", &args(1));
        assert_eq!(wake, Some(FutexUse::Wake { addr }));
        assert_eq!(FutexUse::of(b"futex", &args(8)), None);
    }
}
