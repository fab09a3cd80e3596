//! Options of a trace.dat: what it says of the recording, and where its events are.

use super::stamps::Stamps;
use crate::sources::foreign::Fact;
use crate::sources::ftrace::{Bytes, lossy};

const DATE: u16 = 1;
const CPU_STATISTICS: u16 = 2;
const BUFFER: u16 = 3;
const TRACE_CLOCK: u16 = 4;
const UNAME: u16 = 5;
const OFFSET: u16 = 7;
const CPU_COUNT: u16 = 8;
const VERSION: u16 = 9;
const TRACE_ID: u16 = 11;
const TIME_SHIFT: u16 = 12;
const GUEST: u16 = 13;
const TSC_TO_NANOS: u16 = 14;
const BUFFER_TEXT: u16 = 22;

/// More CPUs than any kernel has.
const CPUS_MAX: u32 = 8192;

/// What options say.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) cpus: u32,
    pub(super) buffers: Vec<Buffer>,
    pub(super) clock: String,
    pub(super) stamps: Stamps,
    /// Whether stamps are nanoseconds since 1970.
    pub(super) is_date: bool,
    /// `uname` of the machine: system, host, release, machine.
    pub(super) uname: Vec<String>,
    /// Text of the kernel's statistics of a buffer, for each CPU.
    pub(super) statistics: Vec<String>,
    pub(super) facts: Vec<Fact>,
    /// Whether there is a buffer of a latency tracer's text.
    pub(super) is_latency: bool,
}

/// A ring buffer of the kernel: the main one or that of an instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    /// Empty for the main one.
    pub(super) name: String,
    /// Where it is described, in version 6.
    pub(super) v6_offset: Option<u64>,
    /// Where it is described, in version 7.
    pub(super) v7_offset: u64,
    /// Bytes of its pages, where they differ from the machine's.
    pub(super) page_bytes: Option<usize>,
    pub(super) cpus: Vec<CpuData>,
}

/// Where the events of a CPU are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuData {
    pub(super) cpu: u32,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Buffer {
    pub(super) fn add(&mut self, cpu: u32, offset: u64, size: u64) {
        if size > 0 && self.cpus.len() < CPUS_MAX as usize {
            self.cpus.push(CpuData { cpu, offset, size });
        }
    }
}

impl Options {
    /// The buffer that every file of version 6 has; its place in the list.
    pub(super) fn add_main_buffer(&mut self) -> usize {
        self.buffers.push(Buffer::default());
        self.buffers.len() - 1
    }

    /// Takes an option. What is broken in it is left out: nothing but buffers is needed to read events, and what is
    /// wrong with those shows.
    pub(super) fn take(&mut self, id: u16, mut data: Bytes<'_>, version: u32) {
        match id {
            DATE => {
                self.add_offset(data, 1000);
                self.is_date = true;
            }
            OFFSET => self.add_offset(data, 1),
            CPU_STATISTICS => self.statistics.push(lossy(data.rest())),
            BUFFER => drop(self.take_buffer(data, version)),
            BUFFER_TEXT => self.is_latency = true,
            TRACE_CLOCK => self.take_clock(&lossy(data.rest())),
            UNAME => {
                self.uname = lossy(data.rest())
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect()
            }
            CPU_COUNT => self.cpus = data.u32().unwrap_or(self.cpus).min(CPUS_MAX),
            VERSION => {
                let text = lossy(data.rest());
                let version = text.split_whitespace().next().unwrap_or("");
                self.fact("recorded by", format!("trace-cmd {version}"));
            }
            TRACE_ID => {
                if let Some(id) = data.u64() {
                    self.fact("trace id", format!("{id:#x}"));
                }
            }
            TIME_SHIFT => drop(self.stamps.take_shifts(data)),
            GUEST => drop(self.take_guest(data)),
            TSC_TO_NANOS => drop(self.stamps.take_scale(data)),
            _ => {}
        }
    }

    fn fact(&mut self, name: &str, value: String) {
        self.facts.push(Fact {
            name: name.to_owned(),
            value,
        });
    }

    /// An offset of all stamps, as text: decimal or hexadecimal.
    fn add_offset(&mut self, data: Bytes<'_>, nanos: i64) {
        let text = lossy(data.rest());
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
            None => text.parse().ok(),
        };
        let offset: i64 = number.unwrap_or(0);
        self.stamps.offset = self.stamps.offset.wrapping_add(offset.wrapping_mul(nanos));
    }

    /// `local [global] counter`
    fn take_clock(&mut self, text: &str) {
        let current = text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'));
        if let Some((clock, _)) = current {
            clock.clone_into(&mut self.clock);
        }
    }

    fn take_buffer(&mut self, mut data: Bytes<'_>, version: u32) -> Option<()> {
        let offset = data.u64()?;
        let mut buffer = Buffer {
            name: lossy(data.text()?),
            ..Buffer::default()
        };
        if version < 7 {
            buffer.v6_offset = Some(offset);
            self.buffers.push(buffer);
            return Some(());
        }
        let clock = lossy(data.text()?);
        if buffer.name.is_empty() && self.clock.is_empty() {
            self.clock = clock;
        }
        buffer.v7_offset = offset;
        buffer.page_bytes = data.u32().map(|bytes| bytes as usize);
        for _ in 0..data.u32()?.min(CPUS_MAX) {
            let (cpu, offset, size) = (data.u32()?, data.u64()?, data.u64()?);
            buffer.add(cpu, offset, size);
        }
        self.buffers.push(buffer);
        Some(())
    }

    fn take_guest(&mut self, mut data: Bytes<'_>) -> Option<()> {
        let name = lossy(data.text()?);
        let (id, cpus) = (data.u64()?, data.u32()?);
        self.fact("guest", format!("{name}, {cpus} CPUs, trace id {id:#x}"));
        Some(())
    }
}
