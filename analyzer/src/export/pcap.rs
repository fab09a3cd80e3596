//! Packets as a capture file with stamps in nanoseconds, which tcpdump and Wireshark read.
//!
//! Packets are events that have their bytes in a field `data`, from the link's header on; `len` is the packet's length
//! where fewer bytes were recorded, `name` its device, `out` whether it leaves. What a machine sends to itself passes
//! the device `lo` twice, and is written once, as it comes in.

use std::collections::HashMap;
use std::io::Write;

use trace_format::{EventId, EventSchema, FieldKind, Value};

use super::job::{ExportError, Exported, Job, Sink};
use super::meaning::number;
use crate::sources::{Loss, Record};

/// First word of a capture with stamps in nanoseconds; version 2.4.
const MAGIC: u32 = 0xA1B2_3C4D;
const VERSION: [u16; 2] = [2, 4];
/// Packets begin with a header of Ethernet, those of the loopback device too.
const LINK_ETHERNET: u32 = 1;
/// Most bytes of a packet that a reader has to expect.
const SNAP_BYTES: u32 = 1 << 18;

/// Where the parts of a packet are in an event.
#[derive(Debug)]
struct Packet {
    data: usize,
    len: Option<usize>,
    name: Option<usize>,
    out: Option<usize>,
}

/// Writes the packets of a trace.
///
/// # Errors
/// When no event of the trace has bytes of packets, the trace cannot be read or the result cannot be written.
pub fn pcap(job: Job<'_>, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let schema = job.trace.schema();
    let packets: HashMap<EventId, Packet> = schema
        .events
        .iter()
        .filter_map(|event| Some((event.id, packet(event)?)))
        .collect();
    if packets.is_empty() {
        return Err(ExportError::NoPackets);
    }
    let epoch = job.epoch_nanos().unwrap_or(0);
    let mut head = Vec::new();
    head.extend_from_slice(&MAGIC.to_le_bytes());
    head.extend(VERSION.iter().flat_map(|part| part.to_le_bytes()));
    for word in [0, 0, SNAP_BYTES, LINK_ETHERNET] {
        head.extend_from_slice(&word.to_le_bytes());
    }
    out.write_all(&head)?;
    let mut writer = Writer {
        out,
        packets,
        epoch,
        written: 0,
    };
    let done = job.pour(&mut writer)?;
    Ok(Exported {
        events: writer.written,
        ..done
    })
}

/// Whether an event is a packet with its bytes, and where they are.
fn packet(event: &EventSchema) -> Option<Packet> {
    let data = event.field_index("data")?;
    let is_packet = event.fields[data].kind == FieldKind::Bytes && event.name.contains("packet");
    is_packet.then(|| Packet {
        data,
        len: event.field_index("len"),
        name: event.field_index("name"),
        out: event.field_index("out"),
    })
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    packets: HashMap<EventId, Packet>,
    /// Nanoseconds from the epoch to the trace's start.
    epoch: u64,
    written: u64,
}

impl Sink for Writer<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), ExportError> {
        let Some(packet) = self.packets.get(&record.event) else {
            return Ok(());
        };
        let Value::Bytes(data) = record.fields.value(packet.data) else {
            return Ok(());
        };
        let name = packet.name.map(|place| record.fields.value(place));
        let leaves = number(&record.fields, packet.out) == Some(1);
        if leaves && name == Some(Value::Bytes(b"lo")) {
            return Ok(());
        }
        let kept = u32::try_from(data.len())
            .unwrap_or(SNAP_BYTES)
            .min(SNAP_BYTES);
        let length = number(&record.fields, packet.len);
        let length = length
            .and_then(|length| u32::try_from(length).ok())
            .unwrap_or(kept);
        let time = self.epoch.saturating_add(record.at.0);
        let seconds = u32::try_from(time / 1_000_000_000).unwrap_or(u32::MAX);
        let nanos = u32::try_from(time % 1_000_000_000).unwrap_or(0);
        let mut bytes = Vec::with_capacity(16 + data.len());
        for word in [seconds, nanos, kept, length.max(kept)] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&data[..kept as usize]);
        self.out.write_all(&bytes)?;
        self.written += 1;
        Ok(())
    }

    fn loss(&mut self, _: &Loss) -> Result<(), ExportError> {
        Ok(())
    }
}
