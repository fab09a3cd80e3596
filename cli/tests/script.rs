//! `docs/analyse_trace.py`, the example for users of Python, over a trace of known content.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../../analyzer/tests/support/synthetic.rs"]
mod synthetic;

use std::path::Path;
use std::process::Command;

use expect_test::expect;

#[test]
fn the_python_example_runs_and_agrees_with_the_report() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let script = project.join("analyzer/tests/golden/first_program.script");
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("out.bin");
    let text = std::fs::read_to_string(script).unwrap();
    std::fs::write(&trace, synthetic::trace(&text, 1000)).unwrap();
    let output = Command::new("python3")
        .arg(project.join("docs/analyse_trace.py"))
        .arg(&trace)
        .env("GUESTTRACE", assert_cmd::cargo::cargo_bin("guesttrace"))
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    expect![[r#"
        48 events of 24 kinds; the most frequent:
                 6 sched_switch
                 5 syscall_exit
                 5 syscall_entry
                 3 sched_process_fork
                 3 sched_wakeup_new
        Processes below the first:
          init 1
            init 3
        System calls that take longest in all:
          wait4                 1 calls        0.008 ms, longest 0.008 ms
          clone                 1 calls        0.004 ms, longest 0.004 ms
          write                 1 calls        0.002 ms, longest 0.002 ms
        3 kinds of calls; the report says otherwise of 0
    "#]]
    .assert_eq(&String::from_utf8(output.stdout).unwrap());
}
