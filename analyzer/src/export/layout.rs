//! How each event of a schema is written: decided once, so that a record is a walk over prepared pieces.

use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, Schema, Value};

use super::escape::{push_csv, push_json, push_text};
use super::line::LineFormat;
use crate::sources::{Fields, Symbols};

use super::number::{HEX_DIGITS, push_decimal, push_hex, push_signed};
use super::stack::push_addresses;

/// The events of a schema, by id.
#[derive(Debug)]
pub(super) struct Layouts {
    events: Vec<Option<Layout>>,
    unknown: Layout,
}

/// One event.
#[derive(Debug)]
pub(super) struct Layout {
    /// Name of the event.
    pub(super) name: Vec<u8>,
    /// What stands before the fields in JSON, the name with it.
    pub(super) json_head: Vec<u8>,
    pub(super) fields: Vec<FieldLayout>,
    /// Positions of the fields that may be kernel addresses.
    pub(super) addresses: Vec<usize>,
}

/// One field.
#[derive(Debug)]
pub(super) struct FieldLayout {
    /// Name of the field, for a column that holds several.
    pub(super) name: Vec<u8>,
    /// What stands before the value, ready to be written.
    pub(super) label: Vec<u8>,
    kind: FieldKind,
    names: Option<EnumSchema>,
}

impl Layouts {
    pub(super) fn new(schema: &Schema, format: LineFormat) -> Self {
        let mut events = Vec::new();
        for event in &schema.events {
            let index = usize::from(event.id.0);
            events.resize_with(events.len().max(index + 1), || None);
            events[index] = Some(Layout::new(schema, event, format));
        }
        let unknown = Layout::of_fields(b"unknown_event", Vec::new());
        Self { events, unknown }
    }

    #[inline]
    pub(super) fn of(&self, event: EventId) -> &Layout {
        let layout = self.events.get(usize::from(event.0));
        layout.and_then(Option::as_ref).unwrap_or(&self.unknown)
    }
}

impl Layout {
    fn new(schema: &Schema, event: &EventSchema, format: LineFormat) -> Self {
        let field = |(index, field): (usize, &trace_format::FieldSchema)| {
            let comma = if index == 0 { "" } else { format.separator() };
            let label = match format {
                LineFormat::Text => format!("{comma}{} = ", field.name),
                LineFormat::Json => format!("{comma}\"{}\":", field.name),
                LineFormat::Csv => comma.to_owned(),
            };
            let names = match &field.kind {
                FieldKind::Enum(name) => schema.enumeration(name).cloned(),
                FieldKind::Unsigned
                | FieldKind::Signed
                | FieldKind::Hex
                | FieldKind::Bool
                | FieldKind::Text
                | FieldKind::Bytes
                | FieldKind::Addresses => None,
            };
            FieldLayout {
                name: field.name.clone().into_bytes(),
                label: label.into_bytes(),
                kind: field.kind.clone(),
                names,
            }
        };
        let fields = event.fields.iter().enumerate().map(field).collect();
        Self::of_fields(event.name.as_bytes(), fields)
    }

    fn of_fields(name: &[u8], fields: Vec<FieldLayout>) -> Self {
        let mut json_head = b",\"event\":\"".to_vec();
        push_json(&mut json_head, name);
        json_head.extend_from_slice(b"\",\"fields\":{");
        let is_address =
            |field: &FieldLayout| matches!(field.kind, FieldKind::Hex | FieldKind::Addresses);
        let places = fields.iter().enumerate();
        let addresses = places.filter(|(_, field)| is_address(field));
        Self {
            name: name.to_vec(),
            json_head,
            addresses: addresses.map(|(index, _)| index).collect(),
            fields,
        }
    }
}

impl Layout {
    /// Appends the members of an object that has the fields, if the layouts are of JSON.
    pub(super) fn push_json_fields(&self, out: &mut Vec<u8>, fields: &Fields<'_>) {
        for (index, field) in self.fields.iter().enumerate() {
            out.extend_from_slice(&field.label);
            field.push(out, fields.value(index), LineFormat::Json);
        }
    }
}

impl FieldLayout {
    /// Appends a value.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>, value: Value<'_>, format: LineFormat) {
        match value {
            Value::Missing => out.extend_from_slice(format.missing()),
            Value::Number(number) => self.push_number(out, number, format),
            Value::Bytes(bytes) => self.push_bytes(out, bytes, format),
        }
    }

    /// The symbol that holds the value, when that is an address.
    #[inline]
    pub(super) fn symbol<'s>(
        &self,
        symbols: &'s Symbols,
        value: Value<'_>,
    ) -> Option<(&'s str, u64)> {
        match (&self.kind, value) {
            (FieldKind::Hex, Value::Number(addr)) => symbols.find(addr),
            _ => None,
        }
    }

    /// The addresses of the value, when that is a call stack.
    #[inline]
    pub(super) fn stack<'v>(&self, value: Value<'v>) -> Option<&'v [u8]> {
        match (&self.kind, value) {
            (FieldKind::Addresses, Value::Bytes(run)) => Some(run),
            _ => None,
        }
    }

    /// Appends `name=value`, to a column that holds all fields of an event.
    pub(super) fn push_pair(&self, out: &mut Vec<u8>, index: usize, value: Value<'_>) {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(&self.name);
        out.push(b'=');
        self.push(out, value, LineFormat::Text);
    }

    #[inline]
    fn push_number(&self, out: &mut Vec<u8>, number: u64, format: LineFormat) {
        match &self.kind {
            FieldKind::Signed => push_signed(out, number.cast_signed()),
            FieldKind::Hex if format == LineFormat::Json => {
                out.push(b'"');
                push_hex(out, number);
                out.push(b'"');
            }
            FieldKind::Hex => push_hex(out, number),
            FieldKind::Bool => out.extend_from_slice(if number == 0 { b"false" } else { b"true" }),
            FieldKind::Enum(_) => match self.names.as_ref().and_then(|names| names.name_of(number))
            {
                Some(name) => format.push_name(out, name.as_bytes()),
                None => push_signed(out, number.cast_signed()),
            },
            FieldKind::Unsigned | FieldKind::Text | FieldKind::Bytes | FieldKind::Addresses => {
                push_decimal(out, number);
            }
        }
    }

    #[inline]
    fn push_bytes(&self, out: &mut Vec<u8>, bytes: &[u8], format: LineFormat) {
        if self.kind == FieldKind::Addresses {
            return push_addresses(out, bytes, format);
        }
        let is_text = self.kind == FieldKind::Text;
        if format != LineFormat::Csv {
            out.push(b'"');
        }
        match format {
            _ if !is_text => {
                for byte in bytes {
                    out.push(HEX_DIGITS[usize::from(byte >> 4)]);
                    out.push(HEX_DIGITS[usize::from(byte & 0xF)]);
                }
            }
            LineFormat::Text => push_text(out, bytes),
            LineFormat::Json => push_json(out, bytes),
            LineFormat::Csv => push_csv(out, bytes),
        }
        if format != LineFormat::Csv {
            out.push(b'"');
        }
    }
}

impl LineFormat {
    fn separator(self) -> &'static str {
        match self {
            Self::Text => ", ",
            Self::Json | Self::Csv => ",",
        }
    }

    fn missing(self) -> &'static [u8] {
        match self {
            Self::Text => b"?",
            Self::Json => b"null",
            Self::Csv => b"",
        }
    }

    fn push_name(self, out: &mut Vec<u8>, name: &[u8]) {
        match self {
            Self::Text => push_text(out, name),
            Self::Csv => push_csv(out, name),
            Self::Json => {
                out.push(b'"');
                push_json(out, name);
                out.push(b'"');
            }
        }
    }
}
