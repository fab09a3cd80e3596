//! One run seen from outside and from inside: our trace of a guest beside the one that the guest's own kernel recorded of
//! itself meanwhile. Which events each has, which it missed, and what recording inside cost the guest.
//!
//! Both lists of events are held in memory, 32 bytes for each event of a kind that both traces have.

mod align;
mod cost;
mod gather;
mod pair;

use std::collections::BTreeMap;

use trace_format::Severity;

use self::align::{Clocks, align};
use self::cost::{Cost, cost};
use self::gather::{Gathered, gather, kinds_of_both};
use self::pair::{Paired, pair};
use crate::report::{Cell, Report, Shape, Table, column};
use crate::sources::{Finding, Trace, TraceError, sort_findings};

/// What is to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Views<'t> {
    /// Our trace of the run.
    pub outside: &'t Trace,
    /// The guest's own.
    pub inside: &'t Trace,
    /// Our trace of the same run without the guest's own tracer: what that cost is the difference.
    pub base: Option<&'t Trace>,
}

/// Compares them.
///
/// # Errors
/// When one cannot be read.
pub fn compare_views(views: &Views<'_>) -> Result<Report, TraceError> {
    let kinds = kinds_of_both(views.outside, views.inside);
    let (mut outside, inside) = (
        gather(views.outside, &kinds)?,
        gather(views.inside, &kinds)?,
    );
    let mut findings: Vec<Finding> = views.outside.findings();
    findings.extend(views.inside.findings());
    findings.extend(inside.damage.iter().cloned());
    let mut tables = Vec::new();
    match align(&outside, &inside) {
        Some(clocks) => {
            outside.keep_between(clocks.first, clocks.last);
            let clocks = clocks.moved_by(outside.sooner(&inside, &clocks));
            tables.push(window_table(&outside, &inside, &clocks));
            // Of what the guest's tracer was not asked for it has nothing.
            let recorded = kinds.iter().filter(|kind| inside.of(kind).is_some());
            let paired: Vec<(&str, Paired)> = recorded
                .map(|kind| (*kind, pair(outside.of(kind), inside.of(kind), &clocks)))
                .collect();
            tables.push(events_table(&paired));
            tables.push(delay_table(&paired));
        }
        None => findings.push(not_aligned()),
    }
    if let Some(base) = views.base {
        match cost(base, views.outside)? {
            Ok(cost) => tables.push(cost_table(&cost, &inside)),
            Err(text) => findings.push(Finding::of_file(Severity::Error, text)),
        }
    }
    sort_findings(&mut findings);
    Ok(Report {
        name: "compare",
        findings,
        tables,
    })
}

fn not_aligned() -> Finding {
    let text = "The two traces have no sequence of scheduling changes in common, so their clocks cannot be aligned.";
    Finding {
        advice: "compare traces of one run, with sched_switch in both".to_owned(),
        ..Finding::of_file(Severity::Error, text.to_owned())
    }
}

fn window_table(outside: &Gathered, inside: &Gathered, clocks: &Clocks) -> Table {
    let lost: BTreeMap<_, _> = inside.losses.iter().fold(BTreeMap::new(), |mut all, loss| {
        *all.entry(loss.count.is_some()).or_insert(0u64) += loss.count.unwrap_or(1);
        all
    });
    Table {
        name: "window",
        title: "What both saw".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("from_ns", "From (s, our clock)"),
            column("to_ns", "To"),
            column("outside_events", "Events outside, of kinds that both have"),
            column("inside_events", "Inside"),
            column("told_lost_events", "Lost inside, as it says itself"),
            column("told_gaps", "Gaps inside of unknown size"),
            column("drift_ppm", "Inside clock against ours (ppm)"),
        ],
        rows: vec![vec![
            Cell::Time(clocks.first),
            Cell::Time(clocks.last),
            Cell::Count(outside.count()),
            Cell::Count(inside.count()),
            Cell::Count(lost.get(&true).copied().unwrap_or(0)),
            Cell::Count(lost.get(&false).copied().unwrap_or(0)),
            Cell::Text(format!("{:+.3}", clocks.drift_ppm())),
        ]],
    }
}

fn events_table(paired: &[(&str, Paired)]) -> Table {
    let row = |(kind, found): &(&str, Paired)| {
        vec![
            Cell::Text((*kind).to_owned()),
            Cell::Count(found.both + found.only_outside),
            Cell::Count(found.both + found.only_inside),
            Cell::Count(found.both),
            Cell::Count(found.only_outside),
            Cell::Count(found.only_inside),
        ]
    };
    Table {
        name: "events",
        title: "Events by who saw them".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("event", "Event"),
            column("outside", "Outside"),
            column("inside", "Inside"),
            column("both", "Both"),
            column("missed_inside", "Missed inside"),
            column("missed_outside", "Missed outside"),
        ],
        rows: paired.iter().map(row).collect(),
    }
}

fn delay_table(paired: &[(&str, Paired)]) -> Table {
    let mut columns = vec![column("event", "Event")];
    columns.extend(crate::report::DISTRIBUTION_COLUMNS);
    let row = |(kind, found): &(&str, Paired)| {
        let mut cells = vec![Cell::Text((*kind).to_owned())];
        cells.extend(found.delays.cells());
        cells
    };
    Table {
        name: "delays",
        title:
            "How much later the stamps inside are than those of the quickest event (microseconds)"
                .to_owned(),
        shape: Shape::Rows,
        columns,
        rows: paired.iter().map(row).collect(),
    }
}

fn cost_table(cost: &Cost, inside: &Gathered) -> Table {
    let added = cost.with.saturating_sub(cost.without);
    #[allow(clippy::cast_precision_loss, reason = "shown with two decimals")]
    let (percent, each) = (
        added as f64 * 100.0 / cost.without.max(1) as f64,
        added as f64 / inside.all.max(1) as f64,
    );
    Table {
        name: "cost",
        title: "What recording inside cost the guest, between its marks".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("without_instructions", "Instructions without"),
            column("with_instructions", "With"),
            column("added_percent", "More (%)"),
            column("inside_events", "Events recorded inside"),
            column("instructions_per_event", "Instructions for each"),
        ],
        rows: vec![vec![
            Cell::Count(cost.without),
            Cell::Count(cost.with),
            Cell::Text(format!("{percent:+.2}")),
            Cell::Count(inside.all),
            Cell::Text(format!("{each:.0}")),
        ]],
    }
}
