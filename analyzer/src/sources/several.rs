//! Several traces as one: of one machine, or of several that have a clock in common.
//!
//! Every trace keeps its events, its way of knowing threads and its losses; only times, CPUs, kinds of events and, where
//! machines differ, numbers of threads are moved, so that none is taken for another.

use std::collections::BTreeMap;

use trace_format::{EnumSchema, EventId, FieldKind, Schema};

use super::clock::Clock;
use super::context::Context;
use super::finding::{Finding, sort_findings};
use super::record::{Item, Loss, Record};
use super::stream::{Range, RecordStream};
use super::trace::{Trace, TraceError};
use crate::model::{
    Alias, Aliases, Conversion, CpuId, FieldSource, GuestNanos, Pid, THREADS_OF_MACHINE, Tid,
    is_thread_field,
};

/// Several traces, opened as one.
#[derive(Debug)]
pub struct Several {
    parts: Vec<Part>,
    schema: Schema,
    aliases: Aliases,
    cpu_count: u32,
    last: GuestNanos,
}

/// One of them.
#[derive(Debug)]
struct Part {
    name: String,
    trace: Trace,
    /// Where its time 0 is.
    start: GuestNanos,
    /// Number of its machine, from 0.
    machine: u32,
    /// What is added to the numbers of its CPUs and of its kinds of events.
    cpu_base: u32,
    event_base: u16,
}

/// A trace that is to be one of several.
#[derive(Debug)]
pub struct NamedTrace {
    /// What people call it, such as its file.
    pub name: String,
    /// The trace.
    pub trace: Trace,
    /// How much later than the first trace it starts, in nanoseconds, where the user says so.
    pub offset: Option<i64>,
}

/// Why traces cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeveralError {
    /// One does not tell what time it is.
    #[error("{0} does not tell what time of day it began, so it cannot be put beside the others")]
    NoTime(String),
    /// They begin centuries apart.
    #[error("{0} begins more than 500 years after or before the others")]
    TooFar(String),
    /// There are more kinds of events than there can be.
    #[error("together they have more than 65,535 kinds of events")]
    TooManyEvents,
}

impl Several {
    /// Puts them together.
    ///
    /// # Errors
    /// When their clocks have nothing in common.
    pub fn new(traces: Vec<NamedTrace>) -> Result<Self, SeveralError> {
        let starts = starts(&traces)?;
        let mut machines: BTreeMap<String, u32> = BTreeMap::new();
        let mut cpus_of: Vec<u32> = Vec::new();
        let (mut schema, mut aliases) = (Schema::default(), Aliases::default());
        let mut parts: Vec<Part> = Vec::new();
        for (index, (named, start)) in traces.into_iter().zip(starts).enumerate() {
            // One that does not say which machine it is of is of one of its own.
            let key = named
                .trace
                .machine()
                .unwrap_or_else(|| format!("\0{index}"));
            let next = u32::try_from(machines.len()).unwrap_or(u32::MAX);
            let machine = *machines.entry(key).or_insert(next);
            let cpus = named.trace.cpu_count();
            match cpus_of.get_mut(machine as usize) {
                Some(known) => *known = cpus.max(*known),
                None => cpus_of.push(cpus),
            }
            let event_base = schema.events.last().map_or(0, |event| event.id.0 + 1);
            add_schema(&mut schema, &named.trace, event_base)?;
            add_aliases(&mut aliases, &named.trace, event_base, machine);
            parts.push(Part {
                name: named.name,
                trace: named.trace,
                start,
                machine,
                cpu_base: 0,
                event_base,
            });
        }
        for part in &mut parts {
            let before = cpus_of.iter().take(part.machine as usize);
            part.cpu_base = before.fold(0, |sum, cpus| sum.saturating_add(*cpus));
        }
        let end = |part: &Part| GuestNanos(part.start.0.saturating_add(part.trace.duration().0));
        let last = parts.iter().map(end).max().unwrap_or_default();
        Ok(Self {
            parts,
            schema,
            aliases,
            cpu_count: cpus_of.into_iter().fold(0, u32::saturating_add),
            last,
        })
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(super) fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Ticks are nanoseconds since the first of them began.
    pub(super) fn clock() -> Clock {
        Clock {
            first_tsc: 0,
            tsc_hz: 1_000_000_000,
        }
    }

    /// CPUs of all machines.
    pub(super) fn cpu_count(&self) -> u32 {
        self.cpu_count
    }

    pub(super) fn last_tsc(&self) -> u64 {
        self.last.0
    }

    /// The traces, each with its name and the number of its machine.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &Trace, u32)> {
        let parts = self.parts.iter();
        parts.map(|part| (part.name.as_str(), &part.trace, part.machine))
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let of_part = |part: &Part| part.name_findings(part.trace.findings());
        let mut findings: Vec<Finding> = self.parts.iter().flat_map(of_part).collect();
        sort_findings(&mut findings);
        findings
    }

    /// Ticks at which all of them can be cut.
    pub(super) fn page_starts(&self) -> Vec<u64> {
        let of_part = |part: &Part| {
            let (clock, start) = (part.trace.clock(), part.start.0);
            let starts = part.trace.page_starts().into_iter();
            starts
                .map(move |tsc| clock.nanos(tsc).0.saturating_add(start))
                .collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    pub(super) fn stream(&self, range: &Range) -> Result<SeveralStream<'_>, TraceError> {
        let mut streams = Vec::new();
        for part in &self.parts {
            streams.push(PartStream {
                part,
                stream: part.trace.stream(&part.range(range))?,
                context: Context::idle(CpuId(0)),
                generation: None,
            });
        }
        Ok(SeveralStream { streams })
    }
}

/// Where each trace's time 0 is, from the earliest on.
fn starts(traces: &[NamedTrace]) -> Result<Vec<GuestNanos>, SeveralError> {
    let mut starts: Vec<i128> = Vec::new();
    let first = traces.first().and_then(|named| named.trace.start_nanos());
    for (index, named) in traces.iter().enumerate() {
        let told = match (named.offset, index) {
            (Some(offset), _) => Some(first.unwrap_or(0) + i128::from(offset)),
            (None, 0) => Some(first.unwrap_or(0)),
            (None, _) => named.trace.start_nanos().filter(|_| first.is_some()),
        };
        starts.push(told.ok_or_else(|| SeveralError::NoTime(named.name.clone()))?);
    }
    let earliest = starts.iter().copied().min().unwrap_or(0);
    let from_earliest = starts.iter().zip(traces).map(|(start, named)| {
        let nanos = u64::try_from(start - earliest).ok();
        let nanos = nanos.filter(|nanos| *nanos < 1 << 63).map(GuestNanos);
        nanos.ok_or_else(|| SeveralError::TooFar(named.name.clone()))
    });
    from_earliest.collect()
}

/// Adds the events of a trace, with enumerations of their own where another trace has others by the same names.
fn add_schema(schema: &mut Schema, trace: &Trace, event_base: u16) -> Result<(), SeveralError> {
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    for own in &trace.schema().enums {
        let mut name = own.name.clone();
        while schema
            .enumeration(&name)
            .is_some_and(|known| known.values != own.values)
        {
            name.push('\'');
        }
        if schema.enumeration(&name).is_none() {
            schema.enums.push(EnumSchema {
                name: name.clone(),
                values: own.values.clone(),
            });
        }
        renamed.insert(own.name.clone(), name);
    }
    for event in &trace.schema().events {
        let mut event = event.clone();
        let id = event.id.0.checked_add(event_base);
        event.id = EventId(id.ok_or(SeveralError::TooManyEvents)?);
        for field in &mut event.fields {
            if let FieldKind::Enum(name) = &mut field.kind
                && let Some(new) = renamed.get(name)
            {
                name.clone_from(new);
            }
        }
        schema.events.push(event);
    }
    Ok(())
}

/// Adds what the events of a trace are; threads of other machines than the first get other numbers.
fn add_aliases(aliases: &mut Aliases, trace: &Trace, event_base: u16, machine: u32) {
    for (id, alias) in trace.aliases().iter() {
        let mut alias = alias.clone();
        if machine > 0 {
            move_threads(&mut alias, machine);
        }
        aliases.insert(EventId(id.0.saturating_add(event_base)), alias);
    }
}

fn move_threads(alias: &mut Alias, machine: u32) {
    for (name, source) in &mut alias.fields {
        if let FieldSource::Field { conversion, .. } = source
            && *conversion == Conversion::Plain
            && is_thread_field(&alias.is, name)
        {
            *conversion = Conversion::OfMachine(machine);
        }
    }
}

impl Part {
    /// The part of it that a range of all asks for.
    fn range(&self, all: &Range) -> Range {
        let clock = self.trace.clock();
        let tsc = |at: u64| clock.tsc(GuestNanos(at.saturating_sub(self.start.0)));
        let (from, to) = (*all.tscs.start(), *all.tscs.end());
        let from = if from <= self.start.0 { 0 } else { tsc(from) };
        let to = match to {
            u64::MAX => u64::MAX,
            to if to < self.start.0 => 0,
            to => tsc(to),
        };
        let cpus = all
            .cpus
            .iter()
            .filter_map(|cpu| cpu.0.checked_sub(self.cpu_base));
        let cpus: Vec<CpuId> = cpus.map(CpuId).collect();
        let events = all
            .events
            .iter()
            .filter_map(|event| event.0.checked_sub(self.event_base));
        // What its index does not know by these numbers must not be passed over: it says who runs.
        Range {
            tscs: from..=to,
            cpus: if cpus.len() == all.cpus.len() {
                cpus
            } else {
                Vec::new()
            },
            events: if all.events.is_empty() {
                Vec::new()
            } else {
                events.map(EventId).collect()
            },
            threads: if self.machine == 0 {
                all.threads.clone()
            } else {
                Vec::new()
            },
        }
    }

    fn name_findings(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let named = findings.into_iter().map(|finding| Finding {
            text: format!("{}: {}", self.name, finding.text),
            ..finding
        });
        named.collect()
    }
}

/// Records of several traces in one order.
pub(super) struct SeveralStream<'t> {
    streams: Vec<PartStream<'t>>,
}

struct PartStream<'t> {
    part: &'t Part,
    stream: Box<dyn RecordStream + 't>,
    /// The thread of the latest record under its number here, and which one it was there.
    context: Context,
    generation: Option<(CpuId, u64, Tid)>,
}

impl RecordStream for SeveralStream<'_> {
    fn next_tsc(&mut self) -> Result<Option<u64>, TraceError> {
        let mut earliest: Option<u64> = None;
        for stream in &mut self.streams {
            if let Some(next) = stream.next_at()? {
                earliest = Some(earliest.map_or(next, |known| known.min(next)));
            }
        }
        Ok(earliest)
    }

    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        let mut best: Option<(u64, usize)> = None;
        for (index, stream) in self.streams.iter_mut().enumerate() {
            if let Some(next) = stream.next_at()?
                && best.is_none_or(|(earliest, _)| next < earliest)
            {
                best = Some((next, index));
            }
        }
        match best {
            Some((_, index)) => self.streams[index].next_item(),
            None => Ok(None),
        }
    }

    fn chunks_skipped(&self) -> usize {
        let streams = self.streams.iter();
        streams.map(|stream| stream.stream.chunks_skipped()).sum()
    }

    fn damage(&self) -> Vec<Finding> {
        let of_part = |stream: &PartStream<'_>| stream.part.name_findings(stream.stream.damage());
        self.streams.iter().flat_map(of_part).collect()
    }
}

impl PartStream<'_> {
    /// When its next item is.
    fn next_at(&mut self) -> Result<Option<u64>, TraceError> {
        let next = self.stream.next_tsc()?;
        let clock = self.part.trace.clock();
        Ok(next.map(|tsc| clock.nanos(tsc).0.saturating_add(self.part.start.0)))
    }

    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        let part = self.part;
        let moved = |at: GuestNanos| GuestNanos(at.0.saturating_add(part.start.0));
        let cpu = |cpu: CpuId| CpuId(cpu.0.saturating_add(part.cpu_base));
        let record = match self.stream.next_item()? {
            None => return Ok(None),
            Some(Item::Loss(loss)) => {
                return Ok(Some(Item::Loss(Loss {
                    cpu: cpu(loss.cpu),
                    since: loss.since.map(moved),
                    at: moved(loss.at),
                    count: loss.count,
                })));
            }
            Some(Item::Record(record)) => record,
        };
        let context = if part.machine == 0 {
            record.context
        } else {
            let now = (record.cpu, record.context.generation, record.context.tid);
            if self.generation != Some(now) {
                self.generation = Some(now);
                self.context.clone_from(record.context);
                self.context.tid = Tid(of_machine(record.context.tid.0, part.machine));
                self.context.pid = Pid(of_machine(record.context.pid.0, part.machine));
            }
            &self.context
        };
        let at = moved(record.at);
        Ok(Some(Item::Record(Record {
            at,
            tsc: at.0,
            cpu: cpu(record.cpu),
            event: EventId(record.event.0.saturating_add(part.event_base)),
            context,
            ..record
        })))
    }
}

/// Number of a thread of another machine: idle threads are told apart by their CPUs.
fn of_machine(number: u32, machine: u32) -> u32 {
    match number {
        0 => 0,
        number => number.saturating_add(machine.saturating_mul(THREADS_OF_MACHINE)),
    }
}
