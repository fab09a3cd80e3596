//! Events of one CPU.

use std::sync::Arc;

use trace_format::{EventId, Severity};

use super::Perfetto;
use super::compact::{Compact, Row};
use super::kinds::Kind;
use super::proto::{Fields as Message, Wire, bytes_in, number_in, varint};
use super::scan::{Bundle, GENERIC, SWITCH, WAKING};
use crate::model::{CpuId, Tid};
use crate::sources::foreign::{Head, Lane, LaneLoss, Raw, RawRow, RawValues, Step};
use crate::sources::{Fields, Finding, TraceError};

/// Places of a switch's fields that the next one needs.
const NEXT_COMM: u32 = 5;
const NEXT_PID: u32 = 6;
const NEXT_PRIO: u32 = 7;

/// The lane.
#[derive(Debug)]
pub(super) struct PerfettoLane<'t> {
    perfetto: &'t Perfetto,
    cpu: u32,
    bundles: &'t [Bundle],
    /// The bundle that is being read.
    block: Block<'t>,
    /// Bytes from its start: the next event of its own message.
    at: usize,
    next_event: Option<(u64, (usize, usize))>,
    compact: Compact,
    /// The thread that runs, as the latest switch says.
    running: Option<Running>,
    values: RawValues,
    event: EventId,
    ticks: u64,
    findings: Vec<Finding>,
}

#[derive(Debug)]
enum Block<'t> {
    File(&'t [u8]),
    Unpacked(Arc<Vec<u8>>, usize, usize),
}

#[derive(Clone, Debug, Default)]
struct Running {
    tid: u32,
    prio: Option<u64>,
    comm: Vec<u8>,
}

impl Block<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::File(bytes) => bytes,
            Self::Unpacked(content, start, end) => content.get(*start..*end).unwrap_or(&[]),
        }
    }
}

impl<'t> PerfettoLane<'t> {
    pub(super) fn new(perfetto: &'t Perfetto, cpu: u32, bundles: &'t [Bundle]) -> Self {
        Self {
            perfetto,
            cpu,
            bundles,
            block: Block::File(&[]),
            at: 0,
            next_event: None,
            compact: Compact::default(),
            running: None,
            values: RawValues::default(),
            event: EventId(0),
            ticks: 0,
            findings: Vec::new(),
        }
    }

    /// Goes to the next bundle; whether events are missing before it. `None` when there is none.
    fn open(&mut self) -> Option<bool> {
        let (bundle, rest) = self.bundles.split_first()?;
        self.bundles = rest;
        let end = bundle.offset.saturating_add(bundle.length);
        self.block = match bundle.blob {
            None => Block::File(self.perfetto.file.get(bundle.offset..end).unwrap_or(&[])),
            Some(blob) => match self.perfetto.blobs.get(&self.perfetto.file, blob) {
                Some(content) => Block::Unpacked(content, bundle.offset, end),
                None => {
                    self.damage();
                    Block::File(&[])
                }
            },
        };
        let bytes = self.block.bytes();
        let is_lossy = number_in(bytes, 3).is_some_and(|flag| flag != 0);
        self.compact = Compact::default();
        if let Some(compact) = bytes_in(bytes, 4) {
            self.compact.take(bytes, compact);
        }
        self.at = 0;
        self.find_event();
        if is_lossy {
            self.running = None;
        }
        Some(is_lossy)
    }

    #[cold]
    fn damage(&mut self) {
        if let Some(finding) = self.findings.first_mut() {
            finding.count = finding.count.map(|count| count + 1);
            return;
        }
        let text = format!(
            "The file is damaged: events of CPU {} cannot be read.",
            self.cpu
        );
        let mut finding = Finding::of_file(Severity::DataLoss, text);
        finding.count = Some(1);
        self.findings.push(finding);
    }

    /// Finds the next event of the bundle's own list.
    fn find_event(&mut self) {
        let block = self.block.bytes();
        let mut fields = Message::new(block.get(self.at..).unwrap_or(&[]));
        self.next_event = None;
        while let Some((number, value)) = fields.next() {
            if let (2, Wire::Bytes(event)) = (number, value) {
                self.at = block.len() - fields.rest().len();
                let ticks = number_in(event, 1).unwrap_or(self.ticks);
                self.next_event = Some((ticks, (self.at - event.len(), self.at)));
                return;
            }
        }
        if fields.is_broken {
            self.damage();
        }
    }

    fn head(&self, tid: Option<u32>) -> Head {
        Head {
            ticks: self.ticks,
            cpu: CpuId(self.cpu),
            event: self.event,
            tid: tid.filter(|tid| *tid < 1 << 31).map(Tid),
            pid: None,
        }
    }

    /// Reads the next event of the list; `None` when it is none.
    fn step_event(&mut self, ticks: u64, (start, end): (usize, usize)) -> Option<Head> {
        self.ticks = ticks;
        let block = self.block.bytes();
        let event = block.get(start..end).unwrap_or(&[]);
        let (mut tid, mut body) = (None, None);
        for (number, value) in Message::new(event) {
            match value {
                Wire::Number(value) if number == 2 => tid = u32::try_from(value).ok(),
                Wire::Number(_) => {}
                Wire::Bytes(bytes) => body = Some((number, bytes)),
            }
        }
        let known = match body {
            Some((GENERIC, bytes)) => read_generic(self.perfetto, block, bytes, &mut self.values),
            Some((number, bytes)) => {
                let kind = self.perfetto.kinds.get(&number);
                kind.map(|kind| read_fields(kind, block, bytes, &mut self.values))
            }
            None => None,
        };
        if let Some((SWITCH, bytes)) = body {
            let next = number_in(bytes, NEXT_PID).and_then(|tid| u32::try_from(tid).ok());
            self.running = next.map(|tid| Running {
                tid,
                prio: number_in(bytes, NEXT_PRIO),
                comm: bytes_in(bytes, NEXT_COMM).unwrap_or(&[]).to_vec(),
            });
        }
        self.find_event();
        self.event = known?;
        Some(self.head(tid))
    }

    /// A switch in columns: it does not say which thread leaves, but the one before did.
    fn step_switch(&mut self) -> Option<Head> {
        let block = self.block.bytes();
        let row = self.compact.take_switch(block)?;
        self.ticks = row.ticks;
        self.event = self.perfetto.kinds.get(&SWITCH)?.event;
        self.values.begin(7);
        let [state, next, prio] = row.numbers;
        if let Some(running) = &self.running {
            let start = self.values.made_bytes();
            self.values.write(&running.comm);
            self.values.set(0, self.values.made_since(start));
            self.values.set(1, Raw::Number(u64::from(running.tid)));
            self.values.set(2, raw(running.prio));
        }
        self.values.set(3, raw(state));
        self.values.set(4, name(&row));
        self.values.set(5, raw(next));
        self.values.set(6, raw(prio));
        let tid = self.running.as_ref().map(|running| running.tid);
        let comm = row.name.and_then(|(at, length)| block.get(at..at + length));
        let mut running = self.running.take().unwrap_or_default();
        running.comm.clear();
        running.comm.extend_from_slice(comm.unwrap_or(&[]));
        running.prio = prio;
        self.running = next
            .and_then(|next| u32::try_from(next).ok())
            .map(|tid| Running { tid, ..running });
        Some(self.head(tid))
    }

    fn step_waking(&mut self) -> Option<Head> {
        let row = self.compact.take_waking(self.block.bytes())?;
        self.ticks = row.ticks;
        self.event = self.perfetto.kinds.get(&WAKING)?.event;
        self.values.begin(5);
        let [tid, cpu, prio] = row.numbers;
        self.values.set(0, name(&row));
        self.values.set(1, raw(tid));
        self.values.set(2, raw(prio));
        self.values.set(4, raw(cpu));
        Some(self.head(self.running.as_ref().map(|running| running.tid)))
    }

    /// The next event of the bundle, whichever of its lists has it.
    fn next_in_bundle(&mut self) -> Option<Option<Head>> {
        let event = self.next_event.map(|(ticks, _)| (ticks, 0));
        let waking = self.compact.waking_ticks().map(|ticks| (ticks, 1));
        let switch = self.compact.switch_ticks().map(|ticks| (ticks, 2));
        let (_, list) = [event, waking, switch].into_iter().flatten().min()?;
        Some(match (list, self.next_event) {
            (0, Some((ticks, place))) => self.step_event(ticks, place),
            (1, _) => self.step_waking(),
            _ => self.step_switch(),
        })
    }
}

fn raw(number: Option<u64>) -> Raw {
    number.map_or(Raw::Missing, Raw::Number)
}

fn name(row: &Row) -> Raw {
    let place = row
        .name
        .and_then(|(at, length)| u32::try_from(at).ok().zip(u32::try_from(length).ok()));
    place.map_or(Raw::Missing, |(start, length)| Raw::Block { start, length })
}

/// Reads the fields of an event; what does not come is 0 to Perfetto, and missing here.
fn read_fields(kind: &Kind, block: &[u8], body: &[u8], values: &mut RawValues) -> EventId {
    values.begin(kind.field_count);
    let mut repeated = 0;
    for (number, value) in Message::new(body) {
        let Some(slot) = kind.slot(number) else {
            continue;
        };
        match value {
            Wire::Number(number) => {
                if slot.count == 1 {
                    values.set(slot.index, Raw::Number(number));
                } else if repeated < slot.count {
                    values.set(slot.index + repeated, Raw::Number(number));
                    repeated += 1;
                }
            }
            Wire::Bytes(bytes) if slot.count == 1 => {
                values.set(slot.index, Raw::within(block, bytes))
            }
            // Numbers in a row.
            Wire::Bytes(mut bytes) => {
                while let Some(number) = varint(&mut bytes).filter(|_| repeated < slot.count) {
                    values.set(slot.index + repeated, Raw::Number(number));
                    repeated += 1;
                }
            }
        }
    }
    kind.event
}

/// Reads an event that carries its names with it.
fn read_generic(
    perfetto: &Perfetto,
    block: &[u8],
    body: &[u8],
    values: &mut RawValues,
) -> Option<EventId> {
    let (event, fields) = perfetto.generic.get(bytes_in(body, 1)?)?;
    values.begin(fields.len());
    for (number, value) in Message::new(body) {
        let (2, Wire::Bytes(field)) = (number, value) else {
            continue;
        };
        let index = bytes_in(field, 1).and_then(|name| fields.get(name).copied());
        let value = Message::new(field)
            .find_map(|(number, value)| (3..=5).contains(&number).then_some(value));
        match (index, value) {
            (Some(index), Some(Wire::Number(number))) => values.set(index, Raw::Number(number)),
            (Some(index), Some(Wire::Bytes(bytes))) => values.set(index, Raw::within(block, bytes)),
            _ => {}
        }
    }
    Some(*event)
}

impl Lane for PerfettoLane<'_> {
    fn advance(&mut self) -> Result<Step, TraceError> {
        loop {
            match self.next_in_bundle() {
                Some(Some(head)) => return Ok(Step::Event(head)),
                // An event that says nothing.
                Some(None) => {}
                None => match self.open() {
                    None => return Ok(Step::End),
                    Some(false) => {}
                    Some(true) => {
                        let next = [
                            self.next_event.map(|(ticks, _)| ticks),
                            self.compact.switch_ticks(),
                        ];
                        let next = next.into_iter().chain([self.compact.waking_ticks()]);
                        return Ok(Step::Loss(LaneLoss {
                            cpu: CpuId(self.cpu),
                            ticks: next.flatten().min().unwrap_or(self.ticks),
                            count: None,
                        }));
                    }
                },
            }
        }
    }

    fn fields(&self) -> Fields<'_> {
        Fields::Raw(RawRow {
            values: &self.values,
            block: self.block.bytes(),
        })
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
