//! `compare`: the numbers of all reports of two traces side by side, with a verdict for each.
//!
//! Rows belong together by what names them; of several with one name, the first thread's to the first, and so on.
//! Points of time and numbers of threads and processes are not compared: they differ without meaning anything.

use std::collections::BTreeMap;

use super::catalogue::REPORTS;
use super::options::Options;
use super::table::{Cell, Column, Report, Shape, Table, column};
use crate::sources::{Trace, TraceError};

/// What is compared.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// The part of both traces.
    pub options: Options,
    /// Reports of these names; empty for all.
    pub reports: Vec<String>,
    /// Differences up to so many percent of the larger number are none.
    pub threshold: f64,
    /// How many differences are shown, the largest.
    pub top: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Compared {
    /// The report.
    pub report: Report,
    /// Whether anything differs beyond the threshold.
    pub differs: bool,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Same,
    Better,
    Worse,
    Changed,
    OnlyA,
    OnlyB,
}

impl Verdict {
    const ALL: [Self; 6] = [
        Self::Same,
        Self::Better,
        Self::Worse,
        Self::Changed,
        Self::OnlyA,
        Self::OnlyB,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Changed => "changed",
            Self::OnlyA => "only in A",
            Self::OnlyB => "only in B",
        }
    }
}

/// One number of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    table: &'static str,
    /// What names its row, and how many rows of that name came before it.
    row: (String, usize),
    column: &'static str,
}

struct Difference {
    report: &'static str,
    place: Place,
    a: Option<Cell>,
    b: Option<Cell>,
    percent: f64,
    verdict: Verdict,
}

/// Compares the reports of two traces.
///
/// # Errors
/// When one cannot be read.
pub fn compare(a: &Trace, b: &Trace, wish: &CompareOptions) -> Result<Compared, TraceError> {
    let mut rows = Vec::new();
    let mut differences = Vec::new();
    let mut findings = a.findings();
    findings.extend(b.findings());
    for kind in REPORTS.iter().filter(|kind| kind.is_whole()) {
        if !wish.reports.is_empty() && !wish.reports.iter().any(|name| name == kind.name) {
            continue;
        }
        let sides = [kind.make(a, &wish.options)?, kind.make(b, &wish.options)?];
        let [mut a, mut b] = sides.each_ref().map(numbers);
        let mut places: Vec<Place> = a.keys().chain(b.keys()).cloned().collect();
        places.sort();
        places.dedup();
        let mut counts = BTreeMap::new();
        for place in places {
            let pair = (a.remove(&place), b.remove(&place));
            let found = judge(kind.name, place, pair, wish.threshold);
            *counts.entry(found.verdict).or_insert(0u64) += 1;
            if found.verdict != Verdict::Same {
                differences.push(found);
            }
        }
        let mut row = vec![
            Cell::Text(kind.name.to_owned()),
            Cell::Count(counts.values().sum()),
        ];
        let count = |verdict| Cell::Count(counts.get(verdict).copied().unwrap_or(0));
        row.extend(Verdict::ALL.iter().map(count));
        rows.push(row);
    }
    let differs = !differences.is_empty();
    let tables = vec![overview(rows, wish.threshold), list(differences, wish.top)];
    let report = Report {
        name: "compare",
        findings,
        tables,
    };
    Ok(Compared { report, differs })
}

/// The numbers of a report by their places.
fn numbers(report: &Report) -> BTreeMap<Place, Cell> {
    let mut found = BTreeMap::new();
    for table in &report.tables {
        let mut rows: Vec<(String, u64, &Vec<Cell>)> = Vec::new();
        for cells in &table.rows {
            let named = table.columns.iter().zip(cells);
            let names = named
                .clone()
                .filter_map(|(column, cell)| name_of(column, cell));
            let tid = named.clone().find(|(column, _)| column.name == "tid");
            let tid = match tid {
                Some((_, Cell::Count(tid))) => *tid,
                _ => 0,
            };
            rows.push((names.collect::<Vec<_>>().join(" "), tid, cells));
        }
        rows.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        let mut before = 0;
        for index in 0..rows.len() {
            let (name, _, cells) = &rows[index];
            let is_next = index > 0 && rows[index - 1].0 == *name;
            before = if is_next { before + 1 } else { 0 };
            for (column, cell) in table.columns.iter().zip(*cells) {
                if is_number(column, cell) {
                    let place = Place {
                        table: table.name,
                        row: (name.clone(), before),
                        column: column.name,
                    };
                    found.insert(place, cell.clone());
                }
            }
        }
    }
    found
}

/// Columns whose numbers say which row it is.
const NAMING: [&str; 9] = [
    "cpu", "vector", "irq", "line", "nr", "from_ns", "to_ns", "order", "depth",
];

/// Columns whose numbers differ from run to run without meaning anything.
const MEANINGLESS: [&str; 4] = ["tid", "pid", "ppid", "parent"];

fn name_of(column: &Column, cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) | Cell::Branch { text, .. } => Some(text.clone()),
        Cell::Hex(value) => Some(format!("{value:#x}")),
        Cell::Count(count) if NAMING.contains(&column.name) => {
            Some(format!("{} {count}", column.name))
        }
        Cell::Length(time) | Cell::Time(time) if NAMING.contains(&column.name) => {
            Some(format!("{} {}", column.name, time.0))
        }
        Cell::Absent
        | Cell::Flag(_)
        | Cell::Count(_)
        | Cell::Time(_)
        | Cell::Length(_)
        | Cell::Percent(_)
        | Cell::Bar { .. } => None,
    }
}

fn is_number(column: &Column, cell: &Cell) -> bool {
    let name = column.name;
    let is_point = name.ends_with("start_ns") || name.ends_with("at_ns");
    let is_named = NAMING.contains(&name) || MEANINGLESS.contains(&name);
    let is_number = matches!(
        cell,
        Cell::Count(_) | Cell::Time(_) | Cell::Length(_) | Cell::Percent(_)
    );
    is_number && !is_named && !is_point && !name.is_empty()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a difference is shown in percent"
)]
fn value(cell: &Cell) -> f64 {
    match cell {
        Cell::Count(count) => *count as f64,
        Cell::Time(time) | Cell::Length(time) => time.0 as f64,
        Cell::Percent(percent) => *percent,
        Cell::Absent
        | Cell::Text(_)
        | Cell::Branch { .. }
        | Cell::Flag(_)
        | Cell::Hex(_)
        | Cell::Bar { .. } => 0.0,
    }
}

fn judge(
    report: &'static str,
    place: Place,
    (a, b): (Option<Cell>, Option<Cell>),
    threshold: f64,
) -> Difference {
    let (from, to) = (a.as_ref().map_or(0.0, value), b.as_ref().map_or(0.0, value));
    let larger = from.abs().max(to.abs());
    let part = if larger > 0.0 {
        (to - from) * 100.0 / larger
    } else {
        0.0
    };
    let verdict = match (&a, &b) {
        (Some(_), None) => Verdict::OnlyA,
        (None, _) => Verdict::OnlyB,
        _ if part.abs() <= threshold => Verdict::Same,
        _ if !less_is_better(place.column) => Verdict::Changed,
        _ if to < from => Verdict::Better,
        _ => Verdict::Worse,
    };
    let percent = if from.abs() > 0.0 {
        (to - from) * 100.0 / from
    } else {
        part
    };
    Difference {
        report,
        place,
        a,
        b,
        percent,
        verdict,
    }
}

/// Whether the less, the better: what takes time or goes wrong.
fn less_is_better(column: &str) -> bool {
    const BAD: [&str; 5] = ["error", "lost", "fail", "late", "leak"];
    let is_time = column.ends_with("_ns") && !column.starts_with("idle");
    is_time || BAD.iter().any(|bad| column.contains(bad))
}

fn overview(rows: Vec<Vec<Cell>>, threshold: f64) -> Table {
    Table {
        name: "reports",
        title: format!("Numbers by report; differences up to {threshold} % are none"),
        shape: Shape::Rows,
        columns: vec![
            column("report", "Report"),
            column("numbers", "Numbers"),
            column("same", "Same"),
            column("better", "Better"),
            column("worse", "Worse"),
            column("changed", "Changed"),
            column("only_a", "Only in A"),
            column("only_b", "Only in B"),
        ],
        rows,
    }
}

fn list(mut differences: Vec<Difference>, top: usize) -> Table {
    differences.sort_by(|one, other| {
        let by_size = other.percent.abs().total_cmp(&one.percent.abs());
        by_size.then_with(|| (one.report, &one.place).cmp(&(other.report, &other.place)))
    });
    let count = differences.len();
    differences.truncate(top);
    let title = format!("The {} largest of {count} differences", differences.len());
    let row = |difference: Difference| {
        let Difference { a, b, .. } = difference;
        let change = match (&a, &b) {
            (Some(a), Some(b)) => Cell::Text(format!("{:+.0}", value(b) - value(a))),
            _ => Cell::Absent,
        };
        let of = difference.place.row;
        let name = match of.1 {
            0 => of.0,
            before => format!("{} #{}", of.0, before + 1),
        };
        vec![
            Cell::Text(difference.report.to_owned()),
            Cell::Text(difference.place.table.to_owned()),
            Cell::Text(name),
            Cell::Text(difference.place.column.to_owned()),
            a.unwrap_or(Cell::Absent),
            b.unwrap_or(Cell::Absent),
            change,
            Cell::Percent(difference.percent),
            Cell::Text(difference.verdict.name().to_owned()),
        ]
    };
    Table {
        name: "differences",
        title,
        shape: Shape::Rows,
        columns: vec![
            column("report", "Report"),
            column("table", "Table"),
            column("row", "Row"),
            column("number", "Number"),
            column("a", "A"),
            column("b", "B"),
            column("difference", "Difference"),
            column("percent", "%"),
            column("verdict", "Verdict"),
        ],
        rows: differences.into_iter().map(row).collect(),
    }
}
