//! Reads numbers of any size at any bit.

use super::class::ByteOrder;

/// A place in the bytes of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: u64,
    /// In bits, no more than there are: what is behind it is not the packet's.
    end: u64,
}

/// The packet is shorter than what should be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short;

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let end = u64::try_from(bytes.len())
            .unwrap_or(u64::MAX)
            .saturating_mul(8);
        Self { bytes, at: 0, end }
    }

    /// In bits.
    #[inline]
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Byte at which or in which it is.
    #[inline]
    pub(super) fn byte(&self) -> usize {
        // No further than `bytes` is long.
        usize::try_from(self.at / 8).unwrap_or(usize::MAX)
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// In bits.
    #[inline]
    pub(super) fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Ends before bit `end`.
    pub(super) fn cut(&mut self, end: u64) {
        self.end = self.end.min(end);
    }

    /// Goes to a multiple of `align` bits, a power of two.
    #[inline]
    pub(super) fn align(&mut self, align: u64) -> Result<(), Short> {
        let mask = align - 1;
        let at = self.at.checked_add(mask).ok_or(Short)? & !mask;
        if at > self.end {
            return Err(Short);
        }
        self.at = at;
        Ok(())
    }

    #[inline]
    fn take(&mut self, bits: u64) -> Result<u64, Short> {
        let at = self.at;
        let next = at.checked_add(bits).ok_or(Short)?;
        if next > self.end {
            return Err(Short);
        }
        self.at = next;
        Ok(at)
    }

    /// The next `count` bytes; the cursor has to be at a whole byte.
    #[inline]
    pub(super) fn bytes(&mut self, count: u64) -> Result<&'a [u8], Short> {
        let from = self.byte();
        self.take(count.checked_mul(8).ok_or(Short)?)?;
        self.bytes.get(from..self.byte()).ok_or(Short)
    }

    /// Bytes up to `width` zeros in a row that begin at a multiple of it; these are passed over.
    #[inline]
    pub(super) fn text(&mut self, width: usize) -> Result<&'a [u8], Short> {
        self.align(8)?;
        let end = usize::try_from(self.end / 8).unwrap_or(usize::MAX);
        let rest = self.bytes.get(self.byte()..end).ok_or(Short)?;
        let length = if width == 1 {
            rest.iter().position(|byte| *byte == 0).ok_or(Short)?
        } else {
            let mut all = rest.chunks_exact(width);
            let is_end = |chunk: &[u8]| chunk.iter().all(|byte| *byte == 0);
            all.position(is_end).ok_or(Short)? * width
        };
        let bits = u64::try_from(length + width)
            .unwrap_or(u64::MAX)
            .saturating_mul(8);
        self.take(bits)?;
        Ok(&rest[..length])
    }

    /// A number of 1 to 64 bits; a signed one has its sign in all bits above.
    #[inline]
    pub(super) fn number(
        &mut self,
        bits: u32,
        order: ByteOrder,
        is_signed: bool,
    ) -> Result<u64, Short> {
        let at = self.take(u64::from(bits))?;
        let from = usize::try_from(at / 8).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).ok_or(Short)?;
        let value = match (at % 8, bits) {
            (0, 8) => rest.first().map(|byte| u64::from(*byte)),
            (0, 32) if order == ByteOrder::Little => rest
                .first_chunk()
                .map(|four| u64::from(u32::from_le_bytes(*four))),
            (0, 64) if order == ByteOrder::Little => {
                rest.first_chunk().map(|eight| u64::from_le_bytes(*eight))
            }
            (skip, _) if order == ByteOrder::Little => little(rest, skip, bits),
            (skip, _) => big(rest, skip, bits),
        };
        let value = value.ok_or(Short)?;
        Ok(if is_signed {
            extend(value, bits)
        } else {
            value
        })
    }

    /// A number of LEB128.
    pub(super) fn var_int(&mut self, is_signed: bool) -> Result<u64, Short> {
        self.align(8)?;
        let (mut value, mut shift) = (0u64, 0u32);
        loop {
            let byte = *self.bytes(1)?.first().ok_or(Short)?;
            if shift < 64 {
                value |= u64::from(byte & 0x7F) << shift;
            }
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(if is_signed {
                    extend(value, shift)
                } else {
                    value
                });
            }
            if shift > 70 {
                return Err(Short);
            }
        }
    }
}

/// Bytes that a number of `bits` bits touches which begins `skip` bits into the first: at most nine.
#[inline]
fn touched(bytes: &[u8], skip: u64, bits: u32) -> Option<&[u8]> {
    let count = (skip + u64::from(bits)).div_ceil(8);
    bytes.get(..usize::try_from(count).ok()?)
}

#[inline]
fn little(bytes: &[u8], skip: u64, bits: u32) -> Option<u64> {
    // The usual case: all of it is within the next eight bytes.
    if let Some(eight) = bytes.first_chunk()
        && skip + u64::from(bits) <= 64
    {
        let value = u64::from_le_bytes(*eight) >> skip;
        return Some(if bits == 64 {
            value
        } else {
            value & ((1 << bits) - 1)
        });
    }
    let wide = fold(touched(bytes, skip, bits)?.iter().rev()) >> skip;
    masked(wide, bits)
}

#[inline]
fn big(bytes: &[u8], skip: u64, bits: u32) -> Option<u64> {
    let touched = touched(bytes, skip, bits)?;
    let unused = u64::try_from(touched.len()).ok()? * 8 - skip - u64::from(bits);
    masked(fold(touched.iter()) >> unused, bits)
}

fn masked(wide: u128, bits: u32) -> Option<u64> {
    u64::try_from(wide & ((1 << bits) - 1)).ok()
}

fn fold<'b>(bytes: impl Iterator<Item = &'b u8>) -> u128 {
    bytes.fold(0, |value, byte| value << 8 | u128::from(*byte))
}

/// Copies the sign of a number of so many bits into the bits above.
#[inline]
fn extend(value: u64, bits: u32) -> u64 {
    let unused = 64 - bits.clamp(1, 64);
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_where_the_specification_has_them() {
        // CTF 1.8's compact header: 5 bits of id, 27 of time.
        let word: u32 = 0x123_4567 << 5 | 19;
        let bytes = word.to_le_bytes();
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.number(5, ByteOrder::Little, false), Ok(19));
        assert_eq!(cursor.number(27, ByteOrder::Little, false), Ok(0x123_4567));
        assert_eq!(cursor.number(1, ByteOrder::Little, false), Err(Short));
        let word: u32 = 19 << 27 | 0x123_4567;
        let bytes = word.to_be_bytes();
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.number(5, ByteOrder::Big, false), Ok(19));
        assert_eq!(cursor.number(27, ByteOrder::Big, false), Ok(0x123_4567));
        let mut cursor = Cursor::new(&[0xFE, 0xFF, 0x80, 0x01]);
        assert_eq!(cursor.number(16, ByteOrder::Little, true), Ok(u64::MAX - 1));
        let expected = 0x8001u64.wrapping_sub(0x1_0000);
        assert_eq!(cursor.number(16, ByteOrder::Big, true), Ok(expected));
    }

    #[test]
    fn a_number_of_64_bits_may_touch_nine_bytes() {
        let bytes: Vec<u8> = (1..=9).collect();
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.number(3, ByteOrder::Little, false), Ok(1));
        let wide = u128::from_le_bytes(*b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\0\0\0\0\0\0\0") >> 3;
        let expected = u64::try_from(wide & u128::from(u64::MAX)).unwrap();
        assert_eq!(cursor.number(64, ByteOrder::Little, false), Ok(expected));
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.number(3, ByteOrder::Big, false), Ok(0));
        assert_eq!(
            cursor.number(64, ByteOrder::Big, false),
            Ok(0x0810_1820_2830_3840)
        );
    }

    #[test]
    fn texts_end_at_a_whole_character() {
        let mut cursor = Cursor::new(b"ab\0\0c\0\0\0x");
        assert_eq!(cursor.text(1), Ok(&b"ab"[..]));
        assert_eq!(cursor.text(1), Ok(&b""[..]));
        assert_eq!(cursor.text(2), Ok(&b"c\0"[..]));
        assert_eq!(cursor.text(1), Err(Short));
    }

    #[test]
    fn variable_numbers_end() {
        let bytes = [0xE5, 0x8E, 0x26, 0x7F, 0x80];
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.var_int(false), Ok(624_485));
        assert_eq!(cursor.var_int(true), Ok(u64::MAX));
        assert_eq!(cursor.var_int(false), Err(Short));
        assert_eq!(Cursor::new(&[0xFF; 20]).var_int(false), Err(Short));
    }
}
