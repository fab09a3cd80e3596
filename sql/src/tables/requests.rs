//! `io`: requests that block devices have done.

use analyzer::model::{GuestNanos, Machine, Request, Thread};
use analyzer::report::{disk_name, op_name};

use super::gather::{Adder, Feed};
use super::{RowKind, Spec, cell_of};
use crate::rows::Cell;

/// The table.
#[derive(Default)]
pub(super) struct Requests;

/// A request that is done.
pub(super) struct Row<'a> {
    machine: &'a Machine,
    request: &'a Request,
    at: GuestNanos,
    error: Option<i64>,
}

impl RowKind for Requests {
    type Row<'a> = Row<'a>;
}

type Column = Spec<Requests>;

pub(super) const COLUMNS: &[Column] = &[
    Column::nanos("queued_ns", "when it was queued, if that was seen", |row| {
        time(row.request.inserted)
    }),
    Column::nanos(
        "issued_ns",
        "when it went to the device, if that was seen",
        |row| time(row.request.issued),
    ),
    Column::nanos("done_ns", "when it was done", |row| {
        Cell::unsigned(row.at.0)
    }),
    Column::nanos("queue_ns", "time in the queue", |row| {
        length(row.request.inserted, row.request.issued)
    }),
    Column::nanos("service_ns", "time at the device", |row| {
        length(row.request.issued, Some(row.at))
    }),
    Column::text("disk", "major and minor number of the disk", |row| {
        Cell::text(disk_name(row.request.dev))
    }),
    Column::text("op", "read, write, flush, discard, other request", |row| {
        Cell::text(op_name(row.request.op))
    }),
    Column::number("sector", "first sector, of 512 bytes", |row| {
        Cell::unsigned(row.request.sector)
    }),
    Column {
        unit: Some("bytes"),
        ..Column::number("bytes", "bytes asked for", |row| {
            Cell::unsigned(row.request.bytes)
        })
    },
    Column::number("error", "the kernel's error, or 0", |row| {
        row.error.map_or(Cell::Null, Cell::Int)
    }),
    Column::number(
        "tid",
        "thread that queued or issued it, often one of the kernel",
        |row| Cell::maybe(row.thread().map(|thread| thread.tid.0.into())),
    ),
    Column::number("pid", "its process", |row| {
        Cell::maybe(row.thread().map(|thread| thread.process().0.into()))
    }),
    Column::text("comm", "its name", |row| {
        row.thread()
            .map_or(Cell::Null, |thread| Cell::guest(&thread.comm))
    }),
    Column::text(
        "asked",
        "what that thread had asked the kernel for: file, sync, page ...",
        |row| Cell::text(row.request.asked.name()),
    ),
];

fn time(at: Option<GuestNanos>) -> Cell<'static> {
    Cell::maybe(at.map(|at| at.0))
}

fn length(from: Option<GuestNanos>, to: Option<GuestNanos>) -> Cell<'static> {
    match (from, to) {
        (Some(from), Some(to)) => Cell::unsigned(to.since(from).0),
        _ => Cell::Null,
    }
}

impl Row<'_> {
    fn thread(&self) -> Option<&Thread> {
        Some(&self.machine.threads()[self.request.thread?])
    }
}

impl Feed for Requests {
    fn request_done(
        &mut self,
        rows: &mut Adder<'_, '_>,
        machine: &Machine,
        (request, at, error): (&Request, GuestNanos, Option<i64>),
    ) {
        let row = Row {
            machine,
            request,
            at,
            error,
        };
        rows.outlet.add(|column| cell_of(COLUMNS, column, &row));
    }
}
