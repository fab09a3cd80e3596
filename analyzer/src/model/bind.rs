//! Binds the model's field names to the columns of a trace, once per schema.
//!
//! An event that the model does not know, or whose schema lacks a field that the model needs, is not an error: its
//! records are ignored and counted.

use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, Schema, Value};

use super::event::{EventKind, EventNames, KernelEvent};
use super::ids::{CpuId, Pid, Tid};

/// A record whose fields are known by their position in the schema.
pub trait Row {
    /// Value of the field at `index`.
    fn field(&self, index: usize) -> Value<'_>;
}

impl Row for [Value<'_>] {
    fn field(&self, index: usize) -> Value<'_> {
        self.get(index).copied().unwrap_or(Value::Missing)
    }
}

/// Where a field of the model is in a record.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// `None` when the schema lacks the field.
    index: Option<usize>,
    names: Option<EnumSchema>,
}

/// A type that a field of the model can have.
pub(super) trait FromColumn<'a>: Sized {
    /// Whether the model can do without.
    const OPTIONAL: bool;

    /// Reads it; `None` when it is missing and needed.
    fn from_column<R: Row + ?Sized>(column: &'a Column, row: &'a R) -> Option<Self>;
}

fn number<R: Row + ?Sized>(column: &Column, row: &R) -> Option<u64> {
    match row.field(column.index?) {
        Value::Number(number) => Some(number),
        Value::Missing | Value::Bytes(_) => None,
    }
}

/// Bytes up to the first NUL, or the name of a number.
fn text<'a, R: Row + ?Sized>(column: &'a Column, row: &'a R) -> Option<&'a [u8]> {
    match row.field(column.index?) {
        Value::Bytes(bytes) => bytes.split(|byte| *byte == 0).next(),
        Value::Number(number) => Some(column.names.as_ref()?.name_of(number)?.as_bytes()),
        Value::Missing => None,
    }
}

macro_rules! from_column {
    ($($type:ty: $read:expr;)*) => {$(
        impl<'a> FromColumn<'a> for $type {
            const OPTIONAL: bool = false;

            #[inline]
            fn from_column<R: Row + ?Sized>(column: &'a Column, row: &'a R) -> Option<Self> {
                $read(column, row)
            }
        }

        impl<'a> FromColumn<'a> for Option<$type> {
            const OPTIONAL: bool = true;

            #[inline]
            fn from_column<R: Row + ?Sized>(column: &'a Column, row: &'a R) -> Option<Self> {
                Some($read(column, row))
            }
        }
    )*};
}

from_column! {
    u64: number;
    i64: |column, row| number(column, row).map(u64::cast_signed);
    bool: |column, row| number(column, row).map(|number| number != 0);
    Tid: |column, row| u32::try_from(number(column, row)?).ok().map(Tid);
    Pid: |column, row| u32::try_from(number(column, row)?).ok().map(Pid);
    CpuId: |column, row| u32::try_from(number(column, row)?).ok().map(CpuId);
    &'a [u8]: text;
}

/// The events of a schema that the model can read.
#[derive(Debug)]
pub struct Binding {
    /// By event id.
    events: Vec<Option<BoundEvent>>,
    unusable: Vec<UnusableEvent>,
}

#[derive(Debug)]
struct BoundEvent {
    kind: EventKind,
    columns: Vec<Column>,
}

/// An event that the model knows by name but cannot read in this trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableEvent {
    /// Its name.
    pub event: String,
    /// The first field that is missing.
    pub missing: &'static str,
}

impl Binding {
    /// Looks the model's names up in `schema`.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let mut binding = Self {
            events: Vec::new(),
            unusable: Vec::new(),
        };
        for (kind, names) in EventKind::ALL {
            let Some(event) = schema.event_named(names.event) else {
                continue;
            };
            match bind(schema, event, *names) {
                Ok(columns) => binding.insert(
                    event.id,
                    BoundEvent {
                        kind: *kind,
                        columns,
                    },
                ),
                Err(missing) => binding.unusable.push(UnusableEvent {
                    event: event.name.clone(),
                    missing,
                }),
            }
        }
        binding
    }

    fn insert(&mut self, id: EventId, event: BoundEvent) {
        let index = usize::from(id.0);
        if self.events.len() <= index {
            self.events.resize_with(index + 1, || None);
        }
        self.events[index] = Some(event);
    }

    /// Events that the model knows but cannot read in this trace.
    #[must_use]
    pub fn unusable(&self) -> &[UnusableEvent] {
        &self.unusable
    }

    /// Whether the model understands that event.
    #[must_use]
    pub fn knows(&self, id: EventId) -> bool {
        matches!(self.events.get(usize::from(id.0)), Some(Some(_)))
    }

    /// Reads a record.
    #[inline]
    pub fn read<'a, R: Row + ?Sized>(&'a self, id: EventId, row: &'a R) -> Reading<'a> {
        let Some(Some(event)) = self.events.get(usize::from(id.0)) else {
            return Reading::NotModelled;
        };
        match event.kind.read(&event.columns, row) {
            Some(event) => Reading::Event(event),
            None => Reading::Incomplete,
        }
    }
}

/// What the model makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// An event of the model.
    Event(KernelEvent<'a>),
    /// The model has no such event.
    NotModelled,
    /// The record lacks a field that the model needs.
    Incomplete,
}

fn bind(
    schema: &Schema,
    event: &EventSchema,
    names: EventNames,
) -> Result<Vec<Column>, &'static str> {
    let column = |(name, optional): &(&'static str, bool)| {
        let index = event.field_index(name);
        if index.is_none() && !optional {
            return Err(*name);
        }
        let kind = index.map(|index| &event.fields[index].kind);
        let names = match kind {
            Some(FieldKind::Enum(name)) => schema.enumeration(name).cloned(),
            Some(_) | None => None,
        };
        Ok(Column { index, names })
    };
    names.fields.iter().map(column).collect()
}
