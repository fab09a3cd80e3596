//! Numbers of queries against those of reports: both read the same trace, each in its own way.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use analyzer::report::{Options, Selection, report_named, run};
use analyzer::sources::Trace;
use guesttrace_tests::{guests_wanted, guesttrace, record, skip};
use serde_json::Value;
use support::{SCRIPTS, Sql, trace};

/// A table of a report.
fn report(trace: &Trace, name: &str, table: &str) -> Vec<Value> {
    let mut out = Vec::new();
    let kind = report_named(name).unwrap();
    let format = analyzer::report::ReportFormat::Json;
    let options = Options {
        top: usize::MAX,
        ..Options::default()
    };
    kind.write(trace, &options, format, &mut out).unwrap();
    let report: Value = serde_json::from_slice(&out).unwrap();
    report[table].as_array().unwrap().clone()
}

fn number(row: &Value, key: &str) -> String {
    match &row[key] {
        Value::Null => "0".to_owned(),
        value => value.to_string(),
    }
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap().to_owned()
}

#[track_caller]
fn agree(what: &str, mut sql: Vec<Vec<String>>, mut report: Vec<Vec<String>>) {
    sql.sort();
    report.sort();
    assert_eq!(sql, report, "{what}");
}

/// Holds every table against what says the same in another way. Returns the number of events.
fn check(open: impl Fn() -> Trace) -> u64 {
    let trace = open();
    let sql = Sql::of(open());
    let pass = run(&trace, &Selection::default(), ()).unwrap();

    let counted = trace.schema().events.iter().filter_map(|event| {
        let count = pass.count(&trace, &event.name)?;
        (count > 0).then(|| vec![event.name.clone(), count.to_string()])
    });
    let counts = sql.rows("SELECT event, count(*) FROM events GROUP BY event");
    agree("events by kind", counts.clone(), counted.collect());
    for row in &counts {
        let own = sql.number(&format!("SELECT count(*) FROM \"{}\"", row[0]));
        assert_eq!(own.to_string(), row[1], "the table of {}", row[0]);
    }

    let calls = report(&trace, "syscalls", "calls")
        .iter()
        .map(|row| {
            vec![
                text(row, "name"),
                number(row, "count"),
                number(row, "errors"),
                number(row, "total_ns"),
                number(row, "max_ns"),
            ]
        })
        .collect();
    let query = "SELECT name, count(*), count(error), sum(duration_ns), max(duration_ns) FROM syscalls GROUP BY name";
    agree("system calls", sql.rows(query), calls);

    // Idle threads share a number; what they wait for is others' time.
    let threads = report(&trace, "processes", "threads");
    let threads = threads.iter().filter(|row| row["tid"] != 0).map(|row| {
        let keys = [
            "tid",
            "running_ns",
            "user_ns",
            "syscall_ns",
            "runnable_ns",
            "waiting_ns",
            "syscalls",
            "traps",
        ];
        keys.iter().map(|key| number(row, key)).collect()
    });
    let query = "SELECT tid, running_ns, user_ns, syscall_ns, runnable_ns, blocked_ns, syscalls, traps FROM threads WHERE tid <> 0";
    agree("threads", sql.rows(query), threads.collect());

    let wakeups: i64 = report(&trace, "wakeups", "wakeups")
        .iter()
        .map(|row| row["count"].as_i64().unwrap())
        .sum();
    if wakeups > 0 {
        assert_eq!(
            sql.number("SELECT count(*) FROM wakeups"),
            wakeups,
            "wake-ups"
        );
    }

    // The stretches of a thread make up its life, and its account.
    let query = "SELECT t.thread FROM threads t JOIN (SELECT thread, sum(duration_ns) AS life, \
        sum(CASE WHEN state = 'user' THEN duration_ns ELSE 0 END) AS in_user FROM thread_states GROUP BY thread) s \
        ON s.thread = t.thread WHERE s.in_user <> t.user_ns \
        OR s.life <> coalesce(t.end_ns, (SELECT duration_ns FROM trace)) - t.begin_ns";
    agree("stretches", sql.rows(query), Vec::new());
    pass.event_count
}

#[test]
fn queries_agree_with_reports() {
    for script in SCRIPTS {
        assert!(check(|| trace(script)) > 0, "{script} has events");
    }
}

#[test]
fn queries_agree_with_reports_of_a_guest() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let run = record(
        "6.1-amd64",
        "mix",
        &["--events", "core,block", "--smp", "2"],
    );
    assert_eq!(run.status, 0, "{}", run.complaints);
    let events = check(|| Trace::open(&run.trace).unwrap());
    assert!(events > 10_000, "{events} events of a boot");

    // The program as users start it, beside what `events` prints.
    let sql = Sql::of(Trace::open(&run.trace).unwrap());
    let query = "SELECT count(*) FROM sched_switch WHERE cpu = 1 AND time_ns >= 1000000000";
    let mut lines = Command::new(guesttrace());
    let lines = lines.arg("events").arg(&run.trace);
    let lines = lines
        .args(["--event", "sched_switch", "--cpu", "1", "--from", "1s"])
        .output()
        .unwrap();
    let lines = String::from_utf8(lines.stdout).unwrap().lines().count();
    assert_eq!(sql.number(query), i64::try_from(lines).unwrap());
    assert!(lines > 0);

    let requests: BTreeMap<String, String> = sql
        .rows("SELECT op, count(*) FROM io GROUP BY op")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert!(requests.contains_key("read"), "{requests:?}");
}
