//! `info`: what a trace file says about itself, without reading its records.

use std::collections::BTreeMap;

use trace_format::{ClockMode, TraceFile, Trailer};

use super::foreign_info::{foreign_info, several_info};
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::GuestNanos;
use crate::sources::{Clock, Trace, findings_of_file};

/// Describes a trace.
#[must_use]
pub fn info(trace: &Trace) -> Report {
    match trace {
        Trace::Own(file) => own_info(file, trace.clock()),
        Trace::Foreign(foreign) => foreign_info(trace, foreign.description()),
        Trace::Several(several) => several_info(trace, several),
        Trace::Stoppable(inner) => info(inner.trace()),
    }
}

fn own_info(file: &TraceFile, clock: Clock) -> Report {
    let mut tables = vec![
        trace_table(file, clock),
        kernel_table(file),
        machine_table(file),
        clock_table(file),
        cpu_table(file, clock),
    ];
    if let Some(trailer) = file.trailer() {
        tables.push(counter_table(trailer));
        tables.push(event_table(trailer));
        tables.push(silent_table(trailer));
        tables.push(handler_table(trailer));
    }
    tables.push(chunks_table(file));
    tables.push(absent_table(file));
    tables.push(digest_table(file));
    tables.retain(|table| !table.rows.is_empty());
    Report {
        name: "info",
        findings: findings_of_file(file),
        tables,
    }
}

fn text(text: &str) -> Cell {
    if text.is_empty() {
        Cell::Absent
    } else {
        Cell::guest_text(text.as_bytes())
    }
}

fn trace_table(file: &TraceFile, clock: Clock) -> Table {
    let chunks = file.chunks();
    let events: u64 = chunks
        .iter()
        .map(|chunk| u64::from(chunk.own_count()))
        .sum();
    let last_tsc = chunks.iter().map(|chunk| chunk.last_tsc).max().unwrap_or(0);
    let findings = findings_of_file(file);
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let bytes_per_record = file.file_bytes() as f64 / events.max(1) as f64;
    Table {
        name: "trace",
        title: "Trace".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("complete", "Complete"),
            column("end_reason", "Ended by"),
            column("duration_ns", "Duration (s)"),
            column("first_tsc", "First TSC"),
            column("last_tsc", "Last TSC"),
            column("records", "Records"),
            column("chunks", "Chunks"),
            column("bytes", "Bytes"),
            column("bytes_per_record", "Bytes per record"),
            column("event_kinds", "Kinds of events"),
            column("producer", "Recorded by"),
        ],
        rows: vec![vec![
            Cell::Flag(!findings.iter().any(|finding| finding.is_gap)),
            file.trailer()
                .map_or(Cell::Absent, |trailer| text(&trailer.end_reason)),
            Cell::Time(clock.nanos(last_tsc)),
            Cell::Count(clock.first_tsc),
            Cell::Count(last_tsc),
            Cell::Count(events),
            Cell::Count(chunks.len() as u64),
            Cell::Count(file.file_bytes()),
            Cell::Text(format!("{bytes_per_record:.1}")),
            Cell::Count(file.header().schema.events.len() as u64),
            text(&file.header().producer),
        ]],
    }
}

fn chunks_table(file: &TraceFile) -> Table {
    let rule = file.header().chunks.iter();
    Table {
        name: "chunks",
        title: "How it was written".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("buffer_kib", "Buffers of a CPU (KiB)"),
            column("flush_interval_ms", "Written at least every (ms)"),
            column("compression", "Compression level"),
        ],
        rows: rule
            .map(|rule| {
                vec![
                    Cell::Count(rule.buffer_kib),
                    Cell::Count(rule.flush_interval_ms),
                    Cell::Text(rule.compression_level.to_string()),
                ]
            })
            .collect(),
    }
}

fn kernel_table(file: &TraceFile) -> Table {
    let kernel = &file.header().kernel;
    let slide = file.trailer().and_then(|trailer| trailer.kernel_slide);
    Table {
        name: "kernel",
        title: "Kernel".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("release", "Release"),
            column("banner", "Banner"),
            column("build_id", "Build id"),
            column("command_line", "Command line"),
            column("slide", "KASLR slide"),
        ],
        rows: vec![vec![
            text(&kernel.release),
            text(&kernel.banner),
            text(&kernel.build_id),
            text(&kernel.command_line),
            slide.map_or(Cell::Absent, Cell::Hex),
        ]],
    }
}

fn machine_table(file: &TraceFile) -> Table {
    let machine = &file.header().machine;
    Table {
        name: "machine",
        title: "Machine".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("cpus", "CPUs"),
            column("memory_mib", "Memory (MiB)"),
            column("qemu_version", "QEMU"),
            column("qemu_arguments", "Arguments"),
            column("reproducible", "Reproducible"),
            column("obstacles", "Because"),
        ],
        rows: vec![vec![
            Cell::Count(u64::from(machine.cpu_count)),
            Cell::Count(machine.memory_mib),
            text(&machine.qemu_version),
            text(&machine.qemu_arguments.join(" ")),
            Cell::Flag(machine.reproducible),
            text(&machine.reproducible_obstacles.join(" ")),
        ]],
    }
}

fn clock_table(file: &TraceFile) -> Table {
    let clock = &file.header().clock;
    let mode = match clock.mode {
        ClockMode::Deterministic => "deterministic",
        ClockMode::Wall => "wall",
    };
    let mut row = vec![text(mode), Cell::Count(clock.tsc_hz)];
    match file.trailer().map(|trailer| &trailer.exactness) {
        Some(exact) => row.extend(
            [
                exact.compared,
                exact.exact,
                exact.error_p99,
                exact.error_max,
            ]
            .map(Cell::Count),
        ),
        None => row.extend([const { Cell::Absent }; 4]),
    }
    Table {
        name: "clock",
        title: "Clock".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("mode", "Mode"),
            column("tsc_hz", "Ticks per second"),
            column("compared", "Compared with the guest's RDTSCs"),
            column("exact", "Of these exact"),
            column("error_p99_ticks", "Error, 99th percentile (ticks)"),
            column("error_max_ticks", "Largest error (ticks)"),
        ],
        rows: vec![row],
    }
}

#[derive(Default)]
struct CpuChunks {
    chunks: u64,
    records: u64,
    lost: u64,
    first_tsc: Option<u64>,
    last_tsc: u64,
}

fn cpu_table(file: &TraceFile, clock: Clock) -> Table {
    let mut cpus: BTreeMap<u32, CpuChunks> = BTreeMap::new();
    for chunk in file.chunks() {
        let cpu = cpus.entry(chunk.cpu).or_default();
        cpu.chunks += 1;
        cpu.records += u64::from(chunk.own_count());
        cpu.lost = cpu.lost.saturating_add(chunk.lost_before);
        cpu.first_tsc.get_or_insert(chunk.first_tsc);
        cpu.last_tsc = cpu.last_tsc.max(chunk.last_tsc);
    }
    let row = |(cpu, sums): (u32, CpuChunks)| {
        let first = clock.nanos(sums.first_tsc.unwrap_or(0));
        vec![
            Cell::Count(u64::from(cpu)),
            Cell::Count(sums.records),
            Cell::Count(sums.chunks),
            Cell::Count(sums.lost),
            Cell::Time(first),
            Cell::Time(clock.nanos(sums.last_tsc).max(GuestNanos(0))),
        ]
    };
    Table {
        name: "cpus",
        title: "CPUs".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("cpu", "CPU"),
            column("records", "Records"),
            column("chunks", "Chunks"),
            column("lost", "Lost"),
            column("first_ns", "First (s)"),
            column("last_ns", "Last (s)"),
        ],
        rows: cpus.into_iter().map(row).collect(),
    }
}

fn counter_table(trailer: &Trailer) -> Table {
    let rows = trailer.stats.counts.iter();
    Table {
        name: "counters",
        title: "Counters of the recorder".to_owned(),
        shape: Shape::Rows,
        columns: vec![column("name", "Name"), column("count", "Count")],
        rows: rows
            .map(|(name, count)| vec![text(name), Cell::Count(*count)])
            .collect(),
    }
}

/// How often each event was recorded, by its hooks.
fn event_table(trailer: &Trailer) -> Table {
    let mut events: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for hook in &trailer.hooks {
        let (fired, hooks, silent) = events.entry(&hook.event).or_default();
        *fired += hook.fired;
        *hooks += 1;
        *silent += u64::from(hook.fired == 0);
    }
    let row = |(name, (fired, hooks, silent)): (&str, (u64, u64, u64))| {
        vec![
            text(name),
            Cell::Count(fired),
            Cell::Count(hooks),
            Cell::Count(silent),
        ]
    };
    Table {
        name: "events",
        title: "Events and their hooks".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("event", "Event"),
            column("fired", "Fired"),
            column("hooks", "Hooks"),
            column("silent_hooks", "Never fired"),
        ],
        rows: events.into_iter().map(row).collect(),
    }
}

fn silent_table(trailer: &Trailer) -> Table {
    let silent = trailer.hooks.iter().filter(|hook| hook.fired == 0);
    Table {
        name: "silent_hooks",
        title: "Hooks that never fired".to_owned(),
        shape: Shape::Rows,
        columns: vec![column("event", "Event"), column("hook", "Hook")],
        rows: silent
            .map(|hook| vec![text(&hook.event), text(&hook.hook)])
            .collect(),
    }
}

/// What the emulator says of interrupts and exceptions, which no probe saw for it.
fn handler_table(trailer: &Trailer) -> Table {
    let rows = trailer.handlers.iter();
    Table {
        name: "handlers",
        title: "Interrupts and exceptions as QEMU counted them".to_owned(),
        shape: Shape::Rows,
        columns: vec![column("handler", "Handler"), column("count", "Count")],
        rows: rows
            .map(|one| vec![text(&one.handler), Cell::Count(one.count)])
            .collect(),
    }
}

fn absent_table(file: &TraceFile) -> Table {
    let absent = file.header().absent.iter();
    Table {
        name: "absent_events",
        title: "Events that this kernel has no place for".to_owned(),
        shape: Shape::Rows,
        columns: vec![column("event", "Event"), column("reason", "Why")],
        rows: absent
            .map(|one| vec![text(&one.event), text(&one.reason)])
            .collect(),
    }
}

fn digest_table(file: &TraceFile) -> Table {
    let digests = file.header().digests.iter();
    Table {
        name: "digests",
        title: "What was run (SHA-256)".to_owned(),
        shape: Shape::Rows,
        columns: vec![column("name", "What"), column("sha256", "Digest")],
        rows: digests
            .map(|(name, digest)| vec![text(name), text(digest)])
            .collect(),
    }
}
