//! Walks two traces side by side to the first difference, in constant memory: what is kept is the last few lines of
//! each CPU.

use std::collections::{BTreeMap, VecDeque};

use analyzer::export::{LineFormat, LineWriter};
use analyzer::sources::{Item, Range, Record, RecordStream, Trace};
use anyhow::Result;
use trace_format::EventId;

use super::align::Event;

/// A trace, and what of it is compared.
pub(crate) type Part<'t> = (&'t Trace, &'t Range);

/// Stands for the thread of what is of none: a loss.
const NO_THREAD: u64 = u64::MAX;

/// One side's next record, as a line; its events are compared by what they say, not by how the file has them.
pub(super) struct Side<'t> {
    /// Those that are looked at, in order; empty for all.
    events: &'t [EventId],
    stream: Box<dyn RecordStream + 't>,
    lines: LineWriter,
    line: Vec<u8>,
    thread: u64,
    cpu: u32,
    tsc: u64,
}

/// What both sides have at the same place.
struct Step {
    cpu: Option<u32>,
    is_same: bool,
}

/// The first place where the traces differ.
#[derive(Debug)]
pub(crate) struct Divergence {
    /// Events that both have before it.
    pub(crate) same_events: u64,
    pub(crate) cpu: Option<u32>,
    pub(crate) before: Vec<String>,
    /// `None` where that trace has ended.
    pub(crate) a: Option<String>,
    pub(crate) b: Option<String>,
}

/// Walks parts of both traces to the first difference; the number of events that both have, and the difference.
pub(crate) fn first_divergence(
    a: Part<'_>,
    b: Part<'_>,
    context: usize,
) -> Result<(u64, Option<Divergence>)> {
    let (mut a, mut b) = (Side::new(a)?, Side::new(b)?);
    let mut before: BTreeMap<u32, VecDeque<String>> = BTreeMap::new();
    let mut same_events = 0;
    loop {
        let (cpu_a, cpu_b) = (a.advance()?, b.advance()?);
        let step = Step {
            cpu: cpu_a.or(cpu_b),
            is_same: cpu_a == cpu_b && a.says_what(&b),
        };
        match step.cpu {
            None => return Ok((same_events, None)),
            Some(cpu) if step.is_same => {
                same_events += 1;
                let kept = before.entry(cpu).or_default();
                if kept.len() == context {
                    kept.pop_front();
                }
                if context > 0 {
                    kept.push_back(a.text());
                }
            }
            Some(cpu) => {
                let before = before.remove(&cpu).unwrap_or_default().into();
                let divergence = Divergence {
                    same_events,
                    cpu: step.cpu,
                    before,
                    a: cpu_a.map(|_| a.text()),
                    b: cpu_b.map(|_| b.text()),
                };
                return Ok((same_events, Some(divergence)));
            }
        }
    }
}

impl<'t> Side<'t> {
    pub(super) fn new((trace, range): Part<'t>) -> Result<Self> {
        Ok(Self {
            events: &range.events,
            stream: trace.stream(range)?,
            lines: LineWriter::new(trace.schema(), LineFormat::Json).with_symbols(trace.symbols()),
            line: Vec::new(),
            thread: NO_THREAD,
            cpu: 0,
            tsc: 0,
        })
    }

    /// Goes to the next event that is no repetition; gives its CPU, or `None` at the end.
    pub(super) fn advance(&mut self) -> Result<Option<u32>> {
        self.line.clear();
        let chosen = self.events;
        let is_compared = |record: &Record<'_>| {
            let is_chosen = chosen.is_empty() || chosen.binary_search(&record.event).is_ok();
            is_chosen && !record.is_repeated
        };
        loop {
            match self.stream.next_item()? {
                None => return Ok(None),
                Some(Item::Record(record)) if is_compared(&record) => {
                    self.lines.push(&mut self.line, &record);
                    (self.cpu, self.tsc) = (record.cpu.0, record.tsc);
                    self.thread = u64::from(record.context.tid.0);
                    return Ok(Some(record.cpu.0));
                }
                Some(Item::Record(_)) => {}
                Some(Item::Loss(loss)) => {
                    self.thread = NO_THREAD;
                    self.line = format!("{{\"lost\":{:?}}}\n", loss.count).into_bytes();
                    return Ok(Some(loss.cpu.0));
                }
            }
        }
    }

    /// Whether both events are the same, whatever is known of the addresses in them.
    fn says_what(&self, other: &Self) -> bool {
        self.line == other.line || without_names(&self.line) == without_names(&other.line)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.line).trim_end().to_owned()
    }

    /// The event that it stands at.
    pub(super) fn event(&self) -> Event {
        let line = self.text();
        // Quotes within a string are escaped: this is where the name begins, whatever threads are called.
        let said = String::from_utf8_lossy(without_names(&self.line));
        let content = said.find(",\"event\":\"").map_or("", |at| &said[at + 10..]);
        let name = content.split('"').next().unwrap_or_default();
        Event {
            // The idle thread of each CPU has a line of its own.
            thread: match (self.thread, self.cpu) {
                (0, cpu) => (1 << 32) + u64::from(cpu),
                (thread, _) => thread,
            },
            tsc: self.tsc,
            name: name.to_owned(),
            content: content.to_owned(),
            line,
        }
    }
}

/// A line up to the names of addresses, which come last.
///
/// They are nothing that happened: a place that two modules had one after the other is named after neither, so that one
/// more kind of event in a trace can take the name of an address away.
fn without_names(line: &[u8]) -> &[u8] {
    // A quotation mark within a string would be escaped.
    match memchr::memmem::rfind(line, b",\"symbols\":{\"") {
        Some(end) => &line[..end],
        None => line.strip_suffix(b"}\n").unwrap_or(line),
    }
}

#[cfg(test)]
mod tests {
    use super::without_names;

    #[test]
    fn names_of_addresses_are_no_part_of_an_event() {
        let bare = b"{\"event\":\"tick\",\"fields\":{\"ip\":\"0x1\"}}\n";
        let named =
            b"{\"event\":\"tick\",\"fields\":{\"ip\":\"0x1\"},\"symbols\":{\"ip\":\"f [m]+0x1\"}}\n";
        assert_eq!(without_names(bare), without_names(named));
        let text = b"{\"fields\":{\"text\":\"x,\\\"symbols\\\":{\\\"\"}}\n";
        assert_eq!(without_names(text), &text[..text.len() - 2]);
    }
}
