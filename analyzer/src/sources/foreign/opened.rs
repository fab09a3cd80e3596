//! A trace of another tracer with what is the same for all of them.

use trace_format::{EventId, EventSchema, FieldKind, FieldSchema};

use super::ForeignTrace;
use super::description::Description;
use super::merge::ForeignStream;
use super::names::complete;
use crate::model::Alias;
use crate::sources::{Range, TraceError};

/// The model's event that says which thread runs.
const CONTEXT: &str = "thread_context";

/// A trace of another tracer, opened.
#[derive(Debug)]
pub struct Foreign {
    source: Box<dyn ForeignTrace>,
    description: Description,
    context_event: EventId,
}

impl Foreign {
    /// Takes a trace that its format has opened.
    #[must_use]
    pub fn new(source: Box<dyn ForeignTrace>) -> Self {
        let mut description = source.description().clone();
        complete(&mut description.schema);
        let own = description.aliases.events(CONTEXT).next();
        let context_event = own.unwrap_or_else(|| add_context(&mut description));
        Self {
            source,
            description,
            context_event,
        }
    }

    /// What is known of it without reading its events.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Ticks at which it can be cut into pages.
    pub(in crate::sources) fn page_starts(&self) -> Vec<u64> {
        self.source.page_starts()
    }

    pub(in crate::sources) fn stream(
        &self,
        range: &Range,
    ) -> Result<ForeignStream<'_>, TraceError> {
        let lanes = self.source.lanes(range)?;
        ForeignStream::new(&self.description, self.context_event, lanes, range)
    }
}

/// Adds the event by which the running thread is told.
fn add_context(description: &mut Description) -> EventId {
    let last = description.schema.events.last();
    let id = EventId(last.map_or(0, |event| event.id.0.saturating_add(1)));
    let field = |(name, kind): (&str, FieldKind)| FieldSchema {
        name: name.to_owned(),
        kind,
        unit: None,
        doc: String::new(),
    };
    let fields = [
        ("tid", FieldKind::Unsigned),
        ("pid", FieldKind::Unsigned),
        ("comm", FieldKind::Text),
    ];
    let event = EventSchema {
        id,
        name: CONTEXT.to_owned(),
        category: "context".to_owned(),
        ltt: None,
        doc: "The thread that runs on the CPU from here on, as far as the trace tells.".to_owned(),
        sticky: false,
        fields: fields.map(field).to_vec(),
    };
    if let Some(alias) = Alias::named(CONTEXT, &event) {
        description.aliases.insert(id, alias);
    }
    description.schema.events.push(event);
    id
}
