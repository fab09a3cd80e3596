//! What the events of a trace look like: the part of the header that lets an old trace explain itself.
//!
//! Built from the event table by the plan compiler, embedded in every trace, read back by every reader.
//! Knows nothing of how a field was fetched nor of what it means to a kernel.

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    /// A call stack: a run of 64-bit addresses, from the inside out.
    Addresses,
}

impl FieldKind {
    /// Whether the field is a run of bytes rather than one 64-bit number.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::Text | Self::Bytes | Self::Addresses)
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
        let index = self
            .values
            .binary_search_by_key(&value, |(value, _)| *value)
            .ok()?;
        Some(self.values[index].1.as_str())
    }
}

/// Why a schema cannot describe a trace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Ids must ascend, each used once.
    #[error("event {name:?}: id {id} does not follow the id before it")]
    EventOrder {
        /// Name of the event.
        name: String,
        /// Its id.
        id: u16,
    },
    /// A record has room for [`FIELDS_MAX`] fields.
    #[error("event {event:?} has {count} fields, at most {FIELDS_MAX} are possible")]
    TooManyFields {
        /// Name of the event.
        event: String,
        /// Its number of fields.
        count: usize,
    },
    /// A field's name must be unique within its event.
    #[error("event {event:?} has two fields {field:?}")]
    DuplicateField {
        /// Name of the event.
        event: String,
        /// Name of the field.
        field: String,
    },
    /// A field refers to an enumeration that the schema lacks.
    #[error("field {field:?} of event {event:?} refers to the unknown enumeration {enumeration:?}")]
    UnknownEnum {
        /// Name of the event.
        event: String,
        /// Name of the field.
        field: String,
        /// The name it refers to.
        enumeration: String,
    },
    /// Values of an enumeration must ascend, each used once.
    #[error("enumeration {name:?}: value {value} does not follow the value before it")]
    EnumOrder {
        /// Name of the enumeration.
        name: String,
        /// The value out of order.
        value: u64,
    },
}

impl Schema {
    /// Checks what writer and reader rely on.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), SchemaError> {
        for pair in self.events.windows(2) {
            if pair[0].id >= pair[1].id {
                let event = &pair[1];
                return Err(SchemaError::EventOrder {
                    name: event.name.clone(),
                    id: event.id.0,
                });
            }
        }
        for item in &self.enums {
            if let Some(pair) = item.values.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
                return Err(SchemaError::EnumOrder {
                    name: item.name.clone(),
                    value: pair[1].0,
                });
            }
        }
        self.events
            .iter()
            .try_for_each(|event| self.check_fields(event))
    }

    fn check_fields(&self, event: &EventSchema) -> Result<(), SchemaError> {
        if event.fields.len() > FIELDS_MAX {
            let count = event.fields.len();
            return Err(SchemaError::TooManyFields {
                event: event.name.clone(),
                count,
            });
        }
        for (index, field) in event.fields.iter().enumerate() {
            if event.field_index(&field.name) != Some(index) {
                let (event, field) = (event.name.clone(), field.name.clone());
                return Err(SchemaError::DuplicateField { event, field });
            }
            if let FieldKind::Enum(name) = &field.kind
                && self.enumeration(name).is_none()
            {
                return Err(SchemaError::UnknownEnum {
                    event: event.name.clone(),
                    field: field.name.clone(),
                    enumeration: name.clone(),
                });
            }
        }
        Ok(())
    }

    /// The event with that id.
    #[must_use]
    pub fn event(&self, id: EventId) -> Option<&EventSchema> {
        let index = self
            .events
            .binary_search_by_key(&id, |event| event.id)
            .ok()?;
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
