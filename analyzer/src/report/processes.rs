//! `processes`: where each thread's life went, and the machine's time.

use super::accounts::{Accounts, ThreadAccount, Times};
use super::options::Options;
use super::pass::{Pass, run};
use super::table::{Cell, Column, Report, Shape, Table, column};
use crate::model::{Activity, GuestNanos, Pid, Thread, ThreadIndex, Threads};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let accounts = Accounts::new(options.selection.clone());
    let pass = run(trace, &options.selection, accounts)?;
    Ok(Report {
        name: "processes",
        tables: vec![system_table(&pass), thread_table(&pass)],
        findings: pass.findings,
    })
}

fn system_table(pass: &Pass<Accounts>) -> Table {
    let mut times = Times::default();
    for cpu in pass.machine.cpus() {
        times.add(&pass.analysis.cpu(cpu));
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

fn thread_table(pass: &Pass<Accounts>) -> Table {
    let threads = pass.machine.threads();
    let selection = &pass.selection;
    let mut rows = Vec::new();
    for (depth, index) in tree(threads) {
        let thread = &threads[index];
        let account = pass.analysis.thread(index);
        let lived = account.times.total().0 > 0 || selection.span.contains(thread.born);
        if lived && selection.has_thread(thread) {
            rows.push(thread_row(pass, depth, thread, &account));
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

fn thread_row(
    pass: &Pass<Accounts>,
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
