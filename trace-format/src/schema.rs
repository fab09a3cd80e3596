//! What the events of a trace look like: the part of the header that lets an old trace explain itself.
//!
//! Built from the event table by the plan compiler, embedded in every trace, read back by every reader.
//! Knows nothing of how a field was fetched nor of what it means to a kernel.

use serde::{Deserialize, Serialize};

/// Most fields one event can have: the record's mask of missing fields has one bit each.
pub const FIELDS_MAX: usize = 32;

/// Number that an event keeps for ever, in every trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventId(pub u16);

/// Every event and every enumeration that a trace can contain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The events, by ascending id.
    pub events: Vec<EventSchema>,
    /// Names for the values of [`FieldKind::Enum`] fields.
    pub enums: Vec<EnumSchema>,
}

/// One kind of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSchema {
    /// Frozen number of the event.
    pub id: EventId,
    /// Name, the kernel's tracepoint name where one exists.
    pub name: String,
    /// Group of events, such as `sched`.
    pub category: String,
    /// Name of the event in the Linux Trace Toolkit, where it had one.
    pub ltt: Option<String>,
    /// One sentence.
    pub doc: String,
    /// Whether the CPU's latest record of this event opens each of its chunks.
    pub sticky: bool,
    /// Fields in the order of the record; at most [`FIELDS_MAX`].
    pub fields: Vec<FieldSchema>,
}

/// One field of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Name, unique within the event.
    pub name: String,
    /// How the stored bits are to be read and shown.
    pub kind: FieldKind,
    /// Unit of a quantity, such as `bytes`.
    pub unit: Option<String>,
    /// One sentence.
    pub doc: String,
}

/// How a field is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Unsigned number.
    Unsigned,
    /// Two's complement number.
    Signed,
    /// Address or bit mask, shown in hexadecimal.
    Hex,
    /// Truth value, stored as 0 or 1.
    Bool,
    /// Number with names: the name of an [`EnumSchema`]. Values without a name are shown as numbers.
    Enum(String),
    /// Bytes that are text by intention, not by guarantee.
    Text,
    /// Bytes.
    Bytes,
}

impl FieldKind {
    /// Whether the field is a run of bytes rather than one 64-bit number.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::Text | Self::Bytes)
    }
}

/// Names of the values of a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnumSchema {
    /// Name by which fields refer to it.
    pub name: String,
    /// Values and their names, by ascending value.
    pub values: Vec<(u64, String)>,
}

impl EnumSchema {
    /// Name of `value`.
    #[must_use]
    pub fn name_of(&self, value: u64) -> Option<&str> {
        let index = self.values.binary_search_by_key(&value, |(value, _)| *value).ok()?;
        Some(self.values[index].1.as_str())
    }
}

impl Schema {
    /// The event with that id.
    #[must_use]
    pub fn event(&self, id: EventId) -> Option<&EventSchema> {
        let index = self.events.binary_search_by_key(&id, |event| event.id).ok()?;
        Some(&self.events[index])
    }

    /// The event with that name.
    #[must_use]
    pub fn event_named(&self, name: &str) -> Option<&EventSchema> {
        self.events.iter().find(|event| event.name == name)
    }

    /// The enumeration with that name.
    #[must_use]
    pub fn enumeration(&self, name: &str) -> Option<&EnumSchema> {
        self.enums.iter().find(|item| item.name == name)
    }
}

impl EventSchema {
    /// Position of the field with that name.
    #[must_use]
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}
