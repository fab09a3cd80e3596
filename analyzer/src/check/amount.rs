//! Numbers that rules compare: exact, in millionths, each with what it is a number of.

use std::fmt;

use crate::model::GuestNanos;
use crate::report::{Cell, parse_time};

const MILLION: i128 = 1_000_000;

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things that are counted.
    Things,
    /// Time.
    Nanos,
    /// Parts of a hundred.
    Percent,
}

impl Unit {
    /// In a few words, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Things => "a plain number",
            Self::Nanos => "a time",
            Self::Percent => "a percentage",
        }
    }
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) unit: Unit,
    millionths: i128,
}

impl Amount {
    /// A part of a hundred.
    pub(super) const ONE_PERCENT: Self = Self {
        unit: Unit::Percent,
        millionths: MILLION,
    };

    /// So many things.
    pub(super) fn things(number: u64) -> Self {
        Self {
            unit: Unit::Things,
            millionths: i128::from(number) * MILLION,
        }
    }

    /// So long.
    pub(super) fn nanos(length: GuestNanos) -> Self {
        Self {
            unit: Unit::Nanos,
            millionths: i128::from(length.0) * MILLION,
        }
    }

    /// What part `part` is of `whole`; 0 of nothing.
    pub(super) fn percent(part: GuestNanos, whole: GuestNanos) -> Self {
        let parts = i128::from(part.0) * 100 * MILLION;
        Self {
            unit: Unit::Percent,
            millionths: parts.checked_div(i128::from(whole.0)).unwrap_or(0),
        }
    }

    /// `3`, `1.5`, `20%` or a time with its unit, such as `5ms`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (unit, number) = match text.strip_suffix('%') {
            Some(number) => (Unit::Percent, number.trim_end()),
            None => (Unit::Things, text),
        };
        if let Some(millionths) = decimal(number) {
            return Some(Self { unit, millionths });
        }
        parse_time(text).map(Self::nanos)
    }

    /// The number in a cell of a report.
    pub(super) fn of_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Count(number) | Cell::Hex(number) => Some(Self::things(*number)),
            Cell::Flag(flag) => Some(Self::things(u64::from(*flag))),
            Cell::Time(time) | Cell::Length(time) => Some(Self::nanos(*time)),
            Cell::Percent(percent) => Some(Self {
                unit: Unit::Percent,
                millionths: decimal(&format!("{percent:.6}"))?,
            }),
            Cell::Absent | Cell::Text(_) | Cell::Branch { .. } | Cell::Bar { .. } => None,
        }
    }

    /// Whether it is less than another of the same unit.
    pub(super) fn is_below(self, other: Self) -> bool {
        self.millionths < other.millionths
    }

    /// The sum with another of the same unit.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            millionths: self.millionths.saturating_add(other.millionths),
            ..self
        }
    }

    /// The difference to another of the same unit; at least 0.
    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            millionths: self.millionths.saturating_sub(other.millionths).max(0),
            ..self
        }
    }

    /// So many percent of it, if `part` is in percent and the number itself is not; otherwise `part`.
    pub(super) fn share(self, part: Self) -> Self {
        if part.unit != Unit::Percent || self.unit == Unit::Percent {
            return Self {
                unit: self.unit,
                ..part
            };
        }
        Self {
            millionths: self.millionths.saturating_mul(part.millionths) / (100 * MILLION),
            ..self
        }
    }

    /// As a length of time, rounded down; 0 of anything else.
    pub(super) fn as_nanos(self) -> GuestNanos {
        GuestNanos(u64::try_from(self.millionths / MILLION).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: i128 = 1_000_000_000 * MILLION;
        let (scale, unit) = match self.unit {
            Unit::Things => (MILLION, ""),
            Unit::Percent => (MILLION, " %"),
            Unit::Nanos if self.millionths >= SECOND => (SECOND, " s"),
            Unit::Nanos if self.millionths >= SECOND / 1000 => (SECOND / 1000, " ms"),
            Unit::Nanos if self.millionths >= SECOND / 1_000_000 => (SECOND / 1_000_000, " us"),
            Unit::Nanos => (MILLION, " ns"),
        };
        write!(out, "{}", self.millionths / scale)?;
        let mut rest = self.millionths % scale;
        let mut place = scale / 10;
        if rest != 0 {
            out.write_str(".")?;
        }
        while rest != 0 && place != 0 {
            write!(out, "{}", rest / place)?;
            rest %= place;
            place /= 10;
        }
        out.write_str(unit)
    }
}

/// Millionths of a decimal number without sign; what is beyond them is cut off.
fn decimal(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let mut sum = i128::from(whole) * MILLION;
    let mut place = MILLION;
    for digit in part.bytes() {
        place /= 10;
        sum += i128::from(digit - b'0') * place;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_people_read_them() {
        for (text, shown) in [
            ("0", "0"),
            ("12", "12"),
            ("1.5", "1.5"),
            ("20%", "20 %"),
            ("0.25 %", "0.25 %"),
            ("5ms", "5 ms"),
            ("1500us", "1.5 ms"),
            ("1234567890ns", "1.23456789 s"),
            ("7ns", "7 ns"),
            ("0ns", "0 ns"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let amount = Amount::parse(text).map(|amount| amount.to_string());
            assert_eq!(amount.as_deref(), Some(shown), "{text}");
        }
        for text in [
            "",
            "-1",
            "%",
            "5 parsecs",
            "1.",
            ".5",
            "1e3",
            "99999999999999999999",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_is_of_the_number() {
        let part = |of: &str, part: &str| {
            let amount = |text| Amount::parse(text).unwrap();
            amount(of).share(amount(part)).to_string()
        };
        assert_eq!(part("200", "5%"), "10");
        assert_eq!(part("10ms", "25%"), "2.5 ms");
        assert_eq!(part("10ms", "1ms"), "1 ms");
        assert_eq!(part("40%", "5%"), "5 %");
    }
}
