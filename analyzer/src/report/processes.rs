//! `processes`: where each thread's life went, LTT's account of each process, and the machine's time.

use std::collections::BTreeMap;

use super::accounts::{Accounts, ThreadAccount, Times};
use super::io::{Io, Moved};
use super::names::Leaders;
use super::options::Options;
use super::pass::{Pass, run};
use super::selection::Selection;
use super::syscalls::{self, Calls};
use super::table::{Cell, Column, Report, Shape, Table, column};
use crate::model::{Activity, GuestNanos, Machine, Pid, Thread, ThreadIndex, Threads};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let selection = &options.selection;
    let accounts = Accounts::new(selection.clone());
    let parts = (accounts, (Calls::new(selection), Io::new(selection)));
    let pass = run(trace, selection, parts)?;
    let (accounts, (calls, io)) = &pass.analysis;
    Ok(Report {
        name: "processes",
        tables: vec![
            system_table(&pass.machine, accounts),
            thread_table(&pass, accounts),
            process_table(&pass, accounts, &io.by_process()),
            syscalls::process_table("calls", &pass.machine, calls, options),
        ],
        findings: pass.findings,
    })
}

/// What all CPUs did.
pub(super) fn system_table(machine: &Machine, accounts: &Accounts) -> Table {
    let mut times = Times::default();
    for cpu in machine.cpus() {
        times.add(&accounts.cpu(cpu));
    }
    let total = times.total();
    let idle = times.of(Activity::Idle);
    let sum = |activities: &[Activity]| -> GuestNanos {
        activities.iter().map(|activity| times.of(*activity)).sum()
    };
    let kernel = sum(&[
        Activity::Syscall,
        Activity::Trap,
        Activity::Irq,
        Activity::Softirq,
        Activity::Kernel,
    ]);
    let unknown = sum(&[Activity::Unknown, Activity::RunningUnknown]);
    let row = |what: &str, time: GuestNanos| {
        vec![
            Cell::Text(what.to_owned()),
            Cell::Time(time),
            Cell::percent(time, total),
        ]
    };
    Table {
        name: "system",
        title: "Time of all CPUs (seconds)".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("what", "What"),
            column("time_ns", "Time"),
            column("percent", "%"),
        ],
        rows: vec![
            row("process code", times.of(Activity::User)),
            row("kernel", kernel),
            row("idle", idle),
            row("unknown", unknown),
            row("before a CPU's first event", times.of(Activity::Unseen)),
            row("all", total),
        ],
    }
}

const COLUMNS: &[Column] = &[
    column("comm", "Process"),
    column("tid", "TID"),
    column("pid", "PID"),
    column("ppid", "PPID"),
    column("running_ns", "Running"),
    column("running_percent", "%"),
    column("user_ns", "User"),
    column("syscall_ns", "Calls"),
    column("trap_ns", "Traps"),
    column("irq_ns", "Irqs"),
    column("softirq_ns", "Softirqs"),
    column("kernel_ns", "Kernel"),
    column("runnable_ns", "Runnable"),
    column("waiting_ns", "Waiting"),
    column("unknown_ns", "Unknown"),
    column("syscalls", "Calls made"),
    column("traps", "Traps taken"),
];

/// A process: LTT's account of it, and its place in the tree.
#[derive(Debug, Default)]
struct Process {
    times: Times,
    io_wait: GuestNanos,
    threads: u64,
    calls: u64,
    traps: u64,
}

/// Every process with its account, below the one that made it.
fn process_table<A>(pass: &Pass<A>, accounts: &Accounts, moved: &BTreeMap<Pid, Moved>) -> Table {
    let threads = pass.machine.threads();
    let mut processes: BTreeMap<Pid, Process> = BTreeMap::new();
    for (index, thread) in threads.iter() {
        // The idle threads are no process.
        if thread.idle_of.is_some() || !is_shown(&pass.selection, accounts, index, thread) {
            continue;
        }
        let account = accounts.thread(index);
        let process = processes.entry(thread.process()).or_default();
        process.times.add(&account.times);
        process.io_wait += account.io_wait;
        process.threads += 1;
        process.calls += account.syscall_count;
        process.traps += account.trap_count;
    }
    let leaders = Leaders::new(&pass.machine);
    let rows = process_tree(threads, &leaders)
        .into_iter()
        .filter_map(|(depth, pid)| {
            let process = processes.get(&pid)?;
            let thread = &threads[leaders.of(pid)?];
            let moved = moved.get(&pid).cloned().unwrap_or_default();
            Some(process_row(pass, (depth, thread), process, &moved))
        });
    Table {
        name: "processes",
        title: "Processes, below the one that made them (seconds; % of what their threads lived)"
            .to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("comm", "Process"),
            column("pid", "PID"),
            column("ppid", "PPID"),
            column("program", "Program"),
            column("born_ns", "From"),
            column("died_ns", "To"),
            column("threads", "Threads"),
            column("running_ns", "Running"),
            column("running_percent", "%"),
            column("user_ns", "Process code"),
            column("user_percent", "%"),
            column("io_wait_ns", "I/O wait"),
            column("io_wait_percent", "%"),
            column("syscalls", "Calls"),
            column("traps", "Traps"),
            column("read_bytes", "Bytes read"),
            column("written_bytes", "Written"),
        ],
        rows: rows.collect(),
    }
}

fn process_row<A>(
    pass: &Pass<A>,
    (depth, thread): (usize, &Thread),
    process: &Process,
    moved: &Moved,
) -> Vec<Cell> {
    let text = super::names::comm(thread);
    let (running, user) = (process.times.running(), process.times.of(Activity::User));
    // Of what its threads lived, together: more than one of them can run, or wait, at a time.
    let life = process.times.total();
    let program = thread.program.as_deref();
    vec![
        Cell::Branch { depth, text },
        Cell::Count(u64::from(thread.process().0)),
        number(parent_process(pass.machine.threads(), thread)),
        program.map_or(Cell::Absent, Cell::guest_text),
        Cell::Time(thread.born),
        thread.died.map_or(Cell::Absent, Cell::Time),
        Cell::Count(process.threads),
        Cell::Time(running),
        Cell::percent(running, life),
        Cell::Time(user),
        Cell::percent(user, life),
        Cell::Time(process.io_wait),
        Cell::percent(process.io_wait, life),
        Cell::Count(process.calls),
        Cell::Count(process.traps),
        Cell::Count(moved.read_bytes),
        Cell::Count(moved.written_bytes),
    ]
}

/// Every process below the one that made it, with its depth.
fn process_tree(threads: &Threads, leaders: &Leaders) -> Vec<(usize, Pid)> {
    let mut depths: BTreeMap<Pid, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for (_, index) in tree(threads) {
        let thread = &threads[index];
        let pid = thread.process();
        if thread.idle_of.is_some() || leaders.of(pid) != Some(index) {
            continue;
        }
        // Threads of a process are no steps of the tree of processes; what made a process stands before it.
        let parent = parent_process(threads, thread);
        let depth = match parent.and_then(|parent| depths.get(&parent)) {
            Some(above) => above + 1,
            None => 0,
        };
        depths.insert(pid, depth);
        order.push((depth, pid));
    }
    order
}

/// Whether a thread lived in the selection and belongs to it.
fn is_shown(
    selection: &Selection,
    accounts: &Accounts,
    index: ThreadIndex,
    thread: &Thread,
) -> bool {
    let lived = accounts.thread(index).times.total().0 > 0 || selection.span.contains(thread.born);
    lived && selection.has_thread(thread)
}

fn thread_table<A>(pass: &Pass<A>, accounts: &Accounts) -> Table {
    let threads = pass.machine.threads();
    let mut rows = Vec::new();
    for (depth, index) in tree(threads) {
        let thread = &threads[index];
        if is_shown(&pass.selection, accounts, index, thread) {
            rows.push(thread_row(pass, depth, thread, &accounts.thread(index)));
        }
    }
    let note = if pass.machine.wakes_seen() {
        ""
    } else {
        "; without wake-ups, time spent runnable counts as waiting"
    };
    Table {
        name: "threads",
        title: format!("Threads, below the thread that made them (seconds{note})"),
        shape: Shape::Rows,
        columns: COLUMNS.to_vec(),
        rows,
    }
}

fn thread_row<A>(
    pass: &Pass<A>,
    depth: usize,
    thread: &Thread,
    account: &ThreadAccount,
) -> Vec<Cell> {
    let times = &account.times;
    let of = |activity: Activity| Cell::Time(times.of(activity));
    // An idle thread waits for nothing: when it does not run, others do.
    let off_cpu = |activity: Activity| match thread.idle_of {
        Some(_) => Cell::Absent,
        None => of(activity),
    };
    let mut own = times.of(Activity::Kernel);
    own += times.of(Activity::Idle);
    let mut unknown = times.of(Activity::RunningUnknown);
    if thread.idle_of.is_none() {
        unknown += times.of(Activity::Unknown);
    }
    vec![
        Cell::Branch {
            depth,
            text: super::guest_text(if thread.comm.is_empty() {
                b"?"
            } else {
                &thread.comm
            }),
        },
        Cell::Count(u64::from(thread.tid.0)),
        number(thread.pid),
        number(parent_process(pass.machine.threads(), thread)),
        Cell::Time(times.running()),
        Cell::percent(times.running(), pass.length()),
        of(Activity::User),
        of(Activity::Syscall),
        of(Activity::Trap),
        of(Activity::Irq),
        of(Activity::Softirq),
        Cell::Time(own),
        off_cpu(Activity::Runnable),
        off_cpu(Activity::Blocked),
        Cell::Time(unknown),
        Cell::Count(account.syscall_count),
        Cell::Count(account.trap_count),
    ]
}

fn number(pid: Option<Pid>) -> Cell {
    Cell::count_or_absent(pid.map(|pid| u64::from(pid.0)))
}

/// The process that made the thread's process.
fn parent_process(threads: &Threads, thread: &Thread) -> Option<Pid> {
    let mut parent = &threads[thread.parent?];
    // A thread that joined its maker's process has that process's parent. Makers are older, so this ends.
    while parent.pid == thread.pid && parent.idle_of.is_none() {
        parent = &threads[parent.parent?];
    }
    parent.pid
}

/// Every thread below the one that made it, with its depth; siblings in the order in which they became known.
fn tree(threads: &Threads) -> Vec<(usize, ThreadIndex)> {
    let mut children: std::collections::BTreeMap<Option<ThreadIndex>, Vec<ThreadIndex>> =
        std::collections::BTreeMap::new();
    for (index, thread) in threads.iter() {
        children.entry(thread.parent).or_default().push(index);
    }
    let mut order = Vec::new();
    let mut open: Vec<(usize, ThreadIndex)> = Vec::new();
    let push = |open: &mut Vec<_>, depth, parent| {
        let below = children.get(&parent).into_iter().flatten();
        open.extend(below.rev().map(|index| (depth, *index)));
    };
    push(&mut open, 0, None);
    while let Some((depth, index)) = open.pop() {
        order.push((depth, index));
        push(&mut open, depth + 1, Some(index));
    }
    order
}
