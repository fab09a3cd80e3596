//! Protocol buffers, as far as they are the same for every message: numbered fields, one after the other.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    /// A number: of variable length, or of 32 or 64 bits.
    Number(u64),
    /// Text, bytes, a message, or numbers in a row.
    Bytes(&'a [u8]),
}

/// Walks over the fields of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// Whether the message was broken somewhere: the walk ended there.
    pub(super) is_broken: bool,
}

/// Reads a number of variable length, and goes behind it.
#[inline]
pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if *byte < 0x80 {
            *rest = &rest[index + 1..];
            return Some(value);
        }
    }
    None
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            is_broken: false,
        }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn read(&mut self) -> Option<(u32, Wire<'a>)> {
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut self.rest)?),
            1 => Wire::Number(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Number(u64::from(u32::from_le_bytes(self.array()?))),
            _ => return None,
        };
        Some((number, value))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*array)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Wire<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.is_broken {
            return None;
        }
        let before = self.rest;
        let field = self.read();
        if field.is_none() {
            self.rest = before;
            self.is_broken = true;
        }
        field
    }
}

impl<'a> Wire<'a> {
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bytes(_) => None,
        }
    }

    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Number(_) => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

/// The number of a field; the last where there are several.
pub(super) fn number_in(message: &[u8], field: u32) -> Option<u64> {
    let all = Fields::new(message).filter(|(number, _)| *number == field);
    all.filter_map(|(_, value)| value.number()).last()
}

/// The bytes of a field; the last where there are several.
pub(super) fn bytes_in(message: &[u8], field: u32) -> Option<&[u8]> {
    all_in(message, field).last()
}

/// The bytes of all fields of that number.
pub(super) fn all_in(message: &[u8], field: u32) -> impl Iterator<Item = &[u8]> {
    let all = Fields::new(message).filter(move |(number, _)| *number == field);
    all.filter_map(|(_, value)| value.bytes())
}

/// The text of a field.
pub(super) fn text_in(message: &[u8], field: u32) -> Option<String> {
    bytes_in(message, field).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_kinds_are_read() {
        let message = b"\x08\x96\x01\x12\x02hi\x19\x01\0\0\0\0\0\0\0\x25\x02\0\0\0";
        let fields: Vec<_> = Fields::new(message).collect();
        let expected = [
            (1, Wire::Number(150)),
            (2, Wire::Bytes(b"hi")),
            (3, Wire::Number(1)),
            (4, Wire::Number(2)),
        ];
        assert_eq!(fields, expected);
        for end in 0..message.len() {
            let mut fields = Fields::new(&message[..end]);
            let count = fields.by_ref().count();
            let is_whole = [0, 3, 7, 16].contains(&end);
            assert_eq!(fields.is_broken, !is_whole, "{end} bytes, {count} fields");
        }
        for broken in [
            &b"\0"[..],
            b"\x0b",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            let mut fields = Fields::new(broken);
            assert_eq!(fields.by_ref().count(), 0);
            assert!(fields.is_broken);
        }
    }
}
