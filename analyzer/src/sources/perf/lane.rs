//! Records of a file as events.

use trace_format::{EventId, Severity};

use super::PerfData;
use super::attr::Sample;
use super::order::{Order, SAMPLE};
use crate::model::{CpuId, Pid, Tid};
use crate::sources::foreign::{Head, Laid, Lane, LaneLoss, Raw, RawRow, RawValues, Step};
use crate::sources::ftrace::Bytes;
use crate::sources::{Fields, Finding, TraceError};
use trace_format::Value;

const LOST: u32 = 2;
const LOST_SAMPLES: u32 = 13;

/// From here on addresses are marks: what follows was called in the kernel, or in a program.
const CONTEXTS: u64 = u64::MAX - 4095;

/// All events of a file.
#[derive(Debug)]
pub(super) struct PerfLane<'t> {
    perf: &'t PerfData,
    order: Order<'t>,
    /// The record that the values refer to, or a tracepoint's data.
    bytes: Vec<u8>,
    values: RawValues,
    event: EventId,
    /// Whether the fields are read from their places.
    is_laid: bool,
    ticks: u64,
    findings: Vec<Finding>,
}

impl<'t> PerfLane<'t> {
    pub(super) fn new(perf: &'t PerfData) -> Self {
        Self {
            perf,
            order: Order::new(&perf.file, &perf.parts),
            bytes: Vec::new(),
            values: RawValues::default(),
            event: EventId(0),
            is_laid: false,
            ticks: 0,
            findings: Vec::new(),
        }
    }

    fn tell_damage(&mut self) {
        if let Some(damage) = self.order.damage.take() {
            let text = format!("The file is damaged: {damage}.");
            self.findings
                .push(Finding::of_file(Severity::DataLoss, text));
        }
    }

    fn head(&self, sample: &Sample<'_>) -> Head {
        let thread = |number: Option<u32>| number.filter(|number| *number < 1 << 31);
        let tid = thread(sample.tid)
            .map(Tid)
            .or_else(|| self.perf.table.tid(&self.bytes).filter(|_| self.is_laid));
        Head {
            ticks: self.ticks,
            cpu: CpuId(sample.cpu.unwrap_or(0)),
            event: self.event,
            tid,
            pid: thread(sample.pid)
                .filter(|_| thread(sample.tid).is_some())
                .map(Pid),
        }
    }
}

/// Reads what was sampled; the event, and whether its fields are read from their places.
fn read_sample(
    perf: &PerfData,
    event: Option<EventId>,
    sample: &Sample<'_>,
    bytes: &mut Vec<u8>,
    values: &mut RawValues,
) -> (EventId, bool) {
    bytes.clear();
    let Some(event) = event else {
        bytes.extend_from_slice(sample.raw);
        let event = perf.table.event(bytes);
        if !perf.has_chain(event) {
            return (event, true);
        }
        let count = lay_out(perf, event, bytes, values);
        let chain = write_chain(sample.chain, perf.parts.is_big_endian, values);
        values.set(count, chain);
        return (event, false);
    };
    values.begin(4);
    let number = |number: Option<u64>| number.map_or(Raw::Missing, Raw::Number);
    values.set(0, number(sample.ip));
    values.set(1, number(sample.period));
    values.set(2, number(sample.addr));
    let chain = write_chain(sample.chain, perf.parts.is_big_endian, values);
    values.set(3, chain);
    (event, false)
}

/// Reads the fields of a tracepoint from their places; how many there are.
fn lay_out(perf: &PerfData, event: EventId, bytes: &[u8], values: &mut RawValues) -> usize {
    let Some(layout) = perf.table.layout(event) else {
        return 0;
    };
    let count = layout.places.len();
    values.begin(count + 1);
    let laid = Laid { layout, bytes };
    for index in 0..count {
        let value = match laid.value(index) {
            Value::Missing => Raw::Missing,
            Value::Number(number) => Raw::Number(number),
            Value::Bytes(run) => Raw::within(bytes, run),
        };
        values.set(index, value);
    }
    count
}

/// Writes the addresses of a call stack, without the marks between them.
fn write_chain(chain: &[u8], is_big_endian: bool, values: &mut RawValues) -> Raw {
    if chain.is_empty() {
        return Raw::Missing;
    }
    let start = values.made_bytes();
    let mut addresses = Bytes::new(chain, is_big_endian);
    while let Some(addr) = addresses.u64() {
        if addr < CONTEXTS {
            values.write(&addr.to_le_bytes());
        }
    }
    values.made_since(start)
}

impl Lane for PerfLane<'_> {
    fn advance(&mut self) -> Result<Step, TraceError> {
        let parts = &self.perf.parts;
        loop {
            let Some(record) = self.order.next() else {
                self.tell_damage();
                return Ok(Step::End);
            };
            // What perf says of the time before is known already.
            if record.time == 0 && self.perf.has_time {
                continue;
            }
            self.ticks = record.time;
            let sample = parts.sample_of(&record.header, record.body, record.attr);
            let kind = record.header.kind;
            if kind == SAMPLE {
                let event = (!record.attr.is_tracepoint()).then_some(record.attr.event);
                let perf = self.perf;
                let read = read_sample(perf, event, &sample, &mut self.bytes, &mut self.values);
                (self.event, self.is_laid) = read;
            } else if kind == LOST || kind == LOST_SAMPLES {
                let mut numbers = Bytes::new(record.body, parts.is_big_endian);
                let count = if kind == LOST {
                    numbers.u64().and(numbers.u64())
                } else {
                    numbers.u64()
                };
                return Ok(Step::Loss(LaneLoss {
                    cpu: CpuId(sample.cpu.unwrap_or(0)),
                    ticks: record.time,
                    count,
                }));
            } else {
                self.bytes.clear();
                self.bytes.extend_from_slice(record.body);
                self.values.begin(6);
                let tasks = self.perf.tasks;
                self.event = tasks.read(&record, &sample, parts.is_big_endian, &mut self.values);
                self.is_laid = false;
            }
            let head = Sample {
                chain: &[],
                raw: &[],
                ..sample
            };
            return Ok(Step::Event(self.head(&head)));
        }
    }

    fn fields(&self) -> Fields<'_> {
        match self.perf.table.layout(self.event) {
            Some(layout) if self.is_laid => Fields::Laid(Laid {
                layout,
                bytes: &self.bytes,
            }),
            _ => Fields::Raw(RawRow {
                values: &self.values,
                block: &self.bytes,
            }),
        }
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
