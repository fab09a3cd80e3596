//! The kernel's C types, whichever debug format they came from.
//!
//! `const`, `volatile`, `restrict` and type tags are dropped: a reference to them is a reference to what they qualify.

use std::collections::HashMap;

/// A type of one kernel; means nothing to another [`Types`].
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
    /// An array; several dimensions are arrays of arrays.
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

/// What a name names; C keeps tags, functions and the rest apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// `struct name`.
    Struct,
    /// `union name`.
    Union,
    /// `enum name`.
    Enum,
    /// A typedef.
    Typedef,
    /// A function; its type is a [`Type::Function`].
    Function,
    /// A variable; its type is that of the variable.
    Variable,
}

const NAME_KINDS: usize = 6;

/// Names and what they mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameIndex {
    by_kind: [HashMap<String, Vec<TypeId>>; NAME_KINDS],
    enumerators: HashMap<String, i64>,
}

impl NameIndex {
    pub(crate) fn add(&mut self, kind: NameKind, name: &str, id: TypeId) {
        let Some(map) = self.by_kind.get_mut(kind as usize) else {
            return;
        };
        match map.get_mut(name) {
            Some(ids) => ids.push(id),
            None => drop(map.insert(name.to_owned(), vec![id])),
        }
    }

    /// The first definition of an enumerator counts.
    pub(crate) fn add_enumerator(&mut self, name: &str, value: i64) {
        if !self.enumerators.contains_key(name) {
            self.enumerators.insert(name.to_owned(), value);
        }
    }

    fn get(&self, kind: NameKind, name: &str) -> &[TypeId] {
        self.by_kind
            .get(kind as usize)
            .and_then(|map| map.get(name))
            .map_or(&[], Vec::as_slice)
    }

    fn names(&self, kind: NameKind) -> Vec<&str> {
        let map = self.by_kind.get(kind as usize);
        let mut names: Vec<&str> = map
            .iter()
            .flat_map(|map| map.keys())
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names
    }
}

/// The types of one kernel.
#[derive(Debug, Default)]
pub struct Types {
    types: Vec<Type>,
    names: NameIndex,
}

impl Types {
    pub(crate) fn new(types: Vec<Type>, names: NameIndex) -> Self {
        Self { types, names }
    }

    /// The type behind an id.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &Type {
        self.types
            .get(crate::bytes::index(id.0))
            .unwrap_or(&Type::Void)
    }

    /// `struct name`.
    #[must_use]
    pub fn struct_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Struct, name)
    }

    /// `union name`.
    #[must_use]
    pub fn union_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Union, name)
    }

    /// `enum name`.
    #[must_use]
    pub fn enum_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Enum, name)
    }

    /// The typedef of that name.
    #[must_use]
    pub fn typedef_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Typedef, name)
    }

    /// The prototype of a function: a [`Type::Function`].
    #[must_use]
    pub fn function(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Function, name)
    }

    /// The type of a variable. BTF knows the per-CPU variables alone.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Variable, name)
    }

    /// The value of an enumerator of any enumeration.
    #[must_use]
    pub fn enum_value(&self, name: &str) -> Option<i64> {
        self.names.enumerators.get(name).copied()
    }

    /// All types of that name and kind: files of the kernel may define their own struct under the same tag.
    #[must_use]
    pub fn all_named(&self, kind: NameKind, name: &str) -> &[TypeId] {
        self.names.get(kind, name)
    }

    /// All names of that kind, sorted.
    #[must_use]
    pub fn names(&self, kind: NameKind) -> Vec<&str> {
        self.names.names(kind)
    }

    fn first(&self, kind: NameKind, name: &str) -> Option<TypeId> {
        self.names.get(kind, name).first().copied()
    }

    /// The type behind any typedefs.
    #[must_use]
    pub fn resolve_typedefs(&self, id: TypeId) -> TypeId {
        let mut id = id;
        // A chain of typedefs is short; a malformed one might be a ring.
        for _ in 0..64 {
            match self.get(id) {
                Type::Typedef { target, .. } => id = *target,
                _ => return id,
            }
        }
        TypeId::VOID
    }

    /// Finds a member by name, in anonymous structs and unions too; `id` may be a typedef.
    #[must_use]
    pub fn member(&self, id: TypeId, name: &str) -> Option<MemberPlace> {
        self.member_within(id, name, 0)
    }

    fn member_within(&self, id: TypeId, name: &str, depth: u8) -> Option<MemberPlace> {
        const DEPTH_MAX: u8 = 16;
        let Type::Struct(outer) = self.get(self.resolve_typedefs(id)) else {
            return None;
        };
        if let Some(found) = outer
            .members
            .iter()
            .find(|member| member.name.as_deref() == Some(name))
        {
            let Member {
                type_id,
                bit_offset,
                bitfield_bits,
                ..
            } = *found;
            return Some(MemberPlace {
                type_id,
                bit_offset,
                bitfield_bits,
            });
        }
        let mut anonymous = outer
            .members
            .iter()
            .filter(|member| member.name.is_none() && depth < DEPTH_MAX);
        anonymous.find_map(|member| {
            let inner = self.member_within(member.type_id, name, depth + 1)?;
            Some(MemberPlace {
                bit_offset: inner.bit_offset.checked_add(member.bit_offset)?,
                ..inner
            })
        })
    }

    /// The size of a type in bytes; `None` for functions and what is only declared.
    #[must_use]
    pub fn byte_size(&self, id: TypeId) -> Option<u64> {
        let mut id = id;
        let mut count: u64 = 1;
        for _ in 0..64 {
            let bytes = match self.get(id) {
                Type::Typedef { target, .. } => {
                    id = *target;
                    continue;
                }
                Type::Array {
                    element,
                    count: elements,
                } => {
                    id = *element;
                    count = count.checked_mul(*elements)?;
                    continue;
                }
                Type::Int { bytes, .. } | Type::Float { bytes, .. } | Type::Enum { bytes, .. } => {
                    u64::from(*bytes)
                }
                Type::Pointer(_) => 8,
                Type::Struct(it) => it.bytes,
                Type::Void | Type::Function { .. } | Type::Forward { .. } => return None,
            };
            return bytes.checked_mul(count);
        }
        None
    }

    /// The type as C writes it, without qualifiers: `struct file *`, `unsigned int`, `char[16]`.
    #[must_use]
    pub fn c_name(&self, id: TypeId) -> String {
        self.c_name_within(id, 0)
    }

    fn c_name_within(&self, id: TypeId, depth: u8) -> String {
        const DEPTH_MAX: u8 = 16;
        if depth > DEPTH_MAX {
            return "...".to_owned();
        }
        let tagged = |word: &str, name: &Option<String>| {
            name.as_ref().map_or_else(
                || format!("{word} {{...}}"),
                |name| format!("{word} {name}"),
            )
        };
        match self.get(id) {
            Type::Void => "void".to_owned(),
            Type::Int { name, .. } | Type::Float { name, .. } | Type::Typedef { name, .. } => {
                name.clone()
            }
            Type::Pointer(target) => {
                let target = self.c_name_within(*target, depth + 1);
                if target.ends_with('*') {
                    target + "*"
                } else {
                    target + " *"
                }
            }
            Type::Struct(it) => tagged(if it.is_union { "union" } else { "struct" }, &it.name),
            Type::Forward { name, is_union } => {
                format!("{} {name}", if *is_union { "union" } else { "struct" })
            }
            Type::Enum { name, .. } => tagged("enum", name),
            Type::Array { element, count } => {
                format!("{}[{count}]", self.c_name_within(*element, depth + 1))
            }
            Type::Function { returns, params } => {
                let params: Vec<String> = params
                    .iter()
                    .map(|(_, id)| self.c_name_within(*id, depth + 1))
                    .collect();
                format!(
                    "{} ({})",
                    self.c_name_within(*returns, depth + 1),
                    params.join(", ")
                )
            }
        }
    }
}
