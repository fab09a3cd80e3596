//! What the metadata of a CTF trace says, whichever of its two languages it is written in.
//!
//! Types are shared where they are named, so that memory follows the text, not what it expands to.

use std::rc::Rc;

/// How deep types may be nested, named ones included.
const DEPTH_MAX: u32 = 64;
/// Largest alignment, in bits.
pub(super) const ALIGN_MAX: u64 = 1 << 20;

/// Order of the bytes, and of the bits in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// The first bit is the lowest of the first byte.
    Little,
    /// The first bit is the highest of the first byte.
    Big,
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Decimal,
    Hex,
    Bool,
}

/// A whole number of fixed size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Int {
    /// From 1 to 64.
    pub(super) bits: u32,
    /// In bits, a power of two.
    pub(super) align: u64,
    pub(super) is_signed: bool,
    pub(super) order: ByteOrder,
    pub(super) shown: Shown,
    /// A character: an array of these is text.
    pub(super) is_text: bool,
    /// It advances the clock.
    pub(super) is_clock: bool,
    /// What the reader needs it for, where the metadata itself says so.
    pub(super) role: Option<Role>,
}

/// What the reader itself needs a field for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Magic,
    StreamClass,
    StreamInstance,
    PacketBits,
    ContentBits,
    PacketStart,
    PacketEnd,
    PacketSequence,
    Discarded,
    Cpu,
    EventClass,
}

impl Role {
    /// How many there are.
    pub(super) const COUNT: usize = Self::EventClass as usize + 1;
}

/// Values from the first to the second.
pub(super) type Ranges = Vec<(i128, i128)>;

/// Names of ranges of values.
pub(super) type Names = Vec<(String, i128, i128)>;

/// How many elements an array has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Fixed(u64),
    /// As many as the field with that path says.
    Field(Path),
}

/// Where a field is that another depends on: names from the outside in.
pub(super) type Path = Vec<String>;

/// How text is made of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// Of two bytes.
    Utf16(ByteOrder),
    /// Of four bytes.
    Utf32(ByteOrder),
}

/// A type of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Int(Int, Option<Rc<Names>>),
    /// A number of LEB128.
    VarInt {
        is_signed: bool,
        shown: Shown,
        names: Option<Rc<Names>>,
        role: Option<Role>,
    },
    /// IEEE 754.
    Float {
        bits: u32,
        align: u64,
        order: ByteOrder,
    },
    /// Characters up to a NUL.
    Text(Encoding),
    /// So many bytes, of text or not.
    Bytes {
        length: Length,
        text: Option<Encoding>,
    },
    Struct(Vec<(String, TypeRef)>),
    Array {
        element: TypeRef,
        length: Length,
    },
    /// One of several types, chosen by another field's name or number.
    Variant {
        tag: Option<Path>,
        choices: Vec<Choice>,
    },
    /// One type, or nothing.
    Optional {
        tag: Path,
        /// Values of the tag with which it is there.
        values: Ranges,
        class: TypeRef,
    },
}

/// A type that may be shared.
pub(super) type TypeRef = Rc<Type>;

/// A type with what follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) class: Class,
    /// In bits, a power of two: a field of the type begins at a multiple of it.
    pub(super) align: u64,
    depth: u32,
}

/// A type of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) class: TypeRef,
    /// Values of the tag that choose it; in CTF 1.8 those of the enumeration's name.
    pub(super) values: Option<Ranges>,
}

/// Types are nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// A clock, of which the first that is named is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockClass {
    pub(super) name: String,
    pub(super) hz: u64,
    /// Seconds from the epoch to its 0, and ticks that come on top.
    pub(super) offset_seconds: i64,
    pub(super) offset_ticks: i128,
    pub(super) description: String,
    /// Whether the epoch is that of Unix.
    pub(super) is_unix: bool,
}

/// A kind of event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EventClass {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) context: Option<TypeRef>,
    pub(super) payload: Option<TypeRef>,
}

/// A kind of stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamClass {
    pub(super) id: u64,
    pub(super) packet_context: Option<TypeRef>,
    pub(super) event_header: Option<TypeRef>,
    pub(super) event_context: Option<TypeRef>,
    pub(super) events: Vec<EventClass>,
}

/// Which language the metadata is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Ctf1,
    Ctf2,
}

/// All that the metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) version: Version,
    pub(super) uuid: Option<[u8; 16]>,
    pub(super) packet_header: Option<TypeRef>,
    pub(super) streams: Vec<StreamClass>,
    pub(super) clocks: Vec<ClockClass>,
    pub(super) env: Vec<(String, String)>,
}

impl Metadata {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            uuid: None,
            packet_header: None,
            streams: Vec::new(),
            clocks: Vec::new(),
            env: Vec::new(),
        }
    }

    /// What the trace says of where it was made, by name.
    pub(super) fn env(&self, name: &str) -> Option<&str> {
        let found = self.env.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Type {
    /// A type that begins at a multiple of `align` bits, at least.
    pub(super) fn aligned(class: Class, align: u64) -> Result<TypeRef, TooDeep> {
        let (own, depth) = match &class {
            Class::Int(int, _) => (int.align, 0),
            Class::Float { align, .. } => (*align, 0),
            Class::VarInt { .. } | Class::Text(_) | Class::Bytes { .. } => (8, 0),
            Class::Struct(fields) => {
                let of = |(align, depth): (u64, u32), (_, field): &(String, TypeRef)| {
                    (align.max(field.align), depth.max(field.depth))
                };
                fields.iter().fold((1, 0), of)
            }
            Class::Array { element, .. } => (element.align, element.depth),
            Class::Variant { choices, .. } => {
                let depths = choices.iter().map(|choice| choice.class.depth);
                (1, depths.max().unwrap_or(0))
            }
            Class::Optional { class, .. } => (1, class.depth),
        };
        let depth = depth + 1;
        if depth > DEPTH_MAX {
            return Err(TooDeep);
        }
        let align = align.max(own);
        Ok(Rc::new(Self {
            class,
            align,
            depth,
        }))
    }

    /// Whether it is a character.
    pub(super) fn is_character(&self) -> bool {
        matches!(&self.class, Class::Int(int, None) if int.is_text && int.bits == 8)
    }
}
