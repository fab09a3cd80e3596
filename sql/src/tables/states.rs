//! `thread_states`: what each thread did, stretch by stretch.

use analyzer::model::{Activity, Cause, Frame, Machine, Thread, ThreadInterval, Waker};
use analyzer::report::{Namer, call_name};

use super::gather::{Adder, Feed};
use super::{RowKind, Spec, cell_of};
use crate::rows::Cell;

/// The table.
#[derive(Default)]
pub(super) struct States;

/// A stretch, with what names what is in it.
pub(super) struct Row<'a> {
    machine: &'a Machine,
    interval: &'a ThreadInterval<'a>,
    namer: &'a Namer,
}

impl RowKind for States {
    type Row<'a> = Row<'a>;
}

type Column = Spec<States>;

pub(super) const COLUMNS: &[Column] = &[
    Column::nanos("begin_ns", "when the stretch begins", |row| {
        Cell::unsigned(row.interval.span.start.0)
    }),
    Column::nanos(
        "end_ns",
        "when it ends, and another begins; the end of the trace for the last one",
        |row| Cell::unsigned(row.interval.span.end.0),
    ),
    Column::nanos("duration_ns", "its length", |row| {
        Cell::unsigned(row.interval.span.length().0)
    }),
    Column::number(
        "thread",
        "the thread: `thread` of the table `threads`",
        |row| position(row.interval.index.index()),
    ),
    Column::number(
        "tid",
        "its number, which another thread may be given later",
        |row| Cell::Int(row.thread().tid.0.into()),
    ),
    Column::number("pid", "its process", |row| {
        Cell::Int(row.thread().process().0.into())
    }),
    Column::text("comm", "its name at the end of the stretch", |row| {
        Cell::guest(&row.thread().comm)
    }),
    Column::text(
        "state",
        "what it did: user, syscall, trap, irq, softirq, kernel, idle, running_unknown; runnable, blocked, unknown",
        |row| Cell::text(row.interval.activity.name()),
    ),
    Column::number("cpu", "where, if it ran", |row| {
        Cell::maybe(row.interval.cpu.map(|cpu| cpu.0.into()))
    }),
    Column::text(
        "what",
        "the system call, trap, interrupt, softirq or work function that it ran",
        |row| row.what(),
    ),
    Column::text(
        "waited_for",
        "what it had asked the kernel for, when it was blocked: time, futex, file, socket, sync, poll, child, page ...",
        |row| match row.interval.activity {
            Activity::Blocked => Cell::text(row.thread().asked.name()),
            _ => Cell::Null,
        },
    ),
    Column::text(
        "ended_by",
        "what ended the wait: thread, timer, request (of a disk), packet, device, softirq, irq",
        |row| {
            row.waker()
                .map_or(Cell::Null, |waker| Cell::text(waker.via.name()))
        },
    ),
    Column::text(
        "ended_by_what",
        "the same in detail: function of the timer, disk, name and number of the thread",
        |row| {
            row.waker().map_or(Cell::Null, |waker| {
                Cell::text(row.namer.cause(row.machine, Cause::of(Some(waker))))
            })
        },
    ),
    Column::number(
        "waker_tid",
        "the thread that ran where the wake-up happened",
        |row| {
            let thread = row.waker().and_then(|waker| waker.thread);
            Cell::maybe(thread.map(|thread| row.machine.threads()[thread].tid.0.into()))
        },
    ),
];

/// A position as a number of SQL.
pub(super) fn position(index: usize) -> Cell<'static> {
    Cell::maybe(u64::try_from(index).ok())
}

impl Row<'_> {
    fn thread(&self) -> &Thread {
        self.interval.thread
    }

    /// What ended the wait.
    fn waker(&self) -> Option<&Waker> {
        let is_wait = self.interval.activity == Activity::Blocked;
        self.thread().waker.as_ref().filter(|_| is_wait)
    }

    fn what(&self) -> Cell<'_> {
        let doing = &self.interval.doing;
        if let Some(function) = doing.work {
            return Cell::text(self.namer.function(function));
        }
        let Some(frame) = doing.frame else {
            return Cell::Null;
        };
        Cell::text(match frame {
            Frame::Launch => "launch".to_owned(),
            Frame::Syscall { abi, nr } => call_name(self.machine, abi, nr),
            Frame::Trap { vector } => self.namer.trap(vector),
            Frame::Softirq { vec } => self.namer.softirq(vec),
            Frame::Irq { vector } => match self.machine.lines().vector_name(vector) {
                Some(name) => return Cell::text(crate::rows::guest_text(name).into_owned()),
                None => format!("vector {vector}"),
            },
            Frame::IrqHandler { irq } => match self.machine.lines().handler_name(irq) {
                Some(name) => return Cell::text(crate::rows::guest_text(name).into_owned()),
                None => format!("irq {irq}"),
            },
        })
    }
}

impl Feed for States {
    fn thread_interval(
        &mut self,
        rows: &mut Adder<'_, '_>,
        machine: &Machine,
        interval: &ThreadInterval<'_>,
    ) {
        let namer = &rows.namer;
        let row = Row {
            machine,
            interval,
            namer,
        };
        rows.outlet.add(|column| cell_of(COLUMNS, column, &row));
    }
}
