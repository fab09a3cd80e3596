//! How the records of a trace's schema become events of CTF: which class, which bytes.

use std::collections::HashMap;

use trace_format::{EnumSchema, EventSchema, FieldKind, Schema, Value};

use super::class::{Class, Member, MemberKind, Names};
use super::names::{STATE_OF_THREAD, call_prefix, lttng_event};
use crate::export::job::ExportError;
use crate::export::meaning::place;
use crate::model::{Alias, Conversion, FieldSource};
use crate::sources::Fields;

/// The classes that occur in a trace, numbered as they come.
#[derive(Debug, Default)]
pub(super) struct Classes(Vec<Class>);

/// Ids have 16 bits.
const CLASSES_MAX: usize = 1 << 16;

impl Classes {
    pub(super) fn add(&mut self, class: Class) -> Result<u16, ExportError> {
        let Ok(id) = u16::try_from(self.0.len()) else {
            return Err(ExportError::TooManyKinds { max: CLASSES_MAX });
        };
        self.0.push(class);
        Ok(id)
    }

    pub(super) fn as_slice(&self) -> &[Class] {
        &self.0
    }
}

/// One kind of event of the schema.
#[derive(Debug)]
pub(super) struct Layout {
    /// Its name, or what stands before the name of the call.
    name: String,
    members: Vec<Member>,
    sources: Vec<Source>,
    /// Where the name of the system call comes from, if it is one.
    call: Option<CallName>,
    /// Classes by the name of the call, empty for all other events, and by which members have no value.
    ids: HashMap<String, HashMap<u64, u16>>,
}

/// Where a member comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Field(usize),
    /// A priority: LTTng counts from the lowest one of real-time threads.
    Priority(usize),
    /// LTTng's bits for the operation of a block request.
    Operation(usize),
    /// LTTng's kind of a thread: of the kernel or not, told by this field.
    ThreadType(Option<usize>),
    /// LTTng's state of a thread, told by its state and whether it is on a CPU.
    ThreadStatus(Option<usize>, Option<usize>),
}

#[derive(Debug)]
enum CallName {
    Fixed(String),
    Number(usize, EnumSchema),
    Text(usize),
}

/// Fields that are priorities, in the events that LTTng has, too.
const PRIORITIES: &[&str] = &["prio", "prev_prio", "next_prio"];
/// Priorities of real-time threads (`MAX_RT_PRIO`), which LTTng takes away from all.
const REAL_TIME_PRIORITIES: u64 = 100;

/// LTTng's bits for an operation of the kernel (`enum req_op`), as far as it has some.
fn rwbs(op: u64) -> Option<u64> {
    Some(match op {
        0 => 0x4,
        1 => 0x1,
        2 => 0x100,
        3 => 0x2,
        5 => 0x82,
        _ => return None,
    })
}

fn is_request(model: &str) -> bool {
    matches!(
        model,
        "block_rq_insert" | "block_rq_issue" | "block_rq_complete" | "block_rq_requeue"
    )
}

/// Most names of calls that no table of the trace has.
const CALL_NAMES_MAX: usize = 4096;
/// What LTTng calls a call without a name.
const UNKNOWN_CALL: &str = "unknown";

/// LTTng's states of a thread in a state dump (`lttng-statedump-impl.c`).
pub(super) mod status {
    pub(in crate::export::ctf) const UNKNOWN: u64 = 0;
    pub(in crate::export::ctf) const WAIT_CPU: u64 = 2;
    pub(in crate::export::ctf) const WAIT: u64 = 5;
    pub(in crate::export::ctf) const RUN: u64 = 6;
}

impl Layout {
    pub(super) fn new(schema: &Schema, event: &EventSchema, alias: Option<&Alias>) -> Self {
        let model = alias.map_or("", |alias| alias.is.as_str());
        let lttng = lttng_event(model);
        let call = call_prefix(model).map(|prefix| (prefix, call_name(schema, event, alias)));
        let renamed: HashMap<usize, &str> = lttng
            .iter()
            .flat_map(|lttng| lttng.fields)
            .filter_map(|(ours, theirs)| Some((place(event, alias, ours)?, *theirs)))
            .collect();
        let dropped = match &call {
            Some((_, CallName::Number(index, _))) => Some(*index),
            _ => None,
        };
        // A call's number is needed to know it again, so a field that has both stays.
        let number = place(event, alias, "nr");
        let mut layout = Self {
            name: lttng
                .map_or(event.name.as_str(), |lttng| lttng.name)
                .to_owned(),
            ..Self::unknown()
        };
        let mut names = Names::default();
        for (index, field) in event.fields.iter().enumerate() {
            if dropped == Some(index) && number != dropped {
                continue;
            }
            let name = renamed.get(&index).copied().unwrap_or(&field.name);
            let is_priority = lttng.is_some() && PRIORITIES.contains(&field.name.as_str());
            let source = if is_priority && place(event, alias, &field.name) == Some(index) {
                Source::Priority(index)
            } else {
                Source::Field(index)
            };
            // LTTng has plain numbers there, and its readers take no others.
            let kind = match &field.kind {
                FieldKind::Enum(_) if lttng.is_some() => MemberKind::Signed,
                kind => MemberKind::of(schema, kind),
            };
            layout.push(names.add(name), kind, source);
        }
        if let Some(op) = place(event, alias, "op").filter(|_| is_request(model)) {
            layout.push(names.add("rwbs"), MemberKind::Hex, Source::Operation(op));
        }
        if model == STATE_OF_THREAD {
            let field = |name| place(event, alias, name);
            let (state, on_cpu) = (field("state"), field("on_cpu"));
            let kind = Source::ThreadType(field("kthread"));
            layout.push(names.add("type"), MemberKind::Unsigned, kind);
            let status = Source::ThreadStatus(state, on_cpu);
            layout.push(names.add("status"), MemberKind::Unsigned, status);
        }
        if let Some((prefix, call)) = call {
            prefix.clone_into(&mut layout.name);
            layout.call = Some(call);
        }
        layout
    }

    /// Of events of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            name: "unknown_event".to_owned(),
            members: Vec::new(),
            sources: Vec::new(),
            call: None,
            ids: HashMap::new(),
        }
    }

    fn push(&mut self, name: String, kind: MemberKind, source: Source) {
        self.members.push(Member { name, kind });
        self.sources.push(source);
    }

    /// Appends a record's payload; its class, which is made if there was none such.
    pub(super) fn write(
        &mut self,
        fields: &Fields<'_>,
        classes: &mut Classes,
        out: &mut Vec<u8>,
    ) -> Result<u16, ExportError> {
        let mut missing = 0_u64;
        for (index, (member, source)) in self.members.iter().zip(&self.sources).enumerate() {
            if !push_value(out, &member.kind, source.value(fields)) {
                missing |= 1 << index;
            }
        }
        self.class(fields, missing, classes)
    }

    fn class(
        &mut self,
        fields: &Fields<'_>,
        missing: u64,
        classes: &mut Classes,
    ) -> Result<u16, ExportError> {
        let call = self.call.as_ref().map_or("", |call| call.of(fields));
        let ids = self.ids.get(call);
        if let Some(id) = ids.and_then(|ids| ids.get(&missing)) {
            return Ok(*id);
        }
        // A table has so many names that nobody has ever seen as many.
        let is_too_many = ids.is_none() && self.ids.len() >= CALL_NAMES_MAX;
        let call = if is_too_many { UNKNOWN_CALL } else { call };
        let id = match self.ids.get(call).and_then(|ids| ids.get(&missing)) {
            Some(id) => *id,
            None => classes.add(self.declare(call, missing))?,
        };
        self.ids
            .entry(call.to_owned())
            .or_default()
            .insert(missing, id);
        Ok(id)
    }

    fn declare(&self, call: &str, missing: u64) -> Class {
        let mut members = present(&self.members, missing);
        // LTTng has the number only of calls that it does not know, as `id`.
        let number = members.iter().position(|member| member.name == "nr");
        if let Some(number) = number.filter(|_| call == UNKNOWN_CALL)
            && members.iter().all(|member| member.name != "id")
        {
            "id".clone_into(&mut members[number].name);
        }
        Class {
            name: format!("{}{call}", self.name),
            members,
        }
    }
}

/// The members of records in which those of a mask have no value.
pub(super) fn present(members: &[Member], missing: u64) -> Vec<Member> {
    let members = members.iter().enumerate();
    let present = members.filter(|(index, _)| missing >> index & 1 == 0);
    present.map(|(_, member)| member.clone()).collect()
}

impl Source {
    fn value<'a>(self, fields: &Fields<'a>) -> Value<'a> {
        let number = |place: Option<usize>| match place.map(|place| fields.value(place)) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        };
        match self {
            Self::Field(index) => fields.value(index),
            Self::Priority(index) => match fields.value(index) {
                Value::Number(prio) => Value::Number(prio.wrapping_sub(REAL_TIME_PRIORITIES)),
                Value::Missing | Value::Bytes(_) => Value::Missing,
            },
            Self::Operation(index) => {
                let bits = number(Some(index)).and_then(rwbs);
                bits.map_or(Value::Missing, Value::Number)
            }
            Self::ThreadType(kthread) => {
                number(kthread).map_or(Value::Missing, |is| Value::Number(u64::from(is != 0)))
            }
            Self::ThreadStatus(state, on_cpu) => {
                Value::Number(match (number(state), number(on_cpu)) {
                    (_, Some(1)) => status::RUN,
                    (Some(0), _) => status::WAIT_CPU,
                    (Some(_), _) => status::WAIT,
                    (None, _) => status::UNKNOWN,
                })
            }
        }
    }
}

impl CallName {
    fn of<'a>(&'a self, fields: &Fields<'a>) -> &'a str {
        let name = match self {
            Self::Fixed(name) => Some(name.as_str()),
            Self::Number(index, names) => match fields.value(*index) {
                Value::Number(number) => names.name_of(number),
                Value::Missing | Value::Bytes(_) => None,
            },
            Self::Text(index) => match fields.value(*index) {
                Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
                Value::Missing | Value::Number(_) => None,
            },
        };
        name.filter(|name| !name.is_empty()).unwrap_or(UNKNOWN_CALL)
    }
}

/// Where the name of a system call is in the records of an event.
fn call_name(schema: &Schema, event: &EventSchema, alias: Option<&Alias>) -> CallName {
    let unknown = || CallName::Fixed(UNKNOWN_CALL.to_owned());
    let of_field = |index: usize| match event.fields.get(index).map(|field| &field.kind) {
        Some(FieldKind::Enum(name)) => match schema.enumeration(name) {
            Some(names) => CallName::Number(index, names.clone()),
            None => unknown(),
        },
        Some(FieldKind::Text) => CallName::Text(index),
        _ => unknown(),
    };
    match alias.and_then(|alias| alias.fields.get("name")) {
        Some(FieldSource::Text(name)) => CallName::Fixed(name.clone()),
        Some(FieldSource::Field {
            index,
            conversion: Conversion::Named(names),
        }) => match schema.enumeration(names) {
            Some(names) => CallName::Number(*index, names.clone()),
            None => unknown(),
        },
        Some(FieldSource::Field { index, .. }) => of_field(*index),
        Some(FieldSource::Number(_)) => unknown(),
        None => event.field_index("name").map_or_else(unknown, of_field),
    }
}

/// Appends a value; false when there is none, and nothing is appended.
pub(super) fn push_value(out: &mut Vec<u8>, kind: &MemberKind, value: Value<'_>) -> bool {
    match (kind, value) {
        (
            MemberKind::Unsigned | MemberKind::Signed | MemberKind::Hex | MemberKind::Enum(_),
            Value::Number(number),
        ) => out.extend_from_slice(&number.to_le_bytes()),
        (MemberKind::Bool, Value::Number(number)) => out.push(u8::from(number != 0)),
        (MemberKind::Text, Value::Bytes(text)) => {
            // The format ends a text at its first zero.
            out.extend(text.split(|byte| *byte == 0).next().unwrap_or_default());
            out.push(0);
        }
        (MemberKind::Bytes, Value::Bytes(bytes)) => push_run(out, bytes, 1),
        (MemberKind::Addresses, Value::Bytes(bytes)) => push_run(out, bytes, 8),
        _ => return false,
    }
    true
}

/// Appends the number of elements of `size` bytes, and the elements.
fn push_run(out: &mut Vec<u8>, bytes: &[u8], size: usize) {
    let count = u32::try_from(bytes.len() / size).unwrap_or(u32::MAX);
    let whole = (count as usize).saturating_mul(size).min(bytes.len());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&bytes[..whole]);
}
