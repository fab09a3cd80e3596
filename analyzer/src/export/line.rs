//! One line for each record.
//!
//! Budget: no allocation per record; what does not change from record to record is prepared.

use trace_format::{EventId, EventSchema, Schema, Value};

use super::escape::{push_csv, push_json, push_text};
use super::gap::Gap;
use super::layout::{FieldLayout, Layouts};
use super::number::{push_decimal, push_seconds};
use super::stack::{has_names, push_named, push_names, push_offset};
use crate::model::GuestNanos;
use crate::sources::{Context, Record, Symbols};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// `[time] (+delta) cpu comm:tid event: { field = value }`
    Text,
    /// One object a line.
    Json,
    /// Comma-separated values.
    Csv,
}

/// Turns records into lines.
#[derive(Debug)]
pub struct LineWriter {
    format: LineFormat,
    layouts: Layouts,
    /// The contexts as they were written last, by CPU.
    contexts: Vec<WrittenContext>,
    last: Option<GuestNanos>,
    symbols: Symbols,
    /// The only event that is written: its fields are then columns of their own.
    only: Option<EventId>,
    /// Columns of a line of CSV.
    columns: usize,
}

#[derive(Clone, Debug)]
struct WrittenContext {
    generation: Option<u64>,
    bytes: Vec<u8>,
}

impl LineWriter {
    /// Writes the events of `schema`.
    #[must_use]
    pub fn new(schema: &Schema, format: LineFormat) -> Self {
        Self {
            format,
            layouts: Layouts::new(schema, format),
            contexts: Vec::new(),
            last: None,
            symbols: Symbols::default(),
            only: None,
            columns: 8,
        }
    }

    /// Names kernel addresses: in text behind the address, in JSON in an object `symbols` by the names of the fields.
    #[must_use]
    pub fn with_symbols(self, symbols: Symbols) -> Self {
        Self { symbols, ..self }
    }

    /// Names kernel addresses by these from now on.
    pub fn set_symbols(&mut self, symbols: Symbols) {
        self.symbols = symbols;
    }

    /// Appends the line that names the columns; of fields there is one column, or one each if `only` one event is
    /// going to be written. Nothing for formats without such a line.
    pub fn push_header(&mut self, out: &mut Vec<u8>, only: Option<&EventSchema>) {
        if self.format != LineFormat::Csv {
            return;
        }
        self.only = only.map(|event| event.id);
        self.columns = 7 + only.map_or(1, |event| event.fields.len());
        out.extend_from_slice(b"tsc,time_ns,cpu,pid,tid,comm,event");
        match only {
            None => out.extend_from_slice(b",fields"),
            Some(event) => {
                for field in &event.fields {
                    // A field may have the name of a column.
                    out.extend_from_slice(b",fields.");
                    push_csv(out, field.name.as_bytes());
                }
            }
        }
        out.push(b'\n');
    }

    /// Appends the line of a record.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        self.prepare_context(record);
        match self.format {
            LineFormat::Text => self.push_text_line(out, record),
            LineFormat::Json => self.push_json_line(out, record),
            LineFormat::Csv => self.push_csv_line(out, record),
        }
    }

    /// Appends the line of a gap, which no event's is like.
    pub fn push_gap(&self, out: &mut Vec<u8>, gap: &Gap) {
        gap.push(out, self.format, self.columns);
    }

    /// Appends the fields of a record alone, as an object of JSON: what a line in that format has as `fields`.
    pub fn push_json_fields(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        out.push(b'{');
        self.push_fields(out, record);
        out.push(b'}');
    }

    fn push_text_line(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        out.push(b'[');
        push_seconds(out, record.at);
        match self.last.replace(record.at) {
            Some(last) => {
                out.extend_from_slice(b"] (+");
                push_seconds(out, record.at.since(last));
                out.extend_from_slice(b") ");
            }
            None => out.extend_from_slice(b"] (+?.?????????) "),
        }
        self.push_untimed_text(out, record);
    }

    /// Appends the line of a record as text, without its time: for those who say the time by themselves.
    pub fn push_untimed(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        self.prepare_context(record);
        self.push_untimed_text(out, record);
    }

    fn push_untimed_text(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        out.extend_from_slice(&self.contexts[record.cpu.0 as usize].bytes);
        let layout = self.layouts.of(record.event);
        out.extend_from_slice(&layout.name);
        out.extend_from_slice(b": {");
        self.push_fields(out, record);
        out.extend_from_slice(if layout.fields.is_empty() {
            b"}\n"
        } else {
            b" }\n"
        });
    }

    fn push_json_line(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        out.extend_from_slice(b"{\"tsc\":");
        push_decimal(out, record.tsc);
        out.extend_from_slice(b",\"time_ns\":");
        push_decimal(out, record.at.0);
        out.extend_from_slice(&self.contexts[record.cpu.0 as usize].bytes);
        out.extend_from_slice(&self.layouts.of(record.event).json_head);
        self.push_fields(out, record);
        out.push(b'}');
        self.push_symbols(out, record);
        out.extend_from_slice(b"}\n");
    }

    /// The symbols of a record's addresses, if any has one.
    fn push_symbols(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        let mut opening: &[u8] = b",\"symbols\":{\"";
        let layout = self.layouts.of(record.event);
        for &index in &layout.addresses {
            let (field, value) = (&layout.fields[index], record.fields.value(index));
            let symbol = field.symbol(&self.symbols, value);
            let stack = field.stack(value);
            let stack = stack.filter(|run| has_names(run, &self.symbols));
            if symbol.is_none() && stack.is_none() {
                continue;
            }
            out.extend_from_slice(opening);
            opening = b",\"";
            push_json(out, &field.name);
            out.extend_from_slice(b"\":");
            if let Some((name, offset)) = symbol {
                out.push(b'"');
                push_json(out, name.as_bytes());
                push_offset(out, offset);
                out.push(b'"');
            } else if let Some(run) = stack {
                push_names(out, run, &self.symbols);
            }
        }
        if opening.len() == 2 {
            out.push(b'}');
        }
    }

    fn push_csv_line(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        push_decimal(out, record.tsc);
        out.push(b',');
        push_decimal(out, record.at.0);
        out.extend_from_slice(&self.contexts[record.cpu.0 as usize].bytes);
        let layout = self.layouts.of(record.event);
        push_csv(out, &layout.name);
        out.push(b',');
        if self.only == Some(record.event) {
            self.push_fields(out, record);
        } else {
            let mut cell = Vec::new();
            for (index, field) in layout.fields.iter().enumerate() {
                field.push_pair(&mut cell, index, record.fields.value(index));
            }
            push_csv(out, &cell);
        }
        out.push(b'\n');
    }

    /// Tells each field of a record by its name and by its value as a line of text has it; `room` is for the latter.
    pub fn each_field(
        &self,
        record: &Record<'_>,
        room: &mut Vec<u8>,
        mut tell: impl FnMut(&[u8], &[u8]),
    ) {
        let fields = &self.layouts.of(record.event).fields;
        for (index, field) in fields.iter().enumerate() {
            room.clear();
            self.push_value(room, field, record.fields.value(index), LineFormat::Text);
            tell(&field.name, room);
        }
    }

    /// Appends one field of a record, as a line of text has it.
    pub fn push_field(&self, out: &mut Vec<u8>, record: &Record<'_>, index: usize) {
        if let Some(field) = self.layouts.of(record.event).fields.get(index) {
            self.push_value(out, field, record.fields.value(index), LineFormat::Text);
        }
    }

    #[inline]
    fn push_fields(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        let fields = &self.layouts.of(record.event).fields;
        if self.format == LineFormat::Text && !fields.is_empty() {
            out.push(b' ');
        }
        for (index, field) in fields.iter().enumerate() {
            out.extend_from_slice(&field.label);
            self.push_value(out, field, record.fields.value(index), self.format);
        }
    }

    #[inline]
    fn push_value(
        &self,
        out: &mut Vec<u8>,
        field: &FieldLayout,
        value: Value<'_>,
        format: LineFormat,
    ) {
        if format != LineFormat::Text {
            return field.push(out, value, format);
        }
        if let Some(run) = field.stack(value) {
            return push_named(out, run, &self.symbols);
        }
        field.push(out, value, format);
        if let Some((name, offset)) = field.symbol(&self.symbols, value) {
            out.extend_from_slice(b" (");
            push_text(out, name.as_bytes());
            push_offset(out, offset);
            out.push(b')');
        }
    }

    /// Writes the context anew if it is another than last time.
    #[inline]
    fn prepare_context(&mut self, record: &Record<'_>) {
        let cpu = record.cpu.0 as usize;
        if self.contexts.len() <= cpu {
            let empty = WrittenContext {
                generation: None,
                bytes: Vec::new(),
            };
            self.contexts.resize(cpu + 1, empty);
        }
        let written = &mut self.contexts[cpu];
        if written.generation == Some(record.context.generation) {
            return;
        }
        written.generation = Some(record.context.generation);
        written.bytes.clear();
        push_context(
            &mut written.bytes,
            record.cpu.0,
            record.context,
            self.format,
        );
    }
}

fn push_context(out: &mut Vec<u8>, cpu: u32, context: &Context, format: LineFormat) {
    let (pid, tid) = (u64::from(context.pid.0), u64::from(context.tid.0));
    match format {
        LineFormat::Text => {
            push_decimal(out, u64::from(cpu));
            out.push(b' ');
            push_text(out, &context.comm);
            out.push(b':');
            push_decimal(out, tid);
            out.push(b' ');
        }
        LineFormat::Json => {
            out.extend_from_slice(b",\"cpu\":");
            push_decimal(out, u64::from(cpu));
            out.extend_from_slice(b",\"pid\":");
            push_decimal(out, pid);
            out.extend_from_slice(b",\"tid\":");
            push_decimal(out, tid);
            out.extend_from_slice(b",\"comm\":\"");
            push_json(out, &context.comm);
            out.push(b'"');
        }
        LineFormat::Csv => {
            for number in [u64::from(cpu), pid, tid] {
                out.push(b',');
                push_decimal(out, number);
            }
            out.push(b',');
            push_csv(out, &context.comm);
            out.push(b',');
        }
    }
}
