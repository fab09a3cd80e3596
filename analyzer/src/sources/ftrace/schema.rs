//! Events of a kernel as schema, places of fields and meanings.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use trace_format::{EnumSchema, EventId, EventSchema, FIELDS_MAX, FieldKind, Schema};

use super::format::EventFormat;
use super::place::{Columns, place_fields};
use super::print::{Hints, preempted_bit};
use crate::model::{Alias, Aliases, Conversion, FieldSource, Tid};
use crate::sources::foreign::{Dialect, Layout, Place, PlaceKind};
use crate::sources::syscall_names::{ENUMERATION, syscall_names};

static DIALECT: LazyLock<Dialect> =
    LazyLock::new(|| Dialect::parse(include_str!("../dialects/ftrace.toml")));

/// Groups of events that users make: their names mean nothing.
const USERS_SYSTEMS: &[&str] = &[
    "probe",
    "kprobes",
    "uprobes",
    "synthetic",
    "eprobes",
    "fprobes",
    "user_events",
];

/// Since 4.14 the bit above all states that a thread can be in.
const PREEMPTED_SINCE_4_14: u64 = 0x100;

/// Bits of the number that a kernel gives to an event.
const KERNEL_IDS: usize = 1 << 16;
const NO_EVENT: u16 = u16::MAX;

/// The machine that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sources) struct Machine {
    /// Whether the first byte of a number is its highest.
    pub(in crate::sources) is_big_endian: bool,
    /// Bytes of a `long`: 4 or 8.
    pub(in crate::sources) long_bytes: u32,
    /// What it is, as `uname -m` says; empty if unknown.
    pub(in crate::sources) name: String,
}

/// All events of a kernel.
#[derive(Clone, Debug)]
pub(in crate::sources) struct EventTable {
    /// Their names and fields.
    pub(in crate::sources) schema: Schema,
    /// What they are to the model.
    pub(in crate::sources) aliases: Aliases,
    /// Events with more fields than can be shown.
    pub(in crate::sources) cut_events: u64,
    /// By event id.
    layouts: Vec<Layout>,
    /// Event ids by the kernel's numbers.
    by_number: Vec<u16>,
    common_type: Option<Place>,
    common_pid: Option<Place>,
    /// What stands for records whose format the file lacks.
    unknown: EventId,
}

impl EventTable {
    /// The table of events with these formats.
    pub(in crate::sources) fn new(formats: &[EventFormat], machine: &Machine) -> Self {
        let common = |name: &str, kind| {
            let field = formats.iter().find_map(|format| format.common(name))?;
            let (offset, size) = (field.offset, field.size);
            Some(Place { offset, size, kind })
        };
        let mut table = Self {
            schema: Schema::default(),
            aliases: Aliases::default(),
            cut_events: 0,
            layouts: Vec::new(),
            by_number: vec![NO_EVENT; KERNEL_IDS],
            common_type: common("common_type", PlaceKind::Unsigned),
            common_pid: common("common_pid", PlaceKind::Unsigned),
            unknown: EventId(0),
        };
        table.schema.enums.extend(syscall_names(&machine.name));
        let has_raw_calls = formats
            .iter()
            .any(|format| format.system == "raw_syscalls" && format.name == "sys_enter");
        let mut names = HashSet::new();
        for format in formats {
            let is_first = names.insert(format.name.clone());
            table.add_format(format, machine, is_first, has_raw_calls);
        }
        table.add_unknown(machine);
        table
    }

    fn add_format(
        &mut self,
        format: &EventFormat,
        machine: &Machine,
        is_first: bool,
        has_raw_calls: bool,
    ) {
        let Some(number) = self.by_number.get(format.id as usize) else {
            return;
        };
        if *number != NO_EVENT || self.schema.events.len() >= usize::from(NO_EVENT) - 1 {
            return;
        }
        let hints = Hints::of(&format.print);
        let mut columns = place_fields(format, machine, &hints);
        self.cut_events += u64::from(columns.fields.len() > FIELDS_MAX);
        columns.fields.truncate(FIELDS_MAX);
        columns.layout.places.truncate(FIELDS_MAX);
        self.name_values(format, &mut columns, hints.names);
        let name = match is_first {
            true => format.name.clone(),
            false => format!("{}:{}", format.system, format.name),
        };
        let Some(id) = self.add(&name, &format.system, columns) else {
            return;
        };
        self.by_number[format.id as usize] = id.0;
        if is_first && !USERS_SYSTEMS.contains(&format.system.as_str()) {
            let event = &self.schema.events[usize::from(id.0)];
            if let Some(alias) = alias(event, format, has_raw_calls) {
                self.aliases.insert(id, alias);
            }
        }
    }

    /// Gives the values of fields the names that they are printed with.
    fn name_values(
        &mut self,
        format: &EventFormat,
        columns: &mut Columns,
        mut names: std::collections::HashMap<String, BTreeMap<u64, String>>,
    ) {
        let is_call = format.system == "raw_syscalls" || format.system == "syscalls";
        let has_calls = self.schema.enumeration(ENUMERATION).is_some();
        for field in &mut columns.fields {
            if field.kind.is_bytes() {
                continue;
            }
            if is_call && has_calls && matches!(field.name.as_str(), "id" | "__syscall_nr" | "nr") {
                field.kind = FieldKind::Enum(ENUMERATION.to_owned());
            } else if let Some(values) = names.remove(&field.name) {
                let name = format!("{}:{}.{}", format.system, format.name, field.name);
                field.kind = FieldKind::Enum(name.clone());
                let values = values.into_iter().collect();
                self.schema.enums.push(EnumSchema { name, values });
            }
        }
    }

    /// Adds an event that no format describes; `None` when there are too many.
    pub(in crate::sources) fn add(
        &mut self,
        name: &str,
        category: &str,
        columns: Columns,
    ) -> Option<EventId> {
        let id = u16::try_from(self.schema.events.len())
            .ok()
            .filter(|id| *id < NO_EVENT - 1)?;
        self.schema.events.push(EventSchema {
            id: EventId(id),
            name: name.to_owned(),
            category: category.to_owned(),
            ltt: None,
            doc: String::new(),
            sticky: false,
            fields: columns.fields,
        });
        self.layouts.push(columns.layout);
        Some(EventId(id))
    }

    fn add_unknown(&mut self, machine: &Machine) {
        let mut columns = Columns::new(machine);
        let number = self.common_type.unwrap_or(Place {
            offset: 0,
            size: 2,
            kind: PlaceKind::Unsigned,
        });
        let rest = Place {
            offset: number.offset + number.size,
            size: 0,
            kind: PlaceKind::OpenBytes,
        };
        columns.push("type", FieldKind::Unsigned, number);
        columns.push("data", FieldKind::Bytes, rest);
        self.unknown = self
            .add("unknown_event", "ftrace", columns)
            .unwrap_or(EventId(0));
    }

    /// The event of a record.
    #[inline]
    pub(in crate::sources) fn event(&self, record: &[u8]) -> EventId {
        let number = self.common(self.common_type, record);
        number.map_or(self.unknown, |number| self.event_of(number))
    }

    /// The event with that number of the kernel.
    #[inline]
    pub(in crate::sources) fn event_of(&self, number: u32) -> EventId {
        let id = self.by_number.get(number as usize);
        id.filter(|id| **id != NO_EVENT)
            .map_or(self.unknown, |id| EventId(*id))
    }

    /// Whether the file says nothing of that event.
    pub(in crate::sources) fn is_unknown(&self, event: EventId) -> bool {
        event == self.unknown
    }

    /// The thread of a record.
    #[inline]
    pub(in crate::sources) fn tid(&self, record: &[u8]) -> Option<Tid> {
        let tid = self.common(self.common_pid, record)?;
        // Threads have no negative numbers.
        (tid < 1 << 31).then_some(Tid(tid))
    }

    #[inline]
    fn common(&self, place: Option<Place>, record: &[u8]) -> Option<u32> {
        let place = place?;
        let from = place.offset as usize;
        let is_big_endian = self
            .layouts
            .first()
            .is_some_and(|layout| layout.is_big_endian);
        match *record.get(from..)?.get(..place.size as usize)? {
            [a, b] if is_big_endian => Some(u32::from(u16::from_be_bytes([a, b]))),
            [a, b] => Some(u32::from(u16::from_le_bytes([a, b]))),
            [a, b, c, d] if is_big_endian => Some(u32::from_be_bytes([a, b, c, d])),
            [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d])),
            _ => None,
        }
    }

    /// Where the fields of an event are.
    #[inline]
    pub(in crate::sources) fn layout(&self, event: EventId) -> Option<&Layout> {
        self.layouts.get(usize::from(event.0))
    }

    /// The first events, as they are recorded into another buffer: `buffer:event`. What comes with an id in `events`
    /// means what it means in the first buffer. The new ids start at the returned one.
    pub(in crate::sources) fn add_buffer(
        &mut self,
        name: &str,
        count: usize,
        events: &HashSet<EventId>,
    ) -> Option<u16> {
        let start = u16::try_from(self.schema.events.len()).ok()?;
        if self.schema.events.len() + count >= usize::from(NO_EVENT) {
            return None;
        }
        for index in 0..count {
            let event = self.schema.events.get(index)?.clone();
            let layout = self.layouts.get(index)?.clone();
            let columns = Columns {
                fields: event.fields,
                layout,
            };
            let id = self.add(&format!("{name}:{}", event.name), &event.category, columns)?;
            if let Some(alias) = self
                .aliases
                .get(event.id)
                .filter(|_| events.contains(&event.id))
            {
                self.aliases.insert(id, alias.clone());
            }
        }
        Some(start)
    }
}

/// What an event of a kernel is to the model, by its name and those of its fields.
pub(in crate::sources) fn kernel_alias(event: &EventSchema) -> Option<Alias> {
    DIALECT.alias(event)
}

/// What an event is to the model.
fn alias(event: &EventSchema, format: &EventFormat, has_raw_calls: bool) -> Option<Alias> {
    if format.system == "syscalls" {
        return if has_raw_calls {
            None
        } else {
            call_alias(event, &format.name)
        };
    }
    let alias = kernel_alias(event)?;
    if format.name == "sched_switch" {
        let index = event.field_index("prev_state")?;
        let preempted = preempted_bit(&format.print).unwrap_or(PREEMPTED_SINCE_4_14);
        let conversion = Conversion::State { preempted };
        return Some(alias.with("prev_state", FieldSource::Field { index, conversion }));
    }
    Some(alias)
}

/// Events of single system calls: `sys_enter_openat` has the arguments as fields.
fn call_alias(event: &EventSchema, name: &str) -> Option<Alias> {
    let number = event
        .field_index("__syscall_nr")
        .or_else(|| event.field_index("nr"))?;
    if let Some(call) = name.strip_prefix("sys_enter_") {
        let mut alias =
            Alias::named("syscall_entry", event)?.with("nr", FieldSource::plain(number));
        let is_named = matches!(event.fields[number].kind, FieldKind::Enum(_));
        let name = if is_named {
            FieldSource::plain(number)
        } else {
            FieldSource::Text(call.to_owned())
        };
        alias = alias.with("name", name);
        for (argument, index) in (number + 1..event.fields.len()).enumerate().take(6) {
            alias = alias.with(&format!("arg{argument}"), FieldSource::plain(index));
        }
        return Some(alias);
    }
    name.strip_prefix("sys_exit_")?;
    let alias = Alias::named("syscall_exit", event)?;
    Some(alias.with("nr", FieldSource::plain(number)))
}
