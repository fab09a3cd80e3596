//! `losses`: where events are missing.

use analyzer::sources::{Item, Loss, Range};

use super::{Outlet, RowKind, ScanError, Spec, cell_of};
use crate::opened::Opened;
use crate::rows::Cell;

/// The table.
pub(super) struct Losses;

impl RowKind for Losses {
    type Row<'a> = Loss;
}

type Column = Spec<Losses>;

pub(super) const COLUMNS: &[Column] = &[
    Column::number("cpu", "the CPU whose events are missing", |loss| {
        Cell::Int(loss.cpu.0.into())
    }),
    Column::nanos(
        "since_ns",
        "time of its last event before; NULL if there is none",
        |loss| Cell::maybe(loss.since.map(|since| since.0)),
    ),
    Column::nanos("at_ns", "time of its first event after", |loss| {
        Cell::unsigned(loss.at.0)
    }),
    Column::number("events", "how many, if that is known", |loss| {
        Cell::maybe(loss.count)
    }),
];

/// Hands over the gaps.
pub(super) fn scan(opened: &Opened, outlet: &mut Outlet<'_>) -> Result<(), ScanError> {
    let mut stream = opened.trace.stream(&Range::default())?;
    while !outlet.is_closed() {
        match stream.next_item()? {
            None => break,
            Some(Item::Record(_)) => {}
            Some(Item::Loss(loss)) => outlet.add(|column| cell_of(COLUMNS, column, &loss)),
        }
    }
    opened.note_damage(&*stream);
    Ok(())
}
