//! From a key that the guest presses to the answer of the program that reads it, as a chain of causes.

use std::process::Command;

use guesttrace_tests::{guests_wanted, guesttrace, record, skip};
use serde_json::Value;

/// The chains of the keyboard's interrupt in a recording.
fn chains() -> Value {
    let run = record("6.1-amd64", "keyboard", &[]);
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    for key in ["a", "s", "d"] {
        assert!(
            run.console.contains(&format!("key {key}")),
            "{}",
            run.console
        );
    }
    let output = Command::new(guesttrace())
        .args(["chain", "--from-irq", "1", "--format", "json"])
        .arg(&run.trace)
        .output()
        .expect("guesttrace can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

#[test]
fn a_key_leads_from_its_interrupt_to_what_its_reader_writes() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let chains = [chains(), chains()];
    assert_eq!(chains[0], chains[1]);
    // Three keys are answered; what else the keyboard says, such as that a key is up again, reaches nobody.
    let list = chains[0]["chains"].as_array().expect("a list");
    let answered = list.iter().filter(|chain| {
        chain["effect"]
            .as_str()
            .is_some_and(|effect| effect.contains("calls write"))
    });
    assert_eq!(answered.count(), 3, "{list:#?}");
    let steps = chains[0]["steps"].as_array().expect("a list");
    let what: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["what"].as_str())
        .collect();
    assert_eq!(what.len(), 5, "{what:?}");
    assert_eq!(what[0], "interrupt 1 i8042");
    assert!(what[1].ends_with("begins work flush_to_ldisc"), "{what:?}");
    let reader = what[2]
        .strip_suffix(" is woken")
        .expect("a thread is woken");
    assert!(reader.starts_with("exercise:"), "{what:?}");
    assert_eq!(what[3], format!("{reader} runs"));
    assert!(
        what[4].starts_with(&format!("{reader} calls write")),
        "{what:?}"
    );
}
