//! `futex`: who waited at which lock, how long, and who let it go on.
//!
//! A futex is known by its address in a process: one in shared memory is a row in each process that uses it. System calls
//! tell what a thread asked for, the scheduler whether it slept, and the wake-up who ended that: the thread that gave the
//! lock back, as far as it is the kernel that sees it.

use std::collections::{BTreeMap, HashMap};

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::largest::largest;
use super::names::{Leaders, Namer, thread_label};
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Table, column};
use crate::model::{
    Activity, Asked, Cause, Frame, FrameInterval, FutexUse, GuestNanos, Machine, Observer, Pid,
    ThreadIndex, ThreadInterval, errno_of,
};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let mut pass = run(trace, &options.selection, Futexes::new(&options.selection))?;
    let (analysis, machine) = (&mut pass.analysis, &pass.machine);
    analysis.count_waiting(machine);
    let namer = Namer::new(trace);
    let tables = vec![
        futex_table(&pass, options.top),
        pair_table(&pass, &namer, options.top),
        pass.analysis.every().histogram(
            "histogram",
            "Time asleep at a futex, all threads (microseconds)".to_owned(),
        ),
    ];
    let needs = [
        need(
            &["syscall_entry", "syscall_exit"],
            "what threads did at futexes is not known",
        ),
        need(
            &["sched_switch"],
            "it is not known how long threads slept at them",
        ),
        need(
            &["sched_waking", "sched_wakeup"],
            "it is not known who ended a wait",
        ),
    ];
    Ok(Report {
        name: "futex",
        tables,
        findings: with_needs(trace, pass.findings, &needs),
    })
}

/// What happened at futexes within a selection.
struct Futexes {
    selection: Selection,
    /// The sleep of the call that a thread is in.
    open: HashMap<ThreadIndex, Sleep>,
    futexes: BTreeMap<(Pid, Option<u64>), Futex>,
    pairs: BTreeMap<Pair, Distribution>,
}

/// A sleep at a futex.
#[derive(Clone, Copy, Debug)]
struct Sleep {
    length: GuestNanos,
    ended_by: Cause,
}

/// A futex as one process sees it.
#[derive(Debug, Default)]
struct Futex {
    waits: u64,
    /// Those that found another value than they expected: they went on at once.
    changed: u64,
    timed_out: u64,
    wakes: u64,
    woken: u64,
    /// Threads that wait when the trace ends.
    waiting: u64,
    slept: Distribution,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    waiter: ThreadIndex,
    ended_by: Cause,
    addr: Option<u64>,
}

const EAGAIN: u64 = 11;
const ETIMEDOUT: u64 = 110;

impl Futexes {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            open: HashMap::new(),
            futexes: BTreeMap::new(),
            pairs: BTreeMap::new(),
        }
    }

    fn every(&self) -> Distribution {
        self.futexes.values().map(|futex| &futex.slept).sum()
    }

    fn waited(&mut self, machine: &Machine, interval: &FrameInterval<'_>, addr: Option<u64>) {
        let sleep = self.open.remove(&interval.thread);
        let thread = &machine.threads()[interval.thread];
        if !self.selection.has_end(interval, thread) {
            return;
        }
        let futex = self.futexes.entry((thread.process(), addr)).or_default();
        futex.waits += 1;
        match interval.ret.and_then(errno_of) {
            Some(EAGAIN) => futex.changed += 1,
            Some(ETIMEDOUT) => futex.timed_out += 1,
            _ => {}
        }
        if let Some(sleep) = sleep {
            futex.slept.add(sleep.length);
            let pair = Pair {
                waiter: interval.thread,
                ended_by: sleep.ended_by,
                addr,
            };
            self.pairs.entry(pair).or_default().add(sleep.length);
        }
    }

    fn woke(&mut self, machine: &Machine, interval: &FrameInterval<'_>, addr: Option<u64>) {
        let thread = &machine.threads()[interval.thread];
        if self.selection.has_end(interval, thread) {
            let futex = self.futexes.entry((thread.process(), addr)).or_default();
            futex.wakes += 1;
            let woken = interval.ret.and_then(|ret| u64::try_from(ret).ok());
            futex.woken = futex.woken.saturating_add(woken.unwrap_or(0));
        }
    }

    /// Counts who is still waiting at the end.
    fn count_waiting(&mut self, machine: &Machine) {
        for (_, thread) in machine.threads().iter() {
            if thread.died.is_some() || !self.selection.has_thread(thread) {
                continue;
            }
            for open in &thread.frames {
                if let Frame::Syscall { abi, nr } = open.frame
                    && let Some(FutexUse::Wait { addr }) = machine.futex_use(abi, nr, &open.args)
                {
                    let key = (thread.process(), addr);
                    self.futexes.entry(key).or_default().waiting += 1;
                }
            }
        }
    }
}

impl Analysis for Futexes {}

impl Observer for Futexes {
    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let thread = interval.thread;
        if interval.activity != Activity::Blocked || !matches!(thread.asked, Asked::Futex { .. }) {
            return;
        }
        let sleep = self.open.entry(interval.index).or_insert(Sleep {
            length: GuestNanos(0),
            ended_by: Cause::Unknown,
        });
        sleep.length += interval.span.length();
        sleep.ended_by = Cause::of(thread.waker.as_ref());
    }

    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let Frame::Syscall { abi, nr } = interval.frame() else {
            return;
        };
        match machine.futex_use(abi, nr, &interval.open.args) {
            Some(FutexUse::Wait { addr }) => self.waited(machine, interval, addr),
            Some(FutexUse::Wake { addr }) => {
                self.open.remove(&interval.thread);
                self.woke(machine, interval, addr);
            }
            None => {}
        }
    }
}

fn address(addr: Option<u64>) -> Cell {
    addr.map_or(Cell::Absent, Cell::Hex)
}

fn futex_table(pass: &Pass<Futexes>, top: usize) -> Table {
    let leaders = Leaders::new(&pass.machine);
    let futexes = largest(&pass.analysis.futexes, top, |futex| {
        (futex.slept.total(), futex.waiting, futex.waits)
    });
    let rows = futexes.rows(|(pid, addr), futex| {
        let mut row = vec![
            Cell::Text(leaders.name(&pass.machine, *pid)),
            Cell::Count(u64::from(pid.0)),
            address(*addr),
            Cell::Count(futex.waits),
            Cell::Count(futex.changed),
            Cell::Count(futex.timed_out),
            Cell::Count(futex.waiting),
            Cell::Count(futex.wakes),
            Cell::Count(futex.woken),
        ];
        row.extend(futex.slept.cells());
        row
    });
    let mut columns = vec![
        column("comm", "Process"),
        column("pid", "PID"),
        column("address", "Futex"),
        column("waits", "Waits"),
        column("changed", "Changed"),
        column("timed_out", "Timed out"),
        column("waiting", "Waiting"),
        column("wakes", "Wakes"),
        column("woken", "Woken"),
    ];
    columns.extend(DISTRIBUTION_COLUMNS);
    columns[9].title = "Slept";
    let what = "Futexes: calls to wait, of which it had changed meanwhile, ran out of time, still wait at the end; \
        calls to wake and whom they woke; how often and long threads slept (microseconds)";
    Table {
        name: "futexes",
        title: what.to_owned(),
        shape: futexes.shape(),
        columns,
        rows,
    }
}

fn pair_table(pass: &Pass<Futexes>, namer: &Namer, top: usize) -> Table {
    let pairs = largest(&pass.analysis.pairs, top, Distribution::total);
    let rows = pairs.rows(|pair, slept| {
        let mut row = vec![
            Cell::Text(thread_label(&pass.machine.threads()[pair.waiter])),
            Cell::Text(namer.cause(&pass.machine, pair.ended_by)),
            address(pair.addr),
        ];
        row.extend(slept.cells());
        row
    });
    let mut columns = vec![
        column("waiter", "Waiter"),
        column("owner", "Until"),
        column("address", "Futex"),
    ];
    columns.extend(DISTRIBUTION_COLUMNS);
    Table {
        name: "waiters",
        title: "Who slept until whom: the thread that had it, or what else ended the wait (microseconds)".to_owned(),
        shape: pairs.shape(),
        columns,
        rows,
    }
}
