//! `summary`: what the trace holds, how much of it, and what the CPUs did.
//!
//! The counters are those of the Linux Trace Toolkit's summary, and what it lacked.

use super::accounts::{Accounts, Times};
use super::options::Options;
use super::pass::{Pass, run};
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::Activity;
use crate::sources::{Trace, TraceError};

/// What is counted, and the events that count.
const COUNTERS: &[(&str, &str, &[&str])] = &[
    ("sched_switches", "Scheduling changes", &["sched_switch"]),
    ("ticks", "Kernel timer ticks", &["tick"]),
    (
        "syscall_entries",
        "System call entries",
        &["syscall_entry", "compat_syscall_entry"],
    ),
    (
        "syscall_exits",
        "System call exits",
        &["syscall_exit", "compat_syscall_exit"],
    ),
    ("trap_entries", "Trap entries", &["trap_entry"]),
    ("trap_exits", "Trap exits", &["trap_exit"]),
    ("irq_entries", "Interrupt entries", &["irq_entry"]),
    ("irq_exits", "Interrupt exits", &["irq_exit"]),
    ("softirqs", "Bottom halves: softirqs", &["softirq_entry"]),
    ("tasklets", "Bottom halves: tasklets", &["tasklet_entry"]),
    (
        "works",
        "Bottom halves: work items",
        &["workqueue_execute_start"],
    ),
    ("timer_expiries", "Timer expiries", &["timer_expire_entry"]),
    (
        "hrtimer_expiries",
        "High-resolution timer expiries",
        &["hrtimer_expire_entry"],
    ),
    ("forks", "Forks", &["sched_process_fork"]),
    ("execs", "Programs started", &["sched_process_exec"]),
    ("exits", "Threads ended", &["sched_process_exit"]),
    ("wakeups", "Wake-ups", &["sched_wakeup", "sched_wakeup_new"]),
    ("migrations", "Migrations", &["sched_migrate_task"]),
    ("signals_generated", "Signals sent", &["signal_generate"]),
    (
        "signals_delivered",
        "Signals delivered",
        &["signal_deliver"],
    ),
    ("page_allocs", "Page allocations", &["mm_page_alloc"]),
    ("page_frees", "Page frees", &["mm_page_free"]),
    ("packets_out", "Packets out", &["net_dev_xmit"]),
    ("packets_in", "Packets in", &["netif_receive_skb"]),
];

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let accounts = Accounts::new(options.selection.clone());
    let pass = run(trace, &options.selection, accounts)?;
    Ok(Report {
        name: "summary",
        tables: vec![
            trace_table(trace, &pass),
            count_table(trace, &pass),
            cpu_table(&pass),
        ],
        findings: pass.findings,
    })
}

fn trace_table(trace: &Trace, pass: &Pass<Accounts>) -> Table {
    let clock = trace.clock();
    let cpus = pass
        .machine
        .cpus()
        .filter(|cpu| pass.selection.has_cpu(*cpu))
        .count();
    Table {
        name: "trace",
        title: "Trace".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("start_ns", "Start (s)"),
            column("end_ns", "End (s)"),
            column("duration_ns", "Duration (s)"),
            column("start_tsc", "Start (TSC)"),
            column("events", "Events"),
            column("cpus", "CPUs"),
        ],
        rows: vec![vec![
            Cell::Time(pass.start),
            Cell::Time(pass.end),
            Cell::Time(pass.end.since(pass.start)),
            Cell::Count(clock.tsc(pass.start)),
            Cell::Count(pass.event_count),
            Cell::Count(cpus as u64),
        ]],
    }
}

/// LTT's counters, and what it lacked.
pub(super) fn count_table<A>(trace: &Trace, pass: &Pass<A>) -> Table {
    let row = |(name, title, events): &(&str, &str, &[&str])| {
        let counts: Vec<u64> = events
            .iter()
            .filter_map(|event| pass.count(trace, event))
            .collect();
        let count = (!counts.is_empty()).then(|| counts.iter().sum());
        vec![
            Cell::Text((*title).to_owned()),
            Cell::count_or_absent(count),
            Cell::Text((*name).to_owned()),
        ]
    };
    Table {
        name: "counts",
        title: "Number of occurrences (- is not recorded)".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("what", "What"),
            column("count", "Count"),
            column("name", "Name"),
        ],
        rows: COUNTERS.iter().map(row).collect(),
    }
}

fn cpu_table(pass: &Pass<Accounts>) -> Table {
    let cpus: Vec<_> = pass
        .machine
        .cpus()
        .filter(|cpu| pass.selection.has_cpu(*cpu))
        .collect();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut all = Times::default();
    for cpu in &cpus {
        let times = pass.analysis.cpu(*cpu);
        all.add(&times);
        rows.push(cpu_row(Cell::Text(cpu.to_string()), &times));
    }
    if cpus.len() > 1 {
        rows.push(cpu_row(Cell::Text("all".to_owned()), &all));
    }
    Table {
        name: "cpus",
        title: "What the CPUs did (seconds)".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("cpu", "CPU"),
            column("user_ns", "User"),
            column("syscall_ns", "Calls"),
            column("trap_ns", "Traps"),
            column("irq_ns", "Interrupts"),
            column("softirq_ns", "Softirqs"),
            column("kernel_ns", "Kernel's own"),
            column("idle_ns", "Idle"),
            column("unknown_ns", "Unknown"),
            column("unseen_ns", "Before first event"),
            column("idle_percent", "Idle %"),
        ],
        rows,
    }
}

fn cpu_row(name: Cell, times: &Times) -> Vec<Cell> {
    let mut row = vec![name];
    let shown = [
        Activity::User,
        Activity::Syscall,
        Activity::Trap,
        Activity::Irq,
        Activity::Softirq,
        Activity::Kernel,
        Activity::Idle,
    ];
    row.extend(shown.map(|activity| Cell::Time(times.of(activity))));
    let mut unknown = times.of(Activity::Unknown);
    unknown += times.of(Activity::RunningUnknown);
    row.push(Cell::Time(unknown));
    row.push(Cell::Time(times.of(Activity::Unseen)));
    row.push(Cell::percent(times.of(Activity::Idle), times.total()));
    row
}
