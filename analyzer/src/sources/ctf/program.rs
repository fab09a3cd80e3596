//! Steps that read events: decided once for each kind (`compile.rs`), executed here for each event.

use super::bits::{Cursor, Short};
use super::class::{ByteOrder, Encoding, Ranges, Role, Shown};
use crate::sources::foreign::{Raw, RawValues};

/// Longest text that a field of parts is written as.
const TEXT_BYTES_MAX: usize = 4096;

/// Reads one thing.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Goes to a multiple of so many bits.
    Align(u64),
    Number {
        bits: u32,
        order: ByteOrder,
        shape: Shape,
        keep: Option<usize>,
        to: To,
    },
    VarInt {
        shape: Shape,
        keep: Option<usize>,
        to: To,
    },
    Float {
        bits: u32,
        order: ByteOrder,
        to: To,
    },
    /// Characters up to a NUL.
    Text {
        encoding: Encoding,
        to: To,
    },
    Bytes {
        count: Count,
        /// Characters of text, up to a NUL if there is one.
        text: Option<Encoding>,
        to: To,
    },
    Repeat {
        count: Count,
        body: Vec<Step>,
    },
    /// The first whose values the tag has.
    Choose {
        tag: usize,
        is_signed: bool,
        choices: Vec<(Ranges, Vec<Step>)>,
    },
    /// A text begins that parts are written into.
    Begin,
    /// Writes into it.
    Write(Box<str>),
    /// It is the value of that field.
    End(usize),
}

/// How a number is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) is_signed: bool,
    pub(super) shown: Shown,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Nowhere,
    /// The field at that place of the schema.
    Field(usize),
    /// Into the text under way.
    Text,
    Role(Role),
    /// The clock advances to it, which has so many bits.
    Clock(u32),
    /// Both.
    RoleAndClock(Role, u32),
    /// A time that has so many bits, and is no earlier than the clock, which stays.
    Later(Role, u32),
}

/// How often, or how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Fixed(u64),
    /// A number that was kept, times another.
    Kept(usize, u64),
}

/// What has been read of a packet, and of the event under way.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Numbers that others depend on.
    kept: Vec<u64>,
    roles: [Option<u64>; Role::COUNT],
    /// In ticks.
    pub(super) clock: u64,
    pub(super) values: RawValues,
    /// Where the text under way began; `None` when there is none, or when it has reached its greatest length.
    text: Option<usize>,
    /// Where the latest text began.
    text_start: usize,
    /// Byte of the packet at which the event's own bytes begin.
    base: usize,
}

impl State {
    /// Begins a packet. `keeps` is the number of numbers that are kept.
    pub(super) fn begin_packet(&mut self, keeps: usize) {
        self.kept.clear();
        self.kept.resize(keeps, 0);
        self.roles = [None; Role::COUNT];
        self.text = None;
        self.base = 0;
    }

    /// Begins the fields of an event, whose bytes begin at that byte of the packet.
    #[inline]
    pub(super) fn begin_event(&mut self, base: usize, fields: usize) {
        self.base = base;
        self.text = None;
        self.values.begin(fields);
    }

    /// Value of the field that the reader needs for that.
    #[inline]
    pub(super) fn role(&self, role: Role) -> Option<u64> {
        self.roles[role as usize]
    }

    #[inline]
    fn count(&self, count: Count) -> u64 {
        match count {
            Count::Fixed(count) => count,
            Count::Kept(keep, factor) => self.kept[keep].saturating_mul(factor),
        }
    }

    #[inline]
    fn put_number(&mut self, to: To, number: u64, shape: Shape) {
        match to {
            To::Nowhere => {}
            To::Field(index) => self.values.set(index, Raw::Number(number)),
            To::Role(role) => self.roles[role as usize] = Some(number),
            To::Clock(bits) => self.clock = advance(self.clock, number, bits),
            To::RoleAndClock(role, bits) => {
                self.clock = advance(self.clock, number, bits);
                self.roles[role as usize] = Some(self.clock);
            }
            To::Later(role, bits) => {
                self.roles[role as usize] = Some(advance(self.clock, number, bits));
            }
            To::Text => match (shape.shown, shape.is_signed) {
                (Shown::Bool, _) => self.write(if number == 0 { b"false" } else { b"true" }),
                (Shown::Hex, _) => self.write(format!("{number:#x}").as_bytes()),
                (Shown::Decimal, true) => {
                    self.write(itoa::Buffer::new().format(number.cast_signed()).as_bytes());
                }
                (Shown::Decimal, false) => {
                    self.write(itoa::Buffer::new().format(number).as_bytes())
                }
            },
        }
    }

    /// Bytes of the packet, which begin at byte `start` of it.
    #[inline]
    fn put_bytes(&mut self, to: To, bytes: &[u8], start: usize) {
        match to {
            To::Field(index) => {
                let start = u32::try_from(start.saturating_sub(self.base)).ok();
                let place = start.zip(u32::try_from(bytes.len()).ok());
                let raw = place.map(|(start, length)| Raw::Block { start, length });
                self.values.set(index, raw.unwrap_or(Raw::Missing));
            }
            To::Text => self.write_text(bytes),
            _ => {}
        }
    }

    /// Text that is not in the packet as it is to be shown.
    fn put_made(&mut self, to: To, text: &str) {
        match to {
            To::Field(index) => {
                self.begin_text();
                self.write(text.as_bytes());
                self.end_text(index);
            }
            To::Text => self.write(text.as_bytes()),
            _ => {}
        }
    }

    fn begin_text(&mut self) {
        self.text_start = self.values.made_bytes();
        self.text = Some(self.text_start);
    }

    fn end_text(&mut self, index: usize) {
        let text = self.values.made_since(self.text_start);
        self.values.set(index, text);
        self.text = None;
    }

    /// Appends to the text under way, as far as there is room.
    fn write(&mut self, text: &[u8]) {
        let Some(start) = self.text else {
            return;
        };
        if self.values.made_bytes() - start + text.len() > TEXT_BYTES_MAX {
            self.text = None;
            self.values.write(b"...");
        } else {
            self.values.write(text);
        }
    }

    fn write_text(&mut self, bytes: &[u8]) {
        self.write(b"\"");
        self.write(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]);
        self.write(b"\"");
    }
}

/// Executes steps.
pub(super) fn run(steps: &[Step], cursor: &mut Cursor<'_>, state: &mut State) -> Result<(), Short> {
    for step in steps {
        match step {
            Step::Align(align) => cursor.align(*align)?,
            Step::Number {
                bits,
                order,
                shape,
                keep,
                to,
            } => {
                let number = cursor.number(*bits, *order, shape.is_signed)?;
                if let Some(keep) = keep {
                    state.kept[*keep] = number;
                }
                state.put_number(*to, number, *shape);
            }
            Step::VarInt { shape, keep, to } => {
                let number = cursor.var_int(shape.is_signed)?;
                if let Some(keep) = keep {
                    state.kept[*keep] = number;
                }
                state.put_number(*to, number, *shape);
            }
            Step::Float { bits, order, to } => float((*bits, *order), *to, cursor, state)?,
            Step::Text { encoding, to } => {
                let text = cursor.text(encoding.width())?;
                let start = cursor.byte() - text.len() - encoding.width();
                put_text(*encoding, text, start, *to, state);
            }
            Step::Bytes { count, text, to } => {
                let start = cursor.byte();
                let bytes = cursor.bytes(state.count(*count))?;
                match text {
                    Some(encoding) => put_text(*encoding, encoding.cut(bytes), start, *to, state),
                    None => state.put_bytes(*to, bytes, start),
                }
            }
            Step::Repeat { count, body } => repeat(state.count(*count), body, cursor, state)?,
            Step::Choose {
                tag,
                is_signed,
                choices,
            } => {
                let tag = state.kept[*tag];
                let tag = if *is_signed {
                    i128::from(tag.cast_signed())
                } else {
                    i128::from(tag)
                };
                let is_it = |(values, _): &&(Ranges, Vec<Step>)| {
                    values.iter().any(|(from, to)| (*from..=*to).contains(&tag))
                };
                if let Some((_, body)) = choices.iter().find(is_it) {
                    run(body, cursor, state)?;
                }
            }
            Step::Begin => state.begin_text(),
            Step::Write(text) => state.write(text.as_bytes()),
            Step::End(index) => state.end_text(*index),
        }
    }
    Ok(())
}

fn float(
    (bits, order): (u32, ByteOrder),
    to: To,
    cursor: &mut Cursor<'_>,
    state: &mut State,
) -> Result<(), Short> {
    let number = cursor.number(bits, order, false)?;
    let text = match u32::try_from(number) {
        Ok(number) if bits == 32 => f32::from_bits(number).to_string(),
        _ => f64::from_bits(number).to_string(),
    };
    state.put_made(to, &text);
    Ok(())
}

/// Reads elements; in a text there are commas between them.
fn repeat(
    count: u64,
    body: &[Step],
    cursor: &mut Cursor<'_>,
    state: &mut State,
) -> Result<(), Short> {
    for index in 0..count {
        if index > 0 {
            state.write(b", ");
        }
        let before = cursor.at();
        run(body, cursor, state)?;
        // Elements of no size would have no end.
        if cursor.at() == before {
            break;
        }
    }
    Ok(())
}

fn put_text(encoding: Encoding, bytes: &[u8], start: usize, to: To, state: &mut State) {
    match encoding {
        Encoding::Utf8 => state.put_bytes(to, bytes, start),
        Encoding::Utf16(_) | Encoding::Utf32(_) => state.put_made(to, &encoding.decode(bytes)),
    }
}

impl Encoding {
    /// Bytes of a unit.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Utf8 => 1,
            Self::Utf16(_) => 2,
            Self::Utf32(_) => 4,
        }
    }

    /// Up to the first NUL.
    fn cut(self, bytes: &[u8]) -> &[u8] {
        let width = self.width();
        let is_end = |unit: &[u8]| unit.iter().all(|byte| *byte == 0);
        match bytes.chunks_exact(width).position(is_end) {
            Some(units) => &bytes[..units * width],
            None => bytes,
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        let bytes = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Utf16(order) => {
                let (units, _) = bytes.as_chunks::<2>();
                let units = units.iter().map(|unit| match order {
                    ByteOrder::Little => u16::from_le_bytes(*unit),
                    ByteOrder::Big => u16::from_be_bytes(*unit),
                });
                let characters = char::decode_utf16(units);
                characters
                    .map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }
            Self::Utf32(order) => {
                let (units, _) = bytes.as_chunks::<4>();
                let units = units.iter().map(|unit| match order {
                    ByteOrder::Little => u32::from_le_bytes(*unit),
                    ByteOrder::Big => u32::from_be_bytes(*unit),
                });
                units
                    .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }
        }
    }
}

/// The clock after one of its values was seen, of which only the low bits are known.
#[inline]
fn advance(clock: u64, low: u64, bits: u32) -> u64 {
    if bits >= 64 {
        return low;
    }
    let size = 1u64 << bits;
    let now = clock & !(size - 1) | low;
    if now < clock {
        now.wrapping_add(size)
    } else {
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_few_bits_wraps_around() {
        assert_eq!(advance(0x1234, 0x35, 8), 0x1235);
        assert_eq!(advance(0x1234, 0x34, 8), 0x1234);
        assert_eq!(advance(0x1234, 0x33, 8), 0x1333);
        assert_eq!(advance(0x1234, 7, 64), 7);
    }

    #[test]
    fn text_of_wide_characters_is_decoded() {
        let text = "a\u{1F600}";
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(Encoding::Utf16(ByteOrder::Big).decode(&wide), text);
        let wide: Vec<u8> = text
            .chars()
            .flat_map(|one| u32::from(one).to_le_bytes())
            .collect();
        assert_eq!(Encoding::Utf32(ByteOrder::Little).decode(&wide), text);
        assert_eq!(
            Encoding::Utf16(ByteOrder::Little).cut(b"a\0\0b\0\0c"),
            b"a\0\0b"
        );
    }
}
