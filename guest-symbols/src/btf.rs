//! Types from the kernel's `.BTF` section.
//!
//! Relies on `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h`, kinds 1 (INT) to 19 (ENUM64), as of Linux 6.0
//! to the last tested. A type's id is its place in the section, counted from 1.

use std::sync::Arc;

use crate::SymbolError;
use crate::bytes::{index, slice, text_at, u16_at, u32_at};
use crate::c_type::{Member, StructType, Type, TypeId};
use crate::name_index::{NameIndex, NameKind};
use crate::type_graph::Types;

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
/// Qualifiers and tags in a row; a longer chain is malformed.
const QUALIFIERS_MAX: usize = 32;

/// Reads the whole section.
pub(crate) fn read(section: &[u8]) -> Result<Types, SymbolError> {
    let (types, strings) = parts(section)?;
    let records = [vec![VOID], types].concat();
    let reader = Reader {
        strings,
        records,
        base: None,
    };
    let (types, names) = reader.read();
    Ok(Types::whole(types, names))
}

/// Reads the section of a module: ids and names go on where those of the kernel's section end
/// (`Documentation/bpf/btf.rst`, "split BTF"; modules have it since 5.11).
pub(crate) fn read_split(
    section: &[u8],
    base: Arc<Types>,
    base_section: &[u8],
) -> Result<Types, SymbolError> {
    let (base_types, base_strings) = parts(base_section)?;
    let base_records = [vec![VOID], base_types].concat();
    let (records, strings) = parts(section)?;
    let reader = Reader {
        strings,
        records,
        base: Some((&base_records, base_strings)),
    };
    let (types, names) = reader.read();
    Ok(Types::split(base, base_records.len(), types, names))
}

/// Splits a section into its types and its strings.
fn parts(section: &[u8]) -> Result<(Vec<Record<'_>>, &[u8]), SymbolError> {
    let bad = |offset: usize, problem: &'static str| SymbolError::Btf { offset, problem };
    if u16_at(section, 0) != Some(MAGIC) {
        return Err(bad(0, "no BTF magic"));
    }
    let field = |at: usize| {
        u32_at(section, at)
            .map(index)
            .ok_or_else(|| bad(at, "the header is cut short"))
    };
    let header = field(4)?;
    let (types_at, types_bytes) = (field(8)?, field(12)?);
    let (strings_at, strings_bytes) = (field(16)?, field(20)?);
    if header < HEADER_BYTES {
        return Err(bad(4, "the header is too short"));
    }
    let part = |at: usize, bytes: usize| {
        header
            .checked_add(at)
            .and_then(|start| slice(section, start, bytes))
    };
    let types =
        part(types_at, types_bytes).ok_or_else(|| bad(8, "the types lie outside the section"))?;
    let strings = part(strings_at, strings_bytes)
        .ok_or_else(|| bad(16, "the strings lie outside the section"))?;
    let records = records(types).map_err(|(at, problem)| {
        bad(header.saturating_add(types_at).saturating_add(at), problem)
    })?;
    Ok((records, strings))
}

/// `BTF_KIND_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Pointer,
    Array,
    Struct,
    Union,
    Enum,
    Forward,
    Typedef,
    /// `volatile`, `const`, `restrict` and type tags.
    Qualifier,
    Function,
    Prototype,
    Variable,
    Float,
    Enum64,
    /// Data sections and declaration tags: nothing here needs them.
    Other,
}

impl Kind {
    /// The kind, and the bytes that follow its 12: so many fixed and so many for each of its elements.
    fn of(number: u32) -> Option<(Self, usize, usize)> {
        Some(match number {
            1 => (Self::Int, 4, 0),
            2 => (Self::Pointer, 0, 0),
            3 => (Self::Array, 12, 0),
            4 => (Self::Struct, 0, 12),
            5 => (Self::Union, 0, 12),
            6 => (Self::Enum, 0, 8),
            7 => (Self::Forward, 0, 0),
            8 => (Self::Typedef, 0, 0),
            9..=11 | 18 => (Self::Qualifier, 0, 0),
            12 => (Self::Function, 0, 0),
            13 => (Self::Prototype, 0, 8),
            14 => (Self::Variable, 4, 0),
            15 => (Self::Other, 0, 12),
            16 => (Self::Float, 0, 0),
            17 => (Self::Other, 4, 0),
            19 => (Self::Enum64, 0, 12),
            _ => return None,
        })
    }
}

/// One type as it stands in the section.
#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    kind: Kind,
    name_at: u32,
    /// The flag of the kind; of a qualifier, whether it is `const`.
    kind_flag: bool,
    /// Size in bytes, or the id of another type.
    size_or_type: u32,
    /// What follows the common 12 bytes.
    rest: &'a [u8],
}

/// `BTF_KIND_CONST`.
const KIND_CONST: u32 = 10;

/// Type 0.
const VOID: Record<'static> = Record {
    kind: Kind::Other,
    name_at: 0,
    kind_flag: false,
    size_or_type: 0,
    rest: &[],
};

/// Splits the types; the error says where and what is wrong.
fn records(types: &[u8]) -> Result<Vec<Record<'_>>, (usize, &'static str)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < types.len() {
        let cut = (at, "a type is cut short");
        let name_at = u32_at(types, at).ok_or(cut)?;
        let info = u32_at(types, at + 4).ok_or(cut)?;
        let size_or_type = u32_at(types, at + 8).ok_or(cut)?;
        let (kind, fixed, each) =
            Kind::of(info >> 24 & 0x1f).ok_or((at, "a type of unknown kind"))?;
        let rest = slice(types, at + 12, fixed + each * index(info & 0xffff)).ok_or(cut)?;
        out.push(Record {
            kind,
            name_at,
            kind_flag: info >> 31 == 1 || info >> 24 & 0x1f == KIND_CONST,
            size_or_type,
            rest,
        });
        at += 12 + rest.len();
    }
    Ok(out)
}

struct Reader<'a> {
    strings: &'a [u8],
    records: Vec<Record<'a>>,
    /// Types and strings of the kernel, when these are a module's.
    base: Option<(&'a [Record<'a>], &'a [u8])>,
}

impl<'a> Reader<'a> {
    fn read(&self) -> (Vec<Type>, NameIndex) {
        let first = self
            .base
            .map_or(0, |(records, _)| u32::try_from(records.len()).unwrap_or(0));
        let mut names = NameIndex::default();
        let types: Vec<Type> = self
            .records
            .iter()
            .map(|record| self.convert(record))
            .collect();
        for ((id, record), read) in (first..).zip(&self.records).zip(&types) {
            if record.kind == Kind::Pointer && self.is_const(record.size_or_type) {
                names.add_pointer_to_const(TypeId(id));
            }
            let Some(name) = self.name(record.name_at) else {
                add_enumerators(&mut names, read);
                continue;
            };
            let (kind, id) = match record.kind {
                Kind::Struct => (NameKind::Struct, TypeId(id)),
                Kind::Union => (NameKind::Union, TypeId(id)),
                Kind::Enum | Kind::Enum64 => (NameKind::Enum, TypeId(id)),
                Kind::Typedef => (NameKind::Typedef, TypeId(id)),
                Kind::Function => (NameKind::Function, self.reference(record.size_or_type)),
                Kind::Variable => (NameKind::Variable, self.reference(record.size_or_type)),
                _ => continue,
            };
            names.add(kind, name, id);
            add_enumerators(&mut names, read);
        }
        (types, names)
    }

    fn name(&self, at: u32) -> Option<&str> {
        let at = index(at);
        let text = match self.base {
            Some((_, strings)) => match at.checked_sub(strings.len()) {
                Some(own) => text_at(self.strings, own),
                None => text_at(strings, at),
            },
            None => text_at(self.strings, at),
        };
        text.filter(|name| !name.is_empty())
    }

    fn record(&self, id: u32) -> Option<&Record<'a>> {
        let id = index(id);
        match self.base {
            Some((records, _)) => match id.checked_sub(records.len()) {
                Some(own) => self.records.get(own),
                None => records.get(id),
            },
            None => self.records.get(id),
        }
    }

    fn owned(&self, at: u32) -> Option<String> {
        self.name(at).map(str::to_owned)
    }

    /// The type referred to, behind qualifiers.
    fn reference(&self, id: u32) -> TypeId {
        let mut id = id;
        for _ in 0..QUALIFIERS_MAX {
            match self.record(id) {
                Some(record) if record.kind == Kind::Qualifier => id = record.size_or_type,
                Some(_) => return TypeId(id),
                None => return TypeId::VOID,
            }
        }
        TypeId::VOID
    }

    /// Whether the type is qualified as `const`.
    fn is_const(&self, id: u32) -> bool {
        let mut id = id;
        for _ in 0..QUALIFIERS_MAX {
            match self.record(id) {
                Some(record) if record.kind == Kind::Qualifier && !record.kind_flag => {
                    id = record.size_or_type;
                }
                Some(record) => return record.kind == Kind::Qualifier,
                None => return false,
            }
        }
        false
    }

    fn convert(&self, record: &Record<'_>) -> Type {
        let owned = || self.owned(record.name_at).unwrap_or_default();
        let small_size = || u8::try_from(record.size_or_type).unwrap_or(u8::MAX);
        let target = || self.reference(record.size_or_type);
        match record.kind {
            Kind::Int => {
                let signed = u32_at(record.rest, 0).is_some_and(|bits| bits >> 24 & 1 == 1);
                Type::Int {
                    name: owned(),
                    bytes: small_size(),
                    signed,
                }
            }
            Kind::Float => Type::Float {
                name: owned(),
                bytes: small_size(),
            },
            Kind::Pointer => Type::Pointer(target()),
            Kind::Typedef => Type::Typedef {
                name: owned(),
                target: target(),
            },
            Kind::Forward => Type::Forward {
                name: owned(),
                is_union: record.kind_flag,
            },
            Kind::Array => {
                let word = |at: usize| u32_at(record.rest, at).unwrap_or_default();
                Type::Array {
                    element: self.reference(word(0)),
                    count: word(8).into(),
                }
            }
            Kind::Struct | Kind::Union => self.convert_struct(record),
            Kind::Enum | Kind::Enum64 => Type::Enum {
                name: self.owned(record.name_at),
                bytes: small_size(),
                signed: record.kind_flag,
                values: self.enumerators(record),
            },
            Kind::Prototype => self.convert_prototype(record),
            Kind::Qualifier | Kind::Function | Kind::Variable | Kind::Other => Type::Void,
        }
    }

    fn convert_struct(&self, record: &Record<'_>) -> Type {
        let words = record.rest.chunks_exact(12);
        let members = words.filter_map(|member| {
            let (name_at, id, offset) =
                (u32_at(member, 0)?, u32_at(member, 4)?, u32_at(member, 8)?);
            // With the flag the offset's top byte is the width of the bit-field, without it the integer type says.
            let (bit_offset, width) = if record.kind_flag {
                (offset & 0x00ff_ffff, offset.to_be_bytes()[0])
            } else {
                let (skip, width) = self.integer_bits(id);
                (offset.saturating_add(skip), width)
            };
            Some(Member {
                name: self.owned(name_at),
                type_id: self.reference(id),
                bit_offset: bit_offset.into(),
                bitfield_bits: (width > 0).then_some(width),
            })
        });
        Type::Struct(StructType {
            name: self.owned(record.name_at),
            bytes: record.size_or_type.into(),
            is_union: record.kind == Kind::Union,
            members: members.collect(),
        })
    }

    /// The first bit and the width of an integer type narrower than its bytes; width 0 for all others.
    fn integer_bits(&self, id: u32) -> (u32, u8) {
        let TypeId(id) = self.reference(id);
        let record = self.record(id).filter(|record| record.kind == Kind::Int);
        let Some((record, [width, _, skip, _])) =
            record.and_then(|record| Some((record, u32_at(record.rest, 0)?.to_le_bytes())))
        else {
            return (0, 0);
        };
        if u32::from(width) < record.size_or_type.saturating_mul(8) {
            (skip.into(), width)
        } else {
            (0, 0)
        }
    }

    fn enumerators(&self, record: &Record<'_>) -> Vec<(String, i64)> {
        let is_wide = record.kind == Kind::Enum64;
        let words = record.rest.chunks_exact(if is_wide { 12 } else { 8 });
        let value = |entry: &[u8]| {
            let low = u32_at(entry, 4)?;
            Some(match (is_wide, record.kind_flag) {
                (true, _) => (i64::from(u32_at(entry, 8)?.cast_signed()) << 32) | i64::from(low),
                (false, true) => i64::from(low.cast_signed()),
                (false, false) => i64::from(low),
            })
        };
        words
            .filter_map(|entry| Some((self.owned(u32_at(entry, 0)?)?, value(entry)?)))
            .collect()
    }

    fn convert_prototype(&self, record: &Record<'_>) -> Type {
        let words = record.rest.chunks_exact(8);
        let params = words.filter_map(|param| Some((u32_at(param, 0)?, u32_at(param, 4)?)));
        // A last parameter without name and type stands for `...`.
        let params = params.filter(|param| *param != (0, 0));
        let params = params.map(|(name_at, id)| (self.owned(name_at), self.reference(id)));
        Type::Function {
            returns: self.reference(record.size_or_type),
            params: params.collect(),
        }
    }
}

fn add_enumerators(names: &mut NameIndex, read: &Type) {
    if let Type::Enum { values, .. } = read {
        for (name, value) in values {
            names.add_enumerator(name, *value);
        }
    }
}
