//! `threads`: the threads, with where their time went.

use analyzer::model::{Activity, Thread, ThreadIndex, Threads};
use analyzer::report::{Accounts, Selection, Times, run};

use super::states::position;
use super::{Outlet, RowKind, ScanError, Spec, cell_of};
use crate::opened::Opened;
use crate::rows::Cell;

/// The table.
pub(super) struct ThreadRows;

/// A thread at the end of the trace.
pub(super) struct Row<'a> {
    threads: &'a Threads,
    index: ThreadIndex,
    times: &'a Times,
    syscalls: u64,
    traps: u64,
}

impl RowKind for ThreadRows {
    type Row<'a> = Row<'a>;
}

type Column = Spec<ThreadRows>;

pub(super) const COLUMNS: &[Column] = &[
    Column::number(
        "thread",
        "names the thread in this trace; a tid may be given to another thread later",
        |row| position(row.index.index()),
    ),
    Column::number("tid", "its number; 0 is the idle thread of a CPU", |row| {
        Cell::Int(row.thread().tid.0.into())
    }),
    Column::number("pid", "its process", |row| {
        Cell::Int(row.thread().process().0.into())
    }),
    Column::number(
        "parent_thread",
        "`thread` of the thread that made it",
        |row| {
            row.thread()
                .parent
                .map_or(Cell::Null, |parent| position(parent.index()))
        },
    ),
    Column::number(
        "parent_pid",
        "the process of the thread that made it",
        |row| {
            let parent = row.thread().parent;
            Cell::maybe(parent.map(|parent| row.threads[parent].process().0.into()))
        },
    ),
    Column::text("comm", "its latest name", |row| {
        Cell::guest(&row.thread().comm)
    }),
    Column::text(
        "program",
        "the latest program that it was seen to start",
        |row| {
            row.thread()
                .program
                .as_deref()
                .map_or(Cell::Null, Cell::guest)
        },
    ),
    Column::number("idle_of", "the CPU whose idle thread it is", |row| {
        Cell::maybe(row.thread().idle_of.map(|cpu| cpu.0.into()))
    }),
    Column::nanos("begin_ns", "when it was made, or 0", |row| {
        Cell::unsigned(row.thread().born.0)
    }),
    Column::nanos("end_ns", "when it ended; NULL if it did not", |row| {
        Cell::maybe(row.thread().died.map(|died| died.0))
    }),
    Column::nanos("running_ns", "time with a CPU", |row| {
        Cell::unsigned(row.times.running().0)
    }),
    Column::nanos("user_ns", "of that, in user code", |row| {
        row.time(Activity::User)
    }),
    Column::nanos("syscall_ns", "of that, in system calls", |row| {
        row.time(Activity::Syscall)
    }),
    Column::nanos("trap_ns", "of that, in handlers of exceptions", |row| {
        row.time(Activity::Trap)
    }),
    Column::nanos("irq_ns", "of that, in interrupts", |row| {
        row.time(Activity::Irq)
    }),
    Column::nanos("softirq_ns", "of that, in softirqs", |row| {
        row.time(Activity::Softirq)
    }),
    Column::nanos(
        "kernel_ns",
        "of that, in a kernel thread's own code",
        |row| row.time(Activity::Kernel),
    ),
    Column::nanos("idle_ns", "of that, idle", |row| row.time(Activity::Idle)),
    Column::nanos(
        "running_unknown_ns",
        "of that, doing what the trace does not say",
        |row| row.time(Activity::RunningUnknown),
    ),
    Column::nanos("runnable_ns", "time ready to run, without a CPU", |row| {
        row.time(Activity::Runnable)
    }),
    Column::nanos("blocked_ns", "time waiting for something", |row| {
        row.time(Activity::Blocked)
    }),
    Column::nanos(
        "unknown_ns",
        "time of which the trace says nothing",
        |row| row.time(Activity::Unknown),
    ),
    Column::number("syscalls", "system calls it made", |row| {
        Cell::unsigned(row.syscalls)
    }),
    Column::number("traps", "exceptions it raised", |row| {
        Cell::unsigned(row.traps)
    }),
];

impl Row<'_> {
    fn thread(&self) -> &Thread {
        &self.threads[self.index]
    }

    fn time(&self, activity: Activity) -> Cell<'static> {
        Cell::unsigned(self.times.of(activity).0)
    }
}

/// Hands over the threads, in the order in which they became known.
pub(super) fn scan(opened: &Opened, outlet: &mut Outlet<'_>) -> Result<(), ScanError> {
    let accounts = Accounts::new(Selection::default());
    let pass = run(&opened.trace, &Selection::default(), accounts)?;
    let threads = pass.machine.threads();
    for (index, _) in threads.iter() {
        let account = pass.analysis.thread(index);
        let row = Row {
            threads,
            index,
            times: &account.times,
            syscalls: account.syscall_count,
            traps: account.trap_count,
        };
        outlet.add(|column| cell_of(COLUMNS, column, &row));
    }
    Ok(())
}
