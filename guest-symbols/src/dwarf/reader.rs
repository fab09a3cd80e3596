//! One entry of `.debug_info` as a [`Type`].

use gimli::{AttributeValue, DwAt, DwTag, UnitOffset, constants as dw};

use super::sections::{Dwarf, Entry, Slice, Unit, owned, text};
use crate::c_type::{Member, StructType, Type, TypeId};
use crate::name_index::NameKind;

/// Qualifiers in a row; a longer chain is malformed.
const QUALIFIERS_MAX: usize = 32;

/// Where a reference leads, behind qualifiers.
pub(super) enum Found<'a> {
    Void,
    /// An offset in `.debug_info`.
    At(usize),
    /// A struct or the like that is only declared there.
    Declared(NameKind, &'a [u8], usize),
}

/// Reads entries of one unit.
pub(super) struct Reader<'r, 'a> {
    pub(super) dwarf: &'r Dwarf<'a>,
    pub(super) unit: &'r Unit<'a>,
    pub(super) resolve: &'r dyn Fn(Found<'_>) -> TypeId,
}

/// The value of a constant: forms of fixed size are unsigned, as compilers write them.
pub(super) fn constant(value: &AttributeValue<Slice<'_>>) -> Option<i64> {
    match *value {
        AttributeValue::Data1(value) => Some(value.into()),
        AttributeValue::Data2(value) => Some(value.into()),
        AttributeValue::Data4(value) => Some(value.into()),
        AttributeValue::Data8(value) | AttributeValue::Udata(value) => Some(value.cast_signed()),
        AttributeValue::Sdata(value) => Some(value),
        _ => value.udata_value().map(u64::cast_signed),
    }
}

impl<'a> Reader<'_, 'a> {
    /// Reads the entry at an offset in `.debug_info`.
    pub(super) fn read(&self, offset: usize) -> gimli::Result<Type> {
        let Some(at) = gimli::DebugInfoOffset(offset).to_unit_offset(&self.unit.header) else {
            return Ok(Type::Void);
        };
        let entry = self.unit.entry(at)?;
        let name = || owned(self.name(&entry));
        let bytes = self.number(&entry, dw::DW_AT_byte_size);
        let small_size = u8::try_from(bytes.unwrap_or_default()).unwrap_or(u8::MAX);
        Ok(match entry.tag() {
            dw::DW_TAG_base_type => self.base(&entry, small_size),
            dw::DW_TAG_pointer_type => Type::Pointer(self.target(&entry)),
            dw::DW_TAG_typedef => Type::Typedef {
                name: name(),
                target: self.target(&entry),
            },
            dw::DW_TAG_structure_type | dw::DW_TAG_union_type => {
                let is_union = entry.tag() == dw::DW_TAG_union_type;
                if self.is_declaration(&entry) {
                    Type::Forward {
                        name: name(),
                        is_union,
                    }
                } else {
                    let members = self.members(at)?;
                    Type::Struct(StructType {
                        name: self.tag(&entry),
                        bytes: bytes.unwrap_or_default(),
                        is_union,
                        members,
                    })
                }
            }
            dw::DW_TAG_enumeration_type => {
                let values = self.enumerators(at)?;
                let signed = values.iter().any(|(_, value)| *value < 0);
                Type::Enum {
                    name: self.tag(&entry),
                    bytes: small_size,
                    signed,
                    values,
                }
            }
            dw::DW_TAG_array_type => Type::Array {
                element: self.target(&entry),
                count: self.elements(at)?,
            },
            dw::DW_TAG_subroutine_type | dw::DW_TAG_subprogram => Type::Function {
                returns: self.target(&entry),
                params: self.params(at)?,
            },
            _ => Type::Void,
        })
    }

    fn name(&self, entry: &Entry<'a, '_>) -> &'a [u8] {
        let value = entry.attr_value(dw::DW_AT_name).ok().flatten();
        value.map_or(&[], |value| text(self.dwarf, self.unit, value))
    }

    /// The name of a struct, union or enum; many have none.
    fn tag(&self, entry: &Entry<'a, '_>) -> Option<String> {
        Some(owned(self.name(entry))).filter(|name| !name.is_empty())
    }

    fn number(&self, entry: &Entry<'a, '_>, attribute: DwAt) -> Option<u64> {
        entry.attr_value(attribute).ok().flatten()?.udata_value()
    }

    fn is_declaration(&self, entry: &Entry<'a, '_>) -> bool {
        entry.attr_value(dw::DW_AT_declaration).ok().flatten() == Some(AttributeValue::Flag(true))
    }

    fn base(&self, entry: &Entry<'a, '_>, bytes: u8) -> Type {
        let name = owned(self.name(entry));
        match entry.attr_value(dw::DW_AT_encoding).ok().flatten() {
            Some(AttributeValue::Encoding(dw::DW_ATE_float | dw::DW_ATE_complex_float)) => {
                Type::Float { name, bytes }
            }
            Some(AttributeValue::Encoding(dw::DW_ATE_signed | dw::DW_ATE_signed_char)) => {
                Type::Int {
                    name,
                    bytes,
                    signed: true,
                }
            }
            _ => Type::Int {
                name,
                bytes,
                signed: false,
            },
        }
    }

    /// The type that an entry refers to.
    pub(super) fn target(&self, entry: &Entry<'a, '_>) -> TypeId {
        (self.resolve)(self.behind_qualifiers(entry).unwrap_or(Found::Void))
    }

    fn behind_qualifiers(&self, entry: &Entry<'a, '_>) -> Option<Found<'a>> {
        let mut at = reference(entry)?;
        for _ in 0..QUALIFIERS_MAX {
            let entry = self.unit.entry(at).ok()?;
            let kind = match entry.tag() {
                dw::DW_TAG_const_type
                | dw::DW_TAG_volatile_type
                | dw::DW_TAG_restrict_type
                | dw::DW_TAG_atomic_type => {
                    at = reference(&entry)?;
                    continue;
                }
                dw::DW_TAG_structure_type => Some(NameKind::Struct),
                dw::DW_TAG_union_type => Some(NameKind::Union),
                dw::DW_TAG_enumeration_type => Some(NameKind::Enum),
                // No type: malformed, and following it might never end.
                dw::DW_TAG_variable => return None,
                _ => None,
            };
            let offset = at.to_debug_info_offset(&self.unit.header)?.0;
            return Some(match kind.filter(|_| self.is_declaration(&entry)) {
                Some(kind) => Found::Declared(kind, self.name(&entry), offset),
                None => Found::At(offset),
            });
        }
        None
    }

    /// Calls `each` with the direct children of an entry.
    fn children(
        &self,
        at: UnitOffset,
        mut each: impl FnMut(DwTag, &Entry<'a, '_>),
    ) -> gimli::Result<()> {
        let mut tree = self.unit.entries_tree(Some(at))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            each(child.entry().tag(), child.entry());
        }
        Ok(())
    }

    fn members(&self, at: UnitOffset) -> gimli::Result<Vec<Member>> {
        let mut members = Vec::new();
        self.children(at, |tag, entry| {
            if tag == dw::DW_TAG_member {
                members.push(self.member(entry));
            }
        })?;
        Ok(members)
    }

    fn member(&self, entry: &Entry<'a, '_>) -> Member {
        let number = |attribute| self.number(entry, attribute);
        let first_bit = number(dw::DW_AT_data_member_location)
            .unwrap_or_default()
            .wrapping_mul(8);
        let width = number(dw::DW_AT_bit_size);
        let bit_offset = match (
            number(dw::DW_AT_data_bit_offset),
            number(dw::DW_AT_bit_offset),
            width,
        ) {
            (Some(from_start), ..) => first_bit.wrapping_add(from_start),
            // To version 3: counted from the high end of a storage unit.
            (None, Some(from_top), Some(width)) => {
                let unit_bits = number(dw::DW_AT_byte_size).unwrap_or(4).wrapping_mul(8);
                first_bit
                    .wrapping_add(unit_bits)
                    .wrapping_sub(from_top)
                    .wrapping_sub(width)
            }
            _ => first_bit,
        };
        Member {
            name: self.tag(entry),
            type_id: self.target(entry),
            bit_offset,
            bitfield_bits: width.and_then(|width| u8::try_from(width).ok()),
        }
    }

    fn enumerators(&self, at: UnitOffset) -> gimli::Result<Vec<(String, i64)>> {
        let mut values = Vec::new();
        self.children(at, |tag, entry| {
            let value = entry.attr_value(dw::DW_AT_const_value).ok().flatten();
            if let (dw::DW_TAG_enumerator, Some(value)) = (tag, value.as_ref().and_then(constant)) {
                values.push((owned(self.name(entry)), value));
            }
        })?;
        Ok(values)
    }

    /// The product of all dimensions; 0 when one is open.
    fn elements(&self, at: UnitOffset) -> gimli::Result<u64> {
        let mut count: Option<u64> = None;
        self.children(at, |tag, entry| {
            if tag == dw::DW_TAG_subrange_type {
                let stated = self.number(entry, dw::DW_AT_count);
                let last = self.number(entry, dw::DW_AT_upper_bound);
                let dimension = stated
                    .or(last.and_then(|last| last.checked_add(1)))
                    .unwrap_or_default();
                count = Some(count.unwrap_or(1).saturating_mul(dimension));
            }
        })?;
        Ok(count.unwrap_or_default())
    }

    fn params(&self, at: UnitOffset) -> gimli::Result<Vec<(Option<String>, TypeId)>> {
        let mut params = Vec::new();
        self.children(at, |tag, entry| {
            if tag == dw::DW_TAG_formal_parameter {
                params.push((self.tag(entry), self.target(entry)));
            }
        })?;
        Ok(params)
    }

    /// The type of the variable at an offset; `None` when something else is there.
    pub(super) fn variable(&self, offset: usize) -> Option<TypeId> {
        let at = gimli::DebugInfoOffset(offset).to_unit_offset(&self.unit.header)?;
        let entry = self.unit.entry(at).ok()?;
        (entry.tag() == dw::DW_TAG_variable).then(|| self.target(&entry))
    }
}

/// Whether the pointer at an offset in `.debug_info` points to what is `const`.
pub(super) fn points_to_const(unit: &Unit<'_>, offset: usize) -> bool {
    let at = gimli::DebugInfoOffset(offset).to_unit_offset(&unit.header);
    let pointer = at.and_then(|at| unit.entry(at).ok());
    let target = pointer
        .filter(|entry| entry.tag() == dw::DW_TAG_pointer_type)
        .and_then(|entry| unit.entry(reference(&entry)?).ok());
    target.is_some_and(|entry| entry.tag() == dw::DW_TAG_const_type)
}

fn reference(entry: &Entry<'_, '_>) -> Option<UnitOffset> {
    match entry.attr_value(dw::DW_AT_type).ok().flatten()? {
        AttributeValue::UnitRef(at) => Some(at),
        _ => None,
    }
}
