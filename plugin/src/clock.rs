//! Guest TSC from counted instructions: which count was which tick.
//!
//! Under `-icount` the guest's TSC is `count << shift` plus a bias, where `count` is the number of instructions executed,
//! the current one included. The bias changes only when all CPUs idle: QEMU then jumps to the next timer. The length of
//! a jump is seen at the guest's next RDTSC; until then stamps after the jump are unresolved.
//!
//! Invariant: what this clock says depends on the guest's run alone, never on which events are recorded.

use trace_format::Exactness;

/// Largest error that the table of errors tells apart, in ticks.
const ERROR_TICKS_MAX: usize = 4096;

/// From `first_stamp` on, the TSC is `stamp << shift` plus `bias`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first_stamp: u64,
    pub(crate) bias: u64,
}

/// A halt after which time may have jumped.
#[derive(Clone, Copy, Debug)]
struct Halt {
    stamp: u64,
    all_halted: bool,
}

/// Converts counts to guest TSC.
#[derive(Debug)]
pub(crate) struct CountedClock {
    shift: u8,
    cpus: u64,
    halted: u64,
    halts: Vec<Halt>,
    segments: Vec<Segment>,
    errors: Vec<u64>,
    error_max: u64,
    ambiguous_jumps: u64,
    doubtful_after: Option<u64>,
}

impl CountedClock {
    /// Makes the clock of a machine with `cpu_count` CPUs, at most 64.
    pub(crate) fn new(shift: u8, cpu_count: usize) -> Self {
        let cpus = u64::MAX >> (64 - cpu_count.clamp(1, 64));
        Self {
            shift,
            cpus,
            // A CPU that has not been started yet does not keep time from jumping.
            halted: cpus & !1,
            halts: Vec::new(),
            segments: vec![Segment {
                first_stamp: 0,
                bias: 0,
            }],
            errors: vec![0; ERROR_TICKS_MAX + 1],
            error_max: 0,
            ambiguous_jumps: 0,
            doubtful_after: None,
        }
    }

    /// A CPU halts; `stamp` counts the halting instruction.
    pub(crate) fn halt(&mut self, cpu: usize, stamp: u64) {
        self.halted |= 1 << cpu;
        self.halts.push(Halt {
            stamp,
            all_halted: self.halted == self.cpus,
        });
    }

    /// A CPU was seen to run.
    pub(crate) fn runs(&mut self, cpu: usize) {
        self.halted &= !(1 << cpu);
    }

    /// The guest read `tsc` by an instruction that `stamp` counts as the last.
    pub(crate) fn synchronise(&mut self, cpu: usize, stamp: u64, tsc: u64) {
        self.runs(cpu);
        let bias = tsc.wrapping_sub(stamp << self.shift);
        let last = *self.segments.last().expect("there is always a segment");
        let jump = bias.wrapping_sub(last.bias);
        let halts = std::mem::take(&mut self.halts);
        let mut candidates = halts.iter().filter(|halt| halt.all_halted);
        // Without a halt of all CPUs time cannot jump: what differs is an error of the count.
        let Some(first) = candidates.next() else {
            self.note_error(jump);
            if jump != 0 {
                self.segments.push(Segment {
                    first_stamp: stamp,
                    bias,
                });
            }
            return;
        };
        if jump == 0 {
            return;
        }
        let mut jumped_after = first.stamp;
        for halt in candidates {
            jumped_after = halt.stamp;
            self.ambiguous_jumps += 1;
        }
        self.segments.push(Segment {
            first_stamp: jumped_after + 1,
            bias,
        });
    }

    /// Last stamp whose tick is known; `None` when every stamp so far is.
    pub(crate) fn resolved_until(&self) -> Option<u64> {
        self.halts.first().map(|halt| halt.stamp)
    }

    /// Treats what is unresolved as if time had not jumped. Returns the stamp after which that is doubtful.
    pub(crate) fn give_up(&mut self) -> Option<u64> {
        let first = self.halts.first()?.stamp;
        self.halts.clear();
        self.doubtful_after = Some(first);
        Some(first)
    }

    /// The tick of a stamp that is resolved.
    pub(crate) fn tick(&self, stamp: u64) -> u64 {
        tick(&self.segments, self.shift, stamp)
    }

    /// The segments that cover the stamps from `first` to `last`.
    pub(crate) fn segments(&self, first: u64, last: u64) -> Vec<Segment> {
        let start = self
            .segments
            .partition_point(|segment| segment.first_stamp <= first)
            .saturating_sub(1);
        let end = self
            .segments
            .partition_point(|segment| segment.first_stamp <= last);
        self.segments[start..end.max(start + 1)].to_vec()
    }

    /// Idle periods whose jumps are known only in sum.
    pub(crate) fn ambiguous_jumps(&self) -> u64 {
        self.ambiguous_jumps
    }

    /// How well counts predicted the RDTSCs between which time cannot have jumped.
    pub(crate) fn exactness(&self) -> Exactness {
        let compared: u64 = self.errors.iter().sum();
        let mut seen = 0;
        let within_p99 = self.errors.iter().position(|count| {
            seen += count;
            seen * 100 >= compared * 99
        });
        Exactness {
            compared,
            exact: self.errors[0],
            error_p99: within_p99.unwrap_or(0) as u64,
            error_max: self.error_max,
        }
    }

    fn note_error(&mut self, error: u64) {
        let ticks = error.cast_signed().unsigned_abs();
        let index = usize::try_from(ticks)
            .unwrap_or(usize::MAX)
            .min(ERROR_TICKS_MAX);
        self.errors[index] += 1;
        self.error_max = self.error_max.max(ticks);
    }
}

/// Tick of a stamp that `segments` cover.
pub(crate) fn tick(segments: &[Segment], shift: u8, stamp: u64) -> u64 {
    let index = segments
        .partition_point(|segment| segment.first_stamp <= stamp)
        .saturating_sub(1);
    (stamp << shift).wrapping_add(segments.get(index).map_or(0, |segment| segment.bias))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(clock: &CountedClock, stamps: &[u64]) -> Vec<u64> {
        let segments = clock.segments(0, u64::MAX);
        stamps
            .iter()
            .map(|stamp| tick(&segments, 3, *stamp))
            .collect()
    }

    #[test]
    fn a_jump_counts_from_the_instruction_after_the_halt() {
        let mut clock = CountedClock::new(3, 1);
        clock.halt(0, 100);
        assert_eq!(clock.resolved_until(), Some(100));
        clock.synchronise(0, 110, 110 * 8 + 5000);
        assert_eq!(clock.resolved_until(), None);
        assert_eq!(ticks(&clock, &[99, 100, 101, 110]), [792, 800, 5808, 5880]);
        assert_eq!(clock.exactness(), Exactness::default());
    }

    #[test]
    fn a_halt_while_another_cpu_runs_cannot_jump() {
        let mut clock = CountedClock::new(3, 2);
        clock.runs(1);
        clock.halt(0, 100);
        clock.synchronise(1, 110, 880);
        assert_eq!(ticks(&clock, &[101]), [808]);
        assert_eq!(
            clock.exactness(),
            Exactness {
                compared: 1,
                exact: 1,
                ..Exactness::default()
            }
        );
    }

    #[test]
    fn the_last_of_two_cpus_to_halt_makes_the_jump() {
        let mut clock = CountedClock::new(3, 2);
        clock.runs(1);
        clock.halt(0, 100);
        clock.halt(1, 120);
        clock.synchronise(0, 130, 130 * 8 + 800);
        assert_eq!(ticks(&clock, &[101, 120, 121]), [808, 960, 968 + 800]);
        assert_eq!(clock.ambiguous_jumps(), 0);
    }

    #[test]
    fn an_error_of_the_count_is_measured_and_corrected_from_there_on() {
        let mut clock = CountedClock::new(3, 1);
        clock.synchronise(0, 10, 80);
        clock.synchronise(0, 20, 152);
        clock.synchronise(0, 30, 232);
        assert_eq!(ticks(&clock, &[19, 20, 30]), [152, 152, 232]);
        let exactness = clock.exactness();
        assert_eq!(
            (exactness.compared, exactness.exact, exactness.error_max),
            (3, 2, 8)
        );
    }
}
