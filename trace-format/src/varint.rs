//! Numbers of variable length: seven bits a byte, least significant first, bit 7 says that more follow (LEB128).

/// Longest encoding of 64 bits.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Appends `value`.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Bytes that [`push`] appends.
#[inline]
pub(crate) fn length(value: u64) -> usize {
    // ceil(bits / 7), where 0 has one bit: 9/64 is 1/7 closely enough for 1 to 64 bits.
    let bits = u64::BITS - (value | 1).leading_zeros();
    ((bits * 9 + 64) / 64) as usize
}

/// Takes a number off the front of `bytes`; `None` when it is cut or has more than 64 bits.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    take_long(bytes)
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        if index + 1 == VARINT_BYTES_MAX && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Maps small differences of either sign to small numbers.
#[inline]
pub(crate) fn zigzag(difference: u64) -> u64 {
    let sign = 0u64.wrapping_sub(difference >> 63);
    (difference << 1) ^ sign
}

/// Undoes [`zigzag`].
#[inline]
pub(crate) fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ 0u64.wrapping_sub(value & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_round_trips() {
        for bits in 0..=64 {
            for value in [
                1u64.checked_shl(bits).unwrap_or(0),
                (1u64.checked_shl(bits).unwrap_or(0)).wrapping_sub(1),
            ] {
                let mut bytes = Vec::new();
                push(&mut bytes, value);
                assert_eq!(bytes.len(), length(value), "{value:#x}");
                let mut rest = &bytes[..];
                assert_eq!(take(&mut rest), Some(value));
                assert!(rest.is_empty());
                assert_eq!(unzigzag(zigzag(value)), value);
            }
        }
    }

    #[test]
    fn more_than_64_bits_and_cut_numbers_are_refused() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0xFF; 9],
            &[0xFF; 10],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2],
        ] {
            assert_eq!(take(&mut &bytes[..]), None, "{bytes:x?}");
        }
    }
}
