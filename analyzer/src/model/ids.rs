//! Quantities of the model: times, CPUs, threads and processes, so that none is taken for another.

use std::fmt;

/// A guest time in nanoseconds since the start of the trace, or a length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestNanos(pub u64);

impl GuestNanos {
    /// Time from `earlier` to `self`; 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::AddAssign for GuestNanos {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl std::iter::Sum for GuestNanos {
    fn sum<I: Iterator<Item = Self>>(times: I) -> Self {
        times.fold(Self(0), |sum, time| Self(sum.0.saturating_add(time.0)))
    }
}

/// A stretch of guest time: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub start: GuestNanos,
    /// First instant after it.
    pub end: GuestNanos,
}

impl Span {
    /// The whole of time.
    pub const ALL: Self = Self {
        start: GuestNanos(0),
        end: GuestNanos(u64::MAX),
    };

    /// Its length.
    #[must_use]
    pub fn length(self) -> GuestNanos {
        self.end.since(self.start)
    }

    /// The part of it within `other`; of length 0 when there is none.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        let start = self.start.max(other.start);
        let end = self.end.min(other.end).max(start);
        Self { start, end }
    }

    /// Whether it holds that instant.
    #[must_use]
    pub fn contains(self, at: GuestNanos) -> bool {
        self.start <= at && at < self.end
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    };
}

number! {
    /// Number of a CPU, from 0.
    CpuId
}
number! {
    /// Number of a thread: what the kernel calls `pid`. The idle threads of all CPUs have 0.
    Tid
}
number! {
    /// Number of a process: what the kernel calls `tgid`.
    Pid
}
