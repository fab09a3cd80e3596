//! What tells where the running guest put a section of a module.

use std::collections::HashMap;

use super::linked::LinkedSection;

/// A place that is known to the running kernel, and what it says of its section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The module's symbol of that name lies so far into the section.
    Symbol {
        /// The name, which no other symbol of the module has.
        name: String,
        /// Bytes from the start of the section.
        offset: u64,
    },
    /// A field of the code, in a section that has symbols, holds an address in this section.
    Field {
        /// Index of the section with the field.
        section: usize,
        /// The field, from the start of that section.
        at: u64,
        /// Bytes of the field: 4 or 8.
        bytes: u8,
        /// Whether the field is the distance from its own place; otherwise it is the address, sign-extended.
        is_relative: bool,
        /// What the address is behind the start of this section.
        offset: i64,
    },
}

/// More would not make it surer.
const ANCHORS_MAX: usize = 4;

/// A symbol of a module that has a place in it.
#[derive(Clone, Debug)]
pub(super) struct Placed<'a> {
    pub(super) name: &'a str,
    pub(super) section: usize,
    pub(super) offset: u64,
    pub(super) is_global: bool,
}

/// A field of code that refers to a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference {
    pub(super) from: usize,
    pub(super) at: u64,
    pub(super) bytes: u8,
    pub(super) is_relative: bool,
    pub(super) to: usize,
    pub(super) offset: i64,
}

/// Gives each section its anchors: symbols where it has any, else fields of code that has.
pub(super) fn anchor(sections: &mut [LinkedSection], symbols: &[Placed<'_>], fields: &[Reference]) {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for symbol in symbols {
        *uses.entry(symbol.name).or_default() += 1;
    }
    // Symbols that stripping keeps come first.
    for is_global in [true, false] {
        let unique = symbols
            .iter()
            .filter(|symbol| symbol.is_global == is_global && uses.get(symbol.name) == Some(&1));
        for symbol in unique {
            let Some(section) = sections.get_mut(symbol.section) else {
                continue;
            };
            if section.anchors.len() < ANCHORS_MAX {
                section.anchors.push(Anchor::Symbol {
                    name: symbol.name.to_owned(),
                    offset: symbol.offset,
                });
            }
        }
    }
    let has_symbols: Vec<bool> = sections.iter().map(|it| !it.anchors.is_empty()).collect();
    for field in fields {
        let is_known = |section: usize| has_symbols.get(section).copied().unwrap_or(true);
        let Some(section) = sections.get_mut(field.to) else {
            continue;
        };
        if is_known(field.from) && !is_known(field.to) && section.anchors.len() < ANCHORS_MAX {
            section.anchors.push(Anchor::Field {
                section: field.from,
                at: field.at,
                bytes: field.bytes,
                is_relative: field.is_relative,
                offset: field.offset,
            });
        }
    }
}
