//! How another tracer's events say what the model's events say.
//!
//! A trace keeps the names that its tracer gave; what they mean to the model is told here, once for each kind of event.

use std::collections::BTreeMap;

use serde::Deserialize;
use trace_format::{EventId, EventSchema};

use super::event::{EventNames, FieldUse, model_event};

/// Numbers of threads that a machine can have (`PID_MAX_LIMIT` of the kernel): those of the second of several machines
/// have so much added to them, those of the third twice as much.
pub const THREADS_OF_MACHINE: u32 = 1 << 22;

/// What the events of a trace are to the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    by_event: BTreeMap<EventId, Alias>,
}

/// What one kind of event is to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Name of the model's event.
    pub is: String,
    /// Where the model's fields come from, by their names; those that are not here are missing.
    pub fields: BTreeMap<String, FieldSource>,
}

/// Where a field of the model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldSource {
    /// From a field of the record.
    Field {
        /// Its position in the schema.
        index: usize,
        /// How it is understood.
        conversion: Conversion,
    },
    /// The same number in every record.
    Number(u64),
    /// The same text in every record.
    Text(String),
}

/// How a field of another tracer is understood.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conversion {
    /// As it is.
    Plain,
    /// The low 32 bits are a signed number.
    #[serde(rename = "signed32")]
    Signed32,
    /// A number from which this is taken away.
    Less(i64),
    /// A thread or process of another machine than the first.
    #[serde(skip)]
    OfMachine(u32),
    /// Element of an array of 64-bit numbers.
    Element(usize),
    /// A bit for each way in which a thread can have left its CPU.
    State {
        /// The bit that says that it was preempted, and did not wait: all bits above it belong to it.
        preempted: u64,
    },
    /// The same of a kernel before 4.14, which tells its inner states: `TASK_DEAD` and `TASK_PARKED` are other bits.
    InnerState {
        /// The bit that is added for a thread that was preempted.
        preempted: u64,
    },
    /// The second number of the first pair whose first number is the field's; missing when there is none.
    Lookup(Vec<(u64, u64)>),
    /// The second number of the first pair all of whose first number's bits are set; missing when there is none.
    Flags(Vec<(u64, u64)>),
    /// A number that the names of an enumeration of the schema belong to.
    Named(String),
    /// Operation of a block request by its letters, as tracepoints write them: `WS` is a synchronous write.
    Operation,
}

impl Aliases {
    /// Says what a kind of event is.
    pub fn insert(&mut self, event: EventId, alias: Alias) {
        self.by_event.insert(event, alias);
    }

    /// Says that a kind of event is nothing to the model.
    pub fn remove(&mut self, event: EventId) {
        self.by_event.remove(&event);
    }

    /// What a kind of event is.
    #[must_use]
    pub fn get(&self, event: EventId) -> Option<&Alias> {
        self.by_event.get(&event)
    }

    /// The kinds of events that are this event of the model.
    pub fn events<'a>(&'a self, model_event: &'a str) -> impl Iterator<Item = EventId> + 'a {
        let all = self.by_event.iter();
        all.filter(move |(_, alias)| alias.is == model_event)
            .map(|(event, _)| *event)
    }

    /// All of them, by event.
    pub fn iter(&self) -> impl Iterator<Item = (EventId, &Alias)> {
        self.by_event.iter().map(|(event, alias)| (*event, alias))
    }
}

impl Alias {
    /// The model's event `names` of our own traces.
    #[must_use]
    pub(super) fn of_names(names: &EventNames, event: &EventSchema) -> Self {
        let place = |field: &FieldUse| {
            let source = FieldSource::plain(event.field_index(field.name)?);
            Some((field.name.to_owned(), source))
        };
        Self {
            is: names.event.to_owned(),
            fields: names.fields.iter().filter_map(place).collect(),
        }
    }

    /// An event that is the model's event `is`, and whose fields have the names of the model, as far as they are there;
    /// `None` when the model has no such event.
    #[must_use]
    pub fn named(is: &str, event: &EventSchema) -> Option<Self> {
        Some(Self::of_names(&model_event(is)?, event))
    }

    /// The same, with another source of one field.
    #[must_use]
    pub fn with(mut self, field: &str, source: FieldSource) -> Self {
        self.fields.insert(field.to_owned(), source);
        self
    }
}

impl FieldSource {
    /// A field of the record, as it is.
    #[must_use]
    pub fn plain(index: usize) -> Self {
        Self::Field {
            index,
            conversion: Conversion::Plain,
        }
    }
}

/// Whether a field of the model's event is the number of a thread or process.
#[must_use]
pub fn is_thread_field(model_event_name: &str, field: &str) -> bool {
    let names = model_event(model_event_name);
    let fields = names.map_or(&[][..], |names| names.fields);
    fields
        .iter()
        .any(|known| known.name == field && known.is_thread)
}
