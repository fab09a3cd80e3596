//! Verdicts for people.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};

use crate::judge::seconds;
use crate::outcome::{RunOutcome, Sums, Verdict};
use crate::suite::{Compare, Run};

/// Writes what does not hold and why, then a table of all runs and the sums.
///
/// # Errors
/// When the output fails.
pub fn write_text(outcomes: &[RunOutcome], out: &mut dyn Write) -> io::Result<()> {
    for outcome in outcomes {
        if outcome.verdict() == Verdict::Passed {
            continue;
        }
        write_checks(outcome, out)?;
        if let Some(dir) = &outcome.artifacts {
            writeln!(out, "        artifacts: {}", dir.display())?;
        }
        writeln!(out)?;
    }
    let mut table = table(&["run", "verdict", "guest", "events", "wall", "recorded"]);
    for outcome in outcomes {
        let facts = outcome.facts;
        let recorded = match (outcome.is_cached, outcome.recordings) {
            (true, _) => "cached".to_owned(),
            (false, 0) => String::new(),
            (false, 1) => "once".to_owned(),
            (false, times) => format!("{times} times"),
        };
        table.add_row([
            outcome.name.clone(),
            outcome.verdict().name().to_owned(),
            facts.map_or_else(String::new, |facts| seconds(facts.guest)),
            facts.map_or_else(String::new, |facts| facts.events.to_string()),
            outcome
                .wall
                .map_or_else(String::new, |wall| format!("{:.1} s", wall.as_secs_f64())),
            recorded,
        ]);
    }
    write_table(&mut table, &[2, 3, 4], out)?;
    writeln!(out, "{}", sums(outcomes))
}

/// The sums in one line.
fn sums(outcomes: &[RunOutcome]) -> String {
    let Sums {
        passed,
        failed,
        unmade,
        cached,
    } = Sums::of(outcomes);
    let count = outcomes.len();
    let runs = if count == 1 { "run" } else { "runs" };
    format!(
        "{count} {runs}: {passed} passed, {failed} failed, {unmade} with errors; {cached} cached"
    )
}

/// Writes each thing that a run has to hold.
pub(crate) fn write_checks(outcome: &RunOutcome, out: &mut dyn Write) -> io::Result<()> {
    let verdict = outcome.verdict().name();
    writeln!(out, "{verdict:<8}{}", outcome.name)?;
    for check in &outcome.checks {
        writeln!(out, "  {:<8}{}", check.verdict.name(), check.name)?;
        for line in &check.lines {
            writeln!(out, "          {line}")?;
        }
    }
    Ok(())
}

/// Writes which runs a suite has.
///
/// # Errors
/// When the output fails.
pub fn write_list(runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
    let mut table = table(&["run", "kernel", "image", "workload", "cpus", "holds"]);
    for run in runs {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        table.add_row([
            run.name.clone(),
            text(&run.guest.kernel),
            text(&run.guest.image),
            text(&run.guest.workload),
            run.guest.smp.unwrap_or(1).to_string(),
            held(run),
        ]);
    }
    write_table(&mut table, &[4], out)
}

/// What has to hold, in a few words.
fn held(run: &Run) -> String {
    let holds = &run.holds;
    let mut held = Vec::new();
    if holds.status != 0 {
        held.push(format!("status {}", holds.status));
    }
    if holds.same > 1 {
        held.push(format!("{} the same", holds.same));
    }
    if !holds.rules.is_empty() || holds.own_rules.is_some() {
        held.push("rules".to_owned());
    }
    if holds.golden.is_some() {
        held.push(match &holds.compare {
            Compare::All => "golden".to_owned(),
            Compare::Events(events) => format!("golden {events}"),
            Compare::Nothing => "golden for budgets".to_owned(),
        });
    }
    if holds.max_guest.is_some() || holds.max_wall.is_some() {
        held.push("time".to_owned());
    }
    held.join(", ")
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

fn write_table(table: &mut Table, numbers: &[usize], out: &mut dyn Write) -> io::Result<()> {
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim())?;
    }
    Ok(())
}
