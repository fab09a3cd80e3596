//! Guest TSC from the host's: without `-icount` the two differ by a constant while the machine runs.
//!
//! The constant is the smallest difference seen between the host's TSC just after a guest RDTSC and the value that the
//! RDTSC gave: the host can only delay the look, never advance it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Calibrates the constant; shared by CPUs that run in parallel.
#[derive(Debug)]
pub(crate) struct WallClock {
    offset: AtomicU64,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self {
            offset: AtomicU64::new(u64::MAX),
        }
    }

    /// The guest read `guest_tsc` just before the host read `host_tsc`.
    pub(crate) fn synchronise(&self, host_tsc: u64, guest_tsc: u64) {
        if let Some(offset) = host_tsc.checked_sub(guest_tsc) {
            self.offset.fetch_min(offset, Ordering::Relaxed);
        }
    }

    /// What to take from a host stamp; `None` before the first RDTSC of the guest.
    pub(crate) fn offset(&self) -> Option<u64> {
        Some(self.offset.load(Ordering::Relaxed)).filter(|offset| *offset != u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_delayed_look_counts() {
        let clock = WallClock::new();
        assert_eq!(clock.offset(), None);
        clock.synchronise(1_050, 40);
        clock.synchronise(1_103, 100);
        clock.synchronise(1_900, 200);
        assert_eq!(clock.offset(), Some(1_003));
    }
}
