//! Traces of Perfetto: the kernel's events, which it records by ftrace, and what it knows of threads.
//!
//! A file is a row of packets (`protos/perfetto/trace/trace.proto`); what is not of the kernel is left out. Events stay in the
//! mapped file, and are decoded when it is their turn.

mod blobs;
mod compact;
mod kinds;
mod lane;
mod proto;
mod scan;

use std::collections::{BTreeMap, HashMap};

use trace_format::{EventId, EventSchema, FieldKind, FieldSchema, Mapping, Severity};

use self::blobs::Blobs;
use self::kinds::{Description as KindDescription, Kind};
use self::lane::PerfettoLane;
use self::proto::Fields;
use self::scan::{Bundle, Scan};
use super::ftrace::kernel_alias;
use super::syscall_names::{ENUMERATION, syscall_names};
use crate::model::{Conversion, FieldSource};
use crate::sources::foreign::{Description, ForeignTrace, Lane};
use crate::sources::{Clock, Finding, Range, TraceError};

/// What people call such a file.
const FORMAT: &str = "trace of Perfetto";

/// Events that a schema can have.
const EVENTS_MAX: usize = 60_000;

/// A file of Perfetto.
#[derive(Debug)]
pub(super) struct Perfetto {
    file: Mapping,
    /// By who wrote them, and CPU.
    bundles: BTreeMap<(u64, u32), Vec<Bundle>>,
    blobs: Blobs,
    /// By Perfetto's number.
    kinds: HashMap<u32, Kind>,
    /// Events that carry their names with them: by name, with the places of their fields.
    generic: HashMap<Vec<u8>, GenericEvent>,
    description: Description,
}

/// An event that carries its names with it, and the places of its fields.
type GenericEvent = (EventId, HashMap<Vec<u8>, usize>);

impl Perfetto {
    /// Whether a file begins as one of these: with a packet whose first fields are possible. There is no magic number.
    pub(super) fn is_magic(head: &[u8]) -> bool {
        let Some(mut rest) = head.strip_prefix(b"\x0a") else {
            return false;
        };
        let Some(length) = proto::varint(&mut rest) else {
            return false;
        };
        let inside =
            usize::try_from(length).map_or(rest, |length| rest.get(..length).unwrap_or(rest));
        let mut fields = Fields::new(inside);
        let is_field = |number: u32| (1..=1500).contains(&number);
        match fields.next() {
            Some((number, _)) => is_field(number),
            // The first field is longer than what is known of the file.
            None => {
                let mut rest = inside;
                let tag = proto::varint(&mut rest).unwrap_or(0);
                tag & 7 == 2
                    && u32::try_from(tag >> 3).is_ok_and(is_field)
                    && usize::try_from(length).is_ok_and(|length| length > inside.len())
            }
        }
    }

    /// Reads a file.
    pub(super) fn read(file: Mapping) -> Result<Self, TraceError> {
        let scan = Scan::of(&file);
        if scan.packets == 0 {
            return Err(TraceError::Foreign {
                format: FORMAT,
                text: "its first packet is cut off or damaged".to_owned(),
            });
        }
        let mut perfetto = Self {
            file,
            bundles: BTreeMap::new(),
            blobs: Blobs::default(),
            kinds: HashMap::new(),
            generic: HashMap::new(),
            description: Description::default(),
        };
        perfetto.describe(scan);
        Ok(perfetto)
    }

    fn describe(&mut self, scan: Scan) {
        let mut description = Description {
            format: "trace of Perfetto".to_owned(),
            clock: Clock {
                first_tsc: scan.first.unwrap_or(0),
                tsc_hz: 1_000_000_000,
            },
            last_ticks: scan.last,
            epoch_nanos: scan.epoch.filter(|_| scan.clock.is_none()),
            cpu_count: scan
                .bundles
                .keys()
                .map(|(_, cpu)| cpu + 1)
                .max()
                .unwrap_or(0),
            facts: scan.facts.clone(),
            findings: findings(&scan),
            ..Description::default()
        };
        description
            .schema
            .enums
            .extend(syscall_names(&scan.machine));
        for number in &scan.seen {
            let found = scan
                .described
                .get(number)
                .or_else(|| KindDescription::known(*number))
                .cloned();
            let kind = found.unwrap_or_else(|| unnamed(*number, scan.unnamed.get(number)));
            if let Some(event) = add(&mut description, &kind, &scan.release) {
                self.kinds.insert(*number, Kind::new(event, &kind));
            }
        }
        for (name, fields) in &scan.generic {
            let mut kind = KindDescription::new("generic", &String::from_utf8_lossy(name));
            for (number, (field, what)) in (0..).zip(fields) {
                let letter = match what {
                    FieldKind::Text => "t",
                    FieldKind::Signed => "s",
                    _ => "u",
                };
                kind.add(&String::from_utf8_lossy(field), letter, number);
            }
            if let Some(event) = add(&mut description, &kind, &scan.release) {
                let places = fields.iter().take(kind.fields.len()).enumerate();
                let places = places.map(|(index, (field, _))| (field.clone(), index));
                self.generic.insert(name.clone(), (event, places.collect()));
            }
        }
        let clock = match scan.clock {
            None => "boot",
            Some(2) => "global",
            Some(3) => "local",
            Some(4) => "mono_raw",
            Some(_) => "unknown",
        };
        description.fact("clock", clock);
        description.threads = scan.threads;
        self.bundles = scan.bundles;
        self.blobs.all = scan.blobs;
        self.description = description;
    }
}

/// A kind of event that neither Perfetto's table nor the trace describes.
fn unnamed(number: u32, fields: Option<&BTreeMap<u32, bool>>) -> KindDescription {
    let mut kind = KindDescription::new("ftrace", &format!("ftrace_event_{number}"));
    for (field, is_bytes) in fields.into_iter().flatten() {
        kind.add(
            &format!("field{field}"),
            if *is_bytes { "t" } else { "s" },
            *field,
        );
    }
    kind
}

/// Adds an event to the schema, and says what it is to the model.
fn add(description: &mut Description, kind: &KindDescription, release: &str) -> Option<EventId> {
    let schema = &mut description.schema;
    let id = EventId(u16::try_from(schema.events.len()).ok()?);
    if schema.events.len() >= EVENTS_MAX {
        return None;
    }
    let has_calls = schema.enumeration(ENUMERATION).is_some();
    let field = |(name, what): &(String, FieldKind)| {
        let is_call = kind.group == "raw_syscalls" && name == "id" && has_calls;
        FieldSchema {
            name: name.clone(),
            kind: if is_call {
                FieldKind::Enum(ENUMERATION.to_owned())
            } else {
                what.clone()
            },
            unit: None,
            doc: String::new(),
        }
    };
    let event = EventSchema {
        id,
        name: kind.name.clone(),
        category: kind.group.clone(),
        ltt: None,
        doc: String::new(),
        sticky: false,
        fields: kind.fields.iter().map(field).collect(),
    };
    if let Some(mut alias) = kernel_alias(&event) {
        if let Some(index) = event
            .field_index("prev_state")
            .filter(|_| kind.name == "sched_switch")
        {
            let preempted = preempted_bit(release);
            let conversion = Conversion::State { preempted };
            alias = alias.with("prev_state", FieldSource::Field { index, conversion });
        }
        description.aliases.insert(id, alias);
    }
    schema.events.push(event);
    Some(id)
}

/// The bit above all states that a thread can be in, in that kernel (`TASK_STATE_MAX`, `TASK_REPORT_MAX`).
fn preempted_bit(release: &str) -> u64 {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    match number().zip(number()) {
        Some(version) if version < (4, 8) => 0x800,
        Some(version) if version < (4, 14) => 0x1000,
        _ => 0x100,
    }
}

fn findings(scan: &Scan) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tell = |name: &str, count, text: &str| {
        let mut finding = Finding::of_file(Severity::DataLoss, text.to_owned());
        finding.name = name.to_owned();
        finding.count = Some(count);
        findings.push(finding);
    };
    if scan.is_cut {
        tell(
            "cut",
            1,
            "The file ends in the midst of a packet: what came after is not there.",
        );
    }
    if scan.damaged > 0 {
        tell(
            "damaged",
            scan.damaged,
            "Packets that are damaged: what can be read of them was read.",
        );
    }
    if scan.lost() > 0 {
        let text = "Events that the kernel lost, as it says itself: its buffer was full. Record with a larger buffer_size_kb.";
        tell("events_lost", scan.lost(), text);
    }
    if let Some(lost) = findings
        .iter_mut()
        .find(|finding| finding.name == "events_lost")
    {
        lost.is_damage = false;
    }
    findings
}

impl ForeignTrace for Perfetto {
    fn description(&self) -> &Description {
        &self.description
    }

    fn lanes(&self, _: &Range) -> Result<Vec<Box<dyn Lane + '_>>, TraceError> {
        let mut lanes: Vec<Box<dyn Lane + '_>> = Vec::new();
        for ((_, cpu), bundles) in &self.bundles {
            lanes.push(Box::new(PerfettoLane::new(self, *cpu, bundles)));
        }
        Ok(lanes)
    }
}
