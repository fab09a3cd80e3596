//! `guesttrace diff`: whether two traces are identical, or where they diverge first.
//!
//! Both are read once, side by side, in constant memory: what is kept is the last few lines of each CPU. What finds the
//! divergence (`Walk`) knows nothing of how it is told, so that a deeper alignment can take its place.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer::export::{LineFormat, LineWriter};
use analyzer::sources::{Item, Range, RecordStream, Trace};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use trace_format::Header;

use crate::console::Console;
use crate::{Usage, failure, tell};

/// Compare two traces: identical, or the first divergence with what came before
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace diff first.bin second.bin\n  \
guesttrace diff first.bin second.bin --context 20 --format json\n\n\
Exit status: 0 identical, 1 different, 3 when what could be compared is the same but a trace is not whole")]
pub(crate) struct DiffArgs {
    /// One trace
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The other
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Events of that CPU to show before the divergence
    #[arg(long, value_name = "N", default_value_t = 5)]
    context: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t = DiffFormat::Text)]
    format: DiffFormat,
}

/// How to write a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DiffFormat {
    Text,
    Json,
}

/// One side's next record, as a line; its events are compared by what they say, not by how the file has them.
struct Side<'t> {
    stream: Box<dyn RecordStream + 't>,
    lines: LineWriter,
    line: Vec<u8>,
}

/// What both sides have at the same place.
struct Step {
    cpu: Option<u32>,
    is_same: bool,
}

/// The first place where the traces differ.
struct Divergence {
    /// Events that both have before it.
    same_events: u64,
    cpu: Option<u32>,
    before: Vec<String>,
    /// `None` where that trace has ended.
    a: Option<String>,
    b: Option<String>,
}

/// Runs the verb.
pub(crate) fn run(args: &DiffArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    if args.context > 10_000 {
        return Err(Usage::new("--context takes at most 10000 events").into());
    }
    let (a, b) = (tell::open(&args.a)?, tell::open(&args.b)?);
    let headers = match (&a, &b) {
        (Trace::Own(a), Trace::Own(b)) => header_differences(a.header(), b.header()),
        _ => Vec::new(),
    };
    let (same_events, divergence) = first_divergence(&a, &b, args.context)?;
    let unreliable = tell::is_unreliable(&a.findings()) || tell::is_unreliable(&b.findings());
    match args.format {
        DiffFormat::Text => tell_text(&headers, same_events, divergence.as_ref(), console)?,
        DiffFormat::Json => tell_json(&headers, same_events, divergence.as_ref(), console)?,
    }
    for (path, trace) in [(&args.a, &a), (&args.b, &b)] {
        warn(path, trace, console)?;
    }
    Ok(if divergence.is_some() || !headers.is_empty() {
        ExitCode::from(1)
    } else if unreliable {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::SUCCESS
    })
}

fn warn(path: &Path, trace: &Trace, console: &mut Console<'_>) -> Result<()> {
    if tell::is_unreliable(&trace.findings()) {
        let path = path.display();
        writeln!(
            console.talk,
            "warning: {path} is not whole; see `guesttrace info {path}`"
        )?;
    }
    Ok(())
}

/// What the headers say differently, a sentence each.
fn header_differences(a: &Header, b: &Header) -> Vec<String> {
    let pairs = [
        ("kernel", &a.kernel.banner, &b.kernel.banner),
        ("build id", &a.kernel.build_id, &b.kernel.build_id),
        (
            "command line",
            &a.kernel.command_line,
            &b.kernel.command_line,
        ),
        ("producer", &a.producer, &b.producer),
    ];
    let mut found: Vec<String> = pairs
        .iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!("{what}: {a:?} against {b:?}"))
        .collect();
    if a.machine != b.machine {
        let arguments = |header: &Header| header.machine.qemu_arguments.join(" ");
        found.push(format!(
            "machine: {} against {}",
            arguments(a),
            arguments(b)
        ));
    }
    if a.clock != b.clock {
        found.push(format!(
            "clock: {:?} against {:?}",
            a.clock.mode, b.clock.mode
        ));
    }
    if a.digests != b.digests {
        let names = |from: &Header, other: &Header| -> Vec<String> {
            let only = from
                .digests
                .iter()
                .filter(|item| !other.digests.contains(item));
            only.map(|(role, _)| role.clone()).collect()
        };
        let mut roles = [names(a, b), names(b, a)].concat();
        roles.sort();
        roles.dedup();
        found.push(format!("contents of: {}", roles.join(", ")));
    }
    let only = |from: &Header, other: &Header| -> Vec<String> {
        let events = from.schema.events.iter();
        let only = events.filter(|event| !other.schema.events.contains(event));
        only.map(|event| event.name.clone()).collect()
    };
    for (side, events) in [("A", only(a, b)), ("B", only(b, a))] {
        if !events.is_empty() {
            found.push(format!(
                "events as only {side} has them: {}",
                events.join(", ")
            ));
        }
    }
    found
}

/// Walks both traces to the first difference; the number of events that both have, and the difference.
fn first_divergence(a: &Trace, b: &Trace, context: usize) -> Result<(u64, Option<Divergence>)> {
    let (mut a, mut b) = (Side::new(a)?, Side::new(b)?);
    let mut before: BTreeMap<u32, VecDeque<String>> = BTreeMap::new();
    let mut same_events = 0;
    loop {
        let (cpu_a, cpu_b) = (a.advance()?, b.advance()?);
        let step = Step {
            cpu: cpu_a.or(cpu_b),
            is_same: cpu_a == cpu_b && a.line == b.line,
        };
        match step.cpu {
            None => return Ok((same_events, None)),
            Some(cpu) if step.is_same => {
                same_events += 1;
                let kept = before.entry(cpu).or_default();
                if kept.len() == context {
                    kept.pop_front();
                }
                if context > 0 {
                    kept.push_back(a.text());
                }
            }
            Some(cpu) => {
                let before = before.remove(&cpu).unwrap_or_default().into();
                let divergence = Divergence {
                    same_events,
                    cpu: step.cpu,
                    before,
                    a: cpu_a.map(|_| a.text()),
                    b: cpu_b.map(|_| b.text()),
                };
                return Ok((same_events, Some(divergence)));
            }
        }
    }
}

impl<'t> Side<'t> {
    fn new(trace: &'t Trace) -> Result<Self> {
        Ok(Self {
            stream: trace.stream(&Range::default())?,
            lines: LineWriter::new(trace.schema(), LineFormat::Json).with_symbols(trace.symbols()),
            line: Vec::new(),
        })
    }

    /// Goes to the next event that is no repetition; gives its CPU, or `None` at the end.
    fn advance(&mut self) -> Result<Option<u32>> {
        self.line.clear();
        loop {
            match self.stream.next_item()? {
                None => return Ok(None),
                Some(Item::Record(record)) if !record.is_repeated => {
                    self.lines.push(&mut self.line, &record);
                    return Ok(Some(record.cpu.0));
                }
                Some(Item::Record(_)) => {}
                Some(Item::Loss(loss)) => {
                    self.line = format!("{{\"lost\":{:?}}}\n", loss.count).into_bytes();
                    return Ok(Some(loss.cpu.0));
                }
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.line).trim_end().to_owned()
    }
}

fn tell_text(
    headers: &[String],
    same_events: u64,
    divergence: Option<&Divergence>,
    console: &mut Console<'_>,
) -> Result<()> {
    for difference in headers {
        writeln!(console.out, "header: {difference}")?;
    }
    let Some(found) = divergence else {
        let what = if headers.is_empty() {
            "identical"
        } else {
            "same events"
        };
        writeln!(console.out, "{what}: {same_events} events")?;
        return Ok(());
    };
    let cpu = found.cpu.unwrap_or(0);
    writeln!(
        console.out,
        "different after {same_events} events that both have; on CPU {cpu}:"
    )?;
    for line in &found.before {
        writeln!(console.out, "  {line}")?;
    }
    for (side, line) in [("A", &found.a), ("B", &found.b)] {
        let line = line.as_deref().unwrap_or("(has no more events)");
        writeln!(console.out, "{side} {line}")?;
    }
    Ok(())
}

fn tell_json(
    headers: &[String],
    same_events: u64,
    divergence: Option<&Divergence>,
    console: &mut Console<'_>,
) -> Result<()> {
    let event = |line: &String| serde_json::from_str::<serde_json::Value>(line).ok();
    let divergence = divergence.map(|found| {
        json!({
            "cpu": found.cpu,
            "same_events": found.same_events,
            "before": found.before.iter().map(event).collect::<Vec<_>>(),
            "a": found.a.as_ref().map(event),
            "b": found.b.as_ref().map(event),
        })
    });
    let told = json!({
        "identical": divergence.is_none() && headers.is_empty(),
        "headers": headers,
        "same_events": same_events,
        "divergence": divergence,
    });
    writeln!(console.out, "{told}")?;
    Ok(())
}
