//! The stream of one CPU: events gathered to packets, and the index of the packets.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Bytes of a packet from which it is written.
const PACKET_BYTES: usize = 1 << 18;
/// First word of a packet, and of an index (which has its highest byte first).
const PACKET_MAGIC: u32 = 0xC1FC_1FC1;
const INDEX_MAGIC: u32 = 0xC1F1_DCC1;
/// Version 1.1 of the index, whose entries have nine numbers.
const INDEX_ENTRY_BYTES: u32 = 72;
/// Bytes of a packet before its events: magic, UUID, stream id, six numbers, CPU.
const PACKET_HEAD_BYTES: usize = 4 + 16 + 4 + 6 * 8 + 4;

/// A stream on its way into files, which are opened only to append a packet: a machine has any number of CPUs.
#[derive(Debug)]
pub(super) struct Stream {
    file: PathBuf,
    index: PathBuf,
    uuid: [u8; 16],
    cpu: u32,
    /// The packet that is being filled, with room for its head.
    packet: Vec<u8>,
    /// Stamps of the packet's beginning and of its latest event.
    begin: u64,
    end: u64,
    sequence: u64,
    discarded: u64,
    /// Bytes that were written.
    offset: u64,
}

impl Stream {
    /// Begins the stream of a CPU at a stamp.
    pub(super) fn new(directory: &std::path::Path, uuid: [u8; 16], cpu: u32, begin: u64) -> Self {
        let name = format!("channel0_{cpu}");
        Self {
            index: directory.join("index").join(format!("{name}.idx")),
            file: directory.join(name),
            uuid,
            cpu,
            packet: vec![0; PACKET_HEAD_BYTES],
            begin,
            end: begin,
            sequence: 0,
            discarded: 0,
            offset: 0,
        }
    }

    /// Begins an event: where its head and payload are to be appended.
    pub(super) fn event(&mut self, stamp: u64) -> &mut Vec<u8> {
        // Readers give up at stamps that go backward; a source's never do.
        self.end = self.end.max(stamp);
        &mut self.packet
    }

    /// The stamp that goes with the event that was begun last.
    pub(super) fn stamp(&self) -> u64 {
        self.end
    }

    /// Writes the packet if it is full.
    pub(super) fn flush_full(&mut self) -> io::Result<()> {
        if self.packet.len() >= PACKET_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.packet.len() > PACKET_HEAD_BYTES || self.offset == 0 {
            self.flush()?;
        }
        Ok(())
    }

    /// Events are missing from the latest one, or that stamp if it is later, up to another one: so many, if known.
    pub(super) fn lose(&mut self, from: u64, to: u64, count: Option<u64>) -> io::Result<()> {
        self.flush()?;
        self.begin = self.end.max(from);
        self.end = self.begin.max(to);
        match count {
            // An empty packet lies in the gap, so that readers know when it was.
            Some(count) => {
                self.discarded = self.discarded.saturating_add(count);
                self.flush()
            }
            // A packet whose number is left out holds any number of events.
            None => {
                self.begin = self.end;
                self.sequence += 1;
                Ok(())
            }
        }
    }

    /// Writes the packet.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let bits = (self.packet.len() as u64).saturating_mul(8);
        let numbers = [
            self.begin,
            self.end,
            bits,
            bits,
            self.sequence,
            self.discarded,
        ];
        let mut head = Vec::with_capacity(PACKET_HEAD_BYTES);
        head.extend_from_slice(&PACKET_MAGIC.to_le_bytes());
        head.extend_from_slice(&self.uuid);
        head.extend_from_slice(&0_u32.to_le_bytes());
        head.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        head.extend_from_slice(&self.cpu.to_le_bytes());
        self.packet[..PACKET_HEAD_BYTES].copy_from_slice(&head);
        append(&self.file, &self.packet)?;
        self.append_to_index(bits)?;
        self.offset += self.packet.len() as u64;
        self.packet.truncate(PACKET_HEAD_BYTES);
        self.sequence += 1;
        self.begin = self.end;
        Ok(())
    }

    fn append_to_index(&self, bits: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(16 + INDEX_ENTRY_BYTES as usize);
        if self.offset == 0 {
            let words = [INDEX_MAGIC, 1, 1, INDEX_ENTRY_BYTES];
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        let entry = [
            self.offset,
            bits,
            bits,
            self.begin,
            self.end,
            self.discarded,
            0,
            u64::from(self.cpu),
            self.sequence,
        ];
        bytes.extend(entry.iter().flat_map(|number| number.to_be_bytes()));
        append(&self.index, &bytes)
    }
}

fn append(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(bytes)
}
