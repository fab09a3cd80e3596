//! One pass over a trace: feeds the model, counts events, gathers what is lost or doubtful.

use trace_format::Severity;

use super::met::Met;
use super::selection::Selection;
use crate::model::{
    Binding, Doubt, GuestNanos, KernelEvent, Machine, Model, Observer, Reading, Span,
};
use crate::sources::{
    Finding, Item, Loss, Range, Record, RecordStream, Trace, TraceError, sort_findings,
};

/// What a report gathers while a trace is read. Whatever is not of interest need not be written.
pub trait Analysis: Observer {
    /// A record of any kind, those that the model does not know included: the machine is as it was just before.
    fn record(&mut self, machine: &Machine, record: &Record<'_>) {
        let _ = (machine, record);
    }

    /// Events are missing here.
    fn loss(&mut self, loss: &Loss) {
        let _ = loss;
    }

    /// Whether nothing more is wanted: the rest of the trace need not be read.
    fn is_done(&self) -> bool {
        false
    }
}

impl Analysis for () {}

impl<A: Analysis, B: Analysis> Analysis for (A, B) {
    fn record(&mut self, machine: &Machine, record: &Record<'_>) {
        self.0.record(machine, record);
        self.1.record(machine, record);
    }

    fn loss(&mut self, loss: &Loss) {
        self.0.loss(loss);
        self.1.loss(loss);
    }

    fn is_done(&self) -> bool {
        self.0.is_done() && self.1.is_done()
    }
}

/// What a pass found.
#[derive(Debug)]
pub struct Pass<A> {
    /// What was gathered.
    pub analysis: A,
    /// The machine at the end.
    pub machine: Machine,
    /// What the pass was about.
    pub selection: Selection,
    /// Events in the selection, by id.
    pub counts: Vec<u64>,
    /// All of them.
    pub event_count: u64,
    /// What is lost or doubtful in the whole trace, worst first.
    pub findings: Vec<Finding>,
    /// The selection's start.
    pub start: GuestNanos,
    /// Its end, or that of the trace.
    pub end: GuestNanos,
}

impl<A> Pass<A> {
    /// Number of events of one kind in the selection; `None` when the trace does not record that kind.
    #[must_use]
    pub fn count(&self, trace: &Trace, event: &str) -> Option<u64> {
        let kinds = trace.events_of(event);
        let counts = kinds
            .iter()
            .filter_map(|id| self.counts.get(usize::from(id.0)));
        (!kinds.is_empty()).then(|| counts.sum())
    }

    /// Takes what was gathered apart.
    pub(crate) fn split<B, C>(self, split: impl FnOnce(A) -> (B, C)) -> (B, Pass<C>) {
        let (taken, analysis) = split(self.analysis);
        let rest = Pass {
            analysis,
            machine: self.machine,
            selection: self.selection,
            counts: self.counts,
            event_count: self.event_count,
            findings: self.findings,
            start: self.start,
            end: self.end,
        };
        (taken, rest)
    }

    /// Length of what was looked at.
    #[must_use]
    pub fn length(&self) -> GuestNanos {
        self.end.since(self.start)
    }
}

/// Reads a trace once, for one analysis or several in a pair.
///
/// # Errors
/// When it cannot be read.
pub fn run<A: Analysis>(
    trace: &Trace,
    selection: &Selection,
    analysis: A,
) -> Result<Pass<A>, TraceError> {
    let mut reader = PassReader::new(trace, analysis);
    // What is behind the selection need not be read; what is before it says what is true at its start.
    let last_tsc = match selection.span.end {
        end if end == Span::ALL.end => u64::MAX,
        end => trace.clock().tsc(end),
    };
    let mut stream = trace.stream(&Range {
        tscs: 0..=last_tsc,
        ..Range::default()
    })?;
    reader.read(&mut *stream, selection)?;
    let mut findings = trace.findings();
    findings.extend(stream.damage());
    Ok(reader.finish(trace.duration(), selection, findings))
}

/// A pass that goes as far as there is something to read, and further when more has come.
#[derive(Debug)]
pub struct PassReader<A> {
    binding: Binding,
    model: Model<A>,
    counts: Vec<u64>,
    event_count: u64,
    incomplete: u64,
    met: Option<Met>,
}

impl<A: Analysis> PassReader<A> {
    /// Stands at the start of a trace.
    #[must_use]
    pub fn new(trace: &Trace, analysis: A) -> Self {
        let kinds = trace.schema().events.last();
        Self {
            binding: trace.binding(),
            model: Model::new(analysis),
            counts: vec![0; kinds.map_or(0, |event| usize::from(event.id.0) + 1)],
            event_count: 0,
            incomplete: 0,
            met: None,
        }
    }

    /// What is gathered so far, and the machine as it is now.
    pub fn parts_mut(&mut self) -> (&mut A, &Machine) {
        self.model.parts_mut()
    }

    /// Ends the pass at the end of the trace; `findings` are those that were known without it.
    #[must_use]
    pub fn finish(
        mut self,
        end: GuestNanos,
        selection: &Selection,
        mut findings: Vec<Finding>,
    ) -> Pass<A> {
        let end = end.min(selection.span.end);
        self.model.finish(end);
        self.add_findings(&mut findings);
        let (analysis, machine) = self.model.into_parts();
        if let Some(mut met) = self.met.filter(|met| !met.is_all()) {
            met.see_all(&machine);
            findings.extend(met.findings());
        }
        sort_findings(&mut findings);
        Pass {
            analysis,
            machine,
            selection: selection.clone(),
            start: selection.span.start.min(end),
            end,
            counts: self.counts,
            event_count: self.event_count,
            findings,
        }
    }

    /// Reads what the stream has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(
        &mut self,
        stream: &mut dyn RecordStream,
        selection: &Selection,
    ) -> Result<(), TraceError> {
        self.met.get_or_insert_with(|| Met::new(selection, &[]));
        while let Some(item) = stream.next_item()? {
            match item {
                Item::Loss(loss) => {
                    self.model.parts_mut().0.loss(&loss);
                    self.model.lose(loss.at, loss.cpu);
                }
                Item::Record(record) if record.at >= selection.span.end => break,
                Item::Record(record) => self.take(&record, selection),
            }
            if self.model.observer.is_done() {
                // The rest of the trace may have what is asked for.
                self.met = None;
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, record: &Record<'_>, selection: &Selection) {
        // A buffer may end between a scheduling change and its context record: then the next one repeats an old context.
        if record.is_repeated && self.model.machine().current(record.cpu).is_some() {
            return;
        }
        if !record.is_repeated && !record.is_context {
            let (analysis, machine) = self.model.parts_mut();
            analysis.record(machine, record);
        }
        if let Some(met) = self.met.as_mut().filter(|met| !met.is_all()) {
            let context = record.context;
            met.see(context.pid, context.tid, &context.comm);
        }
        match self.binding.read(record.event, &record.fields) {
            Reading::Event(event) => {
                if record.context.is_assumed && !says_who_runs(&event) {
                    self.model.start_assumed(record.at, record.cpu);
                }
                self.model.apply(record.at, record.cpu, &event);
            }
            Reading::NotModelled => {}
            Reading::Incomplete => self.incomplete += 1,
        }
        if !record.is_repeated && !record.is_context && selection.has_record(record) {
            self.event_count += 1;
            if let Some(count) = self.counts.get_mut(usize::from(record.event.0)) {
                *count += 1;
            }
        }
    }

    fn add_findings(&mut self, findings: &mut Vec<Finding>) {
        for event in self.binding.unusable() {
            let text = format!(
                "{} lacks the field {} and was not analysed.",
                event.event, event.missing
            );
            findings.push(finding(Severity::Notice, "event_unusable", None, text));
        }
        if self.incomplete > 0 {
            let text =
                "Events without a field that the analysis needs; it did without them.".to_owned();
            findings.push(finding(
                Severity::Notice,
                "event_incomplete",
                Some(self.incomplete),
                text,
            ));
        }
        let broken = self.model.machine().broken_partitions();
        self.model.add_doubts(Doubt::PartitionBroken, broken as u64);
        for (doubt, count) in self.model.machine().doubts().iter() {
            findings.push(finding(
                Severity::Notice,
                doubt.name(),
                Some(count),
                doubt.doc().to_owned(),
            ));
        }
    }
}

/// Whether an event tells by itself which thread its CPU runs.
fn says_who_runs(event: &KernelEvent<'_>) -> bool {
    matches!(
        event,
        KernelEvent::ThreadContext(_) | KernelEvent::SchedSwitch(_) | KernelEvent::CpuIdle(_)
    )
}

fn finding(severity: Severity, name: &str, count: Option<u64>, text: String) -> Finding {
    Finding {
        severity,
        name: name.to_owned(),
        count,
        text,
        advice: String::new(),
        is_gap: severity >= Severity::DataLoss,
        is_damage: severity >= Severity::DataLoss,
    }
}
