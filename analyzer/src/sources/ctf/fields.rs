//! What the members of an event are as fields of a record: their places, their kinds, the names of their values.

use trace_format::{EnumSchema, FIELDS_MAX, FieldKind, FieldSchema};

use super::class::{ByteOrder, Class, Int, Names, Shown, Type, TypeRef};
use super::compile::{Budget, Compiler};

/// Values that a range of an enumeration is written out for.
const RANGE_MAX: i128 = 64;
/// Most values of a trace that names are written out for.
const VALUES_MAX: usize = 1 << 18;
/// Fields of an event's own that are shown one by one; an event with more has one for the rest.
const PAYLOAD_FIELDS_MAX: usize = 24;

/// Fields of the record that members of an event go to, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    /// The next one.
    pub(super) next: usize,
    /// The one that takes, as text, all members for which there is none before it.
    pub(super) end: usize,
    pub(super) is_begun: bool,
}

impl Compiler {
    /// Gives the fields of an event their places: those of its payload, then those of its contexts.
    pub(super) fn place(
        &mut self,
        budget: &mut Budget,
        payload: &[(String, TypeRef)],
        contexts: &[(String, TypeRef)],
    ) -> (Slots, Slots) {
        let payload = self.slots(budget, "", payload, PAYLOAD_FIELDS_MAX);
        let room = FIELDS_MAX - self.fields.len() - 1;
        (payload, self.slots(budget, "ctx_", contexts, room))
    }

    fn slots(
        &mut self,
        budget: &mut Budget,
        prefix: &str,
        members: &[(String, TypeRef)],
        most: usize,
    ) -> Slots {
        let next = self.fields.len();
        let shown = members.len().min(most);
        for (name, class) in &members[..shown] {
            self.add_field(budget, prefix, name, Some(class));
        }
        let end = self.fields.len();
        if members.len() > shown {
            self.add_field(budget, prefix, "more_fields", None);
        }
        Slots {
            next,
            end,
            is_begun: false,
        }
    }

    fn add_field(
        &mut self,
        budget: &mut Budget,
        prefix: &str,
        name: &str,
        class: Option<&TypeRef>,
    ) {
        let plain = format!("{prefix}{}", self.shown(name));
        let mut name = plain.clone();
        let mut number = 2;
        while self.fields.iter().any(|field| field.name == name) {
            name = format!("{plain}_{number}");
            number += 1;
        }
        let kind = class.map_or(FieldKind::Text, |class| self.kind(budget, class, &name));
        self.fields.push(FieldSchema {
            name,
            kind,
            unit: None,
            doc: String::new(),
        });
    }

    /// What a field of the type is to a reader of the schema.
    fn kind(&mut self, budget: &mut Budget, class: &Type, name: &str) -> FieldKind {
        match &class.class {
            Class::Int(int, None) => number_kind(int.shown, int.is_signed),
            Class::VarInt {
                is_signed,
                shown,
                names: None,
                ..
            } => number_kind(*shown, *is_signed),
            Class::Int(
                Int {
                    is_signed, shown, ..
                },
                Some(names),
            )
            | Class::VarInt {
                is_signed,
                shown,
                names: Some(names),
                ..
            } => {
                let kind = self.enumeration(budget, names, name);
                kind.unwrap_or_else(|| number_kind(*shown, *is_signed))
            }
            Class::Bytes { text: None, .. } => FieldKind::Bytes,
            Class::Array { element, .. } => Run::of(element).map_or(FieldKind::Text, Run::kind),
            Class::Optional { class, .. } => self.kind(budget, class, name),
            Class::Float { .. }
            | Class::Text(_)
            | Class::Bytes { text: Some(_), .. }
            | Class::Struct(_)
            | Class::Variant { .. } => FieldKind::Text,
        }
    }

    /// `None` when there are too many names.
    fn enumeration(
        &mut self,
        budget: &mut Budget,
        names: &Names,
        field: &str,
    ) -> Option<FieldKind> {
        let mut values: Vec<(u64, String)> = Vec::new();
        for (text, from, to) in names {
            if to - from >= RANGE_MAX {
                continue;
            }
            for value in *from..=*to {
                budget.values += 1;
                if budget.values > VALUES_MAX {
                    return None;
                }
                let signed = i64::try_from(value).map(i64::cast_unsigned);
                if let Ok(bits) = signed.or_else(|_| u64::try_from(value)) {
                    values.push((bits, text.clone()));
                }
            }
        }
        values.sort_by_key(|(value, _)| *value);
        values.dedup_by_key(|(value, _)| *value);
        self.enums.push(EnumSchema {
            name: field.to_owned(),
            values,
        });
        Some(FieldKind::Enum(field.to_owned()))
    }
}

fn number_kind(shown: Shown, is_signed: bool) -> FieldKind {
    match (shown, is_signed) {
        (Shown::Bool, _) => FieldKind::Bool,
        (Shown::Hex, _) => FieldKind::Hex,
        (Shown::Decimal, true) => FieldKind::Signed,
        (Shown::Decimal, false) => FieldKind::Unsigned,
    }
}

/// Arrays that are a run of bytes without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Text,
    Bytes,
    /// 64-bit numbers that are addresses.
    Addresses,
}

impl Run {
    pub(super) fn of(element: &Type) -> Option<Self> {
        let Class::Int(int, None) = &element.class else {
            return None;
        };
        match (int.bits, element.align) {
            _ if element.is_character() && element.align == 8 => Some(Self::Text),
            (8, 8) => Some(Self::Bytes),
            (64, 8 | 16 | 32 | 64) if int.shown == Shown::Hex && int.order == ByteOrder::Little => {
                Some(Self::Addresses)
            }
            _ => None,
        }
    }

    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::Text | Self::Bytes => 1,
            Self::Addresses => 8,
        }
    }

    pub(super) fn kind(self) -> FieldKind {
        match self {
            Self::Text => FieldKind::Text,
            Self::Bytes => FieldKind::Bytes,
            Self::Addresses => FieldKind::Addresses,
        }
    }
}
