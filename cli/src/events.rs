//! `guesttrace events`: the events of a trace, a line each.

mod follow;

use std::process::ExitCode;

use analyzer::export::{Gap, GapKind, Gaps, LineFormat, LineWriter};
use analyzer::model::{CpuId, Span, Tid};
use analyzer::report::{Glob, Selection, absent_threads};
use analyzer::sources::{Item, Range, Record, RecordStream, Trace};
use anyhow::{Context as _, Result};
use clap::Args;
use guesttrace_events::EventTable;
use guesttrace_filter::{BoundFilter, Filter, nearest};
use trace_format::{EventId, EventSchema, Schema};

use crate::console::Console;
use crate::report::{Format, PartArgs};
use crate::traces::TracesArgs;
use crate::{Usage, failure, tell};

/// Show the events of a trace, one line each
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace events out.bin --event 'sched_*' --from 1.5s --to 1.6s\n  \
guesttrace events out.bin --filter 'syscall_exit.ret < 0 && comm == \"sh\"' --format json\n  \
guesttrace events --follow out.bin --event sched_process_exec\n\n\
Records that only say which thread runs (thread_context) are shown when --event names them.\n\
Where events are missing there is a line `-- ... --`, in JSON an object with the key `gap`, whatever is chosen.")]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    traces: TracesArgs,
    /// Show events as they are recorded, in order over all CPUs; waits for TRACE if it is not there yet
    #[arg(long)]
    follow: bool,
    /// Only events for which this holds, such as 'prev_state == S && prev_pid != 0'
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Only events of this name, which may have `*` and `?`; may be repeated, or several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    event: Vec<String>,
    #[command(flatten)]
    part: PartArgs,
    /// Only this thread; may be repeated
    #[arg(long, value_name = "N")]
    tid: Vec<u32>,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Bytes that are gathered before they are written.
const BLOCK_BYTES: usize = 1 << 16;

/// What is shown.
struct Choice {
    /// By event id.
    events: Vec<bool>,
    contexts: bool,
    selection: Selection,
    is_selective: bool,
    tids: Vec<Tid>,
    filter: Option<BoundFilter>,
}

/// Runs the verb.
pub(crate) fn run(args: &EventsArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    if args.follow {
        return follow::run(args, console);
    }
    show(args, &args.traces.open()?, console)
}

/// Shows the events of a trace that is there.
fn show(args: &EventsArgs, trace: &Trace, console: &mut Console<'_>) -> Result<ExitCode> {
    let findings = trace.findings();
    tell::warn(&findings, console.talk)?;
    let span = args.part.time.span(trace)?;
    let mut lines = Lines::new(args, span, trace.schema(), console)?;
    lines.writer.set_symbols(trace.symbols());
    let mut stream = trace.stream(&range(trace, args, &lines.choice))?;
    while lines.take(&mut *stream, console)? && lines.left > 0 {}
    lines.finish(console)?;
    let met = stream.damage();
    tell::warn(&met, console.talk)?;
    if lines.is_empty {
        let Choice {
            selection, tids, ..
        } = &lines.choice;
        tell::warn(&absent_threads(trace, selection, tids)?, console.talk)?;
    }
    let unreliable = tell::is_unreliable(&findings) || tell::is_unreliable(&met);
    Ok(exit_code(unreliable))
}

fn exit_code(unreliable: bool) -> ExitCode {
    if unreliable {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::SUCCESS
    }
}

/// The chosen records on their way out.
struct Lines {
    choice: Choice,
    writer: LineWriter,
    gaps: Gaps,
    block: Vec<u8>,
    /// Lines that may still be written.
    left: u64,
    /// Whether no event was shown.
    is_empty: bool,
}

impl Lines {
    /// Begins, with the line that names the columns if there is one.
    fn new(
        args: &EventsArgs,
        span: Span,
        schema: &Schema,
        console: &mut Console<'_>,
    ) -> Result<Self> {
        let choice = Choice::new(args, span, schema)?;
        let format = match args.format {
            Format::Text => LineFormat::Text,
            Format::Json => LineFormat::Json,
            Format::Csv => LineFormat::Csv,
        };
        let mut writer = LineWriter::new(schema, format);
        let mut block = Vec::with_capacity(2 * BLOCK_BYTES);
        writer.push_header(&mut block, choice.only_event(schema));
        let mut lines = Self {
            choice,
            writer,
            gaps: Gaps::new(schema),
            block,
            left: args.limit.unwrap_or(u64::MAX),
            is_empty: true,
        };
        lines.flush(console)?;
        Ok(lines)
    }

    /// Takes the next item of a stream; false when there is none.
    fn take(&mut self, stream: &mut dyn RecordStream, console: &mut Console<'_>) -> Result<bool> {
        let Some(item) = stream.next_item()? else {
            return Ok(false);
        };
        let gap = self.gaps.before(&item);
        if let Some(gap) = gap.filter(|gap| self.choice.concerns(gap)) {
            self.writer.push_gap(&mut self.block, &gap);
        }
        if let Item::Record(record) = item
            && self.left > 0
            && self.choice.has(&record)
        {
            self.writer.push(&mut self.block, &record);
            self.left -= 1;
            self.is_empty = false;
        }
        if self.block.len() >= BLOCK_BYTES {
            self.flush(console)?;
        }
        Ok(true)
    }

    /// The trace has no more items.
    fn finish(&mut self, console: &mut Console<'_>) -> Result<()> {
        let gap = self.gaps.at_end().filter(|_| self.left > 0);
        if let Some(gap) = gap.filter(|gap| self.choice.concerns(gap)) {
            self.writer.push_gap(&mut self.block, &gap);
        }
        self.flush(console)
    }

    fn flush(&mut self, console: &mut Console<'_>) -> Result<()> {
        console.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

/// The part of the trace that has to be read.
fn range(trace: &Trace, args: &EventsArgs, choice: &Choice) -> Range {
    let clock = trace.clock();
    let Span { start, end } = choice.selection.span;
    let from = if start == Span::ALL.start {
        0
    } else {
        clock.tsc(start)
    };
    let to = if end == Span::ALL.end {
        u64::MAX
    } else {
        clock.tsc(end)
    };
    // Where both are asked for, an event of the thread is one of the process.
    let threads = match (&args.tid[..], &args.part.pid[..]) {
        ([], pids) => pids,
        (tids, _) => tids,
    };
    Range {
        tscs: from..=to,
        cpus: args.part.cpu.iter().copied().map(CpuId).collect(),
        events: choice.only_events(),
        threads: threads.iter().copied().map(u64::from).collect(),
    }
}

/// Understands the condition of an option, for the events of a trace.
pub(crate) fn condition(option: &str, text: &str, schema: &Schema) -> Result<BoundFilter> {
    let filter = Filter::parse(text);
    let filter = filter.with_context(|| format!("{option} cannot be understood"))?;
    let bound = filter.bind(schema);
    bound.with_context(|| format!("{option} does not fit this trace"))
}

impl Choice {
    fn new(args: &EventsArgs, span: Span, schema: &Schema) -> Result<Self> {
        let filter = match &args.filter {
            Some(text) => Some(condition("--filter", text, schema)?),
            None => None,
        };
        let selection = args.part.selection_within(span);
        let part = &args.part;
        let is_selective = part.time.from.is_some()
            || part.time.to.is_some()
            || !(part.cpu.is_empty()
                && part.pid.is_empty()
                && part.comm.is_empty()
                && args.tid.is_empty());
        let mut choice = Self {
            events: Vec::new(),
            contexts: false,
            selection,
            is_selective,
            tids: args.tid.iter().copied().map(Tid).collect(),
            filter,
        };
        choice.choose_events(&args.event, schema)?;
        Ok(choice)
    }

    fn choose_events(&mut self, patterns: &[String], schema: &Schema) -> Result<()> {
        let chosen = events_named(patterns, schema)?;
        let context = schema.event_named("thread_context");
        self.contexts = context.is_some_and(|event| chosen.contains(&event.id));
        let count = schema
            .events
            .last()
            .map_or(0, |event| usize::from(event.id.0) + 1);
        self.events = vec![patterns.is_empty(); count];
        for event in chosen {
            self.events[usize::from(event.0)] = true;
        }
        Ok(())
    }

    /// Whether a gap may lack what was chosen.
    fn concerns(&self, gap: &Gap) -> bool {
        let Selection { span, cpus, .. } = &self.selection;
        let is_of_cpu = match gap.kind {
            GapKind::Lost(cpu, _) => cpus.is_empty() || cpus.contains(&cpu),
            GapKind::NotRecorded => true,
        };
        let begins = gap.from.is_none_or(|from| from < span.end);
        let ends = gap.to.is_none_or(|to| to >= span.start);
        is_of_cpu && begins && ends
    }

    /// The events that alone are to be shown; empty for all.
    fn only_events(&self) -> Vec<EventId> {
        if self.events.iter().all(|is_chosen| *is_chosen) {
            return Vec::new();
        }
        let ids = (0..=u16::MAX).zip(&self.events);
        ids.filter(|(_, is_chosen)| **is_chosen)
            .map(|(id, _)| EventId(id))
            .collect()
    }

    /// The event that is the only one to be shown.
    fn only_event<'s>(&self, schema: &'s Schema) -> Option<&'s EventSchema> {
        let mut chosen = schema
            .events
            .iter()
            .filter(|event| self.events[usize::from(event.id.0)]);
        chosen.next().filter(|_| chosen.next().is_none())
    }

    #[inline]
    fn has(&self, record: &Record<'_>) -> bool {
        !record.is_repeated
            && (!record.is_context || self.contexts)
            && self.events.get(usize::from(record.event.0)) == Some(&true)
            && (!self.is_selective || self.is_of_interest(record))
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(record))
    }

    fn is_of_interest(&self, record: &Record<'_>) -> bool {
        self.selection.has_record(record)
            && (self.tids.is_empty() || self.tids.contains(&record.context.tid))
    }
}

/// Whether a condition is a word, which can only be meant as the name of an event when it is not that of a field.
pub(crate) fn is_word(text: &str) -> bool {
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    text.bytes().all(is_of_word)
}

/// Says that a trace has no event of a name, and which one is probably meant.
pub(crate) fn no_event(name: &str, schema: &Schema) -> Usage {
    let of_trace = nearest(name, schema.events.iter().map(|event| event.name.as_str()));
    let table = EventTable::builtin();
    let known = || table.events().iter().map(|row| row.name.as_str());
    let of_table = if known().any(|known| known == name) {
        Some(name.to_owned())
    } else {
        nearest(name, known()).filter(|_| of_trace.is_none())
    };
    let meant = of_trace.as_ref().or(of_table.as_ref());
    let meant = meant.filter(|meant| *meant != name);
    let meant = meant.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
    let usage = Usage::new(format!("the trace has no event {name:?}{meant}"));
    match of_table {
        Some(name) => usage.hint(format!("record it with --events core,{name}")),
        None => usage.hint("`guesttrace info` lists the events of a trace"),
    }
}

/// The events of those names, which may have `*` and `?`, in ascending order.
///
/// # Errors
/// When a name fits none.
pub(crate) fn events_named(patterns: &[String], schema: &Schema) -> Result<Vec<EventId>> {
    let mut chosen = Vec::new();
    for pattern in patterns {
        let glob = Glob::new(pattern);
        let before = chosen.len();
        let fits = schema
            .events
            .iter()
            .filter(|event| glob.matches(event.name.as_bytes()));
        chosen.extend(fits.map(|event| event.id));
        if chosen.len() == before {
            return Err(no_event(pattern, schema).into());
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// What is said where a trace has no events.
    fn check(name: &str, expected: Expect) {
        let mut said = Vec::new();
        failure::report(&no_event(name, &Schema::default()).into(), &mut said);
        expected.assert_eq(&String::from_utf8(said).unwrap());
    }

    #[test]
    fn an_event_that_was_not_recorded_is_told_from_one_that_there_is_not() {
        check(
            "futex_start",
            expect![[r#"
                error: the trace has no event "futex_start"
                hint: record it with --events core,futex_start
            "#]],
        );
        check(
            "futex_stat",
            expect![[r#"
                error: the trace has no event "futex_stat"; did you mean "futex_start"?
                hint: record it with --events core,futex_start
            "#]],
        );
        check(
            "nothing_of_the_like",
            expect![[r#"
                error: the trace has no event "nothing_of_the_like"
                hint: `guesttrace info` lists the events of a trace
            "#]],
        );
    }
}
