//! `syscalls`: what system calls cost, how they failed, and who made them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::names::{Leaders, call_name, error_name};
use super::options::Options;
use super::pass::{Analysis, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{Abi, Frame, FrameInterval, GuestNanos, Machine, Observer, Pid, errno_of};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Calls::new(&options.selection))?;
    let (machine, calls) = (&pass.machine, &pass.analysis);
    let tables = vec![
        call_table(machine, calls, options),
        error_table(machine, calls, options),
        process_table("processes", machine, calls, options),
        pass.analysis.every().histogram(
            "histogram",
            "Lengths of all calls (microseconds)".to_owned(),
        ),
    ];
    Ok(Report {
        name: "syscalls",
        tables,
        findings: pass.findings,
    })
}

/// Calls that ended within a selection.
pub(super) struct Calls {
    selection: Selection,
    by_process: BTreeMap<(Pid, Abi, u64), Account>,
}

#[derive(Clone, Default)]
struct Account {
    lengths: Distribution,
    errors: BTreeMap<u64, u64>,
}

impl Account {
    fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    fn merge(&mut self, other: &Self) {
        self.lengths.merge(&other.lengths);
        for (error, count) in &other.errors {
            *self.errors.entry(*error).or_default() += count;
        }
    }
}

impl Calls {
    pub(super) fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            by_process: BTreeMap::new(),
        }
    }

    fn by_call(&self) -> BTreeMap<(Abi, u64), Account> {
        let mut calls: BTreeMap<(Abi, u64), Account> = BTreeMap::new();
        for ((_, abi, nr), account) in &self.by_process {
            calls.entry((*abi, *nr)).or_default().merge(account);
        }
        calls
    }

    fn every(&self) -> Distribution {
        let parts = self.by_process.values();
        parts.map(|account| &account.lengths).sum()
    }
}

impl Analysis for Calls {}

impl Observer for Calls {
    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let Frame::Syscall { abi, nr } = interval.frame() else {
            return;
        };
        let thread = &machine.threads()[interval.thread];
        if !self.selection.has_end(interval, thread) {
            return;
        }
        let key = (thread.process(), abi, nr);
        let account = self.by_process.entry(key).or_default();
        account.lengths.add(interval.span.length());
        if let Some(error) = interval.ret.and_then(errno_of) {
            *account.errors.entry(error).or_default() += 1;
        }
    }
}

/// Largest total first.
fn sorted<K: Ord>(accounts: BTreeMap<K, Account>) -> Vec<(K, Account)> {
    let mut accounts: Vec<(K, Account)> = accounts.into_iter().collect();
    accounts.sort_by(|(one_key, one), (other_key, other)| {
        let totals = other.lengths.total().cmp(&one.lengths.total());
        totals.then_with(|| one_key.cmp(other_key))
    });
    accounts
}

/// What each system call cost.
pub(super) fn call_table(machine: &Machine, calls: &Calls, options: &Options) -> Table {
    let calls = sorted(calls.by_call());
    let whole: GuestNanos = calls.iter().map(|(_, call)| call.lengths.total()).sum();
    let rows = calls.iter().map(|((abi, nr), call)| {
        let mut row = vec![
            Cell::Text(call_name(machine, *abi, *nr)),
            Cell::percent(call.lengths.total(), whole),
            Cell::Count(call.error_count()),
        ];
        row.extend(call.lengths.cells());
        row
    });
    let mut columns = vec![
        column("name", "Call"),
        column("percent", "% time"),
        column("errors", "Errors"),
    ];
    columns.extend(DISTRIBUTION_COLUMNS);
    let table = Table {
        name: "calls",
        title: "System calls, waiting included (microseconds)".to_owned(),
        shape: Shape::Rows,
        columns,
        rows: rows.collect(),
    };
    table.first(options.accounts_max)
}

fn error_table(machine: &Machine, calls: &Calls, options: &Options) -> Table {
    let calls = calls.by_call();
    let errors = calls.iter().flat_map(|((abi, nr), call)| {
        let name = call_name(machine, *abi, *nr);
        let errors = call.errors.iter();
        errors.map(move |(error, count)| (name.clone(), *error, *count))
    });
    let mut errors: Vec<(String, u64, u64)> = errors.collect();
    errors.sort_by(|one, other| other.2.cmp(&one.2).then_with(|| one.cmp(other)));
    let rows = errors.into_iter().map(|(name, error, count)| {
        vec![
            Cell::Text(name),
            Cell::Text(error_name(error)),
            Cell::Count(count),
        ]
    });
    let table = Table {
        name: "errors",
        title: "Errors".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("name", "Call"),
            column("error", "Error"),
            column("count", "Count"),
        ],
        rows: rows.collect(),
    };
    table.first(options.accounts_max)
}

/// A system call and what it cost a process.
type Call<'a> = ((Abi, u64), &'a Account);

/// What system calls cost each process; of all these, those that cost most.
pub(super) fn process_table(
    table: &'static str,
    machine: &Machine,
    calls: &Calls,
    options: &Options,
) -> Table {
    let mut shown: Vec<_> = calls.by_process.iter().collect();
    shown.sort_by_key(|(key, account)| (Reverse(account.lengths.total()), **key));
    let left_out = shown.len().saturating_sub(options.accounts_max);
    shown.truncate(options.accounts_max);
    let mut processes: BTreeMap<Pid, Vec<Call<'_>>> = BTreeMap::new();
    for ((pid, abi, nr), account) in shown {
        processes
            .entry(*pid)
            .or_default()
            .push(((*abi, *nr), account));
    }
    let leaders = Leaders::new(machine);
    let mut rows = Vec::new();
    for (pid, mut calls) in processes {
        calls.sort_by_key(|(key, call)| (Reverse(call.lengths.total()), *key));
        let name = leaders.name(machine, pid);
        for ((abi, nr), call) in calls {
            rows.push(vec![
                Cell::Text(name.clone()),
                Cell::Count(u64::from(pid.0)),
                Cell::Text(call_name(machine, abi, nr)),
                Cell::Count(call.lengths.count()),
                Cell::Count(call.error_count()),
                Cell::Length(call.lengths.total()),
                Cell::Length(call.lengths.mean()),
                Cell::Length(call.lengths.max()),
            ]);
        }
    }
    Table {
        name: table,
        title: "System calls by process (microseconds)".to_owned(),
        shape: Shape::First { left_out },
        columns: vec![
            column("comm", "Process"),
            column("pid", "PID"),
            column("name", "Call"),
            column("count", "Count"),
            column("errors", "Errors"),
            column("total_ns", "Total"),
            column("mean_ns", "Mean"),
            column("max_ns", "Max"),
        ],
        rows,
    }
}
