//! Names of types, functions and variables, and what they mean.

use std::collections::{HashMap, HashSet};

use crate::c_type::TypeId;

/// What a name names; C keeps tags, functions and the rest apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pointers_to_const: HashSet<TypeId>,
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

    pub(crate) fn add_pointer_to_const(&mut self, pointer: TypeId) {
        self.pointers_to_const.insert(pointer);
    }

    pub(crate) fn points_to_const(&self, pointer: TypeId) -> bool {
        self.pointers_to_const.contains(&pointer)
    }

    pub(crate) fn enumerator(&self, name: &str) -> Option<i64> {
        self.enumerators.get(name).copied()
    }

    pub(crate) fn get(&self, kind: NameKind, name: &str) -> &[TypeId] {
        self.by_kind
            .get(kind as usize)
            .and_then(|map| map.get(name))
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn names(&self, kind: NameKind) -> Vec<&str> {
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
