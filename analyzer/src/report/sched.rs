//! `sched` and `wakeups`: who ran how long, who had to wait for a CPU and because of whom, who wakes whom.

use std::collections::BTreeMap;

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::names::{Namer, comm, thread_label};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    Activity, Cause, CpuId, GuestNanos, KernelEvent, Machine, Moment, Observer, Scheduling,
    ThreadIndex, ThreadInterval, Tid,
};
use crate::sources::{Trace, TraceError};

/// Makes the report of scheduling.
pub(super) fn sched(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Sched::new(options))?;
    let tables = vec![
        thread_table(&pass).first(options.accounts_max),
        preemption_table(&pass, &Namer::new(trace)).first(options.top),
        pass.analysis.every().histogram(
            "histogram",
            "From being woken to running, all threads (microseconds)".to_owned(),
        ),
    ];
    Ok(Report {
        name: "sched",
        tables,
        findings: pass.findings,
    })
}

/// Makes the report of wake-ups.
pub(super) fn wakeups(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Sched::new(options))?;
    Ok(Report {
        name: "wakeups",
        tables: vec![wake_table(&pass, &Namer::new(trace)).first(options.top)],
        findings: pass.findings,
    })
}

/// What the scheduler did within a selection.
struct Sched {
    selection: Selection,
    threads: BTreeMap<ThreadIndex, Account>,
    /// Who took the CPU of whom.
    preemptions: BTreeMap<(Cause, ThreadIndex), Distribution>,
    /// The thread that took its CPU from a thread, which has been runnable since.
    taken_by: BTreeMap<ThreadIndex, ThreadIndex>,
    wakes: BTreeMap<(Cause, ThreadIndex), Distribution>,
}

#[derive(Default)]
struct Account {
    running: GuestNanos,
    switched_in: u64,
    preempted: u64,
    migrations: u64,
    blocked: GuestNanos,
    /// From being woken to running.
    latency: Distribution,
    /// From losing the CPU to having one again.
    preemption: GuestNanos,
    worst_at: GuestNanos,
}

impl Sched {
    fn new(options: &Options) -> Self {
        Self {
            selection: options.selection.clone(),
            threads: BTreeMap::new(),
            preemptions: BTreeMap::new(),
            taken_by: BTreeMap::new(),
            wakes: BTreeMap::new(),
        }
    }

    fn every(&self) -> Distribution {
        let parts = self.threads.values();
        parts.map(|account| &account.latency).sum()
    }

    /// A thread has a CPU again after it could have run for a while.
    fn waited(&mut self, interval: &ThreadInterval<'_>) {
        let length = interval.span.length();
        let thread = interval.thread;
        let account = self.threads.entry(interval.index).or_default();
        match &thread.waker {
            Some(waker) => {
                if account.latency.count() == 0 || length > account.latency.max() {
                    account.worst_at = interval.span.start;
                }
                account.latency.add(length);
                let pair = (Cause::of(Some(waker)), interval.index);
                self.wakes.entry(pair).or_default().add(length);
            }
            None => {
                account.preemption += length;
                if let Some(taker) = self.taken_by.remove(&interval.index) {
                    let pair = (Cause::Thread(taker), interval.index);
                    self.preemptions.entry(pair).or_default().add(length);
                }
            }
        }
    }
}

impl Analysis for Sched {}

impl Observer for Sched {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        let has = |thread: ThreadIndex| {
            self.selection.span.contains(moment.at)
                && self.selection.has_cpu(moment.cpu)
                && self.selection.has_thread(&machine.threads()[thread])
        };
        match event {
            KernelEvent::SchedSwitch(switch) => {
                let next = switch.next_pid;
                if let Some(next) = machine.threads().with_tid(next).filter(|next| has(*next)) {
                    self.threads.entry(next).or_default().switched_in += 1;
                }
                let left = switch.prev_state.map(Scheduling::from_kernel);
                let (prev, next) = (
                    machine.current(moment.cpu),
                    machine.threads().with_tid(next),
                );
                if let (Some(Scheduling::Runnable), Some(prev), Some(next)) = (left, prev, next)
                    && switch.prev_pid != Tid(0)
                {
                    self.taken_by.insert(prev, next);
                    if has(prev) {
                        self.threads.entry(prev).or_default().preempted += 1;
                    }
                }
            }
            KernelEvent::SchedMigrate(migration) => {
                let thread = machine.threads().with_tid(migration.pid);
                if let Some(thread) = thread.filter(|thread| has(*thread)) {
                    self.threads.entry(thread).or_default().migrations += 1;
                }
            }
            _ => {}
        }
    }

    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let thread = interval.thread;
        let elsewhere = interval
            .cpu
            .is_some_and(|cpu: CpuId| !self.selection.has_cpu(cpu));
        if thread.idle_of.is_some() || elsewhere || !self.selection.has_thread(thread) {
            return;
        }
        let inside = interval.span.within(self.selection.span).length();
        match interval.activity {
            // A wait counts where it ends: half of one would be no latency.
            Activity::Runnable if self.selection.span.contains(interval.span.end) => {
                let runs = matches!(thread.scheduling, Scheduling::Running(_));
                if runs {
                    self.waited(interval);
                }
            }
            Activity::Blocked => {
                self.threads.entry(interval.index).or_default().blocked += inside;
            }
            activity if activity.is_running() => {
                self.threads.entry(interval.index).or_default().running += inside;
            }
            _ => {}
        }
    }
}

fn thread_table(pass: &Pass<Sched>) -> Table {
    let mut threads: Vec<(&ThreadIndex, &Account)> = pass.analysis.threads.iter().collect();
    threads.sort_by_key(|(index, account)| (std::cmp::Reverse(account.latency.max()), **index));
    let rows = threads.into_iter().map(|(index, account)| {
        let thread = &pass.machine.threads()[*index];
        let waited = account.latency.count() > 0;
        let of = |cell: Cell| if waited { cell } else { Cell::Absent };
        vec![
            Cell::Text(comm(thread)),
            Cell::Count(u64::from(thread.tid.0)),
            Cell::Count(u64::from(thread.process().0)),
            Cell::Time(account.running),
            Cell::Count(account.switched_in),
            Cell::Time(account.blocked),
            Cell::Time(account.preemption),
            Cell::Count(account.preempted),
            Cell::Count(account.migrations),
            Cell::Count(account.latency.count()),
            of(Cell::Length(account.latency.mean())),
            of(Cell::Length(account.latency.percentile(99))),
            of(Cell::Length(account.latency.max())),
            of(Cell::Time(account.worst_at)),
        ]
    });
    Table {
        name: "threads",
        title: "Threads (seconds); delay is the time from being woken to running (microseconds)"
            .to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("comm", "Process"),
            column("tid", "TID"),
            column("pid", "PID"),
            column("running_ns", "Running"),
            column("switches", "Switches"),
            column("blocked_ns", "Blocked"),
            column("preempted_ns", "Preempted"),
            column("preemptions", "Times"),
            column("migrations", "Migrations"),
            column("wakeups", "Wake-ups"),
            column("delay_mean_ns", "Mean delay"),
            column("delay_p99_ns", "99 %"),
            column("delay_max_ns", "Max"),
            column("delay_max_at_ns", "At"),
        ],
        rows: rows.collect(),
    }
}

/// Pairs with their waits, the longest total first.
fn pair_rows(
    pass: &Pass<Sched>,
    namer: &Namer,
    pairs: &BTreeMap<(Cause, ThreadIndex), Distribution>,
) -> Vec<Vec<Cell>> {
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort_by_key(|(pair, waits)| (std::cmp::Reverse(waits.total()), **pair));
    let row = |((one, other), waits): (&(Cause, ThreadIndex), &Distribution)| {
        let mut row = vec![
            Cell::Text(namer.cause(&pass.machine, *one)),
            Cell::Text(thread_label(&pass.machine.threads()[*other])),
        ];
        row.extend(waits.cells());
        row
    };
    pairs.into_iter().map(row).collect()
}

fn preemption_table(pass: &Pass<Sched>, namer: &Namer) -> Table {
    let mut columns = vec![column("taker", "Took the CPU"), column("thread", "Of")];
    columns.extend(DISTRIBUTION_COLUMNS);
    Table {
        name: "preemptions",
        title:
            "Who took the CPU of whom, and how long that waited to have one again (microseconds)"
                .to_owned(),
        shape: Shape::Rows,
        columns,
        rows: pair_rows(pass, namer, &pass.analysis.preemptions),
    }
}

fn wake_table(pass: &Pass<Sched>, namer: &Namer) -> Table {
    let mut columns = vec![column("waker", "Waker"), column("thread", "Woken")];
    columns.extend(DISTRIBUTION_COLUMNS);
    Table {
        name: "wakeups",
        title: "Who wakes whom, and how long it takes until that runs (microseconds)".to_owned(),
        shape: Shape::Rows,
        columns,
        rows: pair_rows(pass, namer, &pass.analysis.wakes),
    }
}
