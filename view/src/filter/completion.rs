//! What may be written at a place of a filter.

use std::collections::BTreeMap;

use guesttrace_filter::Context;
use serde::Serialize;
use trace_format::{EventSchema, FieldKind, FieldSchema, Schema};

use super::place::{Name, Place, behind};
use super::scan::{Piece, PieceKind, pieces, written};

/// Completions that are offered at a time.
const OFFERED_MAX: usize = 60;

/// What may be written in place of the text from `from` up to the cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Completion {
    pub(super) text: String,
    pub(super) doc: String,
    /// Offset in the text.
    pub(super) from: usize,
}

/// What may be written, the likeliest first; offsets are bytes.
pub(super) fn at(text: &str, cursor: usize, schema: &Schema) -> Vec<Completion> {
    let before = text.get(..cursor).unwrap_or(text);
    let mut left = pieces(before);
    let (typed, from) = match left.last() {
        Some(last) if last.place.end == before.len() && is_begun(last.kind) => {
            let from = last.place.start;
            left.pop();
            (before[from..].trim_start_matches(['"', '\'']), from)
        }
        _ => ("", before.len()),
    };
    let mut offers = Offers {
        schema,
        named: events_in(text, schema, from),
        found: Vec::new(),
    };
    let (place, depth) = behind(before, &left);
    offers.of(place, depth);
    ranked(offers.found, typed, from)
}

/// Whether what ends at the cursor may only be the beginning of something.
fn is_begun(kind: PieceKind) -> bool {
    matches!(
        kind,
        PieceKind::Word | PieceKind::OpenText | PieceKind::In | PieceKind::Not
    )
}

/// The events that a text names, but for what is being written.
fn events_in<'s>(text: &str, schema: &'s Schema, writing: usize) -> Vec<&'s EventSchema> {
    let name = |piece: &Piece| match piece.kind {
        PieceKind::Word => text.get(piece.place.clone()),
        PieceKind::Text => text.get(piece.place.start + 1..piece.place.end - 1),
        _ => None,
    };
    let others = pieces(text);
    let others = others.iter().filter(|piece| piece.place.start != writing);
    let mut named: Vec<&EventSchema> = others
        .filter_map(|piece| schema.event_named(name(piece)?))
        .collect();
    named.sort_by_key(|event| event.id);
    named.dedup_by_key(|event| event.id);
    named
}

/// Those that fit what is typed: the same beginning first.
fn ranked(found: Vec<(String, String)>, typed: &str, from: usize) -> Vec<Completion> {
    let typed = typed.to_ascii_lowercase();
    let mut fitting: Vec<(bool, Completion)> = Vec::new();
    for (text, doc) in found {
        let lower = text.to_ascii_lowercase();
        let plain = lower.trim_start_matches('"');
        if plain.contains(&typed) {
            let is_inside = !plain.starts_with(&typed);
            fitting.push((is_inside, Completion { text, doc, from }));
        }
    }
    fitting.sort_by_key(|(is_inside, _)| *is_inside);
    fitting.truncate(OFFERED_MAX);
    fitting
        .into_iter()
        .map(|(_, completion)| completion)
        .collect()
}

/// What fits a place, with a word about each.
struct Offers<'s> {
    schema: &'s Schema,
    /// Events that the filter is about.
    named: Vec<&'s EventSchema>,
    found: Vec<(String, String)>,
}

impl<'s> Offers<'s> {
    fn of(&mut self, place: Place<'_>, depth: usize) {
        match place {
            Place::Test => self.names(),
            Place::FieldOf("event") => self.fields(None),
            Place::FieldOf(event) => self.fields(self.schema.event_named(event)),
            Place::Operator(name) => self.operators(name, depth),
            Place::In(_) => self.add("in", "one of a list"),
            Place::List(_) => self.add("(", "a list of values"),
            Place::Value {
                name, is_pattern, ..
            } => self.values(name, is_pattern),
            Place::ListEnd(_) => {
                self.add(",", "one more value");
                self.add(")", "the end of the list");
            }
            Place::Joint => self.joints(depth),
            Place::Nothing => {}
        }
    }

    fn add(&mut self, text: impl Into<String>, doc: impl Into<String>) {
        self.found.push((text.into(), doc.into()));
    }

    fn joints(&mut self, depth: usize) {
        self.add("&&", "both have to hold");
        self.add("||", "one of them has to hold");
        if depth > 0 {
            self.add(")", "closes the parenthesis");
        }
    }

    fn names(&mut self) {
        self.add("event", "name of the event");
        self.add("category", "group of events");
        for context in Context::ALL {
            self.add(context.name(), context_doc(*context));
        }
        self.fields(None);
        for event in &self.schema.events {
            // An event by itself is no test: its fields come next, or it is compared with.
            if !event.fields.is_empty() && written(&event.name, false) == event.name {
                let text = format!("{}.", event.name);
                self.found.push((text, event.doc.clone()));
            }
        }
    }

    /// Fields of an event; of those that are named when there is none, else of all.
    fn fields(&mut self, event: Option<&'s EventSchema>) {
        let mut fields: BTreeMap<&str, (String, usize)> = BTreeMap::new();
        for event in self.events(event) {
            for field in &event.fields {
                let doc = || field_doc(event, field);
                fields.entry(&field.name).or_insert_with(|| (doc(), 0)).1 += 1;
            }
        }
        for (name, (doc, events)) in fields {
            let doc = match events {
                1 => doc,
                more => format!("{doc}; and of {} other events", more - 1),
            };
            self.add(name, doc);
        }
    }

    fn events(&self, event: Option<&'s EventSchema>) -> Vec<&'s EventSchema> {
        match event {
            Some(event) => vec![event],
            None if self.named.is_empty() => self.schema.events.iter().collect(),
            None => self.named.clone(),
        }
    }

    /// The kinds that a field of that name has.
    fn kinds(&self, name: Name<'_>) -> Vec<&'s FieldKind> {
        let is_context = Context::ALL.iter().any(|own| own.name() == name.name);
        if name.qualifier.is_none() && is_context {
            return Vec::new();
        }
        let event = name
            .qualifier
            .and_then(|event| self.schema.event_named(event));
        let own = |event: &'s EventSchema| Some(&event.fields[event.field_index(name.name)?].kind);
        let kinds: Vec<_> = self.events(event).into_iter().filter_map(own).collect();
        if kinds.is_empty() {
            return self.schema.events.iter().filter_map(own).collect();
        }
        kinds
    }

    fn operators(&mut self, name: Name<'_>, depth: usize) {
        let kinds = self.kinds(name);
        let is_label = name.qualifier.is_none() && matches!(name.name, "event" | "category");
        let is_text = name.name == "comm" || kinds.contains(&&FieldKind::Text);
        let has_names = kinds.iter().any(|kind| matches!(kind, FieldKind::Enum(_)));
        self.add("==", "is");
        self.add("!=", "is not");
        if is_label || is_text || has_names {
            self.add("=~", "fits a pattern; * is any text");
        }
        if !is_label && !is_text {
            for (operator, doc) in [
                ("<", "is less than"),
                ("<=", "is at most"),
                (">", "is more than"),
                (">=", "is at least"),
            ] {
                self.add(operator, doc);
            }
        }
        self.add("in", "one of a list");
        self.add("not in", "none of a list");
        self.joints(depth);
    }

    fn values(&mut self, name: Name<'_>, is_pattern: bool) {
        match (name.qualifier, name.name) {
            (None, "event") => {
                for event in &self.schema.events {
                    let text = written(&event.name, is_pattern);
                    self.found.push((text, event.doc.clone()));
                }
            }
            (None, "category") => self.categories(is_pattern),
            _ => {
                let kinds = self.kinds(name);
                if kinds.contains(&&FieldKind::Bool) {
                    self.add("true", "");
                    self.add("false", "");
                }
                self.enumerations(&kinds, is_pattern);
            }
        }
    }

    fn categories(&mut self, is_pattern: bool) {
        let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
        for event in &self.schema.events {
            *categories.entry(&event.category).or_default() += 1;
        }
        for (category, events) in categories {
            self.add(written(category, is_pattern), format!("{events} events"));
        }
    }

    fn enumerations(&mut self, kinds: &[&FieldKind], is_pattern: bool) {
        let mut known: Vec<&str> = Vec::new();
        for kind in kinds {
            let FieldKind::Enum(name) = kind else {
                continue;
            };
            if known.contains(&name.as_str()) {
                continue;
            }
            known.push(name);
            let values = self.schema.enumeration(name);
            for (value, name) in values.iter().flat_map(|names| &names.values) {
                self.add(written(name, is_pattern), value.to_string());
            }
        }
    }
}

fn field_doc(event: &EventSchema, field: &FieldSchema) -> String {
    let unit = field.unit.as_ref();
    let unit = unit.map_or(String::new(), |unit| format!(" ({unit})"));
    format!("{}{unit}: field of {}", field.doc, event.name)
}

fn context_doc(context: Context) -> &'static str {
    match context {
        Context::Cpu => "CPU on which it happened",
        Context::Pid => "process",
        Context::Tid => "thread",
        Context::Comm => "name of the thread",
        Context::Time => "nanoseconds since the start of the trace",
        Context::Tsc => "the guest's clock",
        // Only a running guest knows these, and none of them is offered.
        _ => "",
    }
}
