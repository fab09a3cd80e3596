//! `wakeups`: threads that were woken and then got a CPU.

use analyzer::model::{Activity, Cause, Machine, Scheduling, Thread, ThreadInterval, Waker};
use analyzer::report::Namer;

use super::gather::{Adder, Feed};
use super::states::position;
use super::{RowKind, Spec, cell_of};
use crate::rows::Cell;

/// The table.
#[derive(Default)]
pub(super) struct Wakeups;

/// The stretch from being woken to running.
pub(super) struct Row<'a> {
    machine: &'a Machine,
    interval: &'a ThreadInterval<'a>,
    waker: &'a Waker,
    namer: &'a Namer,
}

impl RowKind for Wakeups {
    type Row<'a> = Row<'a>;
}

type Column = Spec<Wakeups>;

pub(super) const COLUMNS: &[Column] = &[
    Column::nanos("time_ns", "when it was woken", |row| {
        Cell::unsigned(row.interval.span.start.0)
    }),
    Column::nanos("running_at_ns", "when it got a CPU", |row| {
        Cell::unsigned(row.interval.span.end.0)
    }),
    Column::nanos("delay_ns", "time between the two", |row| {
        Cell::unsigned(row.interval.span.length().0)
    }),
    Column::number(
        "thread",
        "the thread: `thread` of the table `threads`",
        |row| position(row.interval.index.index()),
    ),
    Column::number("tid", "its number", |row| {
        Cell::Int(row.interval.thread.tid.0.into())
    }),
    Column::number("pid", "its process", |row| {
        Cell::Int(row.interval.thread.process().0.into())
    }),
    Column::text("comm", "its name", |row| {
        Cell::guest(&row.interval.thread.comm)
    }),
    Column::number("cpu", "where it got to run", |row| {
        match row.interval.thread.scheduling {
            Scheduling::Running(cpu) => Cell::Int(cpu.0.into()),
            _ => Cell::Null,
        }
    }),
    Column::text(
        "woken_by",
        "what woke it: thread, timer, request (of a disk), packet, device, softirq, irq",
        |row| Cell::text(row.waker.via.name()),
    ),
    Column::text(
        "woken_by_what",
        "the same in detail: function of the timer, disk, name and number of the thread",
        |row| Cell::text(row.namer.cause(row.machine, Cause::of(Some(row.waker)))),
    ),
    Column::number(
        "waker_tid",
        "the thread that ran where the wake-up happened",
        |row| Cell::maybe(row.waker_thread().map(|thread| thread.tid.0.into())),
    ),
    Column::text("waker_comm", "its name", |row| {
        row.waker_thread()
            .map_or(Cell::Null, |thread| Cell::guest(&thread.comm))
    }),
];

impl Row<'_> {
    fn waker_thread(&self) -> Option<&Thread> {
        Some(&self.machine.threads()[self.waker.thread?])
    }
}

impl Feed for Wakeups {
    fn thread_interval(
        &mut self,
        rows: &mut Adder<'_, '_>,
        machine: &Machine,
        interval: &ThreadInterval<'_>,
    ) {
        let thread = interval.thread;
        let runs = matches!(thread.scheduling, Scheduling::Running(_));
        let is_wake = interval.activity == Activity::Runnable && runs && thread.idle_of.is_none();
        let Some(waker) = thread.waker.as_ref().filter(|_| is_wake) else {
            return;
        };
        let namer = &rows.namer;
        let row = Row {
            machine,
            interval,
            waker,
            namer,
        };
        rows.outlet.add(|column| cell_of(COLUMNS, column, &row));
    }
}
