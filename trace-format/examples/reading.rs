//! Measures how fast a trace file is read, one record after the other, and how large its records were in the recorder.
//!
//! `cargo run --release -p trace-format --example reading FILE`, one thread; each speed is the best of several runs.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use trace_format::{RECORD_HEADER_BYTES, TraceFile, Value};

const RUNS: usize = 5;

/// What a look at every field of every record finds.
#[derive(Default)]
struct Seen {
    records: u64,
    /// As plain records, which is what the recorder's buffers hold.
    plain_bytes: u64,
    /// So that no field is left out for nobody needing it.
    sum: u64,
}

/// Decodes every chunk into columns.
fn decode(file: &TraceFile) -> Result<u64, Box<dyn std::error::Error>> {
    let mut records = 0;
    for index in 0..file.chunks().len() {
        records += u64::try_from(file.read_chunk(index)?.len())?;
    }
    Ok(records)
}

/// Decodes every chunk and looks at every field.
fn walk(file: &TraceFile) -> Result<Seen, Box<dyn std::error::Error>> {
    let schema = &file.header().schema;
    let mut seen = Seen::default();
    for index in 0..file.chunks().len() {
        for record in file.read_chunk(index)?.records() {
            let event = schema
                .event(record.event())
                .ok_or("an event without schema")?;
            let mut length = RECORD_HEADER_BYTES;
            for (index, field) in event.fields.iter().enumerate() {
                let (bytes, number) = match record.field(index) {
                    Value::Missing if field.kind.is_bytes() => (2, 1),
                    Value::Missing => (8, 1),
                    Value::Number(number) => (8, number),
                    Value::Bytes(bytes) => (2 + bytes.len(), 2),
                };
                length += bytes;
                seen.sum = seen.sum.wrapping_add(number);
            }
            seen.records += 1;
            seen.plain_bytes += u64::try_from(length)?;
        }
    }
    Ok(seen)
}

/// The shortest time of several runs, and the last result.
fn best<T, E>(mut run: impl FnMut() -> Result<T, E>) -> Result<(Duration, T), E> {
    let mut timed = || {
        let start = Instant::now();
        run().map(|result| (start.elapsed(), result))
    };
    let mut best = timed()?;
    for _ in 1..RUNS {
        let (time, result) = timed()?;
        best = (best.0.min(time), result);
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: reading FILE")?;
    let file = TraceFile::open(path)?;
    let (decode_time, records) = best(|| decode(&file))?;
    let (walk_time, seen) = best(|| walk(&file))?;
    let per_second =
        |count: u64, time: Duration| u128::from(count) * 1_000_000 / time.as_micros().max(1);
    let mut out = io::stdout().lock();
    writeln!(out, "records {records}")?;
    writeln!(out, "plain_bytes {}", seen.plain_bytes)?;
    writeln!(out, "file_bytes {}", file.file_bytes())?;
    writeln!(
        out,
        "columns_per_second {}",
        per_second(records, decode_time)
    )?;
    writeln!(
        out,
        "fields_per_second {}",
        per_second(seen.records, walk_time)
    )?;
    writeln!(out, "sum {:#x}", seen.sum)?;
    Ok(())
}
