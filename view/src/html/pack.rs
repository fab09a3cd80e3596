//! Columns of numbers and texts as a block: small before it is compressed, and quick to read in a page.

/// Columns, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Vec<u8>>);

impl Columns {
    /// So many that are empty.
    pub(super) fn new(count: usize) -> Self {
        Self(vec![Vec::new(); count])
    }

    /// Adds a number to a column, in as many groups of seven bits as it has.
    pub(super) fn push(&mut self, column: usize, number: u64) {
        let mut rest = number;
        while rest > 0x7F {
            self.0[column].push(0x80 | low_bits(rest));
            rest >>= 7;
        }
        self.0[column].push(low_bits(rest));
    }

    /// Adds bytes to a column.
    pub(super) fn extend(&mut self, column: usize, bytes: &[u8]) {
        self.0[column].extend_from_slice(bytes);
    }

    /// Bytes in all of them.
    fn bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The lengths of all columns, then what is in them.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes() + 8 * self.0.len());
        let numbers = [self.0.len()]
            .into_iter()
            .chain(self.0.iter().map(Vec::len));
        for number in numbers {
            // A block is no longer than that: writers begin a new one long before.
            out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend(self.0.into_iter().flatten());
        out
    }
}

fn low_bits(number: u64) -> u8 {
    (number & 0x7F).to_le_bytes()[0]
}

/// Bytes in base64, as RFC 4648 has it.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4_usize {
            let value = bits >> (18 - 6 * digit) & 0x3F;
            let is_padding = digit > three.len();
            out.push(if is_padding {
                '='
            } else {
                DIGITS[value as usize].into()
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let cases = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (length, expected) in cases.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *expected);
        }
        assert_eq!(base64(&[0xFF, 0xFE, 0xFD]), "//79");
    }

    #[test]
    fn columns_begin_with_their_lengths() {
        let mut columns = Columns::new(2);
        columns.push(0, 300);
        columns.push(0, 1);
        columns.extend(1, b"a\n");
        let expected = [2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0xAC, 2, 1, b'a', b'\n'];
        assert_eq!(columns.finish(), expected);
    }
}
