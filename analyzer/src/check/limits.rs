//! Between what a number has to be, by itself or beside that of a golden trace.

use super::amount::{Amount, Unit};
use super::outcome::Verdict;

/// What a rule says of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) at_least: Option<Amount>,
    pub(super) at_most: Option<Amount>,
    pub(super) tolerance: Option<Tolerance>,
}

/// How far a number may be from that of the golden trace; in percent of it, or as the number itself is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tolerance {
    pub(super) over: Option<Amount>,
    pub(super) under: Option<Amount>,
}

/// The lowest and the highest that a number may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) low: Option<Amount>,
    pub(super) high: Option<Amount>,
}

impl Limits {
    /// At most so much.
    pub(super) fn at_most(amount: Amount) -> Self {
        Self {
            at_most: Some(amount),
            ..Self::default()
        }
    }

    /// At least so much.
    pub(super) fn at_least(amount: Amount) -> Self {
        Self {
            at_least: Some(amount),
            ..Self::default()
        }
    }

    /// Whether it says anything.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Its numbers as they are written in the rule, with the keys that they were written at.
    pub(super) fn amounts(&self) -> impl Iterator<Item = (&'static str, Amount)> {
        let tolerance = self.tolerance.as_ref();
        let over = tolerance.and_then(|tolerance| tolerance.over);
        let under = tolerance.and_then(|tolerance| tolerance.under);
        let pair = |one: Option<Amount>, other: Option<Amount>, keys: [&'static str; 3]| {
            if one.is_some() && one == other {
                [(keys[2], one), ("", None)]
            } else {
                [(keys[0], one), (keys[1], other)]
            }
        };
        let limits = pair(
            self.at_least,
            self.at_most,
            ["at_least", "at_most", "equals"],
        );
        let tolerances = pair(over, under, ["over", "under", "tolerance"]);
        let all = limits.into_iter().chain(tolerances);
        all.filter_map(|(key, amount)| Some((key, amount?)))
    }

    /// The first number that cannot be compared with one of `unit`; a tolerance in percent can be, with any.
    pub(super) fn misfit(&self, unit: Unit) -> Option<(&'static str, Amount)> {
        self.amounts().find(|(key, amount)| {
            let is_share =
                matches!(*key, "over" | "under" | "tolerance") && amount.unit == Unit::Percent;
            amount.unit != unit && !is_share
        })
    }

    /// The numbers that are possible, beside that of the golden trace.
    pub(super) fn bounds(&self, golden: Option<Amount>) -> Bounds {
        let (mut low, mut high) = (self.at_least, self.at_most);
        if let (Some(tolerance), Some(golden)) = (&self.tolerance, golden) {
            let over = tolerance.over.map(|over| golden.plus(golden.share(over)));
            let under = tolerance
                .under
                .map(|under| golden.minus(golden.share(under)));
            high = match (high, over) {
                (Some(high), Some(over)) => Some(if over.is_below(high) { over } else { high }),
                (high, over) => high.or(over),
            };
            low = match (low, under) {
                (Some(low), Some(under)) => Some(if low.is_below(under) { under } else { low }),
                (low, under) => low.or(under),
            };
        }
        Bounds { low, high }
    }

    /// What it asks for, in words.
    pub(super) fn describe(&self, golden: Option<Amount>) -> String {
        let mut parts = Vec::new();
        match (self.at_least, self.at_most) {
            (Some(low), Some(high)) if low == high => parts.push(format!("exactly {low}")),
            (low, high) => {
                parts.extend(low.map(|low| format!("at least {low}")));
                parts.extend(high.map(|high| format!("at most {high}")));
            }
        }
        if let Some(tolerance) = &self.tolerance {
            let golden = match golden {
                Some(golden) => format!("{golden} of the golden trace"),
                None => "the number of the golden trace".to_owned(),
            };
            let side = |sign: &str, part: Option<Amount>| part.map(|part| format!("{sign}{part}"));
            let sides = [side("+", tolerance.over), side("-", tolerance.under)];
            let sides: Vec<String> = sides.into_iter().flatten().collect();
            parts.push(format!("{golden} {}", sides.join(" ")));
        }
        parts.join(", ")
    }
}

impl Bounds {
    /// Judges a number of which is known that it is at least `least`, and at most `most` if that is known.
    pub(super) fn judge(self, least: Amount, most: Option<Amount>) -> Verdict {
        let is_above = self.high.is_some_and(|high| high.is_below(least));
        let is_below = match (most, self.low) {
            (Some(most), Some(low)) => most.is_below(low),
            _ => false,
        };
        if is_above || is_below {
            return Verdict::Failed;
        }
        let may_be_above = match (most, self.high) {
            (Some(most), Some(high)) => high.is_below(most),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let may_be_below = self.low.is_some_and(|low| least.is_below(low));
        if may_be_above || may_be_below {
            Verdict::Unknown
        } else {
            Verdict::Passed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        low: Option<u64>,
        high: Option<u64>,
        least: u64,
        most: Option<u64>,
        expected: Verdict,
    ) {
        let bounds = Bounds {
            low: low.map(Amount::things),
            high: high.map(Amount::things),
        };
        let found = bounds.judge(Amount::things(least), most.map(Amount::things));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        check(None, Some(3), 3, Some(3), Verdict::Passed);
        check(None, Some(3), 4, Some(4), Verdict::Failed);
        check(None, Some(3), 4, None, Verdict::Failed);
        check(None, Some(3), 3, None, Verdict::Unknown);
        check(Some(3), None, 3, None, Verdict::Passed);
        check(Some(3), None, 2, None, Verdict::Unknown);
        check(Some(3), None, 2, Some(2), Verdict::Failed);
        check(Some(3), Some(5), 2, Some(4), Verdict::Unknown);
        check(Some(3), Some(5), 3, Some(5), Verdict::Passed);
    }
}
