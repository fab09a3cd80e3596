//! Traces in the Common Trace Format, held against babeltrace2: the same events with the same stamps and fields.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/babeltrace.rs"]
mod babeltrace;
#[path = "support/ctf_writer.rs"]
mod ctf_writer;
#[path = "support/samples.rs"]
mod samples;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use analyzer::model::GuestNanos;
use analyzer::report::{Options, ReportFormat, report_named};
use analyzer::sources::{Fields, Item, Range, Trace};
use babeltrace::{Printed, Shown};
use ctf_writer::Shape;
use trace_format::{EventSchema, FieldKind, Value};

/// Events that the sample has.
const SAMPLE_EVENTS: usize = 134_500;

/// Asserts that a trace has what babeltrace2 says. Returns the number of events.
fn assert_same(directory: &Path) -> usize {
    let trace = Trace::open(directory).unwrap();
    // Of streams with simultaneous events babeltrace2 takes another one first.
    let mut by_cpu: BTreeMap<u64, Vec<Printed>> = BTreeMap::new();
    for event in babeltrace::events(directory) {
        by_cpu.entry(event.cpu).or_default().push(event);
    }
    by_cpu.values_mut().for_each(|events| events.reverse());
    let mut stream = trace.stream(&Range::default()).unwrap();
    let mut count = 0;
    while let Some(item) = stream.next_item().unwrap() {
        let Item::Record(record) = item else { continue };
        if record.is_context {
            continue;
        }
        let schema = trace.schema().event(record.event).unwrap();
        let expected = by_cpu.get_mut(&u64::from(record.cpu.0)).and_then(Vec::pop);
        let expected =
            expected.unwrap_or_else(|| panic!("no more events than {count} of CPU {}", record.cpu));
        assert_eq!(
            (&schema.name, record.tsc),
            (&expected.name, expected.ticks),
            "event {count}"
        );
        assert_fields(schema, &record.fields, &expected);
        count += 1;
    }
    let left: usize = by_cpu.values().map(Vec::len).sum();
    assert_eq!(left, 0, "events that were not read");
    assert_eq!(stream.damage(), []);
    count
}

fn assert_fields(schema: &EventSchema, fields: &Fields<'_>, expected: &Printed) {
    for (index, field) in schema.fields.iter().enumerate() {
        let value = fields.value(index);
        let told = || format!("{}.{}: {value:?}, {expected:?}", schema.name, field.name);
        if field.name == "more_fields" {
            let rest: Vec<(String, Shown)> = expected
                .fields
                .iter()
                .filter(|(name, _)| schema.field_index(name).is_none())
                .cloned()
                .collect();
            assert_eq!(
                value,
                Value::Bytes(babeltrace::text(&Shown::Struct(rest)).as_bytes())
            );
            continue;
        }
        let shown = expected.fields.iter().find(|(name, _)| *name == field.name);
        let (_, shown) = shown.unwrap_or_else(|| panic!("{}", told()));
        match (value, shown, &field.kind) {
            (Value::Number(number), Shown::Number(_), _) => {
                assert_eq!(number, babeltrace::number(shown), "{}", told())
            }
            // babeltrace2 2.0.4 shows for some empty texts what an earlier event had there: the file has a NUL.
            (Value::Bytes(b""), Shown::Text(_), _) => {}
            (Value::Bytes(bytes), Shown::Text(text), _) => {
                // The choice of a variant has its quotes.
                let own = String::from_utf8_lossy(bytes);
                assert!(own == *text || own == babeltrace::text(shown), "{}", told());
            }
            (Value::Bytes(bytes), Shown::List(list), FieldKind::Bytes) => {
                let list: Vec<u8> = list
                    .iter()
                    .map(|one| babeltrace::number(one).to_le_bytes()[0])
                    .collect();
                assert_eq!(bytes, list, "{}", told());
            }
            (Value::Bytes(bytes), Shown::List(list), FieldKind::Addresses) => {
                let list: Vec<u8> = list
                    .iter()
                    .flat_map(|one| babeltrace::number(one).to_le_bytes())
                    .collect();
                assert_eq!(bytes, list, "{}", told());
            }
            (Value::Bytes(bytes), _, _) => {
                assert_eq!(
                    String::from_utf8_lossy(bytes),
                    babeltrace::text(shown),
                    "{}",
                    told()
                );
            }
            _ => panic!("{}", told()),
        }
    }
    let others = expected
        .fields
        .iter()
        .filter(|(name, _)| schema.field_index(name).is_none());
    assert!(
        others.count() == 0 || schema.field_index("more_fields").is_some(),
        "{schema:?} lacks fields of {expected:?}"
    );
}

/// Lets babeltrace2 write a trace anew.
fn converted(directory: &Path) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let status = Command::new("babeltrace2")
        .arg(directory)
        .args(["--output-format=ctf", "--output"])
        .arg(out.path())
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    out
}

fn shapes(is_json: bool) -> impl Iterator<Item = Shape> {
    [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .map(move |(is_big_endian, is_packetised)| Shape {
            is_big_endian,
            is_json,
            is_packetised,
        })
}

/// All events and losses as text, but for stamps.
fn listing(directory: &Path) -> Vec<String> {
    let trace = Trace::open(directory).unwrap();
    let mut stream = trace.stream(&Range::default()).unwrap();
    let mut lines = Vec::new();
    while let Some(item) = stream.next_item().unwrap() {
        lines.push(match item {
            Item::Loss(loss) => format!("{loss:?}"),
            Item::Record(record) => {
                let schema = trace.schema().event(record.event).unwrap();
                let field = |index: usize| {
                    format!(
                        "{}={:?}",
                        schema.fields[index].name,
                        record.fields.value(index)
                    )
                };
                let fields: Vec<String> = (0..schema.fields.len()).map(field).collect();
                let context = record.context;
                format!(
                    "{} {} {} {} {} {fields:?}",
                    record.at.0, record.cpu, schema.name, context.tid, context.pid
                )
            }
        });
    }
    lines
}

#[test]
fn every_class_of_fields_is_read_as_babeltrace2_reads_it() {
    for shape in shapes(false) {
        let directory = tempfile::tempdir().unwrap();
        let events = ctf_writer::write(directory.path(), shape);
        assert_eq!(assert_same(directory.path()) as u64, events, "{shape:?}");
        let again = converted(directory.path());
        assert_eq!(
            assert_same(again.path()) as u64,
            events,
            "{shape:?}, written by babeltrace2"
        );
    }
}

#[test]
fn both_languages_of_metadata_say_the_same() {
    let read = |shape| {
        let directory = tempfile::tempdir().unwrap();
        ctf_writer::write(directory.path(), shape);
        listing(directory.path())
    };
    for shape in shapes(true) {
        let other = Shape {
            is_json: false,
            ..shape
        };
        let (own, other) = (read(shape), read(other));
        assert_eq!(own.len(), other.len());
        for (own, other) in own.iter().zip(&other) {
            assert_eq!(own, other, "{shape:?}");
        }
        // Debian 12's babeltrace2 does not know CTF 2.
        if babeltrace::version().is_some_and(|version| version >= (2, 1)) {
            let directory = tempfile::tempdir().unwrap();
            ctf_writer::write(directory.path(), shape);
            assert_same(directory.path());
        }
    }
}

#[test]
fn what_the_tracer_could_not_keep_is_told_where_it_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let shape = Shape {
        is_big_endian: false,
        is_json: false,
        is_packetised: false,
    };
    ctf_writer::write(directory.path(), shape);
    let trace = Trace::open(directory.path()).unwrap();
    let lost: Vec<_> = trace
        .findings()
        .into_iter()
        .filter(|finding| finding.name == "records_lost")
        .collect();
    assert_eq!(lost.len(), 1);
    // Of both streams.
    assert_eq!(lost[0].count, Some(40 + 41));
    let mut losses = Vec::new();
    let mut stream = trace.stream(&Range::default()).unwrap();
    while let Some(item) = stream.next_item().unwrap() {
        if let Item::Loss(loss) = item {
            losses.push((loss.cpu.0, loss.since, loss.at, loss.count));
        }
    }
    let seconds = |seconds: u64| GuestNanos(seconds * 1_000_000_000);
    // The last event of the second packet, and the beginning of the third.
    let expected = (2, Some(seconds(1000 + 13 * 50)), seconds(2000), Some(40));
    assert_eq!(losses[0], expected);
    assert_eq!((losses.len(), losses[1].0, losses[1].3), (2, 3, Some(41)));
}

#[test]
fn the_kernel_sample_is_what_babeltrace2_says() {
    let Some(sample) = samples::kernel() else {
        guesttrace_tests::skip!("foreign sample trace lttng-2.10-kernel-4.4.tar.xz is not there");
    };
    assert_eq!(assert_same(sample.path()), SAMPLE_EVENTS);
    let again = converted(sample.path());
    assert_eq!(assert_same(again.path()), SAMPLE_EVENTS);
}

/// A trace as a tracer leaves it that was told to begin a new file for each packet, and to put the session away in
/// between.
fn rotated(shape: Shape, session: &Path) {
    let files = ctf_writer::files(shape);
    let parts = [
        "archives/20260101T000000-1/kernel",
        "archives/20260101T000001-2/kernel",
        "kernel",
    ];
    for part in parts {
        std::fs::create_dir_all(session.join(part)).unwrap();
        std::fs::write(session.join(part).join("metadata"), &files[0].1).unwrap();
    }
    for (name, bytes) in &files[1..] {
        // Packets are as long as the first: all have the same kinds of events, but for a few bytes that filling hides.
        let starts: Vec<usize> = (0..bytes.len())
            .filter(|at| bytes[*at..].starts_with(&bytes[..20]))
            .collect();
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        for (number, (start, end)) in starts.iter().zip(ends).enumerate() {
            // Tracers begin again at 0 when they have as many files as they were told: names say nothing about time.
            let part = session
                .join(parts[number])
                .join(format!("{name}_{}", 2 - number));
            std::fs::write(part, &bytes[*start..end]).unwrap();
        }
    }
}

#[test]
fn rotated_files_and_sessions_are_one_trace() {
    for shape in shapes(false) {
        let (whole, session) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        ctf_writer::write(whole.path(), shape);
        rotated(shape, session.path());
        assert_eq!(listing(session.path()), listing(whole.path()));
    }
}

#[test]
fn a_trace_is_found_by_any_of_its_files() {
    let session = tempfile::tempdir().unwrap();
    let directory = session.path().join("session/kernel");
    std::fs::create_dir_all(&directory).unwrap();
    let shape = shapes(false).next().unwrap();
    ctf_writer::write(&directory, shape);
    let expected = listing(&directory);
    for path in [
        session.path(),
        &directory.join("metadata"),
        &directory.join("channel_0"),
    ] {
        assert_eq!(listing(path), expected, "{}", path.display());
    }
}

/// Where packets begin, which are told by their magic number and the trace's name.
fn packet_starts(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(&bytes[..20]))
        .collect()
}

#[test]
fn a_packet_that_nobody_closed_ends_with_its_last_event() {
    let directory = tempfile::tempdir().unwrap();
    ctf_writer::write(directory.path(), shapes(false).next().unwrap());
    let closed = Trace::open(directory.path()).unwrap().duration();
    let events = listing(directory.path());
    for name in ["channel_0", "channel_1"] {
        let stream = directory.path().join(name);
        let mut bytes = std::fs::read(&stream).unwrap();
        // Behind a header of 32 bytes and the time that the packet begins at.
        let end = packet_starts(&bytes).pop().unwrap() + 32 + 8;
        bytes[end..end + 8].fill(0);
        std::fs::write(&stream, bytes).unwrap();
    }
    assert!(closed > GuestNanos(0));
    assert_eq!(Trace::open(directory.path()).unwrap().duration(), closed);
    // babeltrace2 reads such a packet alone, but does not go on to it from another.
    assert_eq!(listing(directory.path()), events);
}

#[test]
fn a_packet_that_is_missing_is_a_loss() {
    let directory = tempfile::tempdir().unwrap();
    ctf_writer::write(directory.path(), shapes(false).next().unwrap());
    let stream = directory.path().join("channel_0");
    let bytes = std::fs::read(&stream).unwrap();
    let starts = packet_starts(&bytes);
    std::fs::write(&stream, [&bytes[..starts[1]], &bytes[starts[2]..]].concat()).unwrap();
    let trace = Trace::open(directory.path()).unwrap();
    let lost = trace
        .findings()
        .into_iter()
        .find(|finding| finding.name == "packets_lost");
    assert_eq!(lost.unwrap().count, Some(1));
    let losses = listing(directory.path())
        .into_iter()
        .filter(|line| line.contains("count: None"));
    assert_eq!(losses.count(), 1);
}

#[test]
fn reports_of_the_kernel_sample_make_sense() {
    let Some(sample) = samples::kernel() else {
        guesttrace_tests::skip!("foreign sample trace lttng-2.10-kernel-4.4.tar.xz is not there");
    };
    let trace = Trace::open(sample.path()).unwrap();
    let json = |name: &str| -> serde_json::Value {
        let mut out = Vec::new();
        let report = report_named(name).unwrap();
        report
            .write(&trace, &Options::default(), ReportFormat::Json, &mut out)
            .unwrap();
        serde_json::from_slice(&out).unwrap()
    };
    // What contradicts itself would be a wrong table: nothing was lost here.
    let summary = json("summary");
    assert_eq!(
        summary["findings"],
        serde_json::json!([]),
        "{:#}",
        summary["findings"]
    );
    // babeltrace2 has 10,515 of these, by the name that LTTng gives the function.
    let syscalls = json("syscalls").to_string();
    assert!(syscalls.contains("\"lstat\"") && syscalls.contains("10515"));
}
