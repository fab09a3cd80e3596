//! Measures how long it takes from one event to another.

use std::collections::HashMap;

use super::super::amount::Amount;
use super::super::bind::{Bound, Fit};
use super::super::limits::Bounds;
use super::super::outcome::{Offenders, Verdict};
use super::super::rule::Stat;
use super::super::watch::{Lines, ROLES};
use super::{Doubt, Judged};
use crate::model::GuestNanos;
use crate::report::Distribution;
use crate::sources::Record;

/// More periods are not open at once in any guest; a trace may say so all the same.
const OPEN_MAX: usize = 1 << 20;

/// Conditions: what begins a period, what ends it.
#[derive(Debug)]
pub(in super::super) struct Periods {
    /// What both have in common, in the words of either.
    by: Option<(Bound, Bound)>,
    limits: Vec<Limited>,
    is_optional: bool,
    open: HashMap<u64, GuestNanos>,
    lengths: Distribution,
    offenders: Offenders,
    /// Periods longer than this speak against the rule.
    length_max: Option<GuestNanos>,
    /// Periods shorter than this do.
    length_min: Option<GuestNanos>,
    /// Whether one was.
    is_short: bool,
    pub(super) doubt: Doubt,
}

/// A number that is limited.
#[derive(Debug)]
pub(in super::super) struct Limited {
    pub(in super::super) stat: Stat,
    pub(in super::super) bounds: Bounds,
    pub(in super::super) expected: String,
    /// How many periods are longer than the number may be.
    pub(in super::super) above: u64,
}

impl Periods {
    /// Holds the lengths of periods against limits.
    pub(in super::super) fn new(
        by: Option<(Bound, Bound)>,
        limits: Vec<Limited>,
        is_optional: bool,
        doubt: Doubt,
    ) -> Self {
        let high = |limited: &Limited| limited.bounds.high.map(Amount::as_nanos);
        let of_max = limits.iter().find(|limited| limited.stat == Stat::Max);
        let length_max = of_max.and_then(high).or(limits
            .iter()
            .filter(|it| it.stat != Stat::Min)
            .filter_map(high)
            .min());
        let low = |limited: &Limited| limited.bounds.low.map(Amount::as_nanos);
        let mut of_min = limits.iter().filter(|limited| limited.stat == Stat::Min);
        let length_min = of_min.find_map(low);
        Self {
            by,
            limits,
            is_optional,
            open: HashMap::new(),
            lengths: Distribution::default(),
            offenders: Offenders::default(),
            length_max,
            length_min,
            is_short: false,
            doubt,
        }
    }

    pub(super) fn record(&mut self, fits: [Fit; ROLES], record: &Record<'_>, lines: &mut Lines) {
        let [begin, end, _] = fits;
        if begin == Fit::Perhaps || end == Fit::Perhaps {
            self.doubt.undecided(record, lines);
        }
        // An event may end one period and begin the next.
        if end == Fit::Yes {
            match self
                .by
                .as_ref()
                .map_or(Some(0), |(_, by)| by.number(record))
            {
                Some(key) => {
                    if let Some(since) = self.open.remove(&key) {
                        let length = record.at.since(since);
                        self.add(length, since, || lines.line(record));
                        self.look_for_short(length, since, || lines.line(record));
                        self.lengths.add(length);
                    }
                }
                None => self.doubt.undecided(record, lines),
            }
        }
        if begin == Fit::Yes {
            match self
                .by
                .as_ref()
                .map_or(Some(0), |(by, _)| by.number(record))
            {
                Some(key) if self.open.len() < OPEN_MAX => {
                    self.open.entry(key).or_insert(record.at);
                }
                Some(_) | None => self.doubt.undecided(record, lines),
            }
        }
    }

    /// Looks whether a period is too long.
    fn add(&mut self, length: GuestNanos, since: GuestNanos, line: impl FnOnce() -> String) {
        for limited in &mut self.limits {
            let high = limited.bounds.high;
            limited.above +=
                u64::from(high.is_some_and(|high| high.is_below(Amount::nanos(length))));
        }
        if self.length_max.is_some_and(|max| length > max) {
            let text = || format!("{} up to {}", Amount::nanos(length), line());
            self.offenders.add(Some(since), text);
        }
    }

    /// Looks whether a period that has ended is too short.
    fn look_for_short(
        &mut self,
        length: GuestNanos,
        since: GuestNanos,
        line: impl FnOnce() -> String,
    ) {
        if self.length_min.is_some_and(|min| length < min) {
            let text = || format!("{} up to {}", Amount::nanos(length), line());
            self.offenders.add(Some(since), text);
            self.is_short = true;
        }
    }

    pub(super) fn lose(&mut self, since: GuestNanos) {
        self.doubt.lose(since);
        // Their ends may be among what is missing.
        self.open.clear();
    }

    pub(super) fn finish(mut self, end: GuestNanos) -> Judged {
        let mut open: Vec<GuestNanos> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_unstable();
        let max = self
            .limits
            .iter()
            .filter(|limited| limited.stat == Stat::Max);
        let max = max
            .filter_map(|limited| limited.bounds.high)
            .map(Amount::as_nanos)
            .min();
        let is_late = |since: &&GuestNanos| max.is_some_and(|max| end.since(**since) > max);
        // Of those that had no time to become too long nothing is known.
        let late: Vec<GuestNanos> = open.iter().filter(is_late).copied().collect();
        for since in late {
            self.add(end.since(since), since, || "the end, still open".to_owned());
        }
        let verdict = self.verdict();
        let numbers: Vec<(String, Amount)> = self
            .limits
            .iter()
            .map(|limited| (limited.stat.name().to_owned(), self.number(limited.stat)))
            .collect();
        let expected: Vec<String> = self
            .limits
            .iter()
            .map(|limited| format!("{} {}", limited.stat.name(), limited.expected))
            .collect();
        let mut found = match self.lengths.count() {
            1 => "1 period".to_owned(),
            count => format!("{count} periods"),
        };
        for (name, number) in &numbers {
            found.push_str(&format!(", {name} {number}"));
        }
        if !open.is_empty() {
            found.push_str(&format!(", {} not ended", open.len()));
        }
        self.doubt.explain(Judged {
            verdict,
            expected: expected.join(", "),
            found,
            offenders: self.offenders,
            reason: None,
            is_loss: false,
            numbers,
        })
    }

    fn number(&self, stat: Stat) -> Amount {
        Amount::nanos(match stat {
            Stat::Min => self.lengths.min(),
            Stat::Max => self.lengths.max(),
            Stat::Mean => self.lengths.mean(),
            Stat::Percentile(percent) => self.lengths.percentile(percent),
        })
    }

    fn verdict(&self) -> Verdict {
        let of_max = |limited: &&Limited| limited.stat == Stat::Max && limited.above > 0;
        if self.is_short || self.limits.iter().any(|limited| of_max(&limited)) {
            return Verdict::Failed;
        }
        if self.lengths.count() == 0 {
            let verdict = if self.is_optional {
                Verdict::Passed
            } else {
                Verdict::Failed
            };
            return self.doubt.shake(verdict);
        }
        let is_broken = |limited: &Limited| {
            let number = self.number(limited.stat);
            let low = Bounds {
                high: None,
                ..limited.bounds
            };
            let is_low = low.judge(number, Some(number)) == Verdict::Failed;
            is_low
                || limited
                    .bounds
                    .high
                    .is_some_and(|high| self.is_high(limited, high))
        };
        let broken = self.limits.iter().any(is_broken);
        self.doubt.shake(if broken {
            Verdict::Failed
        } else {
            Verdict::Passed
        })
    }

    /// Whether a number is higher than it may be; that of a percentile is known only to a thirtieth, this exactly.
    fn is_high(&self, limited: &Limited, high: Amount) -> bool {
        match limited.stat {
            Stat::Max => limited.above > 0,
            stat @ (Stat::Min | Stat::Mean) => high.is_below(self.number(stat)),
            Stat::Percentile(percent) => {
                let count = self.lengths.count();
                let wanted = count.saturating_mul(percent).div_ceil(100).max(1);
                count.saturating_sub(limited.above) < wanted
            }
        }
    }
}
