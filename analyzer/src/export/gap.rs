//! Gaps of a trace, as lines between its events: nobody should take what is on both sides for neighbours.

use std::io::Write as _;

use trace_format::{EventId, EventSchema, Schema};

use super::line::LineFormat;
use super::number::push_seconds;
use crate::model::{CpuId, GuestNanos};
use crate::sources::{Item, Loss};

/// Something that is not in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub kind: GapKind,
    /// Time of the last event before it; `None` when there is none.
    pub from: Option<GuestNanos>,
    /// Time of the first event after it; `None` when there is none.
    pub to: Option<GuestNanos>,
}

/// Why something is not in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// Events of a CPU were lost: how many, if that is known.
    Lost(CpuId, Option<u64>),
    /// Recording was stopped.
    NotRecorded,
}

/// Finds the gaps of a stream of records.
#[derive(Clone, Debug)]
pub struct Gaps {
    start: Option<EventId>,
    stop: Option<EventId>,
    stopped_at: Option<GuestNanos>,
}

impl Gaps {
    /// Of a trace with that schema.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let id = |name| schema.event_named(name).map(|event: &EventSchema| event.id);
        Self {
            start: id("recording_start"),
            stop: id("recording_stop"),
            stopped_at: None,
        }
    }

    /// The gap that ends with this item.
    #[inline]
    pub fn before(&mut self, item: &Item<'_>) -> Option<Gap> {
        let record = match item {
            Item::Loss(loss) => return Some(Gap::of_loss(*loss)),
            Item::Record(record) => record,
        };
        if Some(record.event) == self.stop && !record.is_repeated {
            self.stopped_at = Some(record.at);
        } else if Some(record.event) == self.start
            && let Some(from) = self.stopped_at.take()
        {
            return Some(Gap {
                kind: GapKind::NotRecorded,
                from: Some(from),
                to: Some(record.at),
            });
        }
        None
    }

    /// The gap that lasts to the end of the trace.
    #[must_use]
    pub fn at_end(&self) -> Option<Gap> {
        self.stopped_at.map(|from| Gap {
            kind: GapKind::NotRecorded,
            from: Some(from),
            to: None,
        })
    }
}

impl Gap {
    fn of_loss(loss: Loss) -> Self {
        Self {
            kind: GapKind::Lost(loss.cpu, loss.count),
            from: loss.since,
            to: Some(loss.at).filter(|at| loss.since != Some(*at)),
        }
    }

    /// Appends its line; `columns` is their number in CSV.
    pub(super) fn push(&self, out: &mut Vec<u8>, format: LineFormat, columns: usize) {
        match format {
            LineFormat::Text => {
                self.push_text(out);
                out.push(b'\n');
            }
            LineFormat::Json => self.push_json(out),
            LineFormat::Csv => self.push_csv(out, columns),
        }
    }

    fn push_text(&self, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = match self.kind {
            GapKind::Lost(cpu, Some(count)) => write!(out, "-- {count} events lost on CPU {cpu}"),
            GapKind::Lost(cpu, None) => write!(out, "-- events lost on CPU {cpu}"),
            GapKind::NotRecorded => write!(out, "-- not recorded"),
        };
        let ends: &[(&[u8], Option<GuestNanos>)] = match (self.from, self.to) {
            (Some(_), Some(_)) => &[(b" between ", self.from), (b" and ", self.to)],
            _ => &[(b" after ", self.from), (b" before ", self.to)],
        };
        for (word, at) in ends {
            if let Some(at) = at {
                out.extend_from_slice(word);
                push_seconds(out, *at);
            }
        }
        out.extend_from_slice(b" --");
    }

    /// An object that no event is like: it has a key `gap`.
    fn push_json(&self, out: &mut Vec<u8>) {
        let name = match self.kind {
            GapKind::Lost(..) => "lost",
            GapKind::NotRecorded => "not_recorded",
        };
        let number = |number: Option<u64>| number.map_or("null".to_owned(), |n| n.to_string());
        let (from, to) = (self.from.map(|at| at.0), self.to.map(|at| at.0));
        let (from, to) = (number(from), number(to));
        let _ = write!(
            out,
            "{{\"gap\":\"{name}\",\"from_ns\":{from},\"to_ns\":{to}"
        );
        if let GapKind::Lost(cpu, count) = self.kind {
            let _ = write!(out, ",\"cpu\":{cpu},\"events\":{}", number(count));
        }
        out.extend_from_slice(b"}\n");
    }

    /// A row without a TSC, whose event is what the line in text says.
    fn push_csv(&self, out: &mut Vec<u8>, columns: usize) {
        let at = self.to.or(self.from).map_or(0, |at| at.0);
        let _ = match self.kind {
            GapKind::Lost(cpu, _) => write!(out, ",{at},{cpu},,,,"),
            GapKind::NotRecorded => write!(out, ",{at},,,,,"),
        };
        self.push_text(out);
        out.extend(std::iter::repeat_n(b',', columns.saturating_sub(7)));
        out.push(b'\n');
    }
}
