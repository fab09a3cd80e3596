//! Rules about numbers of reports.

use super::amount::Amount;
use super::fault::{RulesError, RulesProblem};
use super::judge::{Gap, Judged};
use super::outcome::{Offenders, Verdict};
use super::rule::{Name, Number, Rows, Rule};
use crate::report::{Cell, Report, Table};

/// Rows of tables that are sorted by size: more are not looked at.
pub(super) const TOP: usize = 1000;

/// A rule about a number, beside the report that it is in.
pub(super) struct Asked<'r> {
    pub(super) rule: &'r Rule,
    pub(super) number: &'r Number,
    pub(super) report: &'r Report,
    /// The same numbers of the golden trace, by name.
    pub(super) golden: Option<&'r [(String, Amount)]>,
    pub(super) gap: Option<&'r Gap>,
}

/// A row that is meant, and the number in it.
struct Meant {
    label: String,
    amount: Option<Amount>,
    /// What is in the cell, number or not.
    text: String,
}

impl Asked<'_> {
    /// Judges it.
    ///
    /// # Errors
    /// When the report has no such table or column.
    pub(super) fn judge(&self) -> Result<Judged, RulesError> {
        let table = self.table()?;
        let meant = self.meant(table)?;
        let judged = match self.number.rows {
            Rows::Each if self.rule.question.is_some() => self.take_first(table, &meant),
            Rows::Each => self.judge_each(table, &meant),
            Rows::Sum => {
                let unit = meant.iter().find_map(|row| row.amount);
                let zero = unit.map(|unit| unit.minus(unit));
                let amounts = meant.iter().filter_map(|row| row.amount);
                let sum = zero.map(|zero| amounts.fold(zero, Amount::plus));
                self.judge_one(table, "sum", sum, meant.len())
            }
            Rows::Count => {
                let count = Amount::things(meant.len() as u64);
                self.judge_one(table, "count", Some(count), meant.len())
            }
        };
        Ok(self.shake(judged))
    }

    fn table(&self) -> Result<&Table, RulesError> {
        let tables = &self.report.tables;
        let names = || tables.iter().map(|table| table.name);
        match (&self.number.table, &tables[..]) {
            (Some(name), _) => {
                let table = tables.iter().find(|table| table.name == name.text);
                table.ok_or_else(|| {
                    let what = format!("table of the report {:?}", self.report.name);
                    let problem = RulesProblem::unknown(what, &name.text, names());
                    RulesError::in_line(problem, name.line)
                })
            }
            (None, [only]) => Ok(only),
            (None, _) => {
                let report = self.number.kind.name;
                let names = names().collect::<Vec<_>>().join(", ");
                let problem = RulesProblem::NoTable { report, names };
                Err(RulesError::in_line(problem, self.rule.line))
            }
        }
    }

    /// The rows that are meant.
    fn meant(&self, table: &Table) -> Result<Vec<Meant>, RulesError> {
        let mut keys = Vec::new();
        for (name, glob) in &self.number.row {
            keys.push((column_of(table, name)?, glob));
        }
        let column = self.number.column.as_ref();
        let column = column.map(|name| column_of(table, name)).transpose()?;
        let mut meant = Vec::new();
        for row in &table.rows {
            let is_meant = keys.iter().all(|(index, glob)| {
                row.get(*index)
                    .is_some_and(|cell| glob.matches(plain(cell).as_bytes()))
            });
            if !is_meant {
                continue;
            }
            let label: Vec<String> = match &keys[..] {
                [] => row.first().map(plain).into_iter().collect(),
                keys => keys
                    .iter()
                    .filter_map(|(index, _)| Some(plain(row.get(*index)?)))
                    .collect(),
            };
            let amount = column
                .and_then(|index| row.get(index))
                .and_then(Amount::of_cell);
            if let (Some(amount), Some(name)) = (amount, &self.number.column)
                && self.number.rows != Rows::Count
                && let Some((key, wrong)) = self.number.limits.misfit(amount.unit)
            {
                let (found, unit) = (wrong.unit.name(), amount.unit.name());
                let problem = RulesProblem::Unit { key, found, unit };
                return Err(RulesError::in_line(problem, name.line));
            }
            let cell = column.and_then(|index| row.get(index));
            meant.push(Meant {
                label: label.join(" "),
                amount,
                text: cell.map_or_else(String::new, plain),
            });
        }
        Ok(meant)
    }

    fn golden(&self, name: &str) -> Option<Amount> {
        let numbers = self.golden?;
        let known = numbers.iter().find(|(known, _)| known == name);
        known.map(|(_, amount)| *amount)
    }

    fn judge_each(&self, table: &Table, meant: &[Meant]) -> Judged {
        if meant.is_empty() {
            return self.nothing(table);
        }
        let limits = &self.number.limits;
        let mut verdict = Verdict::Passed;
        let mut offenders = Offenders::default();
        let mut reason = None;
        for row in meant {
            let golden = self.golden(&row.label);
            let Some(amount) = row.amount else {
                reason.get_or_insert_with(|| format!("of {} the trace does not say it", row.label));
                continue;
            };
            if limits.tolerance.is_some() && golden.is_none() {
                reason.get_or_insert_with(|| format!("the golden trace has no row {}", row.label));
            }
            if limits.bounds(golden).judge(amount, Some(amount)) == Verdict::Failed {
                verdict = Verdict::Failed;
                let golden = golden.map_or_else(String::new, |golden| format!(", golden {golden}"));
                offenders.add(None, || format!("{}: {amount}{golden}", row.label));
            }
        }
        if verdict == Verdict::Passed && reason.is_some() {
            verdict = Verdict::Unknown;
        }
        let found = match meant {
            [only] => only
                .amount
                .map_or_else(|| "-".to_owned(), |amount| amount.to_string()),
            several => format!("{} rows", several.len()),
        };
        let golden = match meant {
            [only] => self.golden(&only.label),
            _ => None,
        };
        Judged {
            verdict,
            expected: limits.describe(golden),
            found,
            offenders,
            reason: reason.filter(|_| verdict == Verdict::Unknown),
            is_loss: false,
            numbers: numbers(meant),
        }
    }

    /// What the first row says, number or not: the truth that a question is about.
    fn take_first(&self, table: &Table, meant: &[Meant]) -> Judged {
        let Some(row) = meant.first() else {
            return self.nothing(table);
        };
        let amount = row.amount.map(|amount| ("first".to_owned(), amount));
        Judged {
            verdict: Verdict::Passed,
            expected: String::new(),
            found: row.text.clone(),
            offenders: Offenders::default(),
            reason: None,
            is_loss: false,
            numbers: amount.into_iter().collect(),
        }
    }

    /// Judges a number that is made of all rows.
    fn judge_one(&self, table: &Table, name: &str, amount: Option<Amount>, rows: usize) -> Judged {
        let limits = &self.number.limits;
        let golden = self.golden(name);
        let Some(amount) = amount.filter(|_| !table.rows.is_empty()) else {
            return self.nothing(table);
        };
        let verdict = limits.bounds(golden).judge(amount, Some(amount));
        let lacks_golden = limits.tolerance.is_some() && golden.is_none();
        let is_unknown = verdict == Verdict::Passed && lacks_golden;
        Judged {
            verdict: if is_unknown {
                Verdict::Unknown
            } else {
                verdict
            },
            expected: limits.describe(golden),
            found: format!("{amount} ({name} of {rows} rows)"),
            offenders: Offenders::default(),
            reason: is_unknown.then(|| "the golden trace has no such number".to_owned()),
            is_loss: false,
            numbers: vec![(name.to_owned(), amount)],
        }
    }

    /// There is no such row; of a table without rows nobody knows whether there could be.
    fn nothing(&self, table: &Table) -> Judged {
        let is_empty = table.rows.is_empty();
        let verdict = match (self.rule.is_optional, is_empty) {
            (true, _) => Verdict::Passed,
            (false, true) => Verdict::Unknown,
            (false, false) => Verdict::Failed,
        };
        let reason = format!(
            "the table {:?} has no rows: were its events recorded?",
            table.name
        );
        Judged {
            verdict,
            expected: self.number.limits.describe(None),
            found: "no such row".to_owned(),
            offenders: Offenders::default(),
            reason: (verdict == Verdict::Unknown).then_some(reason),
            is_loss: false,
            numbers: Vec::new(),
        }
    }

    /// A number of a trace that is not whole may be another.
    fn shake(&self, judged: Judged) -> Judged {
        match self.gap {
            Some(gap) if judged.verdict == Verdict::Passed && gap.since < self.rule.window.end => {
                Judged {
                    verdict: Verdict::Unknown,
                    reason: Some(gap.reason.clone()),
                    is_loss: true,
                    ..judged
                }
            }
            _ => judged,
        }
    }
}

fn numbers(meant: &[Meant]) -> Vec<(String, Amount)> {
    let numbers = meant.iter();
    numbers
        .filter_map(|row| Some((row.label.clone(), row.amount?)))
        .collect()
}

fn column_of(table: &Table, name: &Name) -> Result<usize, RulesError> {
    let index = table
        .columns
        .iter()
        .position(|column| column.name == name.text);
    index.filter(|_| !name.text.is_empty()).ok_or_else(|| {
        let names = table
            .columns
            .iter()
            .map(|column| column.name)
            .filter(|name| !name.is_empty());
        let problem =
            RulesProblem::unknown(format!("column of {:?}", table.name), &name.text, names);
        RulesError::in_line(problem, name.line)
    })
}

/// What is in a cell, as programs get it.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Absent | Cell::Bar { .. } => "-".to_owned(),
        Cell::Text(text) | Cell::Branch { text, .. } => text.clone(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Count(count) => count.to_string(),
        Cell::Time(time) | Cell::Length(time) => time.0.to_string(),
        Cell::Percent(percent) => format!("{percent:.2}"),
        Cell::Hex(value) => format!("{value:#x}"),
    }
}

/// Whether two rules can be judged by the same report.
pub(super) fn same_report(one: &Rule, number: &Number, other: &Rule, of_other: &Number) -> bool {
    number.kind.name == of_other.kind.name && one.window == other.window
}
