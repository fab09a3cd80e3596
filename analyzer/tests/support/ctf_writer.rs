//! Writes a trace in the Common Trace Format that has every class of fields, in both byte orders and both languages.
//!
//! Made from the specifications, not from the reader: bits are set one by one.

#![allow(dead_code, reason = "each test uses a part")]

use std::fmt::Write as _;
use std::path::Path;

/// First bytes of a packet.
const MAGIC: u64 = 0xC1FC_1FC1;
/// The trace's number.
pub(crate) const UUID: [u8; 16] = *b"guesttrace tests";
/// Packets of each stream, and events of each packet.
const PACKETS: u64 = 3;
const EVENTS: u64 = 14;

/// How the trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) is_big_endian: bool,
    /// CTF 2's metadata, not that of CTF 1.8.
    pub(crate) is_json: bool,
    /// The metadata in packets.
    pub(crate) is_packetised: bool,
}

/// Bits of a packet, as they come.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    at: usize,
    is_big_endian: bool,
}

impl Bits {
    pub(crate) fn new(is_big_endian: bool) -> Self {
        Self {
            is_big_endian,
            ..Self::default()
        }
    }

    pub(crate) fn bits(&self) -> usize {
        self.at
    }

    pub(crate) fn align(&mut self, bits: usize) -> &mut Self {
        while !self.at.is_multiple_of(bits) {
            self.bit(0);
        }
        self
    }

    /// Appends a bit where the byte order has the next one.
    fn bit(&mut self, bit: u64) {
        if self.at.is_multiple_of(8) {
            self.bytes.push(0);
        }
        let place = if self.is_big_endian {
            7 - self.at % 8
        } else {
            self.at % 8
        };
        *self.bytes.last_mut().unwrap() |= u8::try_from(bit & 1).unwrap() << place;
        self.at += 1;
    }

    /// A number of so many bits.
    pub(crate) fn put(&mut self, number: u64, bits: u32) -> &mut Self {
        for index in 0..bits {
            let bit = if self.is_big_endian {
                bits - 1 - index
            } else {
                index
            };
            self.bit(number >> bit);
        }
        self
    }

    pub(crate) fn signed(&mut self, number: i64, bits: u32) -> &mut Self {
        self.put(number.cast_unsigned(), bits)
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.align(8);
        self.bytes.extend_from_slice(bytes);
        self.at += 8 * bytes.len();
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.raw(text.as_bytes()).raw(&[0])
    }

    /// Replaces a number of 64 bits that was put at that bit.
    fn replace(&mut self, at: usize, number: u64) {
        let bytes = if self.is_big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        self.bytes[at / 8..at / 8 + 8].copy_from_slice(&bytes);
    }
}

/// Writes the trace into an empty directory. Returns how many events it has.
pub(crate) fn write(directory: &Path, shape: Shape) -> u64 {
    for (name, bytes) in files(shape) {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
    2 * PACKETS * EVENTS
}

/// The files of the trace by name, the metadata first.
pub(crate) fn files(shape: Shape) -> Vec<(&'static str, Vec<u8>)> {
    let metadata = if shape.is_json {
        json(shape)
    } else {
        tsdl(shape)
    };
    let metadata = if shape.is_packetised {
        packetised(&metadata, shape)
    } else {
        metadata.into_bytes()
    };
    let stream = |stream| {
        let packets = (0..PACKETS).map(|number| packet(shape, stream, number));
        packets.collect::<Vec<_>>().concat()
    };
    vec![
        ("metadata", metadata),
        ("channel_0", stream(0)),
        ("channel_1", stream(1)),
    ]
}

fn packetised(text: &str, shape: Shape) -> Vec<u8> {
    let number = |number: usize| {
        let number = u32::try_from(number).unwrap();
        if shape.is_big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let mut all = Vec::new();
    for part in text.as_bytes().chunks(3000) {
        all.extend(number(0x75D1_1D57));
        all.extend(UUID);
        all.extend(number(0));
        all.extend(number(8 * (37 + part.len())));
        all.extend(number(8 * 4096));
        all.extend([0, 0, 0, 1, 8]);
        all.extend(part);
        all.resize(all.len().next_multiple_of(4096), 0);
    }
    all
}

/// A packet with events of every kind, in ticks of a microsecond; the times of the second stream lie between those of
/// the first.
fn packet(shape: Shape, stream: u64, number: u64) -> Vec<u8> {
    // So far apart that the clock of the compact header wraps around between them.
    let start = 5_000_000_000 + number * 1_000_000_000 + stream * 7;
    let mut out = Bits::new(shape.is_big_endian);
    out.put(MAGIC, 32)
        .raw(&UUID)
        .put(stream, 32)
        .put(stream, 64);
    let context = out.bits();
    // Begin, end, content, packet, sequence, discarded, CPU.
    let discarded = if number == 2 { 40 + stream } else { 0 };
    for value in [start, 0, 0, 0, number, discarded] {
        out.put(value, 64);
    }
    out.put(stream + 2, 32);
    let mut at = start;
    for index in 0..EVENTS {
        at = start + index * 50_000_000;
        event(&mut out, stream, (index, at), number);
    }
    let content = out.bits() as u64;
    out.align(8).raw(&[0xAA; 100]).align(1024);
    let length = out.bits() as u64;
    for (place, value) in [(1, at), (2, content), (3, length)] {
        out.replace(context + 64 * place, value);
    }
    out.bytes
}

/// Header, contexts and fields of an event.
fn event(out: &mut Bits, stream: u64, (index, at): (u64, u64), packet: u64) {
    let id = index % 7;
    out.align(8);
    match (stream, index % 2) {
        // Compact.
        (0, 0) => out.put(id, 5).put(at, 27),
        (0, _) => out.put(31, 5).align(8).put(id, 32).put(at, 64),
        // Large.
        (_, 0) => out.put(id, 16).put(at, 32),
        _ => out.put(65535, 16).put(id, 32).put(at, 64),
    };
    // The context of all events: tid, pid, name of the program.
    out.align(8).put(100 + id, 32).put(100, 32);
    let mut name = [0; 16];
    name[..4].copy_from_slice(b"prog");
    out.raw(&name);
    let few = index % 3 + packet;
    match id {
        0 => {
            // Bit-packed and aligned numbers.
            out.align(32)
                .put(index % 8, 3)
                .signed(-7, 5)
                .put(0xABC, 12)
                .signed(-(1 << 31), 33)
                .align(8);
            let other = u64::from(u32::try_from(77 + packet).unwrap().swap_bytes());
            out.put(u64::MAX - index, 64)
                .align(32)
                .put(other, 32)
                .put(1, 1)
                .put(few, 7);
        }
        1 => {
            out.align(64).put(u64::from(1.5f32.to_bits()), 32).align(64);
            out.put((-2.25f64).to_bits(), 64)
                .put(index % 4, 2)
                .align(8)
                .put(3, 8);
        }
        2 => {
            let mut text = [0; 8];
            text[..3].copy_from_slice(b"abc");
            out.text("plain text")
                .raw(&text)
                .put(1, 1)
                .text("")
                .raw(&[1, 2, 3, 0xFE]);
        }
        3 => {
            // Lists of numbers, of texts, of lists, of structures.
            // A list without elements is aligned as well.
            out.align(64).put(few, 8).align(16);
            (0..few).for_each(|value| _ = out.put(1000 + value, 16));
            (0..3).for_each(|value| _ = out.put(value + 9, 5));
            out.text("one").text("two").put(few, 4).align(8);
            (0..few).for_each(|value| _ = out.align(8).put(value, 8).text("x"));
            (0..6).for_each(|value| _ = out.signed(value - 3, 16));
            out.put(few, 8).align(64);
            (0..few).for_each(|value| _ = out.put(0xFFFF_FFFF_8100_0000 + value, 64));
        }
        4 => {
            // Choices.
            out.align(8).put(few % 3, 8);
            match few % 3 {
                0 => out.align(8).put(4711, 32),
                1 => out.text("chosen"),
                _ => out.align(16).put(8, 16).put(9, 8),
            };
            out.align(8).signed(-2, 8).put(6, 8);
        }
        5 => {}
        _ => {
            for field in 0..40 {
                out.put(field + index, 8);
            }
        }
    }
}

/// The language of CTF 1.8.
fn tsdl(shape: Shape) -> String {
    let (own, other) = if shape.is_big_endian {
        ("be", "le")
    } else {
        ("le", "be")
    };
    let uuid: String = UUID.iter().map(|byte| format!("{byte:02x}")).collect();
    let uuid = [
        &uuid[..8],
        &uuid[8..12],
        &uuid[12..16],
        &uuid[16..20],
        &uuid[20..],
    ]
    .join("-");
    let mut text = include_str!("synthetic.tsdl")
        .replace("$OWN", own)
        .replace("$OTHER", other)
        .replace("$UUID", &uuid);
    for stream in 0..2 {
        let header = ["compact", "large"][stream];
        let events = include_str!("synthetic_events.tsdl")
            .replace("$STREAM", &stream.to_string())
            .replace("$OTHER", other);
        let _ = write!(
            text,
            "stream {{ id = {stream}; event.header := struct event_header_{header}; packet.context := struct packet_context; \
             event.context := struct {{ int32_t _tid; int32_t _pid; char_t _procname[16]; }}; }};\n{events}"
        );
        let many: Vec<String> = (0..40).map(|field| format!("uint8_t _f{field};")).collect();
        let many = many.join(" ");
        let _ = writeln!(
            text,
            "event {{ name = \"many\"; id = 6; stream_id = {stream}; fields := struct {{ {many} }}; }};"
        );
    }
    text
}

/// The same in CTF 2.
fn json(shape: Shape) -> String {
    let orders = ["little-endian", "big-endian"];
    let (order, other) = (
        orders[usize::from(shape.is_big_endian)],
        orders[usize::from(!shape.is_big_endian)],
    );
    let uuid: Vec<String> = UUID.iter().map(u8::to_string).collect();
    let many: Vec<String> = (0..40)
        .map(|field| format!("{{\"name\":\"f{field}\",\"field-class\":\"u8\"}}"))
        .collect();
    let text = include_str!("synthetic.json");
    let text = text
        .replace("$ORDER", order)
        .replace("$OTHER", other)
        .replace("$UUID", &uuid.join(","))
        .replace("$MANY", &many.join(","));
    let (head, events) = text.split_once("$EVENTS\n").unwrap();
    let events: String = (0..2)
        .map(|stream| events.replace("$STREAM", &stream.to_string()))
        .collect();
    let fragments = head
        .lines()
        .chain(events.lines())
        .filter(|line| !line.is_empty());
    fragments.map(|line| format!("\u{1e}{line}\n")).collect()
}
