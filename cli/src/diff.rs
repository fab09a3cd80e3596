//! `guesttrace diff`: whether two traces are identical, where they diverge first, and what became of each event.
//!
//! Files of the same bytes are not read any further. Others are walked side by side to the first difference; from there
//! on events are aligned thread by thread, and what differs is counted and shown.

mod align;
mod headers;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer::sources::{Clock, Range, Trace};
use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::console::Console;
use crate::events::events_named;
use crate::{Usage, failure, tell};
use align::{Aligner, Change, Of};
use headers::header_differences;
pub(crate) use walk::first_divergence;
use walk::{Divergence, Part, Side};

/// Compare two traces: identical, or where they diverge first and what differs from there on
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace diff first.bin second.bin\n  \
guesttrace diff first.bin second.bin --context 20 --limit 100 --format json\n  \
guesttrace diff old-kernel.bin new-kernel.bin --event 'sched_process_*'\n\n\
From the first divergence on, events are aligned thread by thread: added, removed, moved in time, with other fields.\n\
Exit status: 0 identical, 1 different, 3 when what could be compared is the same but a trace is not whole")]
pub(crate) struct DiffArgs {
    /// One trace
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The other
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Only events of this name, which may have `*` and `?`, and nothing of what the traces say of
    /// themselves; may be repeated, or several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    event: Vec<String>,
    /// Events of that CPU to show before the divergence
    #[arg(long, value_name = "N", default_value_t = 5)]
    context: usize,
    /// Differences to show, besides counting them
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
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

/// Most of anything that the user may ask to be shown.
const SHOWN_MAX: usize = 10_000;

/// What two traces have and have not in common.
#[derive(Debug, Default)]
struct Comparison {
    headers: Vec<String>,
    same_bytes: bool,
    /// Events that both have before the divergence; of identical traces, all.
    same_events: u64,
    divergence: Option<Divergence>,
    differences: Differences,
}

/// What differs from the divergence on.
#[derive(Debug, Default)]
struct Differences {
    /// Events that both have at the same time after all.
    same: u64,
    moved: u64,
    /// Least and greatest move from A to B, in nanoseconds.
    moves: Option<(i64, i64)>,
    changed: u64,
    only_a: u64,
    only_b: u64,
    /// By name of the event: moved, changed, only in A, only in B.
    by_event: BTreeMap<String, [u64; 4]>,
    /// The first ones: what, the event in A, the event in B.
    shown: Vec<(&'static str, Option<String>, Option<String>)>,
    is_bounded: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &DiffArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    if args.context > SHOWN_MAX || args.limit > SHOWN_MAX {
        let told = format!("--context and --limit take at most {SHOWN_MAX} events");
        return Err(Usage::new(told).into());
    }
    let (a, b) = (tell::open(&args.a)?, tell::open(&args.b)?);
    let found = compare(&a, &b, args)?;
    match args.format {
        DiffFormat::Text => tell_text(&found, console)?,
        DiffFormat::Json => tell_json(&found, console)?,
    }
    for (path, trace) in [(&args.a, &a), (&args.b, &b)] {
        warn(path, trace, console)?;
    }
    let unreliable = tell::is_unreliable(&a.findings()) || tell::is_unreliable(&b.findings());
    Ok(if found.divergence.is_some() || !found.headers.is_empty() {
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

fn compare(a: &Trace, b: &Trace, args: &DiffArgs) -> Result<Comparison> {
    let mut found = Comparison::default();
    let chosen = |trace: &Trace| -> Result<Range> {
        let events = events_named(&args.event, trace.schema())?;
        let all = Range::default();
        Ok(Range { events, ..all })
    };
    let (a, b) = ((a, &chosen(a)?), (b, &chosen(b)?));
    if let (Some(a), Some(b), true) = (a.0.own(), b.0.own(), args.event.is_empty()) {
        if a.has_same_bytes(b) {
            let chunks = a.chunks().iter();
            found.same_bytes = true;
            found.same_events = chunks.map(|chunk| u64::from(chunk.own_count())).sum();
            return Ok(found);
        }
        found.headers = header_differences(a.header(), b.header());
    }
    (found.same_events, found.divergence) = first_divergence(a, b, args.context)?;
    if found.same_events == 0 && found.divergence.is_none() && !args.event.is_empty() {
        let told = format!("neither trace has an event of {}", args.event.join(", "));
        return Err(Usage::new(told)
            .hint("`guesttrace info` lists the events of a trace")
            .into());
    }
    if found.divergence.is_some() {
        found.differences = differences(a, b, found.same_events, args.limit)?;
    }
    Ok(found)
}

/// Aligns what follows the events that both traces have.
fn differences(a: Part<'_>, b: Part<'_>, same_events: u64, limit: usize) -> Result<Differences> {
    let mut sides = [(Of::A, Side::new(a)?), (Of::B, Side::new(b)?)];
    for (_, side) in &mut sides {
        for _ in 0..same_events {
            side.advance()?;
        }
    }
    let (mut aligner, mut found) = (Aligner::default(), Differences::default());
    let clock = a.0.clock();
    let mut tell = |change| found.take(change, clock, limit);
    // By turns, so that what waits for its counterpart does not wait for long, even where one run was slower.
    let mut has_more = true;
    while has_more {
        has_more = false;
        for (of, side) in &mut sides {
            if side.advance()?.is_some() {
                aligner.push(*of, side.event(), &mut tell);
                has_more = true;
            }
        }
    }
    aligner.finish(&mut tell);
    (found.same, found.is_bounded) = (aligner.same, aligner.is_bounded);
    Ok(found)
}

impl Differences {
    fn take(&mut self, change: Change, clock: Clock, limit: usize) {
        let (what, column, a, b) = match change {
            Change::Moved(a, b) => {
                let ticks = |from: u64, to: u64| {
                    i64::try_from(clock.length(to.saturating_sub(from))).unwrap_or(i64::MAX)
                };
                let by = ticks(a.tsc, b.tsc).saturating_sub(ticks(b.tsc, a.tsc));
                let (least, most) = self.moves.unwrap_or((by, by));
                self.moves = Some((least.min(by), most.max(by)));
                self.moved += 1;
                ("moved", 0, Some(a), Some(b))
            }
            Change::Changed(a, b) => {
                self.changed += 1;
                ("changed", 1, Some(a), Some(b))
            }
            Change::OnlyA(a) => {
                self.only_a += 1;
                ("only in A", 2, Some(a), None)
            }
            Change::OnlyB(b) => {
                self.only_b += 1;
                ("only in B", 3, None, Some(b))
            }
        };
        let name = a.as_ref().or(b.as_ref()).map_or("", |event| &event.name);
        if let Some(counts) = self.by_event.get_mut(name) {
            counts[column] += 1;
        } else {
            let mut counts = [0; 4];
            counts[column] = 1;
            self.by_event.insert(name.to_owned(), counts);
        }
        if self.shown.len() < limit {
            let line = |event: Option<align::Event>| event.map(|event| event.line);
            self.shown.push((what, line(a), line(b)));
        }
    }
}

fn tell_text(found: &Comparison, console: &mut Console<'_>) -> Result<()> {
    for difference in &found.headers {
        writeln!(console.out, "header: {difference}")?;
    }
    let same_events = found.same_events;
    let Some(divergence) = &found.divergence else {
        let what = match (found.same_bytes, found.headers.is_empty()) {
            (true, _) => "identical: the same bytes",
            (false, true) => "identical",
            (false, false) => "same events",
        };
        writeln!(console.out, "{what}: {same_events} events")?;
        return Ok(());
    };
    let cpu = divergence.cpu.unwrap_or(0);
    writeln!(
        console.out,
        "different after {same_events} events that both have; on CPU {cpu}:"
    )?;
    for line in &divergence.before {
        writeln!(console.out, "  {line}")?;
    }
    for (side, line) in [("A", &divergence.a), ("B", &divergence.b)] {
        let line = line.as_deref().unwrap_or("(has no more events)");
        writeln!(console.out, "{side} {line}")?;
    }
    tell_differences(&found.differences, console)
}

fn tell_differences(found: &Differences, console: &mut Console<'_>) -> Result<()> {
    let out = &mut console.out;
    writeln!(
        out,
        "from there on, thread by thread: {} events the same, {} moved in time, \
         {} with other fields, {} only in A, {} only in B",
        found.same, found.moved, found.changed, found.only_a, found.only_b
    )?;
    if let Some((least, most)) = found.moves {
        writeln!(out, "moved from A to B by {least:+} to {most:+} ns")?;
    }
    for (name, [moved, changed, only_a, only_b]) in &found.by_event {
        writeln!(
            out,
            "  {name}: {moved} moved, {changed} changed, {only_a} only in A, {only_b} only in B"
        )?;
    }
    for (what, a, b) in &found.shown {
        writeln!(out, "{what}:")?;
        for (side, line) in [("A", a), ("B", b)] {
            if let Some(line) = line {
                writeln!(out, "  {side} {line}")?;
            }
        }
    }
    if found.is_bounded {
        writeln!(
            out,
            "there were more differences at one place than are looked into: a better alignment may exist"
        )?;
    }
    Ok(())
}

fn tell_json(found: &Comparison, console: &mut Console<'_>) -> Result<()> {
    let event = |line: &String| serde_json::from_str::<serde_json::Value>(line).ok();
    let differences = &found.differences;
    let divergence = found.divergence.as_ref().map(|divergence| {
        json!({
            "cpu": divergence.cpu,
            "same_events": divergence.same_events,
            "before": divergence.before.iter().map(event).collect::<Vec<_>>(),
            "a": divergence.a.as_ref().map(event),
            "b": divergence.b.as_ref().map(event),
        })
    });
    let by_event = |(name, [moved, changed, only_a, only_b]): (&String, &[u64; 4])| {
        let counts =
            json!({ "moved": moved, "changed": changed, "only_a": only_a, "only_b": only_b });
        (name.clone(), counts)
    };
    let shown = differences.shown.iter().map(|(what, a, b)| {
        json!({ "what": what, "a": a.as_ref().map(event), "b": b.as_ref().map(event) })
    });
    let alignment = found.divergence.as_ref().map(|_| {
        json!({
            "same": differences.same,
            "moved": differences.moved,
            "moved_ns": differences.moves.map(|(least, most)| [least, most]),
            "changed": differences.changed,
            "only_a": differences.only_a,
            "only_b": differences.only_b,
            "by_event": differences.by_event.iter().map(by_event)
                .collect::<serde_json::Map<_, _>>(),
            "shown": shown.collect::<Vec<_>>(),
            "is_bounded": differences.is_bounded,
        })
    });
    let told = json!({
        "identical": divergence.is_none() && found.headers.is_empty(),
        "same_bytes": found.same_bytes,
        "headers": found.headers,
        "same_events": found.same_events,
        "divergence": divergence,
        "alignment": alignment,
    });
    writeln!(console.out, "{told}")?;
    Ok(())
}
