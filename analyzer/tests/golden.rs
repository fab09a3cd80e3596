//! Every report and every way of writing events, over traces named after what happens in them.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/synthetic.rs"]
mod synthetic;

use std::path::Path;

use analyzer::export::{Gaps, LineFormat, LineWriter};
use analyzer::model::{CpuId, GuestNanos};
use analyzer::report::{Glob, Options, REPORTS, ReportFormat, info};
use analyzer::sources::{Item, Range, Trace};
use expect_test::expect_file;
use trace_format::TraceFile;

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
        .with_extension("script");
    std::fs::read_to_string(path).unwrap()
}

fn open(script: &str, chunk_records: usize) -> Trace {
    Trace::Own(TraceFile::from_bytes(synthetic::trace(script, chunk_records)).unwrap())
}

fn lines(trace: &Trace, format: LineFormat, range: &Range) -> String {
    let mut writer = LineWriter::new(trace.schema(), format);
    let mut out = Vec::new();
    writer.push_header(&mut out, None);
    let mut stream = trace.stream(range).unwrap();
    let mut gaps = Gaps::new(trace.schema());
    while let Some(item) = stream.next_item().unwrap() {
        if let Some(gap) = gaps.before(&item) {
            writer.push_gap(&mut out, &gap);
        }
        if let Item::Record(record) = item
            && !record.is_repeated
            && !record.is_context
        {
            writer.push(&mut out, &record);
        }
    }
    String::from_utf8(out).unwrap()
}

const TRACES: [&str; 3] = ["first_program", "kernel_services", "lost_records"];

#[test]
fn reports() {
    for name in TRACES {
        let trace = open(&script(name), 1000);
        for kind in REPORTS {
            // How cells are written for programs is the same for every report, and for every one whose rows go out as they
            // are found.
            let is_example = ["summary", "processes", "timehist"].contains(&kind.name);
            for (format, extension) in [
                (ReportFormat::Text { width: None }, "txt"),
                (ReportFormat::Json, "json"),
                (ReportFormat::Csv, "csv"),
            ] {
                if extension != "txt" && !is_example {
                    continue;
                }
                let mut out = Vec::new();
                let options = Options::default();
                kind.write(&trace, &options, format, &mut out).unwrap();
                let text = String::from_utf8(out).unwrap();
                if extension == "json" {
                    serde_json::from_str::<serde_json::Value>(&text).unwrap();
                }
                expect_file![format!("golden/{name}.{}.{extension}", kind.name)].assert_eq(&text);
            }
        }
    }
}

#[test]
fn events() {
    for name in TRACES {
        let trace = open(&script(name), 1000);
        for (format, extension) in [
            (LineFormat::Text, "txt"),
            (LineFormat::Json, "json"),
            (LineFormat::Csv, "csv"),
        ] {
            let text = lines(&trace, format, &Range::default());
            expect_file![format!("golden/{name}.events.{extension}")].assert_eq(&text);
        }
    }
}

#[test]
fn facts() {
    let bytes = synthetic::trace(&script("lost_records"), 1000);
    let mut report = info(&Trace::Own(TraceFile::from_bytes(bytes).unwrap()));
    // Size and compression are not this test's.
    report.tables.retain(|table| table.name != "trace");
    let mut out = Vec::new();
    report
        .write(ReportFormat::Text { width: None }, &mut out)
        .unwrap();
    expect_file!["golden/lost_records.info.txt"].assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn how_a_trace_is_cut_into_chunks_changes_nothing() {
    let script = script("first_program");
    let whole = open(&script, 1000);
    let expected = lines(&whole, LineFormat::Json, &Range::default());
    let report = |trace: &Trace| {
        let reports = REPORTS
            .iter()
            .map(|kind| kind.make(trace, &Options::default()).unwrap().tables);
        reports.collect::<Vec<_>>()
    };
    for chunk_records in [1, 2, 3, 7] {
        let cut = open(&script, chunk_records);
        assert_eq!(
            lines(&cut, LineFormat::Json, &Range::default()),
            expected,
            "{chunk_records} records a chunk"
        );
        assert_eq!(
            report(&cut),
            report(&whole),
            "{chunk_records} records a chunk"
        );
    }
}

#[test]
fn what_was_not_asked_for_is_not_told() {
    let trace = open(&script("kernel_services"), 1000);
    let select = |comm: &str| {
        let mut options = Options::default();
        options.selection.comms.push(Glob::new(comm));
        options
    };
    for kind in REPORTS {
        let told = |comm: &str| {
            let mut out = Vec::new();
            let format = ReportFormat::Csv;
            kind.write(&trace, &select(comm), format, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let nobody = told("nobody");
        for thread in ["server", "worker"] {
            assert!(!nobody.contains(thread), "{}: {nobody}", kind.name);
        }
        // Those of another CPU, and before and after what is looked at.
        let mut options = Options::default();
        options.selection.cpus.push(CpuId(7));
        options.selection.span.end = GuestNanos(900);
        let report = kind.make(&trace, &options).unwrap();
        let text = format!("{:?}", report.tables);
        assert!(!text.contains("server"), "{}: {text}", kind.name);
    }
}

#[test]
fn a_part_is_what_the_whole_has_there() {
    let script = script("first_program");
    for chunk_records in [1, 3, 1000] {
        let trace = open(&script, chunk_records);
        let whole = lines(&trace, LineFormat::Json, &Range::default());
        for (from, to) in [(0, 0), (4000, 13_000), (12_550, 18_500), (30_000, 40_000)] {
            let (from, to) = (synthetic::FIRST_TSC + from, synthetic::FIRST_TSC + to);
            let range = Range {
                tscs: from..=to,
                cpus: Vec::new(),
                ..Range::default()
            };
            let inside = |line: &&str| {
                let tsc: u64 = line["{\"tsc\":".len()..line.find(',').unwrap()]
                    .parse()
                    .unwrap();
                (from..=to).contains(&tsc)
            };
            let expected: Vec<&str> = whole.lines().filter(inside).collect();
            let part = lines(&trace, LineFormat::Json, &range);
            assert_eq!(
                part.lines().collect::<Vec<_>>(),
                expected,
                "{from} to {to}, {chunk_records} records a chunk"
            );
        }
    }
}
