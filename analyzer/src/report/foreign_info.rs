//! `info` of another tracer's trace: what it says of itself, without reading its events.

use std::time::{Duration, SystemTime};

use super::table::{Cell, Report, Shape, Table, column};
use crate::sources::Trace;
use crate::sources::foreign::Description;

/// Describes a trace of another tracer.
pub(super) fn foreign_info(trace: &Trace, description: &Description) -> Report {
    let mut tables = vec![trace_table(trace, description), facts_table(description)];
    tables.retain(|table| !table.rows.is_empty());
    Report {
        name: "info",
        findings: description.findings.clone(),
        tables,
    }
}

fn trace_table(trace: &Trace, description: &Description) -> Table {
    let clock = description.clock;
    let events = &description.schema.events;
    let understood = description.aliases.iter().count();
    let start = description.epoch_nanos.and_then(|epoch| {
        let since_zero = crate::sources::Clock {
            first_tsc: 0,
            ..clock
        };
        date(epoch + i128::from(since_zero.nanos(clock.first_tsc).0))
    });
    Table {
        name: "trace",
        title: "Trace".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("format", "Format"),
            column("start", "Start (UTC)"),
            column("duration_ns", "Duration (s)"),
            column("clock_hz", "Ticks in a second"),
            column("event_kinds", "Kinds of events"),
            column("understood_kinds", "Of these understood"),
            column("threads", "Threads named"),
        ],
        rows: vec![vec![
            Cell::guest_text(description.format.as_bytes()),
            start.map_or(Cell::Absent, Cell::Text),
            Cell::Time(trace.duration()),
            Cell::Count(clock.tsc_hz),
            // The context event is ours.
            Cell::Count(events.len().saturating_sub(1) as u64),
            Cell::Count(understood.saturating_sub(1) as u64),
            Cell::Count(description.threads.len() as u64),
        ]],
    }
}

fn facts_table(description: &Description) -> Table {
    let row = |fact: &crate::sources::foreign::Fact| {
        vec![
            Cell::guest_text(fact.name.as_bytes()),
            Cell::guest_text(fact.value.as_bytes()),
        ]
    };
    Table {
        name: "facts",
        title: "What it says of itself".to_owned(),
        shape: Shape::Rows,
        columns: vec![column("name", "What"), column("value", "Value")],
        rows: description.facts.iter().map(row).collect(),
    }
}

/// A time of day, from nanoseconds since 1970; `None` when that is no time that calendars have.
fn date(nanos: i128) -> Option<String> {
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    // The year 9999 is the last that the format has.
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, rest))?;
    (seconds < 253_402_300_800).then(|| humantime::format_rfc3339_nanos(time).to_string())
}
