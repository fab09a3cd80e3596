//! `repair` and `diff` as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../../analyzer/tests/support/synthetic.rs"]
mod synthetic;

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../analyzer/tests/golden/first_program.script"
);

fn trace(chunk_records: usize) -> Vec<u8> {
    synthetic::trace(&std::fs::read_to_string(SCRIPT).unwrap(), chunk_records)
}

fn run(verb: &str, paths: &[&Path], more: &[&str]) -> Output {
    let mut command = Command::cargo_bin("guesttrace").unwrap();
    command.arg(verb).args(paths).args(more).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_cut_trace_is_repaired_and_says_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let (cut, saved) = (dir.path().join("cut.bin"), dir.path().join("saved.bin"));
    let bytes = trace(2);
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let before = run("events", &[&cut], &["--format", "json"]);
    assert_eq!(before.status.code(), Some(3));
    let output = run("repair", &[&cut], &["-o", saved.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("CPU 0: whatever came last is lost between"));
    let verified = run("verify", &[&saved], &[]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
    // It reads the same, and is still no whole recording.
    let after = run("events", &[&saved], &["--format", "json"]);
    assert_eq!(stdout(&after), stdout(&before));
    let info = run("info", &[&saved], &[]);
    assert_eq!(info.status.code(), Some(3));
    assert!(stdout(&info).contains("cut off"));
    let onto_itself = run("repair", &[&saved], &["-o", saved.to_str().unwrap()]);
    assert_eq!(onto_itself.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&onto_itself.stderr).contains("hint: "));
    // A name in the place of a device would be the device's end; so not the real one here.
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let onto_socket = run("repair", &[&saved], &["-o", socket.to_str().unwrap()]);
    assert_eq!(onto_socket.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&onto_socket.stderr).contains("it is no plain file"));
}

#[test]
fn traces_are_identical_or_diverge_somewhere() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a.bin", "b.bin", "c.bin"].map(|name| dir.path().join(name));
    std::fs::write(&a, trace(1000)).unwrap();
    // Chunks of another size hold the same events.
    std::fs::write(&b, trace(3)).unwrap();
    let text = std::fs::read_to_string(SCRIPT).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len() - 1;
    std::fs::write(&c, synthetic::trace(&lines[..last].join("\n"), 1000)).unwrap();
    let same = run("diff", &[&a, &b], &[]);
    assert_eq!(same.status.code(), Some(0), "{}", stdout(&same));
    assert!(stdout(&same).starts_with("identical: "));
    let other = run("diff", &[&a, &c], &["--context", "2"]);
    assert_eq!(other.status.code(), Some(1));
    let told = stdout(&other);
    assert!(told.contains("B (has no more events)"), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[5].contains(
            " 0 events the same, 0 moved in time, 0 with other fields, 1 only in A, 0 only in B"
        ),
        "{told}"
    );
    assert!(
        lines[6].contains("power_off: 0 moved, 0 changed, 1 only in A, 0 only in B"),
        "{told}"
    );
    assert_eq!(lines.len(), 9, "{told}");
    let json = stdout(&run("diff", &[&a, &c], &["--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["identical"], false);
    assert!(json["divergence"]["a"]["event"].is_string());
    assert!(json["divergence"]["b"].is_null());
    assert_eq!(json["alignment"]["only_a"], 1);
    // The same bytes need no reading.
    assert!(stdout(&run("diff", &[&a, &a], &[])).starts_with("identical: the same bytes: "));
}

#[test]
fn what_became_of_each_event_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a.bin", "b.bin"].map(|name| dir.path().join(name));
    let text = std::fs::read_to_string(SCRIPT).unwrap();
    std::fs::write(&a, synthetic::trace(&text, 1000)).unwrap();
    // One system call ends otherwise, one tick is missing, and the end comes later.
    let other = text
        .replace(
            "syscall_exit nr=61 name=wait4 ret=3",
            "syscall_exit nr=61 name=wait4 ret=4",
        )
        .replace("25000@0 power_off", "25100@0 power_off");
    let tick = other.lines().find(|line| line.contains("@1 tick")).unwrap();
    let other = other.replace(&format!("{tick}\n"), "");
    std::fs::write(&b, synthetic::trace(&other, 1000)).unwrap();
    let output = run("diff", &[&a, &b], &["--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let alignment = &json["alignment"];
    let counts = ["changed", "only_a", "only_b", "moved"].map(|key| alignment[key].as_u64());
    assert_eq!(counts, [1, 1, 0, 1].map(Some), "{alignment}");
    assert_eq!(alignment["moved_ns"], serde_json::json!([100, 100]));
    assert_eq!(alignment["by_event"]["syscall_exit"]["changed"], 1);
    assert_eq!(alignment["by_event"]["tick"]["only_a"], 1);
    let of = |events: &str| run("diff", &[&a, &b], &["--event", events]);
    let same = of("sched_*");
    let switches = text.matches("sched_").count();
    assert_eq!(stdout(&same), format!("identical: {switches} events\n"));
    assert_eq!(same.status.code(), Some(0));
    let other = of("sched_*,tick");
    assert_eq!(other.status.code(), Some(1));
    let told = stdout(&other);
    assert!(
        told.contains("0 changed, 1 only in A, 0 only in B"),
        "{told}"
    );
    assert!(!told.contains("syscall_exit"), "{told}");
    // An event that never happened is no ground to call traces the same.
    assert_eq!(of("panic").status.code(), Some(2));
}
