//! From ticks of the guest's TSC to time since the start of the trace, and back.

use crate::model::GuestNanos;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The clock of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// TSC at the start of the trace.
    pub first_tsc: u64,
    /// Ticks in a second.
    pub tsc_hz: u64,
}

impl Clock {
    /// Time of a tick; ticks before the start are at 0.
    #[must_use]
    #[inline]
    pub fn nanos(self, tsc: u64) -> GuestNanos {
        GuestNanos(self.length(tsc.saturating_sub(self.first_tsc)))
    }

    /// Nanoseconds that so many ticks last.
    #[must_use]
    #[inline]
    pub fn length(self, ticks: u64) -> u64 {
        scale(ticks, self.tsc_hz, NANOS_PER_SECOND)
    }

    /// The first tick that is not before that time.
    #[must_use]
    pub fn tsc(self, at: GuestNanos) -> u64 {
        let ticks = scale(at.0, NANOS_PER_SECOND, self.tsc_hz);
        let early = self.length(ticks) < at.0;
        self.first_tsc
            .saturating_add(ticks)
            .saturating_add(u64::from(early))
    }
}

/// `value` in units of `from` per second, in units of `to` per second; rounded down.
#[inline]
fn scale(value: u64, from: u64, to: u64) -> u64 {
    if from == to || from == 0 {
        return value;
    }
    let (seconds, rest) = (value / from, value % from);
    // A 128-bit product costs nothing; a 128-bit quotient would, so seconds are split off first.
    let rest = u128::from(rest) * u128::from(to);
    let part = match u64::try_from(rest) {
        Ok(rest) => rest / from,
        Err(_) => u64::try_from(rest / u128::from(from)).unwrap_or(u64::MAX),
    };
    seconds.saturating_mul(to).saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_times_agree() {
        for tsc_hz in [1, 3, 1_000_000_000, 2_999_999_999, 20_000_000_000] {
            let clock = Clock {
                first_tsc: 1000,
                tsc_hz,
            };
            for ticks in [0, 1, 2, 999, tsc_hz - 1, tsc_hz, tsc_hz * 1000 + 7] {
                let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(tsc_hz);
                let at = clock.nanos(1000 + ticks);
                assert_eq!(u128::from(at.0), nanos, "{ticks} at {tsc_hz} Hz");
                let tsc = clock.tsc(at);
                assert!(
                    clock.nanos(tsc) >= at && tsc <= 1000 + ticks,
                    "{ticks} at {tsc_hz} Hz"
                );
                assert!(tsc == 1000 || clock.nanos(tsc - 1) < at);
            }
        }
        assert_eq!(
            Clock {
                first_tsc: 9,
                tsc_hz: 1
            }
            .nanos(5),
            GuestNanos(0)
        );
    }
}
