//! How fast a trace of any tracer is decoded: `decoding TRACE [TIMES]` reads all of it so many times, with all fields and
//! threads, and prints numbers for `scripts/bench.sh`. The best time counts: the others had to wait for something.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use analyzer::sources::{Item, Range, Trace, TraceError};
use trace_format::Value;

/// What one reading found.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    events: u64,
    losses: u64,
    /// Fields that have a value, so that none goes unread.
    values: u64,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next();
    let times = arguments.next().and_then(|text| text.parse().ok());
    let Some(path) = path else {
        print("usage: decoding TRACE [TIMES]");
        return ExitCode::from(2);
    };
    match measure(&path, times.unwrap_or(5)) {
        Ok((read, opening, best)) => {
            let (events, losses, values) = (read.events, read.losses, read.values);
            print(&format!(
                "events {events}\nlosses {losses}\nvalues {values}"
            ));
            print(&format!("opening_seconds {:.6}", opening.as_secs_f64()));
            print(&format!("reading_seconds {:.6}", best.as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            print(&format!("error: {path}: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "it is what the program is for")]
fn print(text: &str) {
    println!("{text}");
}

fn measure(path: &str, times: u32) -> Result<(Read, Duration, Duration), TraceError> {
    let start = Instant::now();
    let trace = Trace::open(path)?;
    let opening = start.elapsed();
    let (mut read, mut best) = (Read::default(), Duration::MAX);
    for _ in 0..times.max(1) {
        let start = Instant::now();
        read = read_all(&trace)?;
        best = best.min(start.elapsed());
    }
    Ok((read, opening, best))
}

fn read_all(trace: &Trace) -> Result<Read, TraceError> {
    let events = &trace.schema().events;
    let ids = events.last().map_or(0, |event| usize::from(event.id.0) + 1);
    let mut fields = vec![0; ids];
    for event in events {
        fields[usize::from(event.id.0)] = event.fields.len();
    }
    let mut read = Read::default();
    let mut stream = trace.stream(&Range::default())?;
    while let Some(item) = stream.next_item()? {
        let record = match item {
            Item::Loss(_) => {
                read.losses += 1;
                continue;
            }
            Item::Record(record) if record.is_context || record.is_repeated => continue,
            Item::Record(record) => record,
        };
        read.events += 1;
        let count = fields
            .get(usize::from(record.event.0))
            .copied()
            .unwrap_or(0);
        let values = (0..count).filter(|index| record.fields.value(*index) != Value::Missing);
        read.values += values.count() as u64;
    }
    Ok(read)
}
