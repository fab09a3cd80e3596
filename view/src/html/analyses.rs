//! Reports and stacks of a file.

use analyzer::causes::{FlameKind, flame};
use analyzer::model::Span;
use analyzer::report::{Options, REPORTS, Selection};

use super::page::Page;
use super::{HtmlError, bytes_of};
use crate::reports::{STACKS_MAX, WireReport, stacks_of};
use crate::served::Served;

/// Rows of tables that are sorted by size.
const TOP: usize = 50;

/// Rows of reports that have one for each thing that happened, and of tables without an order.
const ROWS_MAX: usize = 2000;

/// Writes every report, and where time went.
pub(super) fn write(served: &Served, span: Span, page: &mut Page<'_>) -> Result<(), HtmlError> {
    let trace = served.trace();
    let selection = Selection {
        span,
        ..Selection::default()
    };
    let options = Options {
        selection,
        top: TOP,
        ..Options::default()
    };
    for kind in REPORTS {
        let (report, is_cut) = kind.make_at_most(&trace, &options, ROWS_MAX)?;
        let wire = WireReport::new(&report, is_cut, ROWS_MAX);
        page.block(&format!("report-{}", kind.name), &bytes_of(&wire)?)?;
    }
    for (name, kind) in [("cpu", FlameKind::Cpu), ("all", FlameKind::All)] {
        let folded = flame(&trace, &options.selection, kind)?;
        let stacks = stacks_of(&folded.lines, STACKS_MAX);
        page.block(&format!("flame-{name}"), &bytes_of(&stacks)?)?;
    }
    Ok(())
}
