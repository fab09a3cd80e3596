//! What reports add up, against the kernel's own counters and what the program knows it did.

use std::process::Command;

use guesttrace_tests::{Event, Run, counters, guests_wanted, guesttrace, skip};
use serde_json::Value;

use super::{KERNEL, expectations, recording};

/// A report about what lies between the two readings of the counters.
fn between_readings((run, all): &(Run, Vec<Event>), name: &str) -> Value {
    let at = |text: &str| {
        let is_mark = |event: &&Event| {
            event.name() == "marker" && event.text("text").trim_end().ends_with(text)
        };
        let mark = all.iter().find(is_mark);
        format!("{}ns", mark.expect("a mark").number("time_ns"))
    };
    let (from, to) = (at("mark before-counters"), at("mark after-counters"));
    report(run, name, &["--from", &from, "--to", &to])
}

fn report(run: &Run, name: &str, options: &[&str]) -> Value {
    let output = Command::new(guesttrace())
        .args(["report", name, "--format", "json", "--top", "1000"])
        .args(options)
        .arg(&run.trace)
        .output()
        .expect("cargo build --release comes first");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The row of a table that has a value in a column.
fn row<'r>(report: &'r Value, table: &str, column: &str, value: &Value) -> &'r Value {
    let rows = report[table].as_array().expect("a table");
    let row = rows.iter().find(|row| row[column] == *value);
    row.unwrap_or_else(|| panic!("no {column} {value} in {report}"))
}

#[test]
fn packets_and_pages_are_those_that_the_kernel_counts() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let recording = recording(KERNEL);
    let change = |file: &str, name: &str| {
        let [before, after] = ["before", "after"].map(|at| counters(&recording.0.console, at));
        after.get(file, name) - before.get(file, name)
    };
    let net = between_readings(recording, "net");
    let lo = row(&net, "devices", "device", &Value::from("lo"));
    let memory = &between_readings(recording, "memory")["sums"];
    for (told, file, name) in [
        (&lo["packets_in"], "/proc/net/dev", "lo packets in"),
        (&lo["bytes_in"], "/proc/net/dev", "lo bytes in"),
        (&lo["packets_out"], "/proc/net/dev", "lo packets out"),
        (&memory["free_pages"], "/proc/vmstat", "pgfree"),
        (&memory["faults"], "/proc/vmstat", "pgfault"),
        (&memory["swap_ins"], "/proc/vmstat", "pswpin"),
        (&memory["swap_outs"], "/proc/vmstat", "pswpout"),
    ] {
        let counted = change(file, name);
        assert!(counted > 0, "{name}: the workload has none");
        assert_eq!(told.as_u64(), Some(counted), "{name}");
    }
}

#[test]
fn reports_have_what_the_program_did() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, _) = recording(KERNEL);
    let expected = expectations(&run.console);
    let told = |event: &str, known: (&str, &str), field: &str| {
        let is_meant =
            |(name, fields): &&(&str, Vec<(&str, &str)>)| *name == event && fields.contains(&known);
        let (_, fields) = expected.iter().find(is_meant).expect("a line");
        let (_, value) = fields
            .iter()
            .find(|(name, _)| *name == field)
            .expect("a field");
        (*value).to_owned()
    };
    // A wait at a futex that ran out of time; it slept until a timer.
    let address = told("futex_end", ("op", "WAIT"), "uaddr");
    let futex = report(run, "futex", &[]);
    let waited = row(&futex, "futexes", "address", &Value::from(address.clone()));
    assert_eq!(
        (&waited["waits"], &waited["timed_out"]),
        (&1.into(), &1.into())
    );
    let waiter = row(&futex, "waiters", "address", &Value::from(address));
    assert_eq!(waiter["owner"], "timer hrtimer_wakeup");
    // An interval timer that was set once and fired, and the signal that ended a child.
    let process: u64 = told("itimer_expire", ("which", "REAL"), "pid")
        .parse()
        .expect("a number");
    let timers = report(run, "timers", &[]);
    let interval = row(&timers, "intervals", "pid", &process.into());
    let value: u64 = told("itimer_state", ("which", "REAL"), "value")
        .parse()
        .expect("a number");
    assert_eq!(interval["first_ns"], value);
    assert_eq!(
        (&interval["set"], &interval["fired"]),
        (&1.into(), &1.into())
    );
    let signals = report(run, "signals", &[]);
    let killed = told("signal_generate", ("sig", "9"), "pid");
    let kill = row(&signals, "senders", "signal", &"SIGKILL".into());
    let receiver = kill["receiver"].as_str().expect("a thread");
    assert!(receiver.ends_with(&format!(":{killed}")), "{receiver}");
    assert_eq!((&kill["sent"], &kill["measured"]), (&1.into(), &1.into()));
    // The module that was asked for was loaded by the kernel's command line, and removed.
    let modules = report(run, "modules", &[]);
    let squashfs = row(&modules, "modules", "module", &"squashfs".into());
    assert_eq!(
        (&squashfs["loads"], &squashfs["removals"]),
        (&1.into(), &1.into())
    );
}
