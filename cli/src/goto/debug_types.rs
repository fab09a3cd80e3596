//! A kernel's types as DWARF, which debuggers read; stock kernels have them as BTF, which debuggers do not.

use std::collections::BTreeMap;

use anyhow::Result;
use gimli::write::{Address, AttributeValue, DwarfUnit, EndianVec, Sections, Unit, UnitEntryId};
use gimli::{DwAte, DwTag, Encoding, Format, LittleEndian, constants};
use guest_symbols::{NameKind, StructType, Type, TypeId, Types};

/// A section of the file.
#[derive(Debug)]
pub(super) struct DebugSection {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

const KINDS: [NameKind; 4] = [
    NameKind::Struct,
    NameKind::Union,
    NameKind::Enum,
    NameKind::Typedef,
];

/// All types that have a name, and those that they are made of.
pub(super) fn debug_types(types: &Types) -> Result<Vec<DebugSection>> {
    let mut dwarf = DwarfUnit::new(Encoding {
        format: Format::Dwarf32,
        version: 4,
        address_size: 8,
    });
    let root = dwarf.unit.root();
    let name = dwarf.strings.add("types of the kernel");
    let entry = dwarf.unit.get_mut(root);
    entry.set(constants::DW_AT_name, AttributeValue::StringRef(name));
    entry.set(
        constants::DW_AT_language,
        AttributeValue::Language(constants::DW_LANG_C99),
    );
    entry.set(
        constants::DW_AT_low_pc,
        AttributeValue::Address(Address::Constant(0)),
    );
    let mut maker = Maker {
        types,
        entries: BTreeMap::new(),
        waiting: Vec::new(),
    };
    for kind in KINDS {
        for name in types.names(kind) {
            for id in types.all_named(kind, name) {
                maker.entry(&mut dwarf.unit, *id);
            }
        }
    }
    while let Some((id, entry)) = maker.waiting.pop() {
        maker.describe(&mut dwarf.unit, id, entry);
    }
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    dwarf.write(&mut sections)?;
    let mut written = Vec::new();
    sections.for_each(|id, data| -> Result<()> {
        if !data.slice().is_empty() {
            let (name, bytes) = (id.name(), data.slice().to_vec());
            written.push(DebugSection { name, bytes });
        }
        Ok(())
    })?;
    Ok(written)
}

/// Makes an entry for each type, once.
struct Maker<'t> {
    types: &'t Types,
    entries: BTreeMap<TypeId, UnitEntryId>,
    /// Entries that say nothing yet.
    waiting: Vec<(TypeId, UnitEntryId)>,
}

impl Maker<'_> {
    /// The entry of a type; `None` for `void`.
    fn entry(&mut self, unit: &mut Unit, id: TypeId) -> Option<UnitEntryId> {
        let tag = tag(self.types.get(id))?;
        Some(*self.entries.entry(id).or_insert_with(|| {
            let entry = unit.add(unit.root(), tag);
            self.waiting.push((id, entry));
            entry
        }))
    }

    fn set_type(&mut self, unit: &mut Unit, entry: UnitEntryId, id: TypeId) {
        if let Some(target) = self.entry(unit, id) {
            let value = AttributeValue::UnitRef(target);
            unit.get_mut(entry).set(constants::DW_AT_type, value);
        }
    }

    fn describe(&mut self, unit: &mut Unit, id: TypeId, entry: UnitEntryId) {
        let types = self.types;
        match types.get(id) {
            Type::Void => {}
            Type::Int {
                name,
                bytes,
                signed,
            } => base(unit, entry, name, *bytes, int_encoding(name, *signed)),
            Type::Float { name, bytes } => {
                base(unit, entry, name, *bytes, constants::DW_ATE_float);
            }
            Type::Pointer(target) => {
                set_size(unit, entry, 8);
                self.set_type(unit, entry, *target);
            }
            Type::Struct(described) => self.describe_struct(unit, entry, described),
            Type::Array { element, count } => {
                self.set_type(unit, entry, *element);
                let range = unit.add(entry, constants::DW_TAG_subrange_type);
                let value = AttributeValue::Udata(*count);
                unit.get_mut(range).set(constants::DW_AT_count, value);
            }
            Type::Enum {
                name,
                bytes,
                values,
                ..
            } => {
                set_name(unit, entry, name.as_deref());
                set_size(unit, entry, u64::from(*bytes));
                for (name, value) in values {
                    let child = unit.add(entry, constants::DW_TAG_enumerator);
                    set_name(unit, child, Some(name));
                    let value = AttributeValue::Sdata(*value);
                    unit.get_mut(child).set(constants::DW_AT_const_value, value);
                }
            }
            Type::Typedef { name, target } => {
                set_name(unit, entry, Some(name));
                self.set_type(unit, entry, *target);
            }
            Type::Function { returns, params } => {
                let prototyped = AttributeValue::Flag(true);
                unit.get_mut(entry)
                    .set(constants::DW_AT_prototyped, prototyped);
                self.set_type(unit, entry, *returns);
                for (_, id) in params {
                    let child = unit.add(entry, constants::DW_TAG_formal_parameter);
                    self.set_type(unit, child, *id);
                }
            }
            Type::Forward { name, .. } => {
                set_name(unit, entry, Some(name));
                let declaration = AttributeValue::Flag(true);
                unit.get_mut(entry)
                    .set(constants::DW_AT_declaration, declaration);
            }
        }
    }

    fn describe_struct(&mut self, unit: &mut Unit, entry: UnitEntryId, described: &StructType) {
        set_name(unit, entry, described.name.as_deref());
        set_size(unit, entry, described.bytes);
        for member in &described.members {
            let child = unit.add(entry, constants::DW_TAG_member);
            set_name(unit, child, member.name.as_deref());
            self.set_type(unit, child, member.type_id);
            let place = unit.get_mut(child);
            match member.bitfield_bits {
                Some(bits) => {
                    let (size, offset) = (
                        AttributeValue::Udata(u64::from(bits)),
                        AttributeValue::Udata(member.bit_offset),
                    );
                    place.set(constants::DW_AT_bit_size, size);
                    place.set(constants::DW_AT_data_bit_offset, offset);
                }
                None => place.set(
                    constants::DW_AT_data_member_location,
                    AttributeValue::Udata(member.bit_offset / 8),
                ),
            }
        }
    }
}

/// What a type is to a debugger; `None` for `void`.
fn tag(described: &Type) -> Option<DwTag> {
    Some(match described {
        Type::Void => return None,
        Type::Int { .. } | Type::Float { .. } => constants::DW_TAG_base_type,
        Type::Pointer(_) => constants::DW_TAG_pointer_type,
        Type::Struct(StructType { is_union, .. }) | Type::Forward { is_union, .. } => {
            if *is_union {
                constants::DW_TAG_union_type
            } else {
                constants::DW_TAG_structure_type
            }
        }
        Type::Array { .. } => constants::DW_TAG_array_type,
        Type::Enum { .. } => constants::DW_TAG_enumeration_type,
        Type::Typedef { .. } => constants::DW_TAG_typedef,
        Type::Function { .. } => constants::DW_TAG_subroutine_type,
    })
}

fn int_encoding(name: &str, signed: bool) -> DwAte {
    match (name, signed) {
        ("_Bool" | "bool", _) => constants::DW_ATE_boolean,
        ("char", _) => constants::DW_ATE_signed_char,
        ("unsigned char", _) => constants::DW_ATE_unsigned_char,
        (_, true) => constants::DW_ATE_signed,
        (_, false) => constants::DW_ATE_unsigned,
    }
}

fn base(unit: &mut Unit, entry: UnitEntryId, name: &str, bytes: u8, encoding: DwAte) {
    set_name(unit, entry, Some(name));
    set_size(unit, entry, u64::from(bytes));
    let value = AttributeValue::Encoding(encoding);
    unit.get_mut(entry).set(constants::DW_AT_encoding, value);
}

fn set_name(unit: &mut Unit, entry: UnitEntryId, name: Option<&str>) {
    if let Some(name) = name {
        let value = AttributeValue::String(name.as_bytes().to_vec());
        unit.get_mut(entry).set(constants::DW_AT_name, value);
    }
}

fn set_size(unit: &mut Unit, entry: UnitEntryId, bytes: u64) {
    let value = AttributeValue::Udata(bytes);
    unit.get_mut(entry).set(constants::DW_AT_byte_size, value);
}
