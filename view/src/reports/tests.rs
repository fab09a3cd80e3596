//! Analyses through the questions of the page, against what the command line writes.

use std::sync::atomic::Ordering;

use analyzer::report::ReportFormat;
use analyzer::sources::TraceError;
use serde_json::{Map, Value, json};

use super::*;
use crate::testing::{ask, golden, query, served};

/// A report of the page in the form in which the command line writes it: rows as objects, values without their types.
fn as_written(report: &Value) -> Value {
    let mut written = Map::new();
    written.insert("report".to_owned(), report["report"].clone());
    written.insert("findings".to_owned(), report["findings"].clone());
    for table in report["tables"].as_array().unwrap() {
        let names = table["columns"].as_array().unwrap();
        let row = |row: &Value| {
            let cells = names.iter().zip(row.as_array().unwrap());
            let cells = cells.map(|(column, cell)| (column["name"].as_str().unwrap(), value(cell)));
            let named = cells.filter(|(name, _)| !name.is_empty());
            Value::Object(named.map(|(name, cell)| (name.to_owned(), cell)).collect())
        };
        let mut rows = table["rows"].as_array().unwrap().iter().map(row);
        let rows = match table["shape"].as_str() {
            Some("record") => rows.next().unwrap_or(Value::Null),
            _ => Value::Array(rows.collect()),
        };
        written.insert(table["name"].as_str().unwrap().to_owned(), rows);
    }
    Value::Object(written)
}

fn value(cell: &Value) -> Value {
    let Some(typed) = cell.as_object() else {
        return Value::Null;
    };
    let mut values = typed.iter().filter(|(kind, _)| *kind != "branch");
    match values.next() {
        Some((kind, _)) if kind == "bar" => Value::Null,
        Some((_, value)) => value.clone(),
        None => Value::Null,
    }
}

#[test]
fn reports_say_what_the_command_line_does() {
    let served = served(&golden("first_program"), 20);
    for kind in REPORTS {
        let mut written = Vec::new();
        let format = ReportFormat::Json;
        let trace = served.trace();
        kind.write(&trace, &Options::default(), format, &mut written)
            .unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        let answer = report(&served, kind.name, &query(&[])).unwrap();
        let answer: Value = serde_json::from_slice(&answer.bytes).unwrap();
        assert_eq!(as_written(&answer), written, "{}", kind.name);
        assert_eq!(answer["truncated"], false);
    }
    for name in ["info", "wait"] {
        assert!(report(&served, name, &query(&[("pid", "1")])).is_ok());
    }
    assert!(matches!(
        report(&served, "nonsense", &query(&[])),
        Err(Refusal::Missing { .. })
    ));
}

#[test]
fn rows_without_number_are_cut() {
    use std::fmt::Write as _;
    let mut script = String::new();
    for n in 0..30_000_u64 {
        let (prev, next) = (n % 2 + 1, (n + 1) % 2 + 1);
        writeln!(
            script,
            "{}@0 sched_switch prev_comm=a prev_pid={prev} prev_prio=120 prev_state=R next_comm=a next_pid={next} next_prio=120",
            n * 10
        )
        .unwrap();
    }
    let served = served(&script, 5000);
    let answer = report(&served, "timehist", &query(&[])).unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(answer["truncated"], true);
    let rows = answer["tables"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), ROWS_MAX);
}

#[test]
fn whoever_goes_ends_what_he_asked_for() {
    let served = served(&golden("first_program"), 20);
    let question = query(&[]);
    question.stop().store(true, Ordering::Relaxed);
    for answer in [
        report(&served, "summary", &question),
        flame(&served, &question),
    ] {
        assert!(matches!(answer, Err(Refusal::Trace(TraceError::Stopped))));
    }
    // Nothing is left behind that keeps others waiting.
    for _ in 0..5 {
        assert!(report(&served, "summary", &query(&[])).is_ok());
    }
}

#[test]
fn stacks_are_those_of_the_command_line() {
    let served = served(&golden("first_program"), 20);
    let trace = served.trace();
    let all = analyzer::causes::FlameKind::All;
    let folded = analyzer::causes::flame(&trace, &Selection::default(), all).unwrap();
    let told = ask(&served, flame, &[("waiting", "true")]);
    let stacks = told["stacks"].as_array().unwrap().iter();
    let lines: Vec<String> = stacks
        .map(|stack| {
            let frames = stack[0].as_array().unwrap().iter();
            let frames: Vec<&str> = frames.map(|frame| frame.as_str().unwrap()).collect();
            format!("{} {}", frames.join(";"), stack[1])
        })
        .collect();
    assert_eq!(lines, folded.lines);
}

#[test]
fn a_path_is_whole_and_lies_on_rows() {
    let served = served(&golden("first_program"), 20);
    let rows = served.index().overview.rows.clone();
    let row = rows.iter().position(|row| row.tid == Some(1)).unwrap();
    let told = ask(&served, path, &[("row", &row.to_string())]);
    let segments = told["segments"].as_array().unwrap();
    assert!(!segments.is_empty());
    for pair in segments.windows(2) {
        assert_eq!(pair[0]["to_ns"], pair[1]["from_ns"]);
    }
    for segment in segments {
        let row = usize::try_from(segment["row"].as_u64().unwrap()).unwrap();
        assert!(rows[row].tid.is_some());
    }
    let cpu = rows.iter().position(|row| row.tid.is_none()).unwrap();
    let no_thread = path(&served, &query(&[("row", &cpu.to_string())]));
    assert!(matches!(no_thread, Err(Refusal::Malformed { .. })));
    let no_row = path(&served, &query(&[("row", "4294967296")]));
    assert!(matches!(no_row, Err(Refusal::Missing { .. })));
}

#[test]
fn files_are_those_of_the_command_line() {
    let served = served(&golden("first_program"), 20);
    let csv = export(&served, &query(&[("to", "csv")])).unwrap();
    let expected = std::fs::read(crate::testing::golden_file("first_program.events.csv")).unwrap();
    assert_eq!(csv.bytes, expected);
    assert_eq!(csv.file_name.as_deref(), Some("test.csv"));
    let some = [
        ("to", "json"),
        ("filter", "event == tick"),
        ("to_ns", "5000"),
    ];
    let json = export(&served, &query(&some)).unwrap();
    assert_eq!(json.bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
    let cut = export(&served, &query(&[("to", "cut"), ("from", "9000")])).unwrap();
    let trace = trace_format::TraceFile::from_bytes(cut.bytes).unwrap();
    assert!(trace.part().is_some());
    assert!(export(&served, &query(&[("to", "exe")])).is_err());
}

#[test]
fn a_trace_is_like_itself() {
    let traces = ["first_program", "lost_records"].map(|name| Arc::new(served(&golden(name), 20)));
    let question = query(&[("a", "0"), ("b", "0"), ("report", "sched")]);
    let answer = compare(&traces, &question).unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(answer["report"], "compare");
    assert!(compare(&traces, &query(&[("a", "0"), ("b", "1")])).is_ok());
    assert!(compare(&traces, &query(&[("a", "0"), ("b", "2")])).is_err());
    let listed: Value = serde_json::from_slice(&list().unwrap().bytes).unwrap();
    assert_eq!(
        listed[0],
        json!({"name": REPORTS[0].name, "doc": REPORTS[0].doc})
    );
}
