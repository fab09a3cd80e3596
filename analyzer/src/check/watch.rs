//! The one pass in which all rules about events and states are judged.

use trace_format::EventId;

use super::bind::{Bound, Fit};
use super::judge::{Ending, Judge, Judged};
use crate::export::{LineFormat, LineWriter};
use crate::model::{
    Activity, CpuId, GuestNanos, KernelEvent, Machine, Moment, Observer, Span, ThreadInterval,
};
use crate::report::Analysis;
use crate::sources::{Loss, Record, Trace};

/// Most conditions that a rule has.
pub(super) const ROLES: usize = 3;

/// A rule that is being judged.
#[derive(Debug)]
pub(super) struct Watched {
    /// Which of the rules it is.
    pub(super) rule: usize,
    pub(super) window: Span,
    /// Its conditions, at the places where its judge knows them.
    pub(super) bounds: [Option<Bound>; ROLES],
    pub(super) judge: Judge,
}

/// All rules that are judged in a pass.
#[derive(Debug)]
pub(super) struct Watch {
    watched: Vec<Watched>,
    /// By event, the rules to which it may matter.
    by_event: Vec<Vec<usize>>,
    /// Those that are about states.
    of_states: Vec<usize>,
    lines: Lines,
    /// Where recording was stopped, while it is.
    stopped: Option<GuestNanos>,
    /// Whether any event was told to be missing.
    pub(super) saw_loss: bool,
}

/// Writes records, for those who read a verdict.
#[derive(Debug)]
pub(super) struct Lines {
    writer: LineWriter,
    fields: LineWriter,
    buffer: Vec<u8>,
}

impl Lines {
    fn new(trace: &Trace) -> Self {
        let writer = LineWriter::new(trace.schema(), LineFormat::Text);
        Self {
            writer: writer.with_symbols(trace.symbols()),
            fields: LineWriter::new(trace.schema(), LineFormat::Json),
            buffer: Vec::new(),
        }
    }

    /// A record as one line.
    pub(super) fn line(&mut self, record: &Record<'_>) -> String {
        self.buffer.clear();
        self.writer.push_untimed(&mut self.buffer, record);
        String::from_utf8_lossy(&self.buffer).trim_end().to_owned()
    }

    /// A field of a record, or of whom it is about, as text: as `events --format json` has it.
    pub(super) fn value(&mut self, record: &Record<'_>, name: &str) -> Option<String> {
        self.buffer.clear();
        self.fields.push(&mut self.buffer, record);
        let line: serde_json::Value = serde_json::from_slice(&self.buffer).ok()?;
        let is_context = matches!(name, "comm" | "pid" | "tid" | "cpu");
        let value = match (is_context, name.rsplit_once('.')) {
            (true, _) => line.get(name)?,
            (false, Some((_, field))) => line.get("fields")?.get(field)?,
            (false, None) => line.get("fields")?.get(name)?,
        };
        match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

impl Watch {
    /// Judges these.
    pub(super) fn new(trace: &Trace, watched: Vec<Watched>) -> Self {
        let ids = trace.schema().events.iter().map(|event| event.id);
        let last = ids.clone().max().map_or(0, |id| usize::from(id.0) + 1);
        let mut by_event = vec![Vec::new(); last];
        for id in ids {
            let matters =
                |one: &Watched| one.bounds.iter().flatten().any(|bound| bound.may_fit(id));
            let rules = (0..watched.len()).filter(|index| matters(&watched[*index]));
            by_event[usize::from(id.0)] = rules.collect();
        }
        let is_state = |index: &usize| matches!(watched[*index].judge, Judge::State(_));
        let of_states = (0..watched.len()).filter(is_state).collect();
        Self {
            watched,
            by_event,
            of_states,
            lines: Lines::new(trace),
            stopped: None,
            saw_loss: false,
        }
    }

    /// What became of the rules, with which each it is.
    pub(super) fn finish(self, ending: &Ending) -> Vec<(usize, Judged)> {
        let judged = self.watched.into_iter().map(|mut one| {
            if let Some(gap) = &ending.gap
                && gap.since < one.window.end
            {
                one.judge
                    .doubt_whole(gap.since.max(one.window.start), &gap.reason);
            }
            let end = ending.end.min(one.window.end);
            (one.rule, one.judge.finish(end))
        });
        judged.collect()
    }

    /// Events between two times are missing.
    fn lose(&mut self, since: GuestNanos, at: GuestNanos) {
        for one in &mut self.watched {
            if since < one.window.end && at >= one.window.start {
                one.judge.lose(since.max(one.window.start));
            }
        }
    }
}

impl Analysis for Watch {
    fn record(&mut self, _: &Machine, record: &Record<'_>) {
        let EventId(id) = record.event;
        let Some(rules) = self.by_event.get(usize::from(id)) else {
            return;
        };
        for index in rules {
            let one = &mut self.watched[*index];
            if !one.window.contains(record.at) {
                continue;
            }
            let mut fits = [Fit::No; ROLES];
            for (fit, bound) in fits.iter_mut().zip(&one.bounds) {
                *fit = bound.as_ref().map_or(Fit::No, |bound| bound.fit(record));
            }
            if fits != [Fit::No; ROLES] {
                one.judge.record(fits, record, &mut self.lines);
            }
        }
    }

    fn loss(&mut self, loss: &Loss) {
        self.saw_loss = true;
        self.lose(loss.since.unwrap_or(GuestNanos(0)), loss.at);
    }
}

impl Observer for Watch {
    fn event(&mut self, _: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        // What was recorded is the trace; only a hole in the midst of it is something that is missing.
        match event {
            KernelEvent::RecordingStop(_) => self.stopped = Some(moment.at),
            KernelEvent::RecordingStart(_) => {
                if let Some(since) = self.stopped.take() {
                    self.lose(since, moment.at);
                }
            }
            _ => {}
        }
    }

    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        for index in &self.of_states {
            let one = &mut self.watched[*index];
            if let Judge::State(judge) = &mut one.judge {
                judge.thread_interval(machine, interval, one.window);
            }
        }
    }

    fn cpu_interval(&mut self, _: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        for index in &self.of_states {
            let one = &mut self.watched[*index];
            if let Judge::State(judge) = &mut one.judge {
                judge.cpu_interval(cpu, activity, span.within(one.window));
            }
        }
    }
}
