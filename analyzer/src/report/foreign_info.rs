//! `info` of another tracer's trace, and of several traces as one: what they say of themselves, without reading events.

use std::time::{Duration, SystemTime};

use super::table::{Cell, Report, Shape, Table, column};
use crate::sources::foreign::Description;
use crate::sources::{Several, Trace};

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
    let start = description.start_nanos().and_then(date);
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

/// Describes several traces that are read as one.
pub(super) fn several_info(trace: &Trace, several: &Several) -> Report {
    let row = |(name, part, machine): (&str, &Trace, u32)| {
        let format = match part {
            Trace::Foreign(foreign) => foreign.description().format.clone(),
            Trace::Own(_) | Trace::Several(_) | Trace::Stoppable(_) => "guesttrace".to_owned(),
        };
        vec![
            Cell::guest_text(name.as_bytes()),
            Cell::guest_text(format.as_bytes()),
            Cell::Count(u64::from(machine)),
            Cell::Count(u64::from(part.cpu_count())),
            part.start_nanos()
                .and_then(date)
                .map_or(Cell::Absent, Cell::Text),
            Cell::Time(part.duration()),
        ]
    };
    Report {
        name: "info",
        findings: trace.findings(),
        tables: vec![Table {
            name: "traces",
            title: "Traces".to_owned(),
            shape: Shape::Rows,
            columns: vec![
                column("trace", "Trace"),
                column("format", "Format"),
                column("machine", "Machine"),
                column("cpus", "CPUs"),
                column("start", "Start (UTC)"),
                column("duration_ns", "Duration (s)"),
            ],
            rows: several.parts().map(row).collect(),
        }],
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
