//! The workload with a real compiler: what the trace says ran, against what gcc's driver is known to run.

use std::collections::BTreeMap;

use guesttrace_tests::{events, guests_wanted, record, skip};

/// Programs and how often: three files are compiled and assembled, the driver once more calls the linker.
const PROGRAMS: [(&str, usize); 6] = [
    ("gcc", 4),
    ("cc1", 3),
    ("as", 3),
    ("collect2", 1),
    ("ld", 1),
    ("built", 1),
];

#[test]
fn a_compiler_in_the_guest_runs_its_programs_and_they_end_well() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let run = record("6.1-amd64", "compile", &["--events", "process"]);
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    assert!(
        run.console
            .contains("compile: the program was built and ran well")
    );

    let filter = "event == sched_process_exec";
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in events(&run.trace, &["--filter", filter]) {
        let name = event.text("filename").rsplit('/').next().unwrap_or("");
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    for (name, expected) in PROGRAMS {
        assert_eq!(counts.get(name), Some(&expected), "{name} in {counts:?}");
    }
}
