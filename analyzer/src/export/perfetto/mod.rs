//! Perfetto's traces: packets of protocol buffers, with the events of each CPU in bundles as its own recorder does.
//!
//! Field numbers are those of `protos/perfetto/trace/**/*.proto`, whose old numbers never change. Threads are told of
//! in process trees: a packet before the first event of each, and one for each fork and exec.

mod event;
mod message;
mod table;
mod threads;

use std::io::Write;

use super::job::{ExportError, Exported, Job, PerCpu, Sink};
use super::meaning::Meanings;
use crate::model::CpuId;
use crate::sources::{Loss, Record, Trace};

use event::Events;
use message::{push_bytes, push_message, push_number, push_text};
use threads::Threads;

/// Bytes of a bundle from which it is written.
const BUNDLE_BYTES: usize = 1 << 16;

/// Fields of `Trace` and `TracePacket`.
const PACKET: u32 = 1;
const FTRACE_EVENTS: u32 = 1;
const PROCESS_TREE: u32 = 2;
const CLOCK_SNAPSHOT: u32 = 6;
const TIMESTAMP: u32 = 8;
const SEQUENCE_ID: u32 = 10;
const SYSTEM_INFO: u32 = 45;

/// Fields of `FtraceEventBundle`.
const BUNDLE_CPU: u32 = 1;
const BUNDLE_EVENT: u32 = 2;
const BUNDLE_LOST_EVENTS: u32 = 3;

/// `BuiltinClock`: the clock of all stamps, and that of the calendar.
const BOOT_TIME: u64 = 6;
const REAL_TIME: u64 = 1;

/// Writes a trace.
///
/// # Errors
/// When the trace cannot be read or the result cannot be written.
pub fn perfetto(job: Job<'_>, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let meanings = Meanings::of(job.trace);
    let schema = job.trace.schema();
    let mut writer = Writer {
        out,
        events: Events::new(schema, &meanings),
        threads: Threads::new(schema, &meanings),
        bundles: PerCpu::default(),
        event: Vec::new(),
        packet: Vec::new(),
    };
    writer.packet(0, |packet| clocks(job.epoch_nanos(), packet))?;
    writer.packet(0, |packet| system(job.trace, packet))?;
    if let Some(machine) = job.machine_at_start()? {
        let start = job.wanted.selection.span.start;
        if let Some(tree) = writer.threads.tree_of(&machine) {
            writer.tree(start.0, &tree)?;
        }
    }
    let done = job.pour(&mut writer)?;
    let mut bundles = std::mem::take(&mut writer.bundles);
    for bundle in bundles.iter_mut() {
        writer.flush(bundle)?;
    }
    Ok(done)
}

/// Events of a CPU that are not yet written.
#[derive(Debug)]
struct Bundle {
    cpu: CpuId,
    /// Content of the message, without the CPU.
    content: Vec<u8>,
    /// Events before them are missing.
    has_loss: bool,
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    events: Events,
    threads: Threads,
    bundles: PerCpu<Bundle>,
    event: Vec<u8>,
    packet: Vec<u8>,
}

impl Writer<'_> {
    /// Writes a packet of a sequence.
    fn packet(
        &mut self,
        sequence: u32,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), ExportError> {
        self.packet.clear();
        fill(&mut self.packet);
        push_number(&mut self.packet, SEQUENCE_ID, u64::from(sequence) + 1);
        let mut framed = Vec::with_capacity(self.packet.len() + 16);
        push_bytes(&mut framed, PACKET, &self.packet);
        Ok(self.out.write_all(&framed)?)
    }

    fn tree(&mut self, at: u64, tree: &[u8]) -> Result<(), ExportError> {
        self.packet(0, |packet| {
            push_number(packet, TIMESTAMP, at);
            push_bytes(packet, PROCESS_TREE, tree);
        })
    }

    fn bundle(&mut self, cpu: CpuId) -> &mut Bundle {
        self.bundles.slot(cpu, || Bundle {
            cpu,
            content: Vec::new(),
            has_loss: false,
        })
    }

    fn flush(&mut self, bundle: &mut Bundle) -> Result<(), ExportError> {
        if bundle.content.is_empty() && !bundle.has_loss {
            return Ok(());
        }
        let cpu = bundle.cpu.0;
        self.packet(cpu.saturating_add(1), |packet| {
            push_message(packet, FTRACE_EVENTS, |out| {
                push_number(out, BUNDLE_CPU, u64::from(cpu));
                if bundle.has_loss {
                    push_number(out, BUNDLE_LOST_EVENTS, 1);
                }
                out.extend_from_slice(&bundle.content);
            });
        })?;
        bundle.content.clear();
        bundle.has_loss = false;
        Ok(())
    }

    fn flush_cpu(&mut self, cpu: CpuId) -> Result<(), ExportError> {
        let bundle = self.bundle(cpu);
        let mut taken = Bundle {
            cpu,
            content: std::mem::take(&mut bundle.content),
            has_loss: std::mem::take(&mut bundle.has_loss),
        };
        self.flush(&mut taken)?;
        self.bundle(cpu).content = taken.content;
        Ok(())
    }
}

impl Sink for Writer<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), ExportError> {
        if let Some(tree) = self.threads.see(record) {
            self.tree(record.at.0, &tree)?;
        }
        let mut event = std::mem::take(&mut self.event);
        event.clear();
        self.events.push(&mut event, record);
        let bundle = self.bundle(record.cpu);
        push_bytes(&mut bundle.content, BUNDLE_EVENT, &event);
        let is_full = bundle.content.len() >= BUNDLE_BYTES;
        self.event = event;
        if is_full {
            self.flush_cpu(record.cpu)?;
        }
        Ok(())
    }

    fn loss(&mut self, loss: &Loss) -> Result<(), ExportError> {
        self.flush_cpu(loss.cpu)?;
        self.bundle(loss.cpu).has_loss = true;
        Ok(())
    }
}

/// `ClockSnapshot`: stamps count from the start of the trace.
fn clocks(epoch: Option<u64>, packet: &mut Vec<u8>) {
    push_message(packet, CLOCK_SNAPSHOT, |out| {
        let mut clock = |id, time| {
            push_message(out, 1, |out| {
                push_number(out, 1, id);
                push_number(out, 2, time);
            });
        };
        clock(BOOT_TIME, 0);
        if let Some(epoch) = epoch {
            clock(REAL_TIME, epoch);
        }
        push_number(out, 2, BOOT_TIME);
    });
}

/// `SystemInfo`: Perfetto names system calls by the machine, and states of threads by the kernel's release.
fn system(trace: &Trace, packet: &mut Vec<u8>) {
    push_message(packet, SYSTEM_INFO, |out| {
        push_message(out, 1, |out| {
            push_text(out, 1, b"Linux");
            if let Some(file) = trace.own() {
                let kernel = &file.header().kernel;
                push_text(out, 2, kernel.banner.as_bytes());
                push_text(out, 3, kernel.release.as_bytes());
            }
            push_text(out, 4, b"x86_64");
        });
        push_text(
            out,
            4,
            concat!("guesttrace ", env!("CARGO_PKG_VERSION")).as_bytes(),
        );
        if let Some(file) = trace.own() {
            push_number(out, 8, u64::from(file.header().machine.cpu_count));
        }
    });
}
