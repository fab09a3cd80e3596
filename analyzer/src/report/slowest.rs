//! `slowest`: the system calls that took longest, and what they waited for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::names::{Namer, call_name, comm, error_name};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    Abi, Activity, CallArgs, Cause, Frame, FrameInterval, GuestNanos, Machine, Observer, OpenFrame,
    Span, ThreadIndex, ThreadInterval, errno_of,
};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let slowest = Slowest {
        selection: options.selection.clone(),
        namer: Namer::new(trace),
        top: options.top,
        open: HashMap::new(),
        found: BinaryHeap::new(),
        count: 0,
    };
    let pass = run(trace, &options.selection, slowest)?;
    Ok(Report {
        name: "slowest",
        tables: vec![table(&pass)],
        findings: pass.findings,
    })
}

struct Slowest {
    selection: Selection,
    namer: Namer,
    top: usize,
    /// Waits of the call that a thread is in.
    open: HashMap<ThreadIndex, Waits>,
    /// The longest so far, the shortest of them on top.
    found: BinaryHeap<Reverse<Found>>,
    /// Names calls that are equally long.
    count: u64,
}

/// What a call waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Waits {
    runnable: GuestNanos,
    blocked: BTreeMap<Cause, GuestNanos>,
}

/// A call, ordered by its length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    length: GuestNanos,
    earlier: Reverse<u64>,
    start: GuestNanos,
    thread: ThreadIndex,
    call: (Abi, u64),
    args: CallArgs,
    ret: Option<i64>,
    waits: Waits,
}

impl Analysis for Slowest {}

impl Observer for Slowest {
    fn frame_entered(&mut self, _machine: &Machine, thread: ThreadIndex, open: &OpenFrame) {
        if matches!(open.frame, Frame::Syscall { .. }) {
            self.open.remove(&thread);
        }
    }

    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let thread = interval.thread;
        let in_call = |open: &OpenFrame| matches!(open.frame, Frame::Syscall { .. });
        let waits = matches!(interval.activity, Activity::Blocked | Activity::Runnable);
        if !waits || !thread.frames.iter().any(in_call) {
            return;
        }
        let waits = self.open.entry(interval.index).or_default();
        if interval.activity == Activity::Runnable {
            waits.runnable += interval.span.length();
        } else {
            let cause = Cause::of(thread.waker.as_ref());
            *waits.blocked.entry(cause).or_default() += interval.span.length();
        }
    }

    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let Frame::Syscall { abi, nr } = interval.frame() else {
            return;
        };
        let waits = self.open.remove(&interval.thread).unwrap_or_default();
        let thread = &machine.threads()[interval.thread];
        if !self.selection.has_end(interval, thread) {
            return;
        }
        let Span { start, .. } = interval.span;
        let length = interval.span.length();
        self.count += 1;
        let shortest = self.found.peek().map(|Reverse(found)| found.length);
        if self.found.len() >= self.top && shortest.is_none_or(|shortest| length <= shortest) {
            return;
        }
        self.found.push(Reverse(Found {
            length,
            earlier: Reverse(self.count),
            start,
            thread: interval.thread,
            call: (abi, nr),
            args: interval.open.args,
            ret: interval.ret,
            waits,
        }));
        if self.found.len() > self.top {
            self.found.pop();
        }
    }
}

fn table(pass: &Pass<Slowest>) -> Table {
    let mut found: Vec<&Found> = pass
        .analysis
        .found
        .iter()
        .map(|Reverse(found)| found)
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    let count = usize::try_from(pass.analysis.count).unwrap_or(usize::MAX);
    let left_out = count.saturating_sub(found.len());
    Table {
        name: "slowest",
        title: "The slowest system calls (start in seconds, lengths in microseconds)".to_owned(),
        shape: Shape::First { left_out },
        columns: vec![
            column("start_ns", "Start"),
            column("comm", "Process"),
            column("tid", "TID"),
            column("name", "Call"),
            column("arguments", "Arguments"),
            column("result", "Result"),
            column("length_ns", "Length"),
            column("running_ns", "Running"),
            column("runnable_ns", "Runnable"),
            column("blocked_ns", "Blocked"),
            column("waited_for", "Waited for"),
        ],
        rows: found.into_iter().map(|found| row(pass, found)).collect(),
    }
}

fn row(pass: &Pass<Slowest>, found: &Found) -> Vec<Cell> {
    let thread = &pass.machine.threads()[found.thread];
    let blocked: GuestNanos = found.waits.blocked.values().copied().sum();
    let running = found.length.since(blocked).since(found.waits.runnable);
    let mut causes: Vec<_> = found.waits.blocked.iter().collect();
    causes.sort_by_key(|(cause, time)| (Reverse(**time), **cause));
    let name = |(cause, _): &(&Cause, _)| pass.analysis.namer.cause(&pass.machine, **cause);
    let causes: Vec<String> = causes.iter().map(name).collect();
    vec![
        Cell::Time(found.start),
        Cell::Text(comm(thread)),
        Cell::Count(u64::from(thread.tid.0)),
        Cell::Text(call_name(&pass.machine, found.call.0, found.call.1)),
        Cell::Text(arguments(&found.args)),
        Cell::Text(result(found.ret)),
        Cell::Length(found.length),
        Cell::Length(running),
        Cell::Length(found.waits.runnable),
        Cell::Length(blocked),
        Cell::Text(causes.join(", ")),
    ]
}

/// The arguments that are known, up to the last that is not 0: how many a call has is not in the trace.
fn arguments(args: &CallArgs) -> String {
    let used = args.iter().rposition(|arg| arg.is_some_and(|arg| arg != 0));
    let shown = args.iter().take(used.map_or(0, |last| last + 1));
    let shown: Vec<String> = shown
        .map(|arg| match arg {
            Some(arg) if *arg < 0x1_0000 => arg.to_string(),
            Some(arg) => format!("{arg:#x}"),
            None => "?".to_owned(),
        })
        .collect();
    shown.join(", ")
}

fn result(ret: Option<i64>) -> String {
    match (ret, ret.and_then(errno_of)) {
        (_, Some(error)) => error_name(error),
        (Some(ret), None) => ret.to_string(),
        (None, None) => "?".to_owned(),
    }
}
