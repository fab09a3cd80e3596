//! How much happened when: counts and busy time in buckets that widen as the trace grows.

use serde::{Deserialize, Serialize};

/// Buckets at most; half of them are always in use once the trace is long enough.
pub const BUCKETS_MAX: usize = 8192;

macro_rules! rates {
    ($($variant:ident $name:literal;)*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rate {
            $(#[doc = $name] $variant,)*
        }

        impl Rate {
            /// Every rate; its position is its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name, for people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

rates! {
    Events "events";
    Syscalls "syscalls";
    Interrupts "interrupts";
    Switches "switches";
    Faults "faults";
    Requests "disk requests";
    Packets "packets";
    Wakeups "wakeups";
}

/// Counts of everything, and busy time of each CPU.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Histogram {
    /// Width of a bucket in nanoseconds.
    pub step: u64,
    /// By rate, by bucket.
    pub counts: Vec<Vec<u32>>,
    /// By CPU, by bucket: nanoseconds.
    pub busy: Vec<Vec<u64>>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            step: 1024,
            counts: vec![Vec::new(); Rate::ALL.len()],
            busy: Vec::new(),
        }
    }
}

impl Histogram {
    /// Counts one.
    #[inline]
    pub fn count(&mut self, rate: Rate, at: u64) {
        let bucket = self.bucket(at);
        let counts = &mut self.counts[rate as usize];
        if counts.len() <= bucket {
            counts.resize(bucket + 1, 0);
        }
        counts[bucket] = counts[bucket].saturating_add(1);
    }

    /// Adds busy time of a CPU.
    pub fn busy(&mut self, cpu: usize, start: u64, end: u64) {
        if end <= start {
            return;
        }
        let last = self.bucket(end - 1);
        if self.busy.len() <= cpu {
            self.busy.resize(cpu + 1, Vec::new());
        }
        let busy = &mut self.busy[cpu];
        if busy.len() <= last {
            busy.resize(last + 1, 0);
        }
        let mut at = start;
        while at < end {
            let bucket = usize::try_from(at / self.step).unwrap_or(last).min(last);
            let next = (at / self.step + 1).saturating_mul(self.step).min(end);
            busy[bucket] += next - at;
            at = next;
        }
    }

    /// Bucket of a time, for which buckets are made wider where that is needed.
    #[inline]
    fn bucket(&mut self, at: u64) -> usize {
        loop {
            match usize::try_from(at / self.step) {
                Ok(bucket) if bucket < BUCKETS_MAX => return bucket,
                _ => self.widen(),
            }
        }
    }

    fn widen(&mut self) {
        self.step = self.step.saturating_mul(2);
        for counts in &mut self.counts {
            *counts = counts
                .chunks(2)
                .map(|pair| {
                    pair.iter()
                        .fold(0, |sum: u32, one| sum.saturating_add(*one))
                })
                .collect();
        }
        for busy in &mut self.busy {
            *busy = busy.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
    }

    /// A picture of the time from `from` to `to`, of about so many buckets, none narrower than its own.
    #[must_use]
    pub fn picture(&self, (from, to): (u64, u64), width: usize) -> HistogramPicture {
        let first = from / self.step;
        let last = to.saturating_sub(1).max(from) / self.step;
        let wanted = u64::try_from(width.max(1)).unwrap_or(1);
        let per = (last - first + 1).div_ceil(wanted).max(1);
        let first = first / per * per;
        let count = (last - first + 1).div_ceil(per);
        let own = |bucket: u64| {
            let start = usize::try_from(first + bucket * per).unwrap_or(usize::MAX);
            let end = usize::try_from(first + (bucket + 1) * per).unwrap_or(usize::MAX);
            (start, end)
        };
        let sums = |counts: &[u32]| -> Vec<u64> {
            let sum = |(start, end): (usize, usize)| {
                let part = counts.get(start.min(counts.len())..end.min(counts.len()));
                part.map_or(0, |part| part.iter().map(|one| u64::from(*one)).sum())
            };
            (0..count).map(|bucket| sum(own(bucket))).collect()
        };
        let step = self.step.saturating_mul(per);
        let loads = |busy: &Vec<u64>| -> Vec<f64> {
            let load = |(start, end): (usize, usize)| {
                let part = busy.get(start.min(busy.len())..end.min(busy.len()));
                let sum: u64 = part.map_or(0, |part| part.iter().sum());
                #[allow(clippy::cast_precision_loss, reason = "a part of one, for a picture")]
                let load = sum as f64 / step as f64;
                (load * 1000.0).round() / 1000.0
            };
            (0..count).map(|bucket| load(own(bucket))).collect()
        };
        let mut rates = serde_json::Map::new();
        for rate in &Rate::ALL[1..] {
            let counts = sums(&self.counts[*rate as usize]);
            rates.insert(rate.name().to_owned(), counts.into());
        }
        HistogramPicture {
            from_ns: first.saturating_mul(self.step),
            step_ns: step,
            events: sums(&self.counts[Rate::Events as usize]),
            busy: self.busy.iter().map(loads).collect(),
            rates,
        }
    }
}

/// A picture of it, as the page gets it.
#[derive(Clone, Debug, Serialize)]
pub struct HistogramPicture {
    from_ns: u64,
    step_ns: u64,
    events: Vec<u64>,
    busy: Vec<Vec<f64>>,
    rates: serde_json::Map<String, serde_json::Value>,
}
