//! Records whose fields lie at fixed places: they are read when they are asked for, and not before.

use trace_format::Value;

/// Where the fields of one kind of event are, by their position in the schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The places.
    pub places: Vec<Place>,
    /// Whether the first byte of a number is its highest.
    pub is_big_endian: bool,
}

/// Where a field is in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the start of the record.
    pub offset: u32,
    /// Bytes. Numbers have 1, 2, 4 or 8.
    pub size: u32,
    /// What is there.
    pub kind: PlaceKind,
}

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// A number without sign.
    Unsigned,
    /// A two's complement number.
    Signed,
    /// Text up to a NUL or the end of the place.
    Text,
    /// All bytes of the place.
    Bytes,
    /// 32 bits: length << 16 | offset from the start of the record, of text there.
    FarText,
    /// The same, of bytes.
    FarBytes,
    /// The same of text, with an offset from the end of the place itself.
    RelativeText,
    /// The same of bytes, with an offset from the end of the place itself.
    RelativeBytes,
    /// Text from the place to the end of the record or a NUL.
    OpenText,
    /// Bytes from the place to the end of the record.
    OpenBytes,
}

/// A record with fields at fixed places.
#[derive(Clone, Copy, Debug)]
pub struct Laid<'a> {
    /// Where they are.
    pub layout: &'a Layout,
    /// The record.
    pub bytes: &'a [u8],
}

impl<'a> Laid<'a> {
    /// The field at `index`; missing where the record is too short for it.
    #[must_use]
    #[inline]
    pub fn value(&self, index: usize) -> Value<'a> {
        let place = self.layout.places.get(index);
        place
            .and_then(|place| self.at(place))
            .unwrap_or(Value::Missing)
    }

    fn at(&self, place: &Place) -> Option<Value<'a>> {
        let (from, size) = (place.offset as usize, place.size as usize);
        let rest = self.bytes.get(from..)?;
        Some(match place.kind {
            PlaceKind::Unsigned => Value::Number(self.number(rest.get(..size)?)?),
            PlaceKind::Signed => {
                let number = self.number(rest.get(..size)?)?;
                let unused = 64 - 8 * place.size.clamp(1, 8);
                Value::Number(((number << unused).cast_signed() >> unused).cast_unsigned())
            }
            PlaceKind::Text => Value::Bytes(text(rest.get(..size)?)),
            PlaceKind::Bytes => Value::Bytes(rest.get(..size)?),
            PlaceKind::FarText => Value::Bytes(text(self.far(rest, 0)?)),
            PlaceKind::FarBytes => Value::Bytes(self.far(rest, 0)?),
            PlaceKind::RelativeText => Value::Bytes(text(self.far(rest, from + 4)?)),
            PlaceKind::RelativeBytes => Value::Bytes(self.far(rest, from + 4)?),
            PlaceKind::OpenText => Value::Bytes(text(rest)),
            PlaceKind::OpenBytes => Value::Bytes(rest),
        })
    }

    /// The bytes that a place of 32 bits refers to, with offsets from `base`.
    fn far(&self, rest: &[u8], base: usize) -> Option<&'a [u8]> {
        let word = self.number(rest.get(..4)?)?;
        let length = usize::try_from(word >> 16).ok()?;
        let from = base + usize::try_from(word & 0xFFFF).ok()?;
        self.bytes.get(from..from + length)
    }

    #[inline]
    fn number(&self, bytes: &[u8]) -> Option<u64> {
        let little = !self.layout.is_big_endian;
        Some(match *bytes {
            [a] => u64::from(a),
            [a, b] if little => u64::from(u16::from_le_bytes([a, b])),
            [a, b] => u64::from(u16::from_be_bytes([a, b])),
            [a, b, c, d] if little => u64::from(u32::from_le_bytes([a, b, c, d])),
            [a, b, c, d] => u64::from(u32::from_be_bytes([a, b, c, d])),
            _ => {
                let eight = *bytes.first_chunk::<8>().filter(|_| bytes.len() == 8)?;
                if little {
                    u64::from_le_bytes(eight)
                } else {
                    u64::from_be_bytes(eight)
                }
            }
        })
    }
}

fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(is_big_endian: bool) -> Layout {
        let place = |offset, size, kind| Place { offset, size, kind };
        Layout {
            places: vec![
                place(0, 2, PlaceKind::Unsigned),
                place(2, 1, PlaceKind::Signed),
                place(4, 4, PlaceKind::FarText),
                place(8, 4, PlaceKind::Text),
                place(4, 4, PlaceKind::RelativeBytes),
                place(12, 8, PlaceKind::Unsigned),
                place(11, 0, PlaceKind::OpenText),
                place(0, 3, PlaceKind::Unsigned),
            ],
            is_big_endian,
        }
    }

    #[test]
    fn fields_are_read_where_they_lie() {
        let bytes = b"\x01\x02\xff\x00\x09\x00\x03\x00abcdefg\0";
        let layout = layout(false);
        let laid = Laid {
            layout: &layout,
            bytes,
        };
        assert_eq!(laid.value(0), Value::Number(0x201));
        assert_eq!(laid.value(1), Value::Number(u64::MAX));
        assert_eq!(laid.value(2), Value::Bytes(b"bcd"));
        assert_eq!(laid.value(3), Value::Bytes(b"abcd"));
        // Relative to the end of the place, that is behind the record.
        assert_eq!(laid.value(4), Value::Missing);
        assert_eq!(laid.value(5), Value::Missing);
        assert_eq!(laid.value(6), Value::Bytes(b"defg"));
        assert_eq!(laid.value(7), Value::Missing);
        assert_eq!(laid.value(8), Value::Missing);
        assert_eq!(
            Laid {
                layout: &super::tests::layout(true),
                bytes
            }
            .value(0),
            Value::Number(0x102)
        );
    }
}
