//! Times as users write them: `1.5`, `1.5s`, `200ms`, `15us`, `7ns`.

use crate::model::GuestNanos;

const UNITS: [(&str, u64); 5] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("", 1_000_000_000),
];

/// Reads a time; without a unit it is in seconds. `None` when it is none, or too long.
#[must_use]
pub fn parse_time(text: &str) -> Option<GuestNanos> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if part.is_empty() {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let mut time = whole.checked_mul(*nanos)?;
    let mut place = *nanos;
    for digit in part.chars() {
        let digit = digit.to_digit(10)?;
        place /= 10;
        time = time.checked_add(u64::from(digit) * place)?;
    }
    Some(GuestNanos(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let good = [
            ("0", 0),
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            ("1.5s", 1_500_000_000),
            ("0.000000001", 1),
            ("0.0000000019", 1),
            ("2.5ms", 2_500_000),
            ("15us", 15_000),
            ("7ns", 7),
        ];
        for (text, nanos) in good {
            assert_eq!(parse_time(text), Some(GuestNanos(nanos)), "{text}");
        }
        for text in [
            "",
            ".",
            "s",
            "-1",
            "1.",
            "1.2.3",
            "1m",
            "99999999999999999999",
            "20000000000s",
            "1 s",
        ] {
            assert!(parse_time(text).is_none(), "{text}");
        }
    }
}
