//! Records from a place on with other events, and holds the result to the trace.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use analyzer::export::{LineFormat, LineWriter};
use analyzer::model::GuestNanos;
use analyzer::sources::{Item, Range, RecordStream, Trace};
use anyhow::{Result, anyhow};
use probe_plan::HaltSpec;
use trace_format::{EventId, EventSchema, TraceFile};

use super::place::Place;
use super::{GotoArgs, again};
use crate::console::Console;
use crate::record::{Arrival, MaskArgs, RecordArgs, Repetition, Visitor};
use crate::tell;

/// Rows of the recorder's own, which come when it starts and stops.
const OWN_PREFIX: &str = "recording_";
const STATE_ROWS: [&str; 2] = ["task_state", "open_file"];

/// Records, and says how many events both traces have.
pub(super) fn record(
    args: &GotoArgs,
    (trace, file, place): (&Trace, &TraceFile, &Place),
    recording: RecordArgs,
    (finer, console): (&Path, &mut Console<'_>),
) -> Result<ExitCode> {
    let mut recording = again::repeated(recording, finer.to_owned())?;
    let same = Repetition::prepare(&recording)?;
    if let Some(header) = same.header() {
        again::check_same(file.header(), header, &recording)?;
    }
    drop(same);
    // The same time in both: the first record of a kernel's run is the same, whatever is recorded.
    let start = place.tsc.saturating_sub(file.origin_tsc());
    recording.events.events.clone_from(&args.events);
    recording.masks = MaskArgs::default();
    recording.control.on.clear();
    recording.limits.start = vec![format!("{start}ns")];
    recording.limits.stop.clear();
    recording.limits.duration = None;
    let mut machine = Repetition::prepare(&recording)?;
    if let Some(duration) = args.duration {
        let end = trace
            .clock()
            .tsc(GuestNanos(start.saturating_add(duration.0)));
        let halt = HaltSpec {
            tsc: end,
            closer_from: None,
        };
        machine.halt_at(halt, None)?;
    }
    let finished = machine.run(&recording, &mut Passer::default(), console.talk)?;
    if let Some(message) = finished.failure {
        return Err(anyhow!(message));
    }
    let fine = tell::open(finer)?;
    match common(trace, &fine, place.tsc)? {
        Ok(count) => {
            writeln!(
                console.out,
                "the same run: {count} events are in both traces"
            )?;
            writeln!(console.out, "{}", finer.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(line) => {
            writeln!(
                console.out,
                "another run: the trace has, and this one has not\n  {line}"
            )?;
            Ok(ExitCode::from(1))
        }
    }
}

/// Somebody who looks at nothing: the recording is over.
#[derive(Debug, Default)]
struct Passer {
    is_there: bool,
}

impl Visitor for Passer {
    fn arrive(&mut self, _arrival: &Arrival, _talk: &mut dyn Write) -> Result<()> {
        self.is_there = true;
        Ok(())
    }

    fn has_left(&mut self) -> Result<bool> {
        Ok(self.is_there)
    }

    fn takes_interrupts(&self) -> bool {
        false
    }
}

/// One trace's events of the kinds that both have, as lines.
struct Lines<'t> {
    stream: Box<dyn RecordStream + 't>,
    writer: LineWriter,
    kinds: BTreeSet<EventId>,
    line: Vec<u8>,
}

impl<'t> Lines<'t> {
    fn new(trace: &'t Trace, kinds: &[&EventSchema], range: &Range) -> Result<Self> {
        let names = kinds.iter().map(|event| &event.name);
        let ids = names.filter_map(|name| trace.schema().event_named(name));
        Ok(Self {
            stream: trace.stream(range)?,
            // Nothing before a late start is known of threads, but which one runs.
            writer: LineWriter::new(trace.schema(), LineFormat::Json).with_symbols(trace.symbols()),
            kinds: ids.map(|event| event.id).collect(),
            line: Vec::new(),
        })
    }

    /// The next event's time.
    fn advance(&mut self) -> Result<Option<u64>> {
        while let Some(item) = self.stream.next_item()? {
            if let Item::Record(record) = item
                && !record.is_repeated
                && !record.is_context
                && self.kinds.contains(&record.event)
            {
                self.line.clear();
                self.writer.push(&mut self.line, &record);
                return Ok(Some(record.tsc));
            }
        }
        Ok(None)
    }
}

/// How many events of `coarse` the finer trace has, from a time on; or the first one that it has not.
fn common(coarse: &Trace, fine: &Trace, from: u64) -> Result<Result<u64, String>> {
    let of_both = |event: &&EventSchema| {
        let is_own = event.name.starts_with(OWN_PREFIX) || STATE_ROWS.contains(&&*event.name);
        !is_own && fine.schema().event_named(&event.name) == Some(*event)
    };
    let kinds: Vec<&EventSchema> = coarse.schema().events.iter().filter(of_both).collect();
    if kinds.is_empty() {
        return Err(anyhow!(
            "the traces have no event in common, so nobody can tell whether it is the same run"
        ));
    }
    let range = Range {
        tscs: from..=fine.last_tsc(),
        ..Range::default()
    };
    let (mut then, mut now) = (
        Lines::new(coarse, &kinds, &range)?,
        Lines::new(fine, &kinds, &range)?,
    );
    let mut count = 0;
    while let Some(tsc) = then.advance()? {
        loop {
            match now.advance()? {
                // The coarser trace may have been filtered.
                Some(at) if at <= tsc && now.line != then.line => {}
                Some(at) if at <= tsc => break,
                _ => {
                    return Ok(Err(String::from_utf8_lossy(&then.line)
                        .trim_end()
                        .to_owned()));
                }
            }
        }
        count += 1;
    }
    Ok(Ok(count))
}
