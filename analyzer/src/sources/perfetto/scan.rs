//! One pass over a file: which events it has and where, which threads, which clocks.

use std::collections::{BTreeMap, BTreeSet};

use trace_format::FieldKind;

use super::blobs::{Blob, Packing};
use super::kinds::Description;
use super::proto::{Fields, Wire, all_in, bytes_in, number_in, text_in};
use crate::model::{Pid, Tid};
use crate::sources::foreign::{Fact, KnownThread};

/// Number of a packet in the file.
const PACKET: u32 = 1;

/// Parts of a packet.
const FTRACE_EVENTS: u32 = 1;
const SEQUENCE: u32 = 10;
const PROCESS_TREE: u32 = 2;
const CLOCK_SNAPSHOT: u32 = 6;
const PROCESS_STATS: u32 = 9;
const FTRACE_STATS: u32 = 34;
const SYSTEM_INFO: u32 = 45;
const COMPRESSED_PACKETS: u32 = 50;
const ZSTD_COMPRESSED_PACKETS: u32 = 133;

/// Kinds of events.
pub(super) const SWITCH: u32 = 4;
pub(super) const WAKING: u32 = 20;
pub(super) const GENERIC: u32 = 327;

/// More CPUs than any kernel has, and more pairs of a source and a CPU than any trace.
const CPUS_MAX: u64 = 8192;
const LANES_MAX: usize = 16_384;
/// More kinds of events that a trace names itself than any kernel has.
const GENERICS_MAX: usize = 20_000;

/// Clocks by Perfetto's numbers.
const REALTIME: u64 = 1;
const BOOTTIME: u64 = 6;

/// Events of one CPU, as they were read from the kernel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The compressed packet that it is in, if it is in one.
    pub(super) blob: Option<usize>,
    /// Bytes from the start of the file or of the packet, and how many.
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// What a pass has found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// By who wrote them, and CPU: each source of events has an order of its own.
    pub(super) bundles: BTreeMap<(u64, u32), Vec<Bundle>>,
    pub(super) blobs: Vec<Blob>,
    /// Kinds of events that occur.
    pub(super) seen: BTreeSet<u32>,
    /// Kinds that the trace describes.
    pub(super) described: BTreeMap<u32, Description>,
    /// Of kinds that nobody describes, the fields by number, and whether they are bytes.
    pub(super) unnamed: BTreeMap<u32, BTreeMap<u32, bool>>,
    /// Events that carry their names with them, with those of their fields.
    pub(super) generic: BTreeMap<Vec<u8>, Vec<(Vec<u8>, FieldKind)>>,
    pub(super) threads: Vec<KnownThread>,
    pub(super) facts: Vec<Fact>,
    pub(super) machine: String,
    pub(super) release: String,
    pub(super) first: Option<u64>,
    pub(super) last: u64,
    /// The clock of the events, if it is not the usual one.
    pub(super) clock: Option<u64>,
    /// Nanoseconds from 1970 to tick 0 of the usual clock.
    pub(super) epoch: Option<i128>,
    /// Events that the kernel lost before the trace began, and until it ended.
    lost: [Option<u64>; 2],
    /// Packets that are cut off, damaged, or of impossible CPUs.
    pub(super) damaged: u64,
    pub(super) is_cut: bool,
    pub(super) packets: u64,
}

impl Scan {
    /// Goes over a file.
    pub(super) fn of(file: &[u8]) -> Self {
        let mut scan = Self::default();
        let is_broken = scan.packets(file, file, None);
        scan.is_cut = is_broken;
        scan
    }

    /// Goes over packets; whether they end in the midst of one.
    fn packets(&mut self, file: &[u8], block: &[u8], blob: Option<usize>) -> bool {
        let mut packets = Fields::new(block);
        for (number, value) in packets.by_ref() {
            if let (PACKET, Wire::Bytes(packet)) = (number, value) {
                self.packet(file, block, blob, packet);
            }
        }
        packets.is_broken
    }

    fn packet(&mut self, file: &[u8], block: &[u8], blob: Option<usize>, packet: &[u8]) {
        self.packets += 1;
        let sequence = number_in(packet, SEQUENCE).unwrap_or(0);
        let mut fields = Fields::new(packet);
        for (number, value) in fields.by_ref() {
            let Wire::Bytes(message) = value else {
                continue;
            };
            match number {
                FTRACE_EVENTS => self.bundle((block, blob), sequence, message),
                PROCESS_TREE => self.process_tree(message),
                PROCESS_STATS => self.process_stats(message),
                CLOCK_SNAPSHOT => self.clocks(message),
                FTRACE_STATS => self.stats(message),
                SYSTEM_INFO => self.system(message),
                // What is compressed is not compressed once more.
                COMPRESSED_PACKETS if blob.is_none() => {
                    self.compressed(file, message, Packing::Deflate)
                }
                ZSTD_COMPRESSED_PACKETS if blob.is_none() => {
                    self.compressed(file, message, Packing::Zstd)
                }
                _ => {}
            }
        }
        self.damaged += u64::from(fields.is_broken);
    }

    fn compressed(&mut self, file: &[u8], message: &[u8], packing: Packing) {
        let offset = message.as_ptr().addr().wrapping_sub(file.as_ptr().addr());
        let blob = Blob {
            packing,
            offset,
            length: message.len(),
        };
        let number = self.blobs.len();
        self.blobs.push(blob);
        match blob.unpack(file) {
            Some(content) => {
                let is_broken = self.packets(file, &content, Some(number));
                self.damaged += u64::from(is_broken);
            }
            None => self.damaged += 1,
        }
    }

    fn bundle(&mut self, (block, blob): (&[u8], Option<usize>), sequence: u64, message: &[u8]) {
        let cpu = number_in(message, 1).unwrap_or(0);
        let Some(cpu) = u32::try_from(cpu).ok().filter(|_| cpu < CPUS_MAX) else {
            self.damaged += 1;
            return;
        };
        if self.bundles.len() >= LANES_MAX && !self.bundles.contains_key(&(sequence, cpu)) {
            self.damaged += 1;
            return;
        }
        let offset = message.as_ptr().addr().wrapping_sub(block.as_ptr().addr());
        self.bundles
            .entry((sequence, cpu))
            .or_default()
            .push(Bundle {
                blob,
                offset,
                length: message.len(),
            });
        let mut fields = Fields::new(message);
        for (number, value) in fields.by_ref() {
            match (number, value) {
                (2, Wire::Bytes(event)) => self.event(event),
                (4, Wire::Bytes(compact)) => self.compact(compact),
                (5, Wire::Number(clock)) if clock != 0 => self.clock = Some(clock),
                (11, Wire::Bytes(descriptor)) if self.described.len() < GENERICS_MAX => {
                    self.described.extend(Description::read(descriptor));
                }
                _ => {}
            }
        }
        self.damaged += u64::from(fields.is_broken);
    }

    fn at(&mut self, ticks: u64) {
        self.first = Some(self.first.map_or(ticks, |first| first.min(ticks)));
        self.last = self.last.max(ticks);
    }

    fn event(&mut self, event: &[u8]) {
        for (number, value) in Fields::new(event) {
            match value {
                Wire::Number(ticks) if number == 1 => self.at(ticks),
                Wire::Number(_) => {}
                Wire::Bytes(body) if number == GENERIC => self.generic(body),
                Wire::Bytes(body) => {
                    if self.seen.insert(number) || self.unnamed.contains_key(&number) {
                        self.kind(number, body);
                    }
                }
            }
        }
    }

    /// A kind of event for the first time, or one that nobody describes.
    fn kind(&mut self, number: u32, body: &[u8]) {
        if Description::known(number).is_some() || self.described.contains_key(&number) {
            return;
        }
        let fields = self.unnamed.entry(number).or_default();
        for (field, value) in Fields::new(body) {
            fields.insert(field, matches!(value, Wire::Bytes(_)));
        }
    }

    fn generic(&mut self, body: &[u8]) {
        let Some(name) = bytes_in(body, 1) else {
            return;
        };
        if self.generic.len() >= GENERICS_MAX {
            return;
        }
        if !self.generic.contains_key(name) {
            self.generic.insert(name.to_vec(), Vec::new());
        }
        let Some(known) = self.generic.get_mut(name) else {
            return;
        };
        for field in all_in(body, 2) {
            let Some(name) = bytes_in(field, 1) else {
                continue;
            };
            if known.iter().all(|(known, _)| known != name) {
                let kind = Fields::new(field).find_map(|(number, _)| match number {
                    3 => Some(FieldKind::Text),
                    4 => Some(FieldKind::Signed),
                    5 => Some(FieldKind::Unsigned),
                    _ => None,
                });
                known.extend(kind.map(|kind| (name.to_vec(), kind)));
            }
        }
    }

    fn compact(&mut self, message: &[u8]) {
        for (number, value) in Fields::new(message) {
            let (Wire::Bytes(mut times), 1 | 7) = (value, number) else {
                continue;
            };
            self.seen.insert(if number == 1 { SWITCH } else { WAKING });
            let mut ticks = 0_u64;
            while let Some(delta) = super::proto::varint(&mut times) {
                ticks = ticks.wrapping_add(delta);
                self.at(ticks);
            }
        }
    }

    fn thread(&mut self, tid: Option<u64>, pid: Option<u64>, comm: &[u8]) {
        let number = |number: Option<u64>| u32::try_from(number?).ok();
        if let Some(tid) = number(tid) {
            self.threads.push(KnownThread {
                tid: Tid(tid),
                pid: number(pid).map(Pid),
                comm: comm.to_vec(),
            });
        }
    }

    fn process_tree(&mut self, message: &[u8]) {
        for process in all_in(message, 1) {
            let pid = number_in(process, 1);
            let command = all_in(process, 3).next().unwrap_or(&[]);
            self.thread(pid, pid, comm_of(command));
        }
        for thread in all_in(message, 2) {
            let name = bytes_in(thread, 2).unwrap_or(&[]);
            self.thread(number_in(thread, 1), number_in(thread, 3), name);
        }
    }

    fn process_stats(&mut self, message: &[u8]) {
        for process in all_in(message, 1) {
            let pid = number_in(process, 1);
            self.thread(pid, pid, &[]);
            for thread in all_in(process, 11) {
                let name = bytes_in(thread, 2).unwrap_or(&[]);
                self.thread(number_in(thread, 1), pid, name);
            }
        }
    }

    /// What several clocks showed at the same moment.
    fn clocks(&mut self, message: &[u8]) {
        let time = |clock: u64| {
            let mut all = all_in(message, 1);
            all.find(|entry| number_in(entry, 1) == Some(clock))
                .and_then(|entry| number_in(entry, 2))
        };
        if let (None, Some(wall), Some(boot)) = (self.epoch, time(REALTIME), time(BOOTTIME)) {
            self.epoch = Some(i128::from(wall) - i128::from(boot));
        }
    }

    fn stats(&mut self, message: &[u8]) {
        let count = |cpu: &[u8]| {
            let count = |field| number_in(cpu, field).unwrap_or(0);
            count(3).saturating_add(count(4)).saturating_add(count(8))
        };
        let lost = all_in(message, 2).map(count).fold(0, u64::saturating_add);
        match number_in(message, 1) {
            Some(1) => self.lost[0] = Some(lost),
            Some(2) => self.lost[1] = Some(lost),
            _ => {}
        }
    }

    /// Events that the kernel lost while the trace was recorded.
    pub(super) fn lost(&self) -> u64 {
        self.lost[1]
            .unwrap_or(0)
            .saturating_sub(self.lost[0].unwrap_or(0))
    }

    fn system(&mut self, message: &[u8]) {
        let uname = bytes_in(message, 1).unwrap_or(&[]);
        self.release = text_in(uname, 3).unwrap_or_default();
        self.machine = text_in(uname, 4).unwrap_or_default();
        let kernel = text_in(uname, 1).map(|system| format!("{system} {}", self.release));
        let facts = [
            ("kernel", kernel),
            ("machine", text_in(uname, 4)),
            ("system", text_in(message, 2)),
            ("recorded by", text_in(message, 4)),
        ];
        for (name, value) in facts {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                self.facts.push(Fact {
                    name: name.to_owned(),
                    value,
                });
            }
        }
    }
}

/// What the kernel calls a thread that runs a program: the last part of its path, cut off.
fn comm_of(command: &[u8]) -> &[u8] {
    let name = command
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or(command);
    name.get(..15).unwrap_or(name)
}
