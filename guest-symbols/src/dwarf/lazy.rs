//! Types that are read from DWARF when they are asked for.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::reader::{Found, Reader, points_to_const};
use super::{DebugSections, index};
use crate::c_type::{Type, TypeId};
use crate::name_index::NameIndex;

/// The types of a vmlinux with DWARF. A type gets its id when it is first referred to.
#[derive(Debug)]
pub(crate) struct LazyTypes {
    sections: std::sync::Arc<DebugSections>,
    names: NameIndex,
    /// Ids below it are those of other types.
    first_id: u32,
    /// By distance from the first id, from 1.
    slots: boxcar::Vec<Slot>,
    /// Ids by offset in `.debug_info`.
    ids: Mutex<HashMap<usize, TypeId>>,
}

#[derive(Debug)]
struct Slot {
    offset: usize,
    content: OnceLock<Type>,
}

impl LazyTypes {
    /// Indexes the names of all units. Ids follow `first_id`.
    pub(crate) fn open(sections: std::sync::Arc<DebugSections>, first_id: u32) -> Self {
        let mut out = Self {
            sections: sections.clone(),
            names: NameIndex::default(),
            first_id,
            slots: boxcar::Vec::new(),
            ids: Mutex::default(),
        };
        // The id 0 is `void`.
        out.slots.push(Slot {
            offset: usize::MAX,
            content: OnceLock::from(Type::Void),
        });
        let found = index::build(&sections, &sections.dwarf());
        let mut definitions: Vec<_> = found.definitions.into_iter().collect();
        definitions
            .sort_unstable_by_key(|(it, offset)| (it.kind as u8, it.name, it.standing, *offset));
        let mut names = NameIndex::default();
        let mut best = None;
        for (it, offset) in definitions {
            // A name that is defined needs none of its declarations.
            let (name, standing) = ((it.kind, it.name), it.standing);
            match best {
                Some((other, better)) if other == name && better < standing => continue,
                _ => best = Some((name, standing)),
            }
            if let Ok(name) = std::str::from_utf8(it.name) {
                names.add(it.kind, name, out.id_of(offset));
            }
        }
        let mut enumerators: Vec<_> = found.enumerators.into_iter().collect();
        enumerators.sort_unstable();
        for (name, (_, value)) in enumerators {
            if let Ok(name) = std::str::from_utf8(name) {
                names.add_enumerator(name, value);
            }
        }
        out.names = names;
        out
    }

    pub(crate) fn names(&self) -> &NameIndex {
        &self.names
    }

    /// The type behind an id, read at the first call.
    pub(crate) fn get(&self, id: TypeId) -> &Type {
        let Some(slot) = self.slot(id) else {
            return &Type::Void;
        };
        slot.content.get_or_init(|| self.read(slot.offset))
    }

    fn slot(&self, id: TypeId) -> Option<&Slot> {
        let number = id.0.checked_sub(self.first_id)?;
        self.slots.get(crate::bytes::index(number))
    }

    /// Whether what a pointer points to is `const`.
    pub(crate) fn points_to_const(&self, pointer: TypeId) -> bool {
        let offset = self.slot(pointer).map(|slot| slot.offset);
        let dwarf = self.sections.dwarf();
        let unit = offset.and_then(|offset| {
            let number = self.sections.unit_of(offset)?;
            self.sections.unit(&dwarf, number).zip(Some(offset))
        });
        unit.is_some_and(|(unit, offset)| points_to_const(&unit, offset))
    }

    fn read(&self, offset: usize) -> Type {
        let dwarf = self.sections.dwarf();
        let unit = self
            .sections
            .unit_of(offset)
            .and_then(|number| self.sections.unit(&dwarf, number));
        let Some(unit) = unit else { return Type::Void };
        let resolve = |found: Found<'_>| match found {
            Found::Void => TypeId::VOID,
            Found::At(offset) => self.id_of(offset),
            // Declared here, defined elsewhere: as the linker of types would do for BTF.
            Found::Declared(kind, name, offset) => {
                let defined = std::str::from_utf8(name)
                    .ok()
                    .and_then(|name| self.names.get(kind, name).first());
                defined.copied().unwrap_or_else(|| self.id_of(offset))
            }
        };
        let reader = Reader {
            dwarf: &dwarf,
            unit: &unit,
            resolve: &resolve,
        };
        match reader.variable(offset) {
            // The id of a variable stands for its type; that is no variable, so this ends.
            Some(id) => self.get(id).clone(),
            None => reader.read(offset).unwrap_or(Type::Void),
        }
    }

    fn id_of(&self, offset: usize) -> TypeId {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        *ids.entry(offset).or_insert_with(|| {
            let number = self.slots.push(Slot {
                offset,
                content: OnceLock::new(),
            });
            let number = u32::try_from(number).ok();
            let id = number.and_then(|number| number.checked_add(self.first_id));
            id.map_or(TypeId::VOID, TypeId)
        })
    }
}
