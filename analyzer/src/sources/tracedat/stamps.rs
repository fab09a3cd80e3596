//! From what is written in the ring buffer to nanoseconds, as trace-cmd does it.

use crate::sources::ftrace::Bytes;

/// Flag of a guest's file: between two measurements the offset changes evenly.
const INTERPOLATE: u32 = 1;

/// How stamps become nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    /// Of a guest's file: what takes its clock to the host's, by CPU.
    shifts: Vec<Vec<Shift>>,
    is_interpolated: bool,
    /// Ticks to nanoseconds: times `mult`, down by `shift` bits.
    scale: Option<(u32, u32)>,
    /// Added to all.
    pub(super) offset: i64,
}

/// One measurement of a guest's clock against its host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shift {
    time: i64,
    offset: i64,
    scaling: u64,
    fraction: u32,
}

impl Stamps {
    /// Takes the option TSC2NSEC.
    pub(super) fn take_scale(&mut self, mut data: Bytes<'_>) -> Option<()> {
        let (mult, shift) = (data.u32()?, data.u32()?);
        self.scale = (mult != 0 && shift < 64).then_some((mult, shift));
        Some(())
    }

    /// Whether ticks have a known length.
    pub(super) fn is_scaled(&self) -> bool {
        self.scale.is_some()
    }

    /// Whether this is a guest's file that is on its host's clock.
    pub(super) fn is_shifted(&self) -> bool {
        !self.shifts.is_empty()
    }

    /// Takes the option TIME_SHIFT.
    pub(super) fn take_shifts(&mut self, mut data: Bytes<'_>) -> Option<()> {
        data.u64()?;
        let flags = data.u32()?;
        let cpus = data.u32()?;
        let mut shifts = Vec::new();
        for _ in 0..cpus {
            let count = data.u32()? as usize;
            let mut times = run(&mut data, count)?;
            let mut offsets = run(&mut data, count)?;
            let mut scalings = run(&mut data, count)?;
            let mut measured = Vec::new();
            for _ in 0..count {
                measured.push(Shift {
                    time: times.u64()?.cast_signed(),
                    offset: offsets.u64()?.cast_signed(),
                    scaling: scalings.u64()?,
                    fraction: 0,
                });
            }
            shifts.push(measured);
        }
        if !data.rest().is_empty() {
            for shift in shifts.iter_mut().flatten() {
                shift.fraction = u32::try_from(data.u64()?).ok()?;
            }
        }
        for measured in &mut shifts {
            measured.sort_by_key(|shift| shift.time);
            measured.dedup_by_key(|shift| shift.time);
        }
        self.is_interpolated = flags & INTERPOLATE != 0;
        self.shifts = shifts;
        Some(())
    }

    /// Nanoseconds of a stamp of a CPU.
    #[inline]
    pub(super) fn nanos(&self, cpu: u32, stamp: u64) -> u64 {
        let mut nanos = self.shifted(cpu, stamp);
        if let Some((mult, shift)) = self.scale {
            let wide = (u128::from(nanos) * u128::from(mult)) >> shift;
            nanos = u64::try_from(wide).unwrap_or(u64::MAX);
        }
        nanos.wrapping_add_signed(self.offset)
    }

    #[inline]
    fn shifted(&self, cpu: u32, stamp: u64) -> u64 {
        let measured = self.shifts.get(cpu as usize).map_or(&[][..], Vec::as_slice);
        match measured {
            [] => stamp,
            [only] => stamp.wrapping_add_signed(only.offset),
            _ => {
                let after = measured.partition_point(|shift| shift.time <= stamp.cast_signed());
                let first = after.saturating_sub(1).min(measured.len() - 2);
                self.between(stamp, &measured[first], &measured[first + 1])
            }
        }
    }

    fn between(&self, stamp: u64, before: &Shift, after: &Shift) -> u64 {
        let offset = if self.is_interpolated {
            let length = i128::from(after.time) - i128::from(before.time);
            let part = i128::from(stamp.cast_signed()) - i128::from(before.time);
            let moved = part * (i128::from(after.offset) - i128::from(before.offset));
            let moved = i64::try_from((moved + length / 2) / length.max(1)).unwrap_or(0);
            before.offset.saturating_add(moved)
        } else {
            before.offset
        };
        let scaled = stamp
            .wrapping_mul(before.scaling)
            .checked_shr(before.fraction);
        scaled.unwrap_or(0).wrapping_add_signed(offset)
    }
}

/// The next `count` numbers of 64 bits.
fn run<'a>(data: &mut Bytes<'a>, count: usize) -> Option<Bytes<'a>> {
    let bytes = data.take(count.checked_mul(8)?)?;
    Some(Bytes::new(bytes, data.is_big_endian))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifts(flags: u32, measured: &[(i64, i64)]) -> Stamps {
        let mut data = Vec::new();
        data.extend(0_u64.to_le_bytes());
        data.extend(flags.to_le_bytes());
        data.extend(1_u32.to_le_bytes());
        data.extend(u32::try_from(measured.len()).unwrap().to_le_bytes());
        data.extend(measured.iter().flat_map(|(time, _)| time.to_le_bytes()));
        data.extend(measured.iter().flat_map(|(_, offset)| offset.to_le_bytes()));
        data.extend(measured.iter().flat_map(|_| 1_i64.to_le_bytes()));
        let mut stamps = Stamps::default();
        stamps.take_shifts(Bytes::new(&data, false)).unwrap();
        for end in 0..data.len() {
            let _ = Stamps::default().take_shifts(Bytes::new(&data[..end], false));
        }
        stamps
    }

    #[test]
    fn a_guests_clock_becomes_its_hosts() {
        let one = shifts(0, &[(100, -50)]);
        assert_eq!((one.nanos(0, 200), one.nanos(1, 200)), (150, 200));
        let two = shifts(INTERPOLATE, &[(200, 20), (100, 10)]);
        assert_eq!(
            [100, 150, 200, 300].map(|stamp| two.nanos(0, stamp)),
            [110, 165, 220, 330]
        );
        let steps = shifts(0, &[(100, 10), (200, 20), (300, 30)]);
        assert_eq!(
            [50, 150, 250, 350].map(|stamp| steps.nanos(0, stamp)),
            [60, 160, 270, 370]
        );
    }

    #[test]
    fn ticks_become_nanoseconds() {
        let mut stamps = Stamps::default();
        let option = [3_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        stamps.take_scale(Bytes::new(&option, false)).unwrap();
        stamps.offset = -4;
        assert_eq!(stamps.nanos(0, 10), 11);
    }
}
