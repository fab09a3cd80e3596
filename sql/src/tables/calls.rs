//! `syscalls`: system calls from entry to exit, with what their time went to.

use std::collections::HashMap;

use analyzer::model::{
    Activity, Frame, FrameInterval, Machine, OpenFrame, Thread, ThreadIndex, ThreadInterval,
    errno_of,
};
use analyzer::report::{call_name, error_name};

use super::gather::{Adder, Feed};
use super::states::position;
use super::{RowKind, Spec, cell_of};
use crate::rows::Cell;

/// The table.
#[derive(Default)]
pub(super) struct Calls {
    /// Waits of the call that a thread is in.
    open: HashMap<ThreadIndex, Waits>,
}

/// What of a call's time was none of running, in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Waits {
    blocked: u64,
    runnable: u64,
}

/// A call that has ended.
pub(super) struct Row<'a> {
    machine: &'a Machine,
    call: &'a FrameInterval<'a>,
    waits: Waits,
}

impl RowKind for Calls {
    type Row<'a> = Row<'a>;
}

type Column = Spec<Calls>;

pub(super) const COLUMNS: &[Column] = &[
    Column::nanos("begin_ns", "entry", |row| {
        Cell::unsigned(row.call.span.start.0)
    }),
    Column::nanos("end_ns", "exit", |row| Cell::unsigned(row.call.span.end.0)),
    Column::nanos(
        "duration_ns",
        "from entry to exit, waiting included",
        |row| Cell::unsigned(row.call.span.length().0),
    ),
    Column::nanos("blocked_ns", "of that, waiting for something", |row| {
        Cell::unsigned(row.waits.blocked)
    }),
    Column::nanos("runnable_ns", "of that, waiting for a CPU", |row| {
        Cell::unsigned(row.waits.runnable)
    }),
    Column::number(
        "thread",
        "the thread: `thread` of the table `threads`",
        |row| position(row.call.thread.index()),
    ),
    Column::number("tid", "its number", |row| {
        Cell::Int(row.thread().tid.0.into())
    }),
    Column::number("pid", "its process", |row| {
        Cell::Int(row.thread().process().0.into())
    }),
    Column::text("comm", "its name", |row| Cell::guest(&row.thread().comm)),
    Column::number("cpu", "where the call ended", |row| {
        Cell::Int(row.call.cpu.0.into())
    }),
    Column::text("name", "name of the call", |row| match row.call.frame() {
        Frame::Syscall { abi, nr } => Cell::text(call_name(row.machine, abi, nr)),
        _ => Cell::Null,
    }),
    Column::number("nr", "its number", |row| match row.call.frame() {
        Frame::Syscall { nr, .. } => Cell::unsigned(nr),
        _ => Cell::Null,
    }),
    Column::number("ret", "what it returned", |row| {
        row.call.ret.map_or(Cell::Null, Cell::Int)
    }),
    Column::text("error", "the error, if that is one: ENOENT", |row| {
        row.call
            .ret
            .and_then(errno_of)
            .map_or(Cell::Null, |error| Cell::text(error_name(error)))
    }),
    Column::text("arg0", "first argument, as a hexadecimal number", |row| {
        row.arg(0)
    }),
    Column::text("arg1", "second argument", |row| row.arg(1)),
    Column::text("arg2", "third argument", |row| row.arg(2)),
    Column::text("arg3", "fourth argument", |row| row.arg(3)),
    Column::text("arg4", "fifth argument", |row| row.arg(4)),
    Column::text("arg5", "sixth argument", |row| row.arg(5)),
];

impl Row<'_> {
    fn thread(&self) -> &Thread {
        &self.machine.threads()[self.call.thread]
    }

    fn arg(&self, index: usize) -> Cell<'_> {
        let arg = self.call.open.args.get(index).copied().flatten();
        arg.map_or(Cell::Null, Cell::hex)
    }
}

impl Feed for Calls {
    fn frame_entered(&mut self, thread: ThreadIndex, frame: &OpenFrame) {
        if matches!(frame.frame, Frame::Syscall { .. }) {
            self.open.remove(&thread);
        }
    }

    fn thread_interval(
        &mut self,
        _: &mut Adder<'_, '_>,
        _: &Machine,
        interval: &ThreadInterval<'_>,
    ) {
        let in_call = |open: &OpenFrame| matches!(open.frame, Frame::Syscall { .. });
        let waits = matches!(interval.activity, Activity::Blocked | Activity::Runnable);
        if !waits || !interval.thread.frames.iter().any(in_call) {
            return;
        }
        let waits = self.open.entry(interval.index).or_default();
        let length = interval.span.length().0;
        if interval.activity == Activity::Blocked {
            waits.blocked = waits.blocked.saturating_add(length);
        } else {
            waits.runnable = waits.runnable.saturating_add(length);
        }
    }

    fn frame_left(
        &mut self,
        rows: &mut Adder<'_, '_>,
        machine: &Machine,
        call: &FrameInterval<'_>,
    ) {
        if !matches!(call.frame(), Frame::Syscall { .. }) {
            return;
        }
        let row = Row {
            machine,
            call,
            waits: self.open.remove(&call.thread).unwrap_or_default(),
        };
        rows.outlet.add(|column| cell_of(COLUMNS, column, &row));
    }
}
