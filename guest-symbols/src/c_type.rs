//! C types as debug information describes them, whichever format it has.
//!
//! `const`, `volatile`, `restrict` and type tags are dropped: a reference to them is a reference to what they qualify.

/// A type of one kernel; means nothing to another [`Types`](crate::Types).
///
/// Two ids may stand for the same type: DWARF describes it once in each file that uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`, and what is not known.
    pub const VOID: Self = Self(0);
}

/// A C type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `void`, or a type that the debug information does not describe.
    Void,
    /// An integer, character or boolean.
    Int {
        /// As in C, such as `long unsigned int`.
        name: String,
        /// Size.
        bytes: u8,
        /// Whether the top bit is a sign.
        signed: bool,
    },
    /// A floating-point number.
    Float {
        /// As in C.
        name: String,
        /// Size.
        bytes: u8,
    },
    /// A pointer to another type.
    Pointer(TypeId),
    /// A struct or union.
    Struct(StructType),
    /// An array; several dimensions count as one, as BTF has it.
    Array {
        /// What it holds.
        element: TypeId,
        /// How many; 0 for a flexible array.
        count: u64,
    },
    /// An enumeration.
    Enum {
        /// Its tag, if it has one.
        name: Option<String>,
        /// Size.
        bytes: u8,
        /// Whether values are signed.
        signed: bool,
        /// Enumerators in the order of the source.
        values: Vec<(String, i64)>,
    },
    /// Another name for a type.
    Typedef {
        /// The name.
        name: String,
        /// What it stands for.
        target: TypeId,
    },
    /// A function's prototype.
    Function {
        /// What it returns.
        returns: TypeId,
        /// Parameters, with names where they are known.
        params: Vec<(Option<String>, TypeId)>,
    },
    /// A struct or union that is declared and nowhere defined.
    Forward {
        /// Its tag.
        name: String,
        /// Whether it is a union.
        is_union: bool,
    },
}

/// A struct or union.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StructType {
    /// Its tag, if it has one.
    pub name: Option<String>,
    /// Size.
    pub bytes: u64,
    /// Whether members overlap.
    pub is_union: bool,
    /// Members in the order of the source.
    pub members: Vec<Member>,
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name; none for an anonymous struct or union, whose members belong to the outer one.
    pub name: Option<String>,
    /// Its type.
    pub type_id: TypeId,
    /// Bits from the start of the struct.
    pub bit_offset: u64,
    /// Width of a bit-field.
    pub bitfield_bits: Option<u8>,
}

/// Where a member lies, seen from the outermost struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberPlace {
    /// Its type.
    pub type_id: TypeId,
    /// Bits from the start of the outermost struct.
    pub bit_offset: u64,
    /// Width of a bit-field.
    pub bitfield_bits: Option<u8>,
}

impl MemberPlace {
    /// Bytes from the start of the struct; `None` for a bit-field.
    #[must_use]
    pub fn byte_offset(&self) -> Option<u64> {
        (self.bitfield_bits.is_none() && self.bit_offset.is_multiple_of(8))
            .then_some(self.bit_offset / 8)
    }
}
