//! Kinds of events as CTF declares them: names, members and how each member is stored.

use std::collections::BTreeSet;
use std::rc::Rc;

use trace_format::{EnumSchema, FieldKind, Schema};

/// A kind of event.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// Its name, any text.
    pub(super) name: String,
    /// What its records hold, in this order.
    pub(super) members: Vec<Member>,
}

/// A member of an event's payload.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its name: letters, digits and underscores.
    pub(super) name: String,
    /// How it is stored.
    pub(super) kind: MemberKind,
}

/// How a member is stored. All numbers are aligned to bytes, the lowest byte first.
#[derive(Clone, Debug)]
pub(super) enum MemberKind {
    /// 64 bits.
    Unsigned,
    /// 64 bits.
    Signed,
    /// 64 bits, shown in hexadecimal.
    Hex,
    /// 8 bits.
    Bool,
    /// 64 bits with names.
    Enum(Rc<EnumSchema>),
    /// Bytes up to a zero.
    Text,
    /// 32 bits of length, bytes.
    Bytes,
    /// 32 bits of count, numbers of 64 bits in hexadecimal.
    Addresses,
}

impl MemberKind {
    /// How a field of a schema is stored.
    pub(super) fn of(schema: &Schema, kind: &FieldKind) -> Self {
        match kind {
            FieldKind::Unsigned => Self::Unsigned,
            FieldKind::Signed => Self::Signed,
            FieldKind::Hex => Self::Hex,
            FieldKind::Bool => Self::Bool,
            FieldKind::Enum(name) => match schema.enumeration(name) {
                // An enumeration without names cannot be written.
                Some(names) if !names.values.is_empty() => Self::Enum(Rc::new(names.clone())),
                _ => Self::Signed,
            },
            FieldKind::Text => Self::Text,
            FieldKind::Bytes => Self::Bytes,
            FieldKind::Addresses => Self::Addresses,
        }
    }
}

/// Most characters of a member's name.
const NAME_CHARACTERS_MAX: usize = 200;

/// Names of the members of one event: words of the format's own language, each once.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The name for a member that is called so, which may be anything.
    pub(super) fn add(&mut self, name: &str) -> String {
        let plain = |character: char| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => character,
            _ => '_',
        };
        let word: String = name.chars().take(NAME_CHARACTERS_MAX).map(plain).collect();
        let mut unique = word.clone();
        let mut number = 1_usize;
        // What the length of `unique` is called must not be the name of another member.
        while self.0.contains(&unique) || self.0.contains(&length_of(&unique)) {
            number += 1;
            unique = format!("{word}_{number}");
        }
        self.0.insert(unique.clone());
        self.0.insert(length_of(&unique));
        unique
    }
}

/// Name of the member that has the length of another.
pub(super) fn length_of(name: &str) -> String {
    format!("_{name}_length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_and_differ() {
        let mut names = Names::default();
        let given = ["pid", "a b", "a-b", "pid", "", "_pid_length", "\u{202e};}"];
        let words = given.map(|name| names.add(name));
        let expected = ["pid", "a_b", "a_b_2", "pid_2", "", "_pid_length_2", "___"];
        assert_eq!(words, expected);
    }
}
