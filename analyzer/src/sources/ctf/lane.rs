//! The events of one stream.

use std::collections::BTreeMap;

use trace_format::{Severity, Value};

use super::Beginning;
use super::bits::{Cursor, Short};
use super::class::Role;
use super::fixed::Fixed;
use super::packet::{Continuity, Missing, Packet};
use super::plan::{Decoding, EventPlan, Plan, StreamPlan};
use super::program::{State, run};
use super::streams::StreamFile;
use crate::model::{CpuId, Pid, Tid};
use crate::sources::foreign::{Head, Laid, Lane, LaneLoss, RawRow, Step};
use crate::sources::{Fields, Finding, TraceError};

/// Most reasons that are told one by one.
const REASONS_MAX: usize = 8;

/// Reads a stream, file by file, packet by packet.
pub(super) struct CtfLane<'t> {
    plan: &'t Plan,
    beginnings: &'t [Option<Beginning>],
    files: &'t [StreamFile],
    /// The file that is being read, and where its next packet begins.
    file: usize,
    next: usize,
    /// The packet that is being read, and where its next event begins.
    packet: Option<Packet<'t>>,
    cursor: Cursor<'t>,
    /// What its CPU ran when the trace began.
    beginning: Option<Beginning>,
    continuity: Continuity,
    state: State,
    /// The event at which the lane is.
    event: Option<&'t EventPlan>,
    /// Its bytes.
    bytes: &'t [u8],
    /// Packets of which a part could not be read, by the reason.
    unread: BTreeMap<String, u64>,
    findings: Vec<Finding>,
}

impl<'t> CtfLane<'t> {
    pub(super) fn new(
        plan: &'t Plan,
        beginnings: &'t [Option<Beginning>],
        files: &'t [StreamFile],
    ) -> Self {
        Self {
            plan,
            beginnings,
            beginning: None,
            files,
            file: 0,
            next: 0,
            packet: None,
            cursor: Cursor::new(&[]),
            continuity: Continuity::default(),
            state: State::default(),
            event: None,
            bytes: &[],
            unread: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// Opens the next packet; the loss before it, if there is one.
    fn open(&mut self) -> Option<Option<Step>> {
        let rest = loop {
            let rest = self
                .files
                .get(self.file)?
                .bytes()
                .get(self.next..)
                .unwrap_or_default();
            if !rest.is_empty() {
                break rest;
            }
            self.file += 1;
            self.next = 0;
        };
        let Ok(packet) = Packet::open(self.plan, rest, &mut self.state) else {
            // What is no packet was left out when the file was opened.
            self.next = usize::MAX;
            return Some(None);
        };
        self.next += packet.bytes.len();
        self.cursor = packet.cursor;
        self.packet = Some(packet);
        self.beginning = self.beginnings.get(packet.cpu as usize).copied().flatten();
        let missing = self.continuity.next(&packet);
        Some(missing.map(|missing| {
            Step::Loss(LaneLoss {
                cpu: CpuId(packet.cpu),
                ticks: self.state.clock,
                count: match missing {
                    Missing::Discarded(count) => Some(count),
                    Missing::Packets(_) => None,
                },
            })
        }))
    }

    /// Leaves out the rest of the packet.
    fn give_up(&mut self, why: String) -> Step {
        let (cpu, end) = self
            .packet
            .map_or((0, None), |packet| (packet.cpu, packet.end));
        self.cursor = Cursor::new(&[]);
        self.event = None;
        let is_new = !self.unread.contains_key(&why);
        let why = if is_new && self.unread.len() >= REASONS_MAX {
            "and more".to_owned()
        } else {
            why
        };
        *self.unread.entry(why).or_default() += 1;
        let findings = self.unread.iter().map(|(why, count)| unread(why, *count));
        self.findings = findings.collect();
        Step::Loss(LaneLoss {
            cpu: CpuId(cpu),
            ticks: end.unwrap_or(0).max(self.state.clock),
            count: None,
        })
    }

    /// Reads the next event of the packet.
    #[inline]
    fn event(&mut self) -> Result<Head, String> {
        let Some(packet) = &self.packet else {
            return Err("there is none".to_owned());
        };
        let cut = |Short| match packet.is_cut() {
            true => "the file ends within an event".to_owned(),
            false => "their content ends within an event".to_owned(),
        };
        let mut cursor = self.cursor;
        let plan = self.plan;
        let stream = &plan.streams[packet.stream];
        let event = header(stream, &mut cursor, &mut self.state).map_err(cut)?;
        let Some(event) = event else {
            let id = self.state.role(Role::EventClass).unwrap_or(0);
            return Err(format!(
                "the metadata does not describe event {id}, or it cannot be read"
            ));
        };
        self.bytes = match &event.decoding {
            Decoding::Fixed(fixed) => take(fixed, &mut cursor).map_err(cut)?,
            Decoding::Steps(steps) => {
                let base = cursor.byte();
                self.state.begin_event(base, event.fields);
                run(steps, &mut cursor, &mut self.state).map_err(cut)?;
                packet.bytes.get(base..).unwrap_or_default()
            }
        };
        if cursor.at() == self.cursor.at() {
            return Err("they have events of no size".to_owned());
        }
        let cpu = CpuId(packet.cpu);
        self.cursor = cursor;
        self.event = Some(event);
        let ticks = self.state.clock;
        let at_first = self.beginning.filter(|beginning| ticks <= beginning.until);
        let told = self.number(event.tid).map(Tid);
        Ok(Head {
            ticks,
            cpu,
            event: event.event,
            tid: told.or(at_first.map(|beginning| beginning.tid)),
            pid: self.number(event.pid).map(Pid),
        })
    }

    /// A field that says of which thread or process the event is.
    #[inline]
    pub(super) fn number(&self, index: Option<usize>) -> Option<u32> {
        match self.fields().value(index?) {
            Value::Number(number) => u32::try_from(number).ok(),
            Value::Bytes(_) | Value::Missing => None,
        }
    }
}

/// Reads what stands before the fields of an event: its time and what it is.
#[inline]
fn header<'t>(
    stream: &'t StreamPlan,
    cursor: &mut Cursor<'_>,
    state: &mut State,
) -> Result<Option<&'t EventPlan>, Short> {
    run(&stream.event_header, cursor, state)?;
    Ok(stream.event(state.role(Role::EventClass)))
}

/// The bytes of a record with fields at fixed places.
#[inline]
fn take<'t>(fixed: &Fixed, cursor: &mut Cursor<'t>) -> Result<&'t [u8], Short> {
    cursor.align(fixed.align)?;
    let mut all = *cursor;
    let start = cursor.byte();
    cursor.bytes(fixed.bytes)?;
    if fixed.has_text {
        cursor.text(1)?;
    }
    all.bytes((cursor.byte() - start) as u64)
}

fn unread(why: &str, count: u64) -> Finding {
    Finding {
        severity: Severity::DataLoss,
        name: "packets_unread".to_owned(),
        count: Some(count),
        text: format!("Packets that could be read only in part: {why}."),
        advice: String::new(),
        is_gap: true,
        is_damage: true,
    }
}

impl Lane for CtfLane<'_> {
    fn advance(&mut self) -> Result<Step, TraceError> {
        while self.cursor.is_at_end() {
            match self.open() {
                None => return Ok(Step::End),
                Some(Some(loss)) => return Ok(loss),
                Some(None) => {}
            }
        }
        Ok(match self.event() {
            Ok(head) => Step::Event(head),
            Err(why) => self.give_up(why),
        })
    }

    fn fields(&self) -> Fields<'_> {
        match self.event.map(|event| &event.decoding) {
            None => Fields::Plain(&[]),
            Some(Decoding::Fixed(fixed)) => Fields::Laid(Laid {
                layout: &fixed.layout,
                bytes: self.bytes,
            }),
            Some(Decoding::Steps(_)) => Fields::Raw(RawRow {
                values: &self.state.values,
                block: self.bytes,
            }),
        }
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
