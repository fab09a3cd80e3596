//! Kinds of ftrace events, by the numbers that Perfetto gives them.
//!
//! A trace has numbers alone. Names and fields of those that Perfetto knows are a table; others are described in the trace
//! itself, or not at all: their fields are then called by their numbers.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use trace_format::{EventId, FIELDS_MAX, FieldKind};

use super::proto::{all_in, number_in, text_in};

/// `4 sched:sched_switch prev_comm:t1 prev_pid:s2`: number, group and name, and for each field name, kind and number.
const TABLE: &str = include_str!("../dialects/perfetto_events.txt");

/// How many numbers of a repeated field are shown, each as a field of its own.
const REPEATED_MAX: usize = 6;
/// Fields with higher numbers are not looked at.
const NUMBER_MAX: u32 = 256;

static KNOWN: LazyLock<HashMap<u32, Description>> = LazyLock::new(|| {
    let row = |line: &str| {
        let mut words = line.split(' ');
        let number = words.next()?.parse().ok()?;
        let (group, name) = words.next()?.split_once(':')?;
        let mut description = Description::new(group, name);
        for word in words {
            let (field, rest) = word.split_once(':')?;
            let (kind, number) = rest.split_at_checked(1)?;
            description.add(field, kind, number.parse().ok()?);
        }
        Some((number, description))
    };
    TABLE.lines().filter_map(row).collect()
});

/// A kind of event, described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) group: String,
    pub(super) name: String,
    /// Names and kinds of the fields.
    pub(super) fields: Vec<(String, FieldKind)>,
    /// By number of a field, the first of its places.
    places: BTreeMap<u32, Slot>,
}

/// Where a field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) index: usize,
    /// How many places it has.
    pub(super) count: usize,
}

/// A kind of event in a trace.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) event: EventId,
    pub(super) field_count: usize,
    /// By number of a field.
    slots: Vec<Option<Slot>>,
}

impl Kind {
    pub(super) fn new(event: EventId, description: &Description) -> Self {
        let count = description
            .places
            .keys()
            .next_back()
            .map_or(0, |last| *last as usize + 1);
        let mut slots = vec![None; count];
        for (number, slot) in &description.places {
            slots[*number as usize] = Some(*slot);
        }
        Self {
            event,
            field_count: description.fields.len(),
            slots,
        }
    }

    #[inline]
    pub(super) fn slot(&self, number: u32) -> Option<Slot> {
        self.slots.get(number as usize).copied().flatten()
    }
}

impl Description {
    pub(super) fn new(group: &str, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a field of a kind: `s`igned, `u`nsigned, `h`exadecimal, `b`oolean, `t`ext, `d`ata, `r`epeated.
    pub(super) fn add(&mut self, name: &str, kind: &str, number: u32) {
        let count = if kind == "r" { REPEATED_MAX } else { 1 };
        let index = self.fields.len();
        if index + count > FIELDS_MAX
            || number > NUMBER_MAX
            || self.fields.iter().any(|(known, _)| known == name)
        {
            return;
        }
        let kind = match kind {
            "s" => FieldKind::Signed,
            "h" | "r" => FieldKind::Hex,
            "b" => FieldKind::Bool,
            "t" => FieldKind::Text,
            "d" => FieldKind::Bytes,
            _ => FieldKind::Unsigned,
        };
        self.places.insert(number, Slot { index, count });
        if count == 1 {
            self.fields.push((name.to_owned(), kind));
        } else {
            let fields = (0..count).map(|place| (format!("{name}{place}"), kind.clone()));
            self.fields.extend(fields);
        }
    }

    /// What Perfetto's own table says of a kind.
    pub(super) fn known(number: u32) -> Option<&'static Self> {
        KNOWN.get(&number)
    }

    /// What a trace says of a kind: its number, and what it is.
    pub(super) fn read(message: &[u8]) -> Option<(u32, Self)> {
        let number = u32::try_from(number_in(message, 1)?).ok()?;
        let descriptor = super::proto::bytes_in(message, 2)?;
        let group = text_in(message, 3).unwrap_or_default();
        let mut description = Self::new(&group, &text_in(descriptor, 1)?);
        for field in all_in(descriptor, 2) {
            let (Some(name), Some(number)) = (text_in(field, 1), number_in(field, 3)) else {
                continue;
            };
            // Numbers of types in `descriptor.proto`.
            let kind = match number_in(field, 5) {
                Some(3 | 5 | 15 | 16 | 17 | 18) => "s",
                Some(8) => "b",
                Some(9) => "t",
                Some(12) => "d",
                _ => "u",
            };
            if let Ok(number) = u32::try_from(number) {
                description.add(&name, kind, number);
            }
        }
        Some((number, description))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_an_event() {
        assert_eq!(KNOWN.len(), TABLE.lines().count());
        let switch = Description::known(4).unwrap();
        assert_eq!(
            (&*switch.group, &*switch.name, switch.fields.len()),
            ("sched", "sched_switch", 7)
        );
        let enter = Kind::new(EventId(0), Description::known(329).unwrap());
        assert_eq!(enter.slot(2), Some(Slot { index: 1, count: 6 }));
        assert_eq!((enter.slot(3), enter.slot(u32::MAX)), (None, None));
    }
}
