//! `compare`: the numbers of all reports of two traces side by side, with a verdict for each.
//!
//! Rows belong together by what names them, without numbers of threads; of several with one name, the first thread's to
//! the first, and so on.
//! Points of time and numbers of threads and processes are not compared: they differ without meaning anything.

use std::collections::BTreeMap;

use super::catalogue::REPORTS;
use super::options::Options;
use super::table::{Cell, Column, Report, Shape, Table, column};
use crate::sources::{Finding, Trace, TraceError};

/// What is compared.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// The part of each trace.
    pub options: [Options; 2],
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
    rank: Rank,
    /// How much it matters beside others of its rank, from 0 to 1: by its change beside what it was, and beside the time
    /// of the trace or the sum of its column.
    weight: f64,
}

/// Which numbers come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Counts, sums, means, percentiles, the longest.
    Plain,
    /// Parts of a whole: the numbers beside them say how large that is.
    Share,
    /// Those of rows that only one trace has: often the same thing by another name.
    Alone,
    /// The shortest of many, which one lucky event decides.
    Least,
    /// How many fell into a range of a histogram: the rest of its report says it in fewer numbers.
    Bucket,
}

/// Compares the reports of two traces.
///
/// # Errors
/// When one cannot be read.
pub fn compare(a: &Trace, b: &Trace, wish: &CompareOptions) -> Result<Compared, TraceError> {
    let duration = value(&Cell::Time(a.duration().max(b.duration())));
    let mut rows = Vec::new();
    let mut differences = Vec::new();
    let mut findings = a.findings();
    findings.extend(b.findings());
    for kind in REPORTS.iter().filter(|kind| kind.is_whole()) {
        if !wish.reports.is_empty() && !wish.reports.iter().any(|name| name == kind.name) {
            continue;
        }
        let [of_a, of_b] = &wish.options;
        let sides = [kind.make(a, of_a)?, kind.make(b, of_b)?];
        for (name, side) in ["A", "B"].into_iter().zip(&sides) {
            add_unmet(&mut findings, side, name);
        }
        let mut counts = BTreeMap::new();
        for found in judged(kind.name, &sides, wish.threshold, duration) {
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

/// Adds what a report did not find of what it was asked for, once.
fn add_unmet(findings: &mut Vec<Finding>, report: &Report, trace: &str) {
    for finding in report.findings.iter().filter(|it| it.is_of_question()) {
        let mut finding = finding.clone();
        finding.text = finding.text.replace("the trace", trace);
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}

/// Every number of a report of two traces, the longer of which has so many nanoseconds.
fn judged(
    report: &'static str,
    sides: &[Report; 2],
    threshold: f64,
    duration: f64,
) -> Vec<Difference> {
    let [mut a, mut b] = sides.each_ref().map(numbers);
    let mut places: Vec<Place> = a.keys().chain(b.keys()).cloned().collect();
    places.sort();
    places.dedup();
    let judge = |place: Place| {
        let pair = (a.remove(&place), b.remove(&place));
        judge(report, place, pair, threshold)
    };
    let mut all: Vec<Difference> = places.into_iter().map(judge).collect();
    let mut columns: BTreeMap<_, f64> = BTreeMap::new();
    for found in &all {
        let sum = columns.entry((found.place.table, found.place.column));
        *sum.or_default() += found.larger();
    }
    for found in &mut all {
        let whole = match found.a.as_ref().or(found.b.as_ref()) {
            Some(Cell::Time(_) | Cell::Length(_)) => duration,
            Some(Cell::Percent(_)) => 100.0,
            _ => columns[&(found.place.table, found.place.column)],
        };
        let larger = found.larger();
        if whole > 0.0 && larger > 0.0 {
            let [from, to] = found.values();
            // What doubles counts for more than what grows by a tenth, and a tenth of all more than half of nearly none.
            let change = (to - from).abs();
            found.weight = (change / larger * (change / whole).min(1.0)).sqrt();
        }
    }
    all
}

impl Difference {
    fn values(&self) -> [f64; 2] {
        [&self.a, &self.b].map(|cell| cell.as_ref().map_or(0.0, value))
    }

    fn larger(&self) -> f64 {
        let [from, to] = self.values();
        from.abs().max(to.abs())
    }
}

impl Rank {
    fn of(place: &Place, cell: Option<&Cell>, verdict: Verdict) -> Self {
        if place.table == "histogram" {
            Self::Bucket
        } else if place.column.starts_with("min") {
            Self::Least
        } else if matches!(verdict, Verdict::OnlyA | Verdict::OnlyB) {
            Self::Alone
        } else if matches!(cell, Some(Cell::Percent(_))) {
            Self::Share
        } else {
            Self::Plain
        }
    }
}

/// The numbers of a report by their places.
fn numbers(report: &Report) -> BTreeMap<Place, Cell> {
    let mut found = BTreeMap::new();
    for table in &report.tables {
        let mut rows: Vec<(String, u64, &Vec<Cell>)> = Vec::new();
        for cells in &table.rows {
            let named = table.columns.iter().zip(cells);
            // What stands behind a number says more of the row and does not name it.
            let names = named
                .clone()
                .take_while(|(column, cell)| !is_number(column, cell))
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

/// Columns of text that differ from run to run without meaning anything: pointers among other values.
const DESCRIBING: [&str; 2] = ["arguments", "result"];

/// Columns whose numbers differ from run to run without meaning anything.
const MEANINGLESS: [&str; 4] = ["tid", "pid", "ppid", "parent"];

fn name_of(column: &Column, cell: &Cell) -> Option<String> {
    match cell {
        _ if DESCRIBING.contains(&column.name) => None,
        Cell::Text(text) | Cell::Branch { text, .. } if column.name == "comm" => Some(text.clone()),
        Cell::Text(text) | Cell::Branch { text, .. } => Some(without_tid(text).to_owned()),
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

/// What `comm:tid` names, without the number; a disk's `8:0` stays.
fn without_tid(text: &str) -> &str {
    let Some((name, tid)) = text.rsplit_once(':') else {
        return text;
    };
    let is_number = !tid.is_empty() && tid.bytes().all(|byte| byte.is_ascii_digit());
    let word = name.rsplit(' ').next().unwrap_or(name);
    let is_named = word.bytes().any(|byte| byte.is_ascii_alphabetic());
    if is_number && is_named { name } else { text }
}

fn is_number(column: &Column, cell: &Cell) -> bool {
    let name = column.name;
    let is_point = ["first_ns", "end_ns", "born_ns", "died_ns"].contains(&name)
        || ["start_ns", "at_ns", "_tsc"]
            .iter()
            .any(|end| name.ends_with(end));
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
        rank: Rank::of(&place, a.as_ref(), verdict),
        place,
        a,
        b,
        percent,
        verdict,
        weight: 0.0,
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
        let by_weight = other.weight.total_cmp(&one.weight);
        let by_rank = one.rank.cmp(&other.rank).then(by_weight);
        by_rank.then_with(|| (one.report, &one.place).cmp(&(other.report, &other.place)))
    });
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
    let table = Table {
        name: "differences",
        title: "Differences, those that matter most first; buckets of histograms last".to_owned(),
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
    };
    table.first(top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GuestNanos;

    /// The differences of two reports, in their order: row and column.
    fn order(a: Vec<Table>, b: Vec<Table>) -> Vec<String> {
        let report = |tables| Report {
            name: "one",
            findings: Vec::new(),
            tables,
        };
        let found = judged("one", &[report(a), report(b)], 5.0, 1e7);
        let differ = found
            .into_iter()
            .filter(|found| found.verdict != Verdict::Same);
        let rows = list(differ.collect(), usize::MAX).rows;
        let text = |cell: &Cell| super::super::render::text_cell(cell);
        let named = |row: &Vec<Cell>| format!("{} {}", text(&row[2]), text(&row[3]));
        rows.iter().map(named).collect()
    }

    fn table(name: &'static str, rows: &[(&str, u64, u64)]) -> Table {
        let row = |(key, least, total): &(&str, u64, u64)| {
            vec![
                Cell::Text((*key).to_owned()),
                Cell::Length(GuestNanos(*least)),
                Cell::Length(GuestNanos(*total)),
                Cell::Text(format!("by init:{total}")),
            ]
        };
        Table {
            name,
            title: String::new(),
            shape: Shape::Rows,
            columns: vec![
                column("what", ""),
                column("min_ns", ""),
                column("total_ns", ""),
                column("by", ""),
            ],
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn what_matters_comes_first_and_buckets_last() {
        let of = |small, large, bucket| {
            vec![
                table("histogram", &[("bucket", 1, bucket)]),
                table("calls", &[("small", small, small), ("large", 7, large)]),
            ]
        };
        // The small one is thrice what it was, which is nothing beside the half more of the large one.
        let found = order(of(10, 1_000_000, 1), of(30, 1_500_000, 1000));
        let expected = [
            "large total_ns",
            "small total_ns",
            "small min_ns",
            "bucket total_ns",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_are_paired_without_numbers_of_threads() {
        let of = |key: &str, total| vec![table("phases", &[(key, 5, total)])];
        let found = order(of("mount by init:1", 100), of("mount by init:77", 200));
        assert_eq!(found, ["mount by init total_ns"]);
        assert_eq!(without_tid("kworker/0:1:23"), "kworker/0:1");
        assert_eq!(without_tid("179:0"), "179:0");
        assert_eq!(without_tid("read of disk 8:0"), "read of disk 8:0");
    }
}
