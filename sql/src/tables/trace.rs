//! `trace`: the trace itself, in one row.

use analyzer::sources::Trace;
use trace_format::Header;

use super::{Outlet, RowKind, Spec, cell_of};
use crate::opened::Opened;
use crate::rows::Cell;

/// The table.
pub(super) struct Whole;

impl RowKind for Whole {
    type Row<'a> = &'a Opened;
}

type Column = Spec<Whole>;

pub(super) const COLUMNS: &[Column] = &[
    Column::text("file", "name of its file", |opened| {
        Cell::text(opened.name.as_str())
    }),
    Column::nanos(
        "duration_ns",
        "from the first event to the last",
        |opened| Cell::unsigned(opened.trace.duration().0),
    ),
    Column::number("first_tsc", "TSC of the first event", |opened| {
        Cell::unsigned(opened.trace.clock().first_tsc)
    }),
    Column::number("tsc_hz", "ticks of the TSC in a second", |opened| {
        Cell::unsigned(opened.trace.clock().tsc_hz)
    }),
    Column::flag(
        "complete",
        "whether it is known to hold all that it was to hold",
        |opened| Cell::Bool(!opened.findings.iter().any(|finding| finding.is_gap)),
    ),
    Column::text(
        "kernel",
        "release of the kernel, if the trace says",
        |opened| {
            header(opened).map_or(Cell::Null, |header| {
                Cell::text(header.kernel.release.as_str())
            })
        },
    ),
    Column::text(
        "command_line",
        "the kernel's command line, if the trace says",
        |opened| {
            header(opened).map_or(Cell::Null, |header| {
                Cell::text(header.kernel.command_line.as_str())
            })
        },
    ),
];

fn header(opened: &Opened) -> Option<&Header> {
    match &opened.trace {
        Trace::Own(file) => Some(file.header()),
        _ => None,
    }
}

/// Hands over the one row.
pub(super) fn scan(opened: &Opened, outlet: &mut Outlet<'_>) {
    outlet.add(|column| cell_of(COLUMNS, column, &opened));
}
