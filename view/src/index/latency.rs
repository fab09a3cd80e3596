//! How long things took: system calls, interrupts, wake-ups, requests, one table for each.

use serde::Serialize;

use super::column::Column;
use super::states::StateId;

macro_rules! latency_kinds {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// What takes a time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LatencyKind {
            $(#[doc = $doc] $variant,)*
        }

        impl LatencyKind {
            /// Every kind; its position is its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name, for programs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

latency_kinds! {
    Syscall "syscall" "A system call, from entry to exit.";
    Trap "trap" "An exception.";
    Irq "irq" "An interrupt.";
    Handler "handler" "A driver's handler of an interrupt.";
    Softirq "softirq" "A softirq.";
    Wakeup "wakeup" "From being woken to running.";
    Request "request" "A request to a disk, from being issued to being done.";
}

/// One thing that took a time.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Its kind.
    pub kind: LatencyKind,
    /// When it was over.
    pub end: u64,
    /// Its length in nanoseconds.
    pub length: u64,
    /// Whose.
    pub row: u32,
    /// What, exactly.
    pub state: StateId,
}

/// All of one kind, in the order of their ends.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// Ends.
    pub ends: Column<u64>,
    /// Lengths.
    pub lengths: Column<u64>,
    /// Whose.
    pub rows: Column<u32>,
    /// What.
    pub states: Column<StateId>,
}

/// What is asked of a table.
#[derive(Clone, Copy, Debug)]
pub struct LatencyQuestion {
    /// Ends from then on.
    pub from: u64,
    /// And before then.
    pub to: u64,
    /// Columns of the picture.
    pub width: usize,
    /// Its rows.
    pub height: usize,
    /// Only of this row.
    pub row: Option<u32>,
    /// Only this.
    pub state: Option<StateId>,
}

/// The answer, as the page gets it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LatencyPicture {
    count: u64,
    min_ns: u64,
    mean_ns: f64,
    max_ns: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    buckets: Vec<(u64, u64)>,
    low_ns: u64,
    high_ns: u64,
    cells: Vec<(usize, usize, u64, u64, u64, u32, StateId)>,
    states: Vec<(StateId, u64, u64)>,
    slowest: Vec<(u64, u64, u32, StateId)>,
}

/// Longest that are named one by one.
const SLOWEST_MAX: usize = 20;
/// Parts of a power of two that percentiles tell apart.
const PARTS: u32 = 16;

impl Latencies {
    /// Adds one; its end must not be before that of the last one, and is taken for that otherwise.
    pub fn push(&mut self, latency: &Latency) {
        let end = latency.end.max(self.ends.last().copied().unwrap_or(0));
        self.ends.push(end);
        self.lengths.push(latency.length);
        self.rows.push(latency.row);
        self.states.push(latency.state);
    }

    fn chosen<'a>(
        &'a self,
        question: &'a LatencyQuestion,
    ) -> impl Iterator<Item = (u64, u64, u32, StateId)> + 'a {
        let first = self.ends.partition_point(|end| *end < question.from);
        let last = self.ends.partition_point(|end| *end < question.to);
        let (rows, states) = (&self.rows[..], &self.states[..]);
        let (ends, lengths) = (&self.ends[..], &self.lengths[..]);
        (first..last.max(first))
            .filter(move |index| question.row.is_none_or(|row| rows[*index] == row))
            .filter(move |index| question.state.is_none_or(|state| states[*index] == state))
            .map(move |index| (ends[index], lengths[index], rows[index], states[index]))
    }

    /// Draws what is asked for.
    #[must_use]
    pub fn picture(&self, question: &LatencyQuestion) -> LatencyPicture {
        let mut picture = LatencyPicture::default();
        let mut fine = vec![0u64; (64 * PARTS) as usize];
        let mut by_state = std::collections::BTreeMap::<StateId, (u64, u64)>::new();
        let mut sum = 0u128;
        let mut slowest = std::collections::BinaryHeap::new();
        picture.min_ns = u64::MAX;
        for (end, length, row, state) in self.chosen(question) {
            picture.count += 1;
            sum += u128::from(length);
            picture.min_ns = picture.min_ns.min(length);
            picture.max_ns = picture.max_ns.max(length);
            fine[fine_bucket(length)] += 1;
            let of_state = by_state.entry(state).or_default();
            *of_state = (of_state.0 + 1, of_state.1.saturating_add(length));
            slowest.push(std::cmp::Reverse((length, end, row, state)));
            if slowest.len() > SLOWEST_MAX {
                slowest.pop();
            }
        }
        if picture.count == 0 {
            picture.min_ns = 0;
            return picture;
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "a mean is shown with few digits"
        )]
        let mean = sum as f64 / picture.count as f64;
        picture.mean_ns = mean;
        picture.p50_ns = percentile(&fine, picture.count, 50).clamp(picture.min_ns, picture.max_ns);
        picture.p90_ns = percentile(&fine, picture.count, 90).clamp(picture.min_ns, picture.max_ns);
        picture.p99_ns = percentile(&fine, picture.count, 99).clamp(picture.min_ns, picture.max_ns);
        picture.buckets = powers(&fine);
        picture.low_ns = 1 << picture.min_ns.max(1).ilog2();
        let high = picture.max_ns.checked_next_power_of_two();
        picture.high_ns = high
            .unwrap_or(u64::MAX)
            .max(picture.low_ns.saturating_mul(2));
        let states = by_state.into_iter();
        picture.states = states
            .map(|(state, (count, sum))| (state, count, sum))
            .collect();
        picture
            .states
            .sort_by_key(|(_, _, sum)| std::cmp::Reverse(*sum));
        let slowest = slowest.into_sorted_vec().into_iter();
        picture.slowest = slowest.map(|std::cmp::Reverse(one)| one).collect();
        self.draw(question, &mut picture);
        picture
    }

    fn draw(&self, question: &LatencyQuestion, picture: &mut LatencyPicture) {
        type Cell = (u64, u64, u64, u32, StateId);
        let (width, height) = (question.width.max(1), question.height.max(1));
        let mut cells: Vec<Cell> = vec![(0, 0, 0, 0, 0); width * height];
        let last = self.ends.last().copied().unwrap_or(0).saturating_add(1);
        let span = question.to.min(last).saturating_sub(question.from).max(1);
        let low = log2(picture.low_ns);
        let logs = (log2(picture.high_ns) - low).max(1.0);
        for (end, length, row, state) in self.chosen(question) {
            let x = u128::from(end - question.from) * width as u128 / u128::from(span);
            let x = usize::try_from(x).unwrap_or(width).min(width - 1);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "a place in a picture: between 0 and its height, or clamped to that"
            )]
            let y = (((log2(length.max(1)) - low) / logs * height as f64) as usize).min(height - 1);
            let cell = &mut cells[y * width + x];
            let count = cell.0 + 1;
            if length >= cell.1 {
                *cell = (count, length, end, row, state);
            } else {
                cell.0 = count;
            }
        }
        let drawn = cells.into_iter().enumerate().filter(|(_, cell)| cell.0 > 0);
        picture.cells = drawn
            .map(|(at, (count, length, end, row, state))| {
                (at % width, at / width, count, length, end, row, state)
            })
            .collect();
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "the place of a dot in a picture"
)]
fn log2(value: u64) -> f64 {
    (value as f64).log2()
}

/// Bucket of a length: sixteen for each power of two.
fn fine_bucket(length: u64) -> usize {
    let length = length.max(1);
    let power = length.ilog2();
    let part = match power {
        0..4 => (length << (4 - power)) & u64::from(PARTS - 1),
        _ => (length >> (power - 4)) & u64::from(PARTS - 1),
    };
    power as usize * PARTS as usize + usize::try_from(part).unwrap_or(0)
}

/// Middle of a bucket.
fn fine_middle(bucket: usize) -> u64 {
    let power = u32::try_from(bucket).unwrap_or(0) / PARTS;
    let part = (bucket % PARTS as usize) as u128;
    let start = (1u128 << power) + ((part << power) >> 4);
    let middle = start + ((1u128 << power) >> 5);
    u64::try_from(middle).unwrap_or(u64::MAX)
}

fn percentile(fine: &[u64], count: u64, percent: u64) -> u64 {
    let rank = u128::from(count) * u128::from(percent) / 100;
    let mut below = 0u128;
    for (bucket, own) in fine.iter().enumerate() {
        below += u128::from(*own);
        if below > rank {
            return fine_middle(bucket);
        }
    }
    u64::MAX
}

/// Counts by power of two, from the first to the last that has any.
fn powers(fine: &[u64]) -> Vec<(u64, u64)> {
    let counts: Vec<u64> = fine
        .chunks(PARTS as usize)
        .map(|parts| parts.iter().sum())
        .collect();
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    (first..=last)
        .filter_map(|power| Some((1u64.checked_shl(u32::try_from(power).ok()?)?, counts[power])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_in_the_bucket_whose_middle_is_near() {
        for length in [1, 2, 3, 7, 15, 16, 17, 100, 1000, 123_456_789, u64::MAX] {
            let middle = fine_middle(fine_bucket(length));
            let apart = middle.abs_diff(length);
            assert!(apart <= length / 16 + 1, "{length} is put at {middle}");
        }
    }
}
