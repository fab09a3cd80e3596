//! A place in a trace that moves both ways.

use guesttrace_filter::BoundFilter;
use trace_format::{EventSchema, FieldKind};

use super::event::{Event, FieldValue};
use crate::model::GuestNanos;
use crate::sources::{Item, Loss, Range, Trace, TraceError};

/// A place between two events of a trace; at first before all of them.
///
/// Events are those that `guesttrace events` shows. Going back and forth costs reading the chunks around the place anew, at
/// most once for each time that it goes from one stretch into another.
#[derive(Debug)]
pub struct Browser<'t> {
    trace: &'t Trace,
    /// First ticks of the stretches; a stretch reaches up to the next.
    starts: Vec<u64>,
    /// The stretch that is in memory.
    page: usize,
    events: Vec<Event>,
    losses: Vec<Loss>,
    /// Number of its events that are before the place.
    position: usize,
}

impl<'t> Browser<'t> {
    /// Stands before the first event.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn new(trace: &'t Trace) -> Result<Self, TraceError> {
        let starts = trace.page_starts();
        let mut browser = Self {
            trace,
            starts,
            page: 0,
            events: Vec::new(),
            losses: Vec::new(),
            position: 0,
        };
        browser.load(0)?;
        Ok(browser)
    }

    /// The event behind the place, over which it goes; `None` at the end.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn next_event(&mut self) -> Result<Option<&Event>, TraceError> {
        while self.position == self.events.len() {
            if self.page + 1 == self.starts.len() {
                return Ok(None);
            }
            self.load(self.page + 1)?;
        }
        self.position += 1;
        Ok(self.events.get(self.position - 1))
    }

    /// The event before the place, over which it goes back; `None` at the start.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn previous_event(&mut self) -> Result<Option<&Event>, TraceError> {
        while self.position == 0 {
            if self.page == 0 {
                return Ok(None);
            }
            self.load(self.page - 1)?;
            self.position = self.events.len();
        }
        self.position -= 1;
        Ok(self.events.get(self.position))
    }

    /// Goes before the first event that is not earlier than `at`.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn seek(&mut self, at: GuestNanos) -> Result<(), TraceError> {
        let tsc = self.trace.clock().tsc(at);
        let page = self
            .starts
            .partition_point(|start| *start <= tsc)
            .saturating_sub(1);
        if page != self.page {
            self.load(page)?;
        }
        self.position = self.events.partition_point(|event| event.tsc < tsc);
        Ok(())
    }

    /// Goes behind the last event.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn seek_end(&mut self) -> Result<(), TraceError> {
        self.load(self.starts.len() - 1)?;
        self.position = self.events.len();
        Ok(())
    }

    /// Goes over the next event that fits, and returns it; goes to the end when there is none.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn find_next(&mut self, filter: &BoundFilter) -> Result<Option<&Event>, TraceError> {
        loop {
            match self.next_event()? {
                Some(event) if filter.matches(event) => break,
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(self.events.get(self.position - 1))
    }

    /// Goes back over the nearest event that fits, and returns it; goes to the start when there is none.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn find_previous(&mut self, filter: &BoundFilter) -> Result<Option<&Event>, TraceError> {
        loop {
            match self.previous_event()? {
                Some(event) if filter.matches(event) => break,
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(self.events.get(self.position))
    }

    /// Where events are missing in the stretch around the place.
    #[must_use]
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// What the schema says of an event's kind.
    #[must_use]
    pub fn schema(&self, event: &Event) -> Option<&'t EventSchema> {
        self.trace.schema().event(event.id)
    }

    /// Name of an event; empty when the schema lacks it.
    #[must_use]
    pub fn name(&self, event: &Event) -> &'t str {
        self.schema(event).map_or("", |schema| schema.name.as_str())
    }

    /// A number of an event, by the name of its field; `None` when it has none or it is missing.
    #[must_use]
    pub fn number(&self, event: &Event, field: &str) -> Option<u64> {
        match self.value(event, field)? {
            FieldValue::Number(number) => Some(*number),
            FieldValue::Bytes(_) | FieldValue::Missing => None,
        }
    }

    /// A string of an event, by the name of its field, with what is not text escaped; of a number with names, its name.
    #[must_use]
    pub fn text(&self, event: &Event, field: &str) -> Option<String> {
        let schema = self.schema(event)?;
        let kind = &schema.fields.get(schema.field_index(field)?)?.kind;
        match (self.value(event, field)?, kind) {
            (FieldValue::Bytes(bytes), _) => Some(crate::report::guest_text(bytes)),
            (FieldValue::Number(number), FieldKind::Enum(name)) => {
                let names = self.trace.schema().enumeration(name)?;
                names.name_of(*number).map(str::to_owned)
            }
            (FieldValue::Number(_) | FieldValue::Missing, _) => None,
        }
    }

    fn value<'e>(&self, event: &'e Event, field: &str) -> Option<&'e FieldValue> {
        event.fields.get(self.schema(event)?.field_index(field)?)
    }

    /// Brings a stretch into memory; the place is then before its first event.
    fn load(&mut self, page: usize) -> Result<(), TraceError> {
        let start = self.starts[page];
        let end = self.starts.get(page + 1).map_or(u64::MAX, |next| next - 1);
        let mut stream = self.trace.stream(&Range {
            tscs: start..=end,
            ..Range::default()
        })?;
        let (first, schema) = (self.trace.clock().nanos(start), self.trace.schema());
        self.events.clear();
        self.losses.clear();
        while let Some(item) = stream.next_item()? {
            match item {
                Item::Record(record) if record.is_repeated || record.is_context => {}
                Item::Record(record) => {
                    let fields = schema
                        .event(record.event)
                        .map_or(0, |event| event.fields.len());
                    self.events.push(Event::of(&record, fields));
                }
                // A chunk that begins earlier has told of what is missing before it.
                Item::Loss(loss) if loss.at >= first => self.losses.push(loss),
                Item::Loss(_) => {}
            }
        }
        (self.page, self.position) = (page, 0);
        Ok(())
    }
}
