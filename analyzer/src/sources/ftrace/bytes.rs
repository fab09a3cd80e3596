//! Numbers and texts of a file, one after the other, in the byte order of the machine that wrote it.

/// Where the next is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::sources) struct Bytes<'a> {
    rest: &'a [u8],
    /// Whether the first byte of a number is its highest.
    pub(in crate::sources) is_big_endian: bool,
}

impl<'a> Bytes<'a> {
    pub(in crate::sources) fn new(rest: &'a [u8], is_big_endian: bool) -> Self {
        Self {
            rest,
            is_big_endian,
        }
    }

    pub(in crate::sources) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// So many bytes.
    pub(in crate::sources) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Goes behind `expected`, if that comes next.
    pub(in crate::sources) fn expect(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut array = *self.take(N)?.first_chunk::<N>()?;
        if self.is_big_endian {
            array.reverse();
        }
        Some(array)
    }

    pub(in crate::sources) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(in crate::sources) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(in crate::sources) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number that counts or measures what is in the file.
    pub(in crate::sources) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok()
    }

    /// Text up to a NUL.
    pub(in crate::sources) fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    /// Text with its length in 32 bits before it.
    pub(in crate::sources) fn short_text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// Text with its length in 64 bits before it.
    pub(in crate::sources) fn long_text(&mut self) -> Option<&'a [u8]> {
        let length = self.size()?;
        self.take(length)
    }
}

/// Text of the file, as text.
pub(in crate::sources) fn lossy(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or(bytes);
    String::from_utf8_lossy(text).trim().to_owned()
}
