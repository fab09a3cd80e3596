//! When: stamps of either clock, and the ticks of the guest's TSC that they are.
//!
//! A stamp is what is cheap to have at a probe. Its tick is exact only once the clock is synchronised behind it; what is
//! due at a time goes by the tick predicted at the probe, which is never late and is early only while an idle period is
//! being slept through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use probe_plan::Recording;
use trace_format::{Exactness, RecordBuffer};

use crate::clock::{CountedClock, tick};
use crate::wall_clock::WallClock;
use crate::writer::StampScale;

/// Both clocks; a recording uses one.
#[derive(Debug)]
pub(crate) struct Timing {
    is_deterministic: bool,
    shift: u8,
    counted: Mutex<CountedClock>,
    /// Ticks that the TSC is ahead of the count, as far as is known.
    bias: AtomicU64,
    pub(crate) wall: WallClock,
}

/// Whether a buffer's stamps can be turned into ticks.
#[derive(Debug)]
pub(crate) enum Scaling {
    /// They can.
    Known(StampScale),
    /// They will be.
    Unresolved,
    /// Never; they count from the first.
    Doubtful(StampScale),
}

fn lock(mutex: &Mutex<CountedClock>) -> MutexGuard<'_, CountedClock> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timing {
    pub(crate) fn new(recording: &Recording, cpu_count: usize) -> Self {
        Self {
            is_deterministic: recording.is_deterministic(),
            shift: recording.icount_shift,
            counted: Mutex::new(CountedClock::new(recording.icount_shift, cpu_count)),
            bias: AtomicU64::new(0),
            wall: WallClock::new(),
        }
    }

    /// A CPU halts.
    pub(crate) fn halt(&self, cpu: usize, stamp: u64) {
        lock(&self.counted).halt(cpu, stamp);
    }

    /// A CPU was seen to run.
    pub(crate) fn runs(&self, cpu: usize) {
        lock(&self.counted).runs(cpu);
    }

    /// The guest read its TSC.
    pub(crate) fn synchronise(&self, cpu: usize, stamp: u64, tsc: u64) {
        lock(&self.counted).synchronise(cpu, stamp, tsc);
        self.bias
            .store(tsc.wrapping_sub(stamp << self.shift), Ordering::Relaxed);
    }

    /// Treats what is unresolved as if time had not jumped; the stamp after which that is doubtful.
    pub(crate) fn give_up(&self) -> Option<u64> {
        lock(&self.counted).give_up()
    }

    /// The tick of a stamp of just now, as far as is known.
    pub(crate) fn predicted(&self, stamp: u64) -> u64 {
        if self.is_deterministic {
            (stamp << self.shift).wrapping_add(self.bias.load(Ordering::Relaxed))
        } else {
            stamp.saturating_sub(self.wall.offset().unwrap_or(stamp))
        }
    }

    /// Whether the tick of a stamp is known exactly.
    pub(crate) fn is_resolved(&self, stamp: u64) -> bool {
        !self.is_deterministic
            || lock(&self.counted)
                .resolved_until()
                .is_none_or(|until| stamp <= until)
    }

    /// The tick of a stamp that is resolved.
    pub(crate) fn tick(&self, stamp: u64) -> u64 {
        if self.is_deterministic {
            let segments = lock(&self.counted).segments(stamp, stamp);
            tick(&segments, self.shift, stamp)
        } else {
            self.predicted(stamp)
        }
    }

    /// Ticks from one stamp to a later one of just now; `None` while the CPU's idle time before it is not known.
    pub(crate) fn between(&self, from: u64, to: u64) -> Option<u64> {
        if !self.is_deterministic {
            return Some(to.saturating_sub(from));
        }
        let clock = lock(&self.counted);
        let is_resolved = clock.resolved_until().is_none_or(|until| to <= until);
        is_resolved.then(|| clock.tick(to).saturating_sub(clock.tick(from)))
    }

    /// How the stamps of a buffer become ticks.
    pub(crate) fn scaling(&self, buffer: &RecordBuffer) -> Scaling {
        if !self.is_deterministic {
            return match self.wall.offset() {
                Some(offset) => Scaling::Known(StampScale::Wall { offset }),
                None => Scaling::Doubtful(StampScale::Wall {
                    offset: buffer.first_stamp(),
                }),
            };
        }
        let clock = lock(&self.counted);
        if clock
            .resolved_until()
            .is_some_and(|stamp| buffer.last_stamp() > stamp)
        {
            return Scaling::Unresolved;
        }
        Scaling::Known(StampScale::Counted {
            segments: clock.segments(buffer.first_stamp(), buffer.last_stamp()),
            shift: self.shift,
        })
    }

    /// Idle periods whose jumps are known only in sum, and how exact the stamps are.
    pub(crate) fn quality(&self) -> (u64, Exactness) {
        let clock = lock(&self.counted);
        (clock.ambiguous_jumps(), clock.exactness())
    }
}
