//! One run seen from outside and by the guest's own tracer: both see the same events, and what the inner one costs is counted.

use std::process::Command;

use guesttrace_tests::{guest_arguments_with, guests_wanted, guesttrace, record_guest, skip};
use serde_json::Value;

/// Kinds of events that both sides record and that neither may miss.
const SEEN_BY_BOTH: [&str; 8] = [
    "sched_switch",
    "sched_waking",
    "sched_process_fork",
    "sched_process_exec",
    "sched_process_exit",
    "syscall_entry",
    "syscall_exit",
    "softirq_entry",
];

fn json(arguments: &[&std::ffi::OsStr]) -> Value {
    let output = Command::new(guesttrace())
        .args(arguments)
        .args(["--format", "json"])
        .output()
        .expect("guesttrace can be started");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_guests_own_tracer_sees_what_we_see_and_is_charged_for_it() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let arguments = guest_arguments_with("6.1-amd64", "+trace-cmd", "mix")
        .expect("scripts/test.sh builds the image");
    let run = |tracer| record_guest(&arguments, &["--quiet", "--native", tracer]);
    let (base, traced) = (run("none"), run("trace-cmd"));
    for one in [&base, &traced] {
        assert_eq!(one.status, 0, "{}\n{}", one.complaints, one.console);
    }
    let native = traced.trace.with_extension("trace.dat");
    let said = json(&[
        "compare".as_ref(),
        traced.trace.as_os_str(),
        native.as_os_str(),
        "--base".as_ref(),
        base.trace.as_os_str(),
    ]);
    assert_eq!(said["window"]["told_lost_events"], 0, "{said:#}");
    let rows = said["events"].as_array().expect("a table");
    for kind in SEEN_BY_BOTH {
        let row = rows.iter().find(|row| row["event"] == kind);
        let row = row.unwrap_or_else(|| panic!("{kind} is in neither: {said:#}"));
        assert!(row["both"].as_u64() > Some(0), "{row}");
        assert_eq!(
            (&row["missed_inside"], &row["missed_outside"]),
            (&0.into(), &0.into()),
            "{row}"
        );
    }
    let cost = |name: &str| {
        said["cost"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {said:#}"))
    };
    assert!(
        cost("with_instructions") > cost("without_instructions"),
        "{said:#}"
    );
}
