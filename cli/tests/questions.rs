//! What is asked of a trace: parts of it, threads that it may not have, rankings, counts.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../../analyzer/tests/support/synthetic.rs"]
mod synthetic;

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use expect_test::expect;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../analyzer/tests/golden");

/// A trace of 25 microseconds, in which a program starts and makes another.
struct Whole {
    file: tempfile::NamedTempFile,
}

impl Whole {
    fn new() -> Self {
        let script = Path::new(GOLDEN).join("first_program.script");
        let script = std::fs::read_to_string(script).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), synthetic::trace(&script, 1000)).unwrap();
        Self { file }
    }

    fn path(&self) -> &str {
        self.file.path().to_str().unwrap()
    }
}

fn run(args: &[&str]) -> Output {
    let mut command = Command::cargo_bin("guesttrace").unwrap();
    command.args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn times_count_back_from_the_end() {
    let whole = Whole::new();
    let whole = whole.path();
    for verb in [&["events"][..], &["report", "summary"]] {
        let shown = |from: &str, to: &str| {
            let times = [whole, "--from", from, "--to", to];
            let output = run(&[verb, &times].concat());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            stdout(&output)
        };
        assert_eq!(shown("-15us", "-5us"), shown("10us", "20us"));
        assert_ne!(shown("-15us", "-5us"), shown("11us", "20us"));
        assert_eq!(shown("-1s", "20us"), shown("0", "20us"));
    }
}

#[test]
fn who_is_asked_for_and_not_there_is_told() {
    let whole = Whole::new();
    let whole = whole.path();
    let absent = expect![[r#"
        notice: No thread called "innit" is in the trace.
        hint: did you mean "init"?
        notice: No process 99 is in the trace.
        hint: `guesttrace report processes` has the processes and threads
    "#]];
    let who = ["--comm", "innit", "--pid", "99"];
    let asked = |verb: &[&str], more: &[&str]| {
        let output = run(&[verb, &[whole], &who, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (stdout(&output), stderr(&output))
    };
    let (out, talk) = asked(&["events"], &[]);
    assert_eq!(out, "");
    absent.assert_eq(&talk);
    let (out, talk) = asked(&["report", "processes"], &["--format", "json"]);
    absent.assert_eq(&talk);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["findings"][0]["name"], "no_such_thread");
    for verb in [&["report", "sched"][..], &["report", "timehist"], &["wait"]] {
        let (out, talk) = asked(verb, &[]);
        assert!(out.contains("No thread called \"innit\""), "{out}");
        assert_eq!(talk, "");
    }
    // Nothing is said of what is there, be it without anything that was asked for.
    let output = run(&["events", whole, "--comm", "kthreadd", "--event", "tick"]);
    assert_eq!((stdout(&output), stderr(&output)), Default::default());
}

#[test]
fn every_ranking_heeds_top_and_says_what_it_leaves_out() {
    let whole = Whole::new();
    let whole = whole.path();
    let tables = [
        ("syscalls", "calls"),
        ("syscalls", "processes"),
        ("sched", "threads"),
        ("wakeups", "wakeups"),
        ("system", "calls"),
        ("processes", "calls"),
        ("slowest", "slowest"),
    ];
    for (report, table) in tables {
        let args = ["report", report, whole, "--format"];
        let of = |more: &[&str]| {
            let output = run(&[&args, more].concat());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            stdout(&output)
        };
        let json = |more: &[&str]| -> serde_json::Value {
            serde_json::from_str(&of(&[&["json"], more].concat())).unwrap()
        };
        let all = json(&[])[table].as_array().unwrap().len();
        let cut = json(&["--top", "1"]);
        assert!(all > 1, "{report} {table}");
        assert_eq!(cut[table].as_array().unwrap().len(), 1, "{report} {table}");
        assert_eq!(cut["left_out"][table], all - 1, "{report} {table}");
        let left_out = format!("left_out,{table},{}\n", all - 1);
        assert!(of(&["csv", "--top", "1"]).contains(&left_out), "{report}");
        let said = format!("; the first 1 of {all}\n");
        assert!(of(&["text", "--top", "1"]).contains(&said), "{report}");
    }
}

#[test]
fn events_are_counted_by_what_tells_them_apart() {
    let whole = Whole::new();
    let whole = whole.path();
    let counted = |args: &[&str]| {
        let output = run(&[&["count", whole], args].concat());
        assert_eq!(stderr(&output), "", "{args:?}");
        stdout(&output)
    };
    expect![[r#"
        Events
          Counted              18
          Groups               8
          Without the field    0
          Beyond what is kept  0

        By what tells them apart; the first 3 of 8
        Event               Count      %
        sched_switch            6  33.33
        sched_process_fork      3  16.67
        sched_wakeup_new        3  16.67
    "#]]
    .assert_eq(&counted(&["--event", "sched_*", "--top", "3"]));
    let by = ["--by", "comm,name", "--event", "syscall_entry,syscall_exit"];
    expect![[r#"
        table,severity,finding,count,text

        table,events,groups,without_field,beyond
        sums,10,6,0,0

        table,comm,name,count,percent
        counts,init,clone,3,30.0000
        counts,init,wait4,2,20.0000
        counts,init,write,2,20.0000
        counts,init,,1,10.0000
        counts,init,execve,1,10.0000
        counts,init,exit_group,1,10.0000
    "#]]
    .assert_eq(&counted(&[&by[..], &["--format", "csv"]].concat()));
    // What `events` shows is what is counted, with the same choice.
    let part = ["--pid", "1", "--from", "5us", "--to", "-2us"];
    let events = run(&[&["events", whole, "--format", "csv"], &part[..]].concat());
    let json = counted(&[&["--by", "tid", "--format", "json"], &part[..]].concat());
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let lines = stdout(&events).lines().count() - 1;
    assert_eq!(report["counts"][0]["count"], lines);
    assert_eq!(report["sums"]["events"], lines);
    // A field that only some have, and one called as the thread's number is.
    let json = counted(&["--by", "event.pid", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(report["counts"][0]["event.pid"].is_number(), "{json}");
    assert!(report["sums"]["without_field"].as_u64() > Some(0), "{json}");
    let output = run(&["count", whole, "--by", "next_pit"]);
    assert_eq!(output.status.code(), Some(2));
    expect![[r#"
        error: --by: no event of the trace has a field "next_pit"; did you mean "next_pid"?
        hint: `guesttrace events FILE --limit 20` shows events with their fields
    "#]]
    .assert_eq(&stderr(&output));
}
