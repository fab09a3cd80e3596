//! `signals`: who sent which signal to whom, how long until it was taken, and what came of it.
//!
//! A signal to a process may be taken by any of its threads. Of signals that are sent again before they are taken, which
//! the kernel merges unless they are for real time, the first counts.

use std::collections::{BTreeMap, HashMap};

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::largest::largest;
use super::names::{Namer, signal_label, thread_label};
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    Cause, CpuId, GuestNanos, KernelEvent, Machine, Moment, Observer, Pid, SignalDeliver,
    SignalGenerate, ThreadIndex,
};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Signals::new(&options.selection))?;
    let namer = Namer::new(trace);
    let needs = [
        need(&["signal_generate"], "it is not known who sent signals"),
        need(&["signal_deliver"], "it is not known what came of signals"),
    ];
    Ok(Report {
        name: "signals",
        tables: vec![
            signal_table(&pass),
            sender_table(&pass, &namer, options.top),
            taker_table(&pass, options.top),
        ],
        findings: with_needs(trace, pass.findings, &needs),
    })
}

/// The signals within a selection.
struct Signals {
    selection: Selection,
    /// Signals that were sent and not yet taken.
    pending: HashMap<(Receiver, u64), Sent>,
    signals: BTreeMap<u64, Signal>,
    senders: BTreeMap<(Cause, Option<ThreadIndex>, u64), Exchange>,
    takers: BTreeMap<(ThreadIndex, u64, Action), Exchange>,
}

/// Whose a pending signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Receiver {
    Thread(ThreadIndex),
    Process(Pid),
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: GuestNanos,
    by: Cause,
    to: ThreadIndex,
    is_selected: bool,
}

/// What became of one kind of signal.
#[derive(Debug, Default)]
struct Signal {
    sent: u64,
    ignored: u64,
    merged: u64,
    lost: u64,
    handled: u64,
    defaulted: u64,
    latency: Distribution,
}

/// Signals with the same sender and receiver, or taker.
#[derive(Debug, Default)]
struct Exchange {
    count: u64,
    latency: Distribution,
}

/// What a thread does with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Default,
    Ignore,
    Handler(u64),
    Unknown,
}

impl Action {
    /// `SIG_DFL` and `SIG_IGN` of the kernel are 0 and 1.
    fn of(handler: Option<u64>) -> Self {
        match handler {
            None => Self::Unknown,
            Some(0) => Self::Default,
            Some(1) => Self::Ignore,
            Some(handler) => Self::Handler(handler),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::Ignore => "ignore".to_owned(),
            Self::Handler(handler) => format!("handler {handler:#x}"),
            Self::Unknown => "?".to_owned(),
        }
    }
}

impl Signals {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            pending: HashMap::new(),
            signals: BTreeMap::new(),
            senders: BTreeMap::new(),
            takers: BTreeMap::new(),
        }
    }

    fn send(&mut self, machine: &Machine, moment: Moment, event: &SignalGenerate<'_>) {
        let by = machine.acting(moment.cpu);
        let to = event.pid.and_then(|tid| machine.threads().with_tid(tid));
        let selection = &self.selection;
        let is_selected =
            selection.has_moment(machine, moment) || selection.has_of(machine, moment, to);
        let is_pending = event.result.is_none_or(|result| result == DELIVERED);
        if let Some(to) = to.filter(|_| is_pending) {
            let receiver = match event.group {
                Some(false) => Receiver::Thread(to),
                Some(true) | None => Receiver::Process(machine.threads()[to].process()),
            };
            let at = moment.at;
            let sent = Sent {
                at,
                by,
                to,
                is_selected,
            };
            self.pending.entry((receiver, event.sig)).or_insert(sent);
        }
        if !is_selected {
            return;
        }
        let signal = self.signals.entry(event.sig).or_default();
        signal.sent += 1;
        match event.result {
            Some(IGNORED) => signal.ignored += 1,
            Some(ALREADY_PENDING) => signal.merged += 1,
            Some(OVERFLOW_FAIL | LOSE_INFO) => signal.lost += 1,
            _ => {}
        }
        self.senders.entry((by, to, event.sig)).or_default().count += 1;
    }

    fn take(&mut self, machine: &Machine, moment: Moment, event: &SignalDeliver) {
        let Some(taker) = machine.current(moment.cpu) else {
            return;
        };
        let process = machine.threads()[taker].process();
        let mut pending = |receiver| self.pending.remove(&(receiver, event.sig));
        let sent = pending(Receiver::Thread(taker)).or_else(|| pending(Receiver::Process(process)));
        let sent = sent.filter(|sent| sent.is_selected);
        let latency = sent.map(|sent| moment.at.since(sent.at));
        if let (Some(sent), Some(latency)) = (sent, latency) {
            let pair = (sent.by, Some(sent.to), event.sig);
            self.senders.entry(pair).or_default().latency.add(latency);
        }
        if sent.is_none() && !self.selection.has_moment(machine, moment) {
            return;
        }
        let action = Action::of(event.sa_handler);
        let signal = self.signals.entry(event.sig).or_default();
        match action {
            Action::Handler(_) => signal.handled += 1,
            Action::Default => signal.defaulted += 1,
            Action::Ignore | Action::Unknown => {}
        }
        let taken = self.takers.entry((taker, event.sig, action)).or_default();
        taken.count += 1;
        if let Some(latency) = latency {
            signal.latency.add(latency);
            taken.latency.add(latency);
        }
    }
}

/// What became of a signal when it was sent: `include/trace/events/signal.h`.
const DELIVERED: u64 = 0;
const IGNORED: u64 = 1;
const ALREADY_PENDING: u64 = 2;
const OVERFLOW_FAIL: u64 = 3;
const LOSE_INFO: u64 = 4;

impl Analysis for Signals {}

impl Observer for Signals {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        match event {
            KernelEvent::SignalGenerate(event) => self.send(machine, moment, event),
            KernelEvent::SignalDeliver(event) => self.take(machine, moment, event),
            KernelEvent::ProcessExit(_) => {
                let Some(thread) = machine.current(moment.cpu) else {
                    return;
                };
                // What it has not taken it never takes; of a process the last thread's end would be needed.
                self.pending
                    .retain(|(receiver, _), _| *receiver != Receiver::Thread(thread));
            }
            _ => {}
        }
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        self.pending.clear();
    }
}

fn signal_table(pass: &Pass<Signals>) -> Table {
    let rows = pass.analysis.signals.iter().map(|(number, signal)| {
        let mut row = vec![
            Cell::Count(*number),
            Cell::Text(signal_label(*number)),
            Cell::Count(signal.sent),
            Cell::Count(signal.ignored),
            Cell::Count(signal.merged),
            Cell::Count(signal.lost),
            Cell::Count(signal.handled),
            Cell::Count(signal.defaulted),
        ];
        let known = signal.latency.count() > 0;
        let latency = [
            signal.latency.mean(),
            signal.latency.percentile(99),
            signal.latency.max(),
        ];
        row.extend(latency.map(|time| {
            if known {
                Cell::Length(time)
            } else {
                Cell::Absent
            }
        }));
        row
    });
    Table {
        name: "signals",
        title: "Signals: sent, of which ignored, pending already, lost; taken by a handler, by default; \
            from being sent to being taken (microseconds)"
            .to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("number", "Number"),
            column("name", "Signal"),
            column("sent", "Sent"),
            column("ignored", "Ignored"),
            column("merged", "Pending"),
            column("lost", "Lost"),
            column("handled", "Handled"),
            column("defaulted", "Default"),
            column("latency_mean_ns", "Mean"),
            column("latency_p99_ns", "99 %"),
            column("latency_max_ns", "Max"),
        ],
        rows: rows.collect(),
    }
}

fn sender_table(pass: &Pass<Signals>, namer: &Namer, top: usize) -> Table {
    let senders = largest(&pass.analysis.senders, top, |exchange| exchange.count);
    let rows = senders.rows(|(by, to, number), exchange| {
        let to = to.map(|to| thread_label(&pass.machine.threads()[to]));
        let mut row = vec![
            Cell::Text(namer.cause(&pass.machine, *by)),
            to.map_or(Cell::Absent, Cell::Text),
            Cell::Text(signal_label(*number)),
            Cell::Count(exchange.count),
        ];
        row.extend(exchange.latency.cells());
        row
    });
    let mut columns = vec![
        column("sender", "From"),
        column("receiver", "To"),
        column("signal", "Signal"),
        column("sent", "Sent"),
    ];
    columns.extend(DISTRIBUTION_COLUMNS);
    columns[4] = column("measured", "Taken");
    Table {
        name: "senders",
        title: "Who sent signals to whom; from being sent to being taken (microseconds)".to_owned(),
        shape: senders.shape(),
        columns,
        rows,
    }
}

fn taker_table(pass: &Pass<Signals>, top: usize) -> Table {
    let takers = largest(&pass.analysis.takers, top, |exchange| exchange.count);
    let rows = takers.rows(|(thread, number, action), exchange| {
        let mut row = vec![
            Cell::Text(thread_label(&pass.machine.threads()[*thread])),
            Cell::Text(signal_label(*number)),
            Cell::Text(action.text()),
            Cell::Count(exchange.count),
        ];
        row.extend(exchange.latency.cells());
        row
    });
    let mut columns = vec![
        column("thread", "Thread"),
        column("signal", "Signal"),
        column("action", "Action"),
        column("taken", "Taken"),
    ];
    columns.extend(DISTRIBUTION_COLUMNS);
    columns[4] = column("measured", "Sent seen");
    Table {
        name: "takers",
        title: "Who took signals, and what it did; from being sent to being taken (microseconds)"
            .to_owned(),
        shape: takers.shape(),
        columns,
        rows,
    }
}
