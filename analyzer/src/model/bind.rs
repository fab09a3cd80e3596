//! Binds the model's field names to the columns of a trace, once per schema.
//!
//! An event that the model does not know, or whose schema lacks a field that the model needs, is not an error: its
//! records are ignored and counted.

use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, Schema, Value};

use super::alias::{Alias, Aliases, Conversion, FieldSource, THREADS_OF_MACHINE};
use super::event::{EventKind, EventNames, FieldUse, KernelEvent};
use super::ids::{CpuId, Pid, Tid};
use super::state::PREEMPTED;

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
    place: Place,
    names: Option<EnumSchema>,
}

#[derive(Clone, Debug)]
enum Place {
    /// The schema lacks the field.
    Nowhere,
    Field(usize),
    Converted(usize, Conversion),
    Number(u64),
    Text(Box<[u8]>),
}

/// A type that a field of the model can have.
pub(super) trait FromColumn<'a>: Sized {
    /// Whether the model can do without.
    const OPTIONAL: bool;
    /// Whether it is the number of a thread or process.
    const IS_THREAD: bool;

    /// Reads it; `None` when it is missing and needed.
    fn from_column<R: Row + ?Sized>(column: &'a Column, row: &'a R) -> Option<Self>;
}

#[inline]
fn number<R: Row + ?Sized>(column: &Column, row: &R) -> Option<u64> {
    match &column.place {
        Place::Field(index) => match row.field(*index) {
            Value::Number(number) => Some(number),
            Value::Missing | Value::Bytes(_) => None,
        },
        Place::Converted(index, conversion) => convert(conversion, row.field(*index)),
        Place::Number(number) => Some(*number),
        Place::Nowhere | Place::Text(_) => None,
    }
}

/// A number of another tracer as the model has it.
fn convert(conversion: &Conversion, value: Value<'_>) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number,
        Value::Bytes(bytes) => {
            return match conversion {
                Conversion::Element(index) => element(bytes, *index),
                Conversion::Operation => block_operation(bytes),
                _ => None,
            };
        }
        Value::Missing => return None,
    };
    Some(match conversion {
        Conversion::Plain | Conversion::Named(_) => number,
        Conversion::Signed32 => {
            let bytes = number.to_le_bytes();
            let low = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            i64::from(low).cast_unsigned()
        }
        Conversion::OfMachine(_) if number == 0 => 0,
        Conversion::OfMachine(machine) => {
            number.wrapping_add(u64::from(*machine) * u64::from(THREADS_OF_MACHINE))
        }
        Conversion::Less(by) => number.wrapping_sub(by.cast_unsigned()),
        Conversion::State { preempted } if number >= *preempted => PREEMPTED,
        Conversion::State { .. } => number,
        Conversion::InnerState { preempted } => inner_state(number, *preempted),
        Conversion::Lookup(pairs) => pairs.iter().find(|(from, _)| *from == number)?.1,
        Conversion::Flags(pairs) => pairs.iter().find(|(flags, _)| number & flags == *flags)?.1,
        Conversion::Element(_) | Conversion::Operation => return None,
    })
}

/// The state that `sched_switch` reports since 4.14, of those of `include/linux/sched.h` before.
fn inner_state(state: u64, preempted: u64) -> u64 {
    const TASK_DEAD: u64 = 0x40;
    const TASK_PARKED: u64 = 0x200;
    match state {
        _ if state & preempted != 0 => PREEMPTED,
        _ if state & TASK_DEAD != 0 => 0x10,
        _ if state & TASK_PARKED != 0 => 0x40,
        // TASK_KILLABLE, TASK_NOLOAD and the like are added to one of the low bits.
        _ => state & 0x3F,
    }
}

fn element(bytes: &[u8], index: usize) -> Option<u64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.get(index).copied().map(u64::from_le_bytes)
}

/// The kernel's number of the operation that a tracepoint of block requests writes as letters (`blk_fill_rwbs`).
fn block_operation(letters: &[u8]) -> Option<u64> {
    Some(match letters {
        [b'R', ..] => 0,
        [b'W', ..] => 1,
        [b'D', b'E', ..] => 5,
        [b'D', ..] => 3,
        // Before the operation it is a flush that comes first; alone it is the operation.
        [b'F', rest @ ..] => block_operation(rest).unwrap_or(2),
        _ => return None,
    })
}

/// Bytes up to the first NUL, or the name of a number.
fn text<'a, R: Row + ?Sized>(column: &'a Column, row: &'a R) -> Option<&'a [u8]> {
    let value = match &column.place {
        Place::Field(index) | Place::Converted(index, _) => row.field(*index),
        Place::Text(text) => return Some(text),
        Place::Number(number) => Value::Number(*number),
        Place::Nowhere => return None,
    };
    match value {
        Value::Bytes(bytes) => bytes.split(|byte| *byte == 0).next(),
        Value::Number(number) => Some(column.names.as_ref()?.name_of(number)?.as_bytes()),
        Value::Missing => None,
    }
}

macro_rules! is_thread {
    () => {
        false
    };
    (thread) => {
        true
    };
}

macro_rules! from_column {
    ($($type:ty $(as $thread:ident)?: $read:expr;)*) => {$(
        impl<'a> FromColumn<'a> for $type {
            const OPTIONAL: bool = false;
            const IS_THREAD: bool = is_thread!($($thread)?);

            #[inline]
            fn from_column<R: Row + ?Sized>(column: &'a Column, row: &'a R) -> Option<Self> {
                $read(column, row)
            }
        }

        impl<'a> FromColumn<'a> for Option<$type> {
            const OPTIONAL: bool = true;
            const IS_THREAD: bool = is_thread!($($thread)?);

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
    Tid as thread: |column, row| u32::try_from(number(column, row)?).ok().map(Tid);
    Pid as thread: |column, row| u32::try_from(number(column, row)?).ok().map(Pid);
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
    /// Looks the model's names up in `schema`, the schema of a trace of our own.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self::of_aliases(schema, &own_aliases(schema))
    }

    /// Looks up what the events of another tracer are to the model.
    #[must_use]
    pub fn of_aliases(schema: &Schema, aliases: &Aliases) -> Self {
        let mut binding = Self::empty();
        for (id, alias) in aliases.iter() {
            let mut kinds = EventKind::ALL.iter();
            let kind = kinds.find(|(_, names)| names.event == alias.is);
            if let (Some(kind), Some(event)) = (kind, schema.event(id)) {
                let place = |name: &str| alias.fields.get(name).map_or(Place::Nowhere, Place::of);
                binding.add(schema, event, *kind, place);
            }
        }
        binding
    }

    fn empty() -> Self {
        Self {
            events: Vec::new(),
            unusable: Vec::new(),
        }
    }

    fn add(
        &mut self,
        schema: &Schema,
        event: &EventSchema,
        (kind, names): (EventKind, EventNames),
        place: impl Fn(&str) -> Place,
    ) {
        match bind(schema, event, names, place) {
            Ok(columns) => self.insert(event.id, BoundEvent { kind, columns }),
            Err(missing) => self.unusable.push(UnusableEvent {
                event: event.name.clone(),
                missing,
            }),
        }
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
    place: impl Fn(&str) -> Place,
) -> Result<Vec<Column>, &'static str> {
    let column = |field: &FieldUse| {
        let place = place(field.name);
        if matches!(place, Place::Nowhere) && !field.is_optional {
            return Err(field.name);
        }
        let enumeration = match &place {
            Place::Converted(_, Conversion::Named(name)) => Some(name),
            Place::Field(index) | Place::Converted(index, _) => {
                match event.fields.get(*index).map(|field| &field.kind) {
                    Some(FieldKind::Enum(name)) => Some(name),
                    Some(_) | None => None,
                }
            }
            Place::Nowhere | Place::Number(_) | Place::Text(_) => None,
        };
        let names = enumeration.and_then(|name| schema.enumeration(name).cloned());
        Ok(Column { place, names })
    };
    names.fields.iter().map(column).collect()
}

/// What the events of a trace of our own are: their names are the model's.
#[must_use]
pub fn own_aliases(schema: &Schema) -> Aliases {
    let mut aliases = Aliases::default();
    for (_, names) in EventKind::ALL {
        if let Some(event) = schema.event_named(names.event) {
            aliases.insert(event.id, Alias::of_names(names, event));
        }
    }
    aliases
}

impl Place {
    fn of(source: &FieldSource) -> Self {
        match source {
            FieldSource::Field {
                index,
                conversion: Conversion::Plain,
            } => Self::Field(*index),
            FieldSource::Field { index, conversion } => Self::Converted(*index, conversion.clone()),
            FieldSource::Number(number) => Self::Number(*number),
            FieldSource::Text(text) => Self::Text(text.as_bytes().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_other_tracers_become_those_of_the_model() {
        let number = |conversion, number| convert(&conversion, Value::Number(number));
        assert_eq!(number(Conversion::Signed32, 0xFFFF_FFFF), Some(u64::MAX));
        assert_eq!(number(Conversion::Signed32, 7), Some(7));
        assert_eq!(number(Conversion::Less(100), 120), Some(20));
        let state = Conversion::State { preempted: 0x800 };
        assert_eq!(number(state.clone(), 0x801), Some(PREEMPTED));
        assert_eq!(number(state, 0x402), Some(0x402));
        let inner = |state| number(Conversion::InnerState { preempted: 0x800 }, state);
        assert_eq!(inner(0x800), Some(PREEMPTED));
        assert_eq!(
            [0, 1, 0x82, 0x40, 0x200].map(inner),
            [0, 1, 2, 0x10, 0x40].map(Some)
        );
        let pairs = vec![(6, 1), (2, 3)];
        let look_up = |of| number(Conversion::Lookup(pairs.clone()), of);
        assert_eq!((look_up(2), look_up(7)), (Some(3), None));
        let flags = |of| number(Conversion::Flags(pairs.clone()), of);
        assert_eq!((flags(7), flags(3), flags(1)), (Some(1), Some(3), None));
        let words = [1u64.to_le_bytes(), 9u64.to_le_bytes()].concat();
        let element = |index| convert(&Conversion::Element(index), Value::Bytes(&words));
        assert_eq!((element(1), element(2)), (Some(9), None));
    }

    #[test]
    fn letters_of_block_requests_are_operations() {
        let letters = ["R", "WS", "FWFS", "FF", "D", "DE", "RA", "N", ""];
        let operations = letters.map(|letters| block_operation(letters.as_bytes()));
        let expected = [
            Some(0),
            Some(1),
            Some(1),
            Some(2),
            Some(3),
            Some(5),
            Some(0),
            None,
            None,
        ];
        assert_eq!(operations, expected);
    }
}
