//! Numbers as text, appended without allocation.

use crate::model::GuestNanos;

/// Appends a number in decimal.
#[inline]
pub(super) fn push_decimal(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a number in decimal.
#[inline]
pub(super) fn push_signed(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a number in hexadecimal, with its prefix.
#[inline]
pub(super) fn push_hex(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(b"0x");
    let digits = (u64::BITS - (value | 1).leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.push(HEX_DIGITS[(value >> (4 * digit) & 0xF) as usize]);
    }
}

pub(super) const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends a time in seconds with nine decimals.
#[inline]
pub(super) fn push_seconds(out: &mut Vec<u8>, time: GuestNanos) {
    push_decimal(out, time.0 / 1_000_000_000);
    // A leading 1 keeps the zeros; it is then overwritten by the point.
    let start = out.len();
    push_decimal(out, time.0 % 1_000_000_000 + 1_000_000_000);
    out[start] = b'.';
}

/// A time in seconds with nine decimals.
#[must_use]
pub fn seconds(time: GuestNanos) -> String {
    format!("{}.{:09}", time.0 / 1_000_000_000, time.0 % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_as_the_standard_library_writes_them() {
        for value in [0, 1, 9, 0xF, 0x10, 0xFFFF_FFFF, 1 << 63, u64::MAX] {
            assert_eq!(text(|out| push_decimal(out, value)), format!("{value}"));
            assert_eq!(text(|out| push_hex(out, value)), format!("{value:#x}"));
            let signed = value.cast_signed();
            assert_eq!(text(|out| push_signed(out, signed)), format!("{signed}"));
        }
        for (nanos, expected) in [
            (0, "0.000000000"),
            (1_000_000_001, "1.000000001"),
            (999_999_999, "0.999999999"),
        ] {
            assert_eq!(text(|out| push_seconds(out, GuestNanos(nanos))), expected);
        }
    }
}
