//! Measures how fast a trace is written and read, and how small it is.
//!
//! `cargo run --release -p trace-format --example throughput [LEVEL]`, one thread, records like those of a kernel.

use std::io::{self, Cursor, Write};
use std::time::{Duration, Instant};

use trace_format::{
    ChunkMeta, ClockInfo, ClockMode, EventId, EventSchema, FieldKind, FieldSchema, Header,
    KernelInfo, MachineInfo, RecordBuffer, Schema, TraceFile, TraceWriter, Trailer, Value,
    WriterOptions,
};

const BUFFER_BYTES: usize = 256 << 10;
const BUFFER_COUNT: usize = 200;
/// Each figure is the best of so many runs: others use the machine too.
const RUNS: usize = 5;

fn event(id: u16, name: &str, fields: &[(&str, FieldKind)]) -> EventSchema {
    let field = |(name, kind): &(&str, FieldKind)| FieldSchema {
        name: (*name).to_owned(),
        kind: kind.clone(),
        unit: None,
        doc: String::new(),
    };
    EventSchema {
        id: EventId(id),
        name: name.to_owned(),
        category: "bench".to_owned(),
        ltt: None,
        doc: String::new(),
        sticky: false,
        fields: fields.iter().map(field).collect(),
    }
}

fn header() -> Header {
    use FieldKind::{Hex, Signed, Text, Unsigned};
    let arguments = ["a", "b", "c", "d", "e", "f"].map(|name| (name, Hex));
    let entry = [vec![("nr", Unsigned), ("ip", Hex)], arguments.to_vec()].concat();
    Header {
        producer: "throughput".to_owned(),
        kernel: KernelInfo::default(),
        machine: MachineInfo::default(),
        clock: ClockInfo {
            mode: ClockMode::Deterministic,
            tsc_hz: 1_000_000_000,
        },
        schema: Schema {
            events: vec![
                event(1, "syscall_entry", &entry),
                event(2, "syscall_exit", &[("nr", Unsigned), ("ret", Signed)]),
                event(
                    3,
                    "switch",
                    &[
                        ("prev", Unsigned),
                        ("state", Unsigned),
                        ("next", Unsigned),
                        ("comm", Text),
                    ],
                ),
                event(
                    4,
                    "page_fault",
                    &[("address", Hex), ("ip", Hex), ("code", Hex)],
                ),
                event(
                    5,
                    "kmalloc",
                    &[
                        ("site", Hex),
                        ("ptr", Hex),
                        ("asked", Unsigned),
                        ("got", Unsigned),
                    ],
                ),
                event(6, "open", &[("path", Text), ("fd", Signed)]),
            ],
            enums: Vec::new(),
        },
        digests: Vec::new(),
        absent: Vec::new(),
        chunks: None,
    }
}

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// Small numbers are the common ones.
    fn skewed(&mut self, end: u64) -> u64 {
        let a = self.below(end);
        self.below(a + 1)
    }
}

const COMMS: [&str; 5] = [
    "bash",
    "kworker/0:1",
    "systemd-journal",
    "cc1",
    "ksoftirqd/0",
];

/// Appends one record; `false` when the buffer is full.
fn push(buffer: &mut RecordBuffer, random: &mut Random, stamp: &mut u64) -> bool {
    *stamp += 40 + random.skewed(4000);
    let id = 1 + random.below(6);
    let Ok(mut record) = buffer.begin(*stamp, EventId(u16::try_from(id).unwrap_or(1))) else {
        return false;
    };
    let site = 0xffff_ffff_8100_0000 + 0x35 * random.skewed(2000);
    match id {
        1 => {
            record.push_number(random.skewed(340));
            record.push_number(0x7f12_3456_0000 + 0x11 * random.skewed(500));
            record.push_number(random.skewed(30));
            record.push_number(0x7ffd_0000_0000 + 8 * random.skewed(3000));
            record.push_number(random.skewed(4096));
            (0..3).for_each(|_| record.push_number(random.below(4) * 0x1000));
        }
        2 => {
            record.push_number(random.skewed(340));
            record.push_number(random.skewed(5000).wrapping_sub(30));
        }
        3 => {
            record.push_number(random.skewed(900));
            record.push_number(random.below(3));
            record.push_number(random.skewed(900));
            record.push_bytes(COMMS[usize::try_from(random.below(5)).unwrap_or(0)].as_bytes());
        }
        4 => {
            record.push_number(0x55d0_0000_0000 + 0x1000 * random.skewed(4000));
            record.push_number(site);
            record.push_number(random.below(8));
        }
        5 => {
            record.push_number(site);
            record.push_number(0xffff_8880_0000_0000 + 64 * random.below(1 << 20));
            record.push_number(random.skewed(512));
            record.push_number(512);
        }
        _ => {
            let path = format!("/usr/lib/x86_64-linux-gnu/lib{}.so.6", random.skewed(300));
            record.push_bytes(path.as_bytes());
            record.push_number(random.skewed(30));
        }
    }
    record.finish();
    true
}

fn write(buffers: &[RecordBuffer], level: i32) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let options = WriterOptions {
        compression_level: level,
    };
    let mut writer = TraceWriter::new(Cursor::new(Vec::new()), &header(), options)?;
    for buffer in buffers {
        writer.write_chunk(
            &ChunkMeta {
                cpu: 0,
                lost_before: 0,
            },
            buffer,
            |stamp| stamp,
        )?;
    }
    Ok(writer.finish(&Trailer::default())?.into_inner())
}

/// Decodes every chunk.
fn decode(file: &TraceFile) -> Result<u64, Box<dyn std::error::Error>> {
    let mut records = 0;
    for index in 0..file.chunks().len() {
        records += file.read_chunk(index)?.len() as u64;
    }
    Ok(records)
}

/// Decodes every chunk and looks at every field.
fn walk(file: &TraceFile) -> Result<u64, Box<dyn std::error::Error>> {
    let mut sum = 0u64;
    for index in 0..file.chunks().len() {
        for record in file.read_chunk(index)?.records() {
            for field in 0..record.field_count() {
                sum = sum.wrapping_add(match record.field(field) {
                    Value::Missing => 1,
                    Value::Number(number) => number,
                    Value::Bytes(bytes) => bytes.len() as u64,
                });
            }
        }
    }
    Ok(sum)
}

fn best<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    let mut timed = || {
        let start = Instant::now();
        let result = run();
        (start.elapsed(), result)
    };
    let mut best = timed();
    for _ in 1..RUNS {
        let next = timed();
        if next.0 < best.0 {
            best = next;
        }
    }
    best
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let level = std::env::args()
        .nth(1)
        .map_or(Ok(3), |level| level.parse())?;
    let (mut random, mut stamp) = (Random(42), 0);
    let mut plain_bytes = 0;
    let mut fill = || {
        let mut buffers: Vec<_> = (0..BUFFER_COUNT)
            .map(|_| RecordBuffer::new(BUFFER_BYTES))
            .collect();
        for buffer in &mut buffers {
            while push(buffer, &mut random, &mut stamp) {}
        }
        buffers
    };
    let (fill_time, buffers) = {
        let start = Instant::now();
        let buffers = fill();
        (start.elapsed(), buffers)
    };
    let records: u64 = buffers
        .iter()
        .map(|buffer| u64::from(buffer.record_count()))
        .sum();
    for buffer in &buffers {
        plain_bytes += buffer
            .records()
            .map(|record| record.payload.len() as u64 + 12)
            .sum::<u64>();
    }
    let (write_time, file_bytes) = best(|| write(&buffers, level));
    let file = TraceFile::from_bytes(file_bytes?)?;
    let (decode_time, decoded) = best(|| decode(&file));
    let (walk_time, sum) = best(|| walk(&file));
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{records} records, {plain_bytes} bytes plain, {} in the file, level {level}",
        file.file_bytes()
    )?;
    let centi_bytes = file.file_bytes() * 100 / records;
    writeln!(
        out,
        "{}.{:02} bytes per record",
        centi_bytes / 100,
        centi_bytes % 100
    )?;
    for (what, time) in [
        ("append", fill_time),
        ("write", write_time),
        ("decode", decode_time),
        ("decode, every field", walk_time),
    ] {
        let per_second = |count: u64| u128::from(count) * 1_000_000 / time.as_micros().max(1);
        let (mib, records) = (per_second(plain_bytes) >> 20, per_second(records));
        writeln!(
            out,
            "{what}: {mib} MiB/s of plain records, {records} records/s"
        )?;
    }
    writeln!(out, "check: {} records, sum {:#x}", decoded?, sum?)?;
    Ok(())
}
