//! Damaged traces, names that are no identifiers, queries that are none: a sentence, and nothing worse.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod support;

use std::process::Command;

use analyzer::sources::Trace;
use guesttrace_sql::{Format, Limits};
use guesttrace_tests::fuzz_usually;
use support::{SCRIPTS, Sql, bytes, golden, synthetic, trace};
use trace_format::TraceFile;

#[test]
fn fuzz_damaged_traces() {
    let files = SCRIPTS.map(bytes);
    fuzz_usually(30, |chance| {
        let mut bytes = chance.pick(&files).clone();
        chance.damage(&mut bytes);
        let Ok(file) = TraceFile::from_bytes(bytes) else {
            return;
        };
        let sql = Sql::of(Trace::Own(file));
        for table in [
            "events",
            "thread_states",
            "syscalls",
            "wakeups",
            "io",
            "threads",
            "losses",
            "trace",
        ] {
            // Either there are rows or there is a sentence.
            let _ = sql.text(&format!("SELECT * FROM {table}"), Format::Table);
        }
    });
}

#[test]
fn names_that_are_no_identifiers_are_quoted() {
    let mut schema = synthetic::schema();
    let mut events = schema.events.iter_mut();
    let event = events
        .find(|event| event.name == "sched_process_wait")
        .unwrap();
    // Records are found by the names of the script, so the fields keep theirs.
    event.doc = "a\nb\u{202e}".to_owned();
    let mut events = schema.events.iter_mut();
    let event = events.find(|event| event.name == "cpu_idle").unwrap();
    event.name = "We\"ird;--.x\u{202e}".to_owned();
    let mut events = schema.events.iter_mut();
    let event = events.find(|event| event.name == "power_off").unwrap();
    event.name = "threads".to_owned();
    let script = "10@0 We\"ird;--.x\u{202e} state=1 cpu=3\n20@0 threads";
    let bytes = synthetic::trace_of(script, 1000, schema);
    let sql = Sql::of(Trace::Own(TraceFile::from_bytes(bytes).unwrap()));
    let query = "SELECT time_ns, state, field_cpu AS \"\u{202e}\" FROM \"We\"\"ird;--.x\u{202e}\"";
    golden("quoted.txt", &sql.text(query, Format::Table).unwrap());
    assert_eq!(sql.number("SELECT count(*) FROM event_threads"), 1);
    assert_eq!(sql.number("SELECT count(*) FROM events"), 2);
}

#[test]
fn wrong_queries_get_a_sentence_and_a_hint() {
    let sql = Sql::of(trace("first_program"));
    let all: Vec<String> = [
        "",
        "SELEC 1",
        "SELECT * FROM sched_swich",
        "SELECT nam FROM syscalls",
        "SELECT nosuch(1)",
        "SELECT sum(comm) FROM threads",
        "SELECT 1/0",
    ]
    .into_iter()
    .map(|query| sql.complaint(query))
    .collect();
    golden("complaints.txt", &all.concat());
}

#[test]
fn deep_expressions_end_in_peace() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.bin");
    std::fs::write(&file, bytes("first_program")).unwrap();
    let sums = format!("SELECT {}1", "1+".repeat(400));
    let brackets = format!("SELECT {}1{}", "(".repeat(400), ")".repeat(400));
    let lists = format!("SELECT 1 IN ({}1)", "1,".repeat(400));
    let columns = format!("SELECT cpu{} FROM events", "+1".repeat(400));
    for query in [sums, brackets, lists, columns] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_guesttrace-sql"));
        let output = program.arg("sql").arg(&file).arg(&query).output().unwrap();
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code().is_some(),
            "{}...: {talk}",
            &query[..20]
        );
        assert!(!talk.contains("panicked"), "{talk}");
    }
}

#[test]
fn a_query_that_needs_too_much_memory_says_so() {
    let limits = Limits {
        memory_mib: 1,
        threads: 1,
    };
    let sql = Sql::with(trace("kernel_services"), limits);
    let query = "SELECT count(DISTINCT value || repeat('x', 100)) FROM generate_series(1, 1000000) AS t(value)";
    let complaint = sql.complaint(&query.replace("value ||", "CAST(value AS VARCHAR) ||"));
    assert!(complaint.contains("--memory"), "{complaint}");
    // Sorting goes to files instead.
    let sorted = "SELECT count(*) FROM (SELECT value FROM generate_series(1, 300000) AS t(value) ORDER BY value % 1000 LIMIT 200000)";
    let _ = sql.text(sorted, Format::Csv);
}
