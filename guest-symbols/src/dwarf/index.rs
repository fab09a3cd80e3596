//! One pass over all units: which names are defined where.
//!
//! Looks at the entries right below each unit, where C puts functions, global variables and almost all types, and at
//! the types inside functions. The same header is in thousands of units: a definition is known by its kind, name,
//! size and line, and its first copy is kept. So of two definitions that differ in nothing of that, one is lost (in
//! 6.1 that is `elf_note_info`, whose source is compiled twice).

use std::collections::HashMap;

use gimli::{
    AttributeSpecification, AttributeValue, DwAt, DwTag, EntriesRaw, UnitOffset, constants as dw,
};
use rayon::prelude::*;

use super::sections::{DebugSections, Dwarf, Slice, Unit, text};
use crate::name_index::NameKind;

/// Units that one job reads: enough to share what they have in common, few enough to balance.
const UNITS_PER_JOB: usize = 64;

/// A definition by what tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Definition<'a> {
    pub(super) kind: NameKind,
    pub(super) name: &'a [u8],
    pub(super) standing: Standing,
    bytes: u64,
    line: u64,
}

/// How much an entry says, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    Definition,
    Declaration,
    /// The assembler describes its functions without parameters; a declaration in C knows them.
    Assembly,
}

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// Definitions and the offset in `.debug_info` of the first copy of each.
    pub(super) definitions: HashMap<Definition<'a>, usize>,
    pub(super) enumerators: HashMap<&'a [u8], (usize, i64)>,
}

/// Indexes all units. What is malformed is left out.
pub(super) fn build<'a>(sections: &'a DebugSections, dwarf: &Dwarf<'a>) -> Found<'a> {
    let numbers: Vec<usize> = (0..sections.unit_count()).collect();
    let jobs = numbers.par_chunks(UNITS_PER_JOB).map(|job| {
        let mut found = Found::default();
        for unit in job
            .iter()
            .filter_map(|number| sections.unit(dwarf, *number))
        {
            // An error ends this unit only.
            let is_assembly = is_assembly(&unit);
            let mut walk = Walk {
                dwarf,
                unit: &unit,
                is_assembly,
                found: &mut found,
            };
            let _ = walk.top();
        }
        found
    });
    jobs.reduce(Found::default, Found::merge)
}

impl Found<'_> {
    fn merge(self, other: Self) -> Self {
        let (mut large, small) = if self.definitions.len() < other.definitions.len() {
            (other, self)
        } else {
            (self, other)
        };
        #[allow(
            clippy::iter_over_hash_type,
            reason = "the least offset wins in any order"
        )]
        for (definition, offset) in small.definitions {
            let first = large.definitions.entry(definition).or_insert(offset);
            *first = offset.min(*first);
        }
        #[allow(
            clippy::iter_over_hash_type,
            reason = "the least offset wins in any order"
        )]
        for (name, found) in small.enumerators {
            let first = large.enumerators.entry(name).or_insert(found);
            *first = found.min(*first);
        }
        large
    }
}

fn is_assembly(unit: &Unit<'_>) -> bool {
    let root = unit.entry(UnitOffset(unit.header.size_of_header()));
    let language = root.and_then(|root| root.attr_value(dw::DW_AT_language));
    matches!(
        language,
        Ok(Some(AttributeValue::Language(dw::DW_LANG_Mips_Assembler)))
    )
}

/// Types may be defined inside functions, all else that is indexed stands right below the unit.
fn is_type(tag: DwTag) -> bool {
    matches!(
        tag,
        dw::DW_TAG_structure_type
            | dw::DW_TAG_union_type
            | dw::DW_TAG_enumeration_type
            | dw::DW_TAG_typedef
    )
}

struct Walk<'w, 'a> {
    dwarf: &'w Dwarf<'a>,
    unit: &'w Unit<'a>,
    is_assembly: bool,
    found: &'w mut Found<'a>,
}

/// The attributes that the index needs of an entry.
#[derive(Default)]
struct Seen<'a> {
    name: &'a [u8],
    bytes: u64,
    line: u64,
    is_declaration: bool,
    has_type: bool,
    sibling: Option<UnitOffset>,
    specification: Option<UnitOffset>,
}

impl<'a> Walk<'_, 'a> {
    fn top(&mut self) -> gimli::Result<()> {
        let mut entries = self.unit.entries_raw(None)?;
        // Depth of what is right below the unit; jumping to a sibling starts counting anew.
        let mut top_depth = 1;
        while !entries.is_empty() {
            let (depth, offset) = (entries.next_depth(), entries.next_offset());
            if depth < top_depth && top_depth == 0 {
                break;
            }
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let (tag, attributes) = (abbreviation.tag(), abbreviation.attributes());
            if depth != top_depth && !is_type(tag) {
                entries.skip_attributes(attributes)?;
                continue;
            }
            let seen = self.attributes(&mut entries, attributes)?;
            self.add(tag, offset, &seen);
            if tag == dw::DW_TAG_enumeration_type && abbreviation.has_children() {
                self.enumerators(&mut entries, depth + 1)?;
            } else if depth == top_depth
                && tag != dw::DW_TAG_subprogram
                // Backwards would be for ever.
                && let Some(sibling) = seen.sibling.filter(|it| abbreviation.has_children() && *it > offset)
            {
                entries = self.unit.entries_raw(Some(sibling))?;
                top_depth = 0;
            }
        }
        Ok(())
    }

    fn attributes(
        &self,
        entries: &mut EntriesRaw<'_, '_, Slice<'a>>,
        specifications: &[AttributeSpecification],
    ) -> gimli::Result<Seen<'a>> {
        let mut seen = Seen::default();
        for specification in specifications {
            match specification.name() {
                dw::DW_AT_name
                | dw::DW_AT_byte_size
                | dw::DW_AT_decl_line
                | dw::DW_AT_declaration
                | dw::DW_AT_type
                | dw::DW_AT_specification
                | dw::DW_AT_sibling => {
                    let attribute = entries.read_attribute(*specification)?;
                    self.note(&mut seen, attribute.name(), attribute.value());
                }
                _ => entries.skip_attributes(std::slice::from_ref(specification))?,
            }
        }
        Ok(seen)
    }

    fn note(&self, seen: &mut Seen<'a>, name: DwAt, value: AttributeValue<Slice<'a>>) {
        match (name, value) {
            (dw::DW_AT_name, value) => seen.name = text(self.dwarf, self.unit, value),
            (dw::DW_AT_byte_size, value) => seen.bytes = value.udata_value().unwrap_or_default(),
            (dw::DW_AT_decl_line, value) => seen.line = value.udata_value().unwrap_or_default(),
            (dw::DW_AT_declaration, value) => {
                seen.is_declaration = value == AttributeValue::Flag(true)
            }
            (dw::DW_AT_type, _) => seen.has_type = true,
            (dw::DW_AT_sibling, AttributeValue::UnitRef(offset)) => seen.sibling = Some(offset),
            (dw::DW_AT_specification, AttributeValue::UnitRef(offset)) => {
                seen.specification = Some(offset)
            }
            _ => {}
        }
    }

    fn add(&mut self, tag: DwTag, at: UnitOffset, seen: &Seen<'a>) {
        let kind = match tag {
            dw::DW_TAG_structure_type => NameKind::Struct,
            dw::DW_TAG_union_type => NameKind::Union,
            dw::DW_TAG_enumeration_type => NameKind::Enum,
            dw::DW_TAG_typedef => NameKind::Typedef,
            dw::DW_TAG_subprogram => NameKind::Function,
            dw::DW_TAG_variable => NameKind::Variable,
            _ => return,
        };
        let is_type = matches!(kind, NameKind::Struct | NameKind::Union | NameKind::Enum);
        let mut name = seen.name;
        if name.is_empty() && kind == NameKind::Variable && seen.has_type {
            // A definition whose declaration lacked the length of the array.
            name = seen
                .specification
                .and_then(|it| self.name_of(it))
                .unwrap_or_default();
        }
        if name.is_empty() || (is_type && seen.is_declaration) {
            return;
        }
        let Seen { bytes, line, .. } = *seen;
        let standing = match (seen.is_declaration, self.is_assembly) {
            (true, _) => Standing::Declaration,
            (false, true) => Standing::Assembly,
            (false, false) => Standing::Definition,
        };
        let Some(offset) = at.to_debug_info_offset(&self.unit.header) else {
            return;
        };
        let definition = Definition {
            kind,
            name,
            standing,
            bytes,
            line,
        };
        let first = self.found.definitions.entry(definition).or_insert(offset.0);
        *first = offset.0.min(*first);
    }

    fn name_of(&self, at: UnitOffset) -> Option<&'a [u8]> {
        let entry = self.unit.entry(at).ok()?;
        let name = entry.attr_value(dw::DW_AT_name).ok()??;
        Some(text(self.dwarf, self.unit, name))
    }

    fn enumerators(
        &mut self,
        entries: &mut EntriesRaw<'_, '_, Slice<'a>>,
        depth: isize,
    ) -> gimli::Result<()> {
        while entries.next_depth() >= depth && !entries.is_empty() {
            let offset = entries.next_offset();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let (mut name, mut value): (&[u8], _) = (&[], None);
            for specification in abbreviation.attributes() {
                let attribute = entries.read_attribute(*specification)?;
                match attribute.name() {
                    dw::DW_AT_name => name = text(self.dwarf, self.unit, attribute.value()),
                    dw::DW_AT_const_value => value = super::reader::constant(&attribute.value()),
                    _ => {}
                }
            }
            let offset = offset.to_debug_info_offset(&self.unit.header);
            if let (Some(offset), Some(value), false) = (offset, value, name.is_empty()) {
                let first = self
                    .found
                    .enumerators
                    .entry(name)
                    .or_insert((offset.0, value));
                *first = (offset.0, value).min(*first);
            }
        }
        Ok(())
    }
}
