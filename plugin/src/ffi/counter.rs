//! Counters that translated code increments by itself.
//!
//! QEMU 10 takes the translating CPU's index as a constant although CPUs in one thread share blocks, and multiplies that
//! constant in place by the scoreboard's element size (`accel/tcg/plugin-gen.c`, `gen_plugin_u64_ptr`). With an element
//! size of 1 the multiplication does nothing, and an offset of [`CENTRE`] less the translating CPU's index makes every CPU
//! address the same eight bytes: one shared counter, which is all that one thread needs.

use qemu_plugin::sys;

/// Where the shared eight bytes begin in the sixteen that QEMU allocates at least for elements of one byte.
const CENTRE: usize = 8;
/// Most CPUs that can share a counter.
pub(super) const CPUS_MAX: usize = CENTRE;

/// One counter that all CPUs of a thread share.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedCounter {
    scoreboard: *mut sys::qemu_plugin_scoreboard,
}

// SAFETY: the pointer is only ever handed back to QEMU, whose accessors may be called from any of its threads (rule 6).
unsafe impl Send for SharedCounter {}
// SAFETY: as above.
unsafe impl Sync for SharedCounter {}

impl SharedCounter {
    /// Makes a counter; at install time only.
    fn new() -> Self {
        // SAFETY: rule 7: called from install.
        let scoreboard = unsafe { sys::qemu_plugin_scoreboard_new(1) };
        Self { scoreboard }
    }

    /// The operand of an inline operation in a block that the CPU with that index translates.
    pub(super) fn entry(self, cpu_index: usize) -> sys::qemu_plugin_u64 {
        sys::qemu_plugin_u64 {
            score: self.scoreboard,
            offset: CENTRE - cpu_index.min(CPUS_MAX),
        }
    }

    pub(super) fn get(self) -> u64 {
        // SAFETY: rule 6; CPU 0 always exists.
        unsafe { sys::qemu_plugin_u64_get(self.entry(0), 0) }
    }

    pub(super) fn set(self, value: u64) {
        // SAFETY: rule 6; CPU 0 always exists.
        unsafe { sys::qemu_plugin_u64_set(self.entry(0), 0, value) }
    }
}

/// The counters of the deterministic clock.
#[derive(Debug)]
pub(super) struct SharedCounters {
    /// Instructions executed, those of the current block all counted at its start.
    pub(super) instructions: SharedCounter,
    /// Address of the leaked [`crate::block::Block`] that runs; 0 when it has been accounted for.
    pub(super) block: SharedCounter,
    /// Not zero when the clock wants to see the guest's next RDTSC.
    pub(super) wants_clock: SharedCounter,
}

impl SharedCounters {
    /// Makes the counters; at install time only.
    pub(super) fn new() -> Self {
        Self {
            instructions: SharedCounter::new(),
            block: SharedCounter::new(),
            wants_clock: SharedCounter::new(),
        }
    }
}
