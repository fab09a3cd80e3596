//! `cut` and `merge` as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../../analyzer/tests/support/synthetic.rs"]
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../analyzer/tests/golden/first_program.script"
);

fn run(args: &[&str]) -> Output {
    let mut command = Command::cargo_bin("guesttrace").unwrap();
    command.args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn well(args: &[&str]) -> String {
    let output = run(args);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {talk}");
    stdout(&output)
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The golden script as a trace with so many records in a chunk.
    fn trace(&self, name: &str, chunk_records: usize) -> String {
        let script = std::fs::read_to_string(SCRIPT).unwrap();
        let path = self.path(name);
        std::fs::write(&path, synthetic::trace(&script, chunk_records)).unwrap();
        text(&path)
    }

    fn name(&self, name: &str) -> String {
        text(&self.path(name))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Times of the golden script's events, and one between each two.
fn times() -> Vec<String> {
    let dir = Dir::new();
    let whole = dir.trace("whole.bin", 1000);
    let events = well(&["events", &whole, "--format", "json"]);
    let mut times: Vec<u64> = events
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["time_ns"]
                .as_u64()
                .unwrap()
        })
        .flat_map(|time| [time, time + 1])
        .collect();
    times.dedup();
    times.into_iter().map(|time| format!("{time}ns")).collect()
}

#[test]
fn a_cut_shows_what_the_whole_shows_of_that_time() {
    let times = times();
    for chunk_records in [1, 2, 5, 1000] {
        let dir = Dir::new();
        let whole = dir.trace("whole.bin", chunk_records);
        let part = dir.name("part.bin");
        for (from, to) in times.iter().zip(times.iter().skip(9)).step_by(8) {
            let range = ["--from", from, "--to", to];
            let cut = [&["cut", &whole, "-o", &part][..], &range].concat();
            well(&cut);
            for more in [
                &["--format", "json"][..],
                &["--event", "*"],
                &["--tid", "3"],
            ] {
                let of_whole = well(&[&["events", &whole][..], &range, more].concat());
                let of_part = well(&[&["events", &part][..], more].concat());
                assert_eq!(of_part, of_whole, "{chunk_records} {range:?} {more:?}");
            }
            assert!(well(&["verify", &part]).contains("whole and unharmed"));
        }
    }
}

#[test]
fn cuts_put_together_are_the_whole() {
    let times = times();
    for chunk_records in [1, 3, 1000] {
        let dir = Dir::new();
        let whole = dir.trace("whole.bin", chunk_records);
        let [a, b, c, all] = ["a.bin", "b.bin", "c.bin", "all.bin"].map(|name| dir.name(name));
        for (first, second) in times.iter().zip(times.iter().skip(7)).step_by(12) {
            well(&["cut", &whole, "--to", first, "-o", &a]);
            well(&["cut", &whole, "--from", first, "--to", second, "-o", &b]);
            well(&["cut", &whole, "--from", second, "-o", &c]);
            well(&["merge", &c, &a, &b, "-o", &all]);
            well(&["verify", &all]);
            assert!(
                well(&["diff", &whole, &all]).starts_with("identical"),
                "{first} {second}"
            );
            assert_eq!(well(&["events", &whole]), well(&["events", &all]));
            // Without the one in the middle there is a gap, and it is said.
            let output = run(&["merge", &c, &a, "-o", &all]);
            assert_eq!(output.status.code(), Some(1));
            assert!(stdout(&output).contains("nothing is known between"));
        }
    }
}

#[test]
fn cuts_that_overlap_tell_nothing_twice() {
    let dir = Dir::new();
    let whole = dir.trace("whole.bin", 4);
    let [a, b, all] = ["a.bin", "b.bin", "all.bin"].map(|name| dir.name(name));
    well(&["cut", &whole, "--to", "20us", "-o", &a]);
    well(&["cut", &whole, "--from", "9us", "-o", &b]);
    well(&["merge", &a, &b, "-o", &all]);
    assert_eq!(
        well(&["events", &whole, "--event", "*"]),
        well(&["events", &all, "--event", "*"])
    );
    well(&["verify", &all]);
    // By CPU, too.
    well(&["cut", &whole, "--cpu", "0", "-o", &a]);
    well(&["cut", &whole, "--cpu", "1", "-o", &b]);
    assert_eq!(
        well(&["events", &a]),
        well(&["events", &whole, "--cpu", "0"])
    );
    well(&["merge", &a, &b, "-o", &all]);
    assert_eq!(well(&["events", &whole]), well(&["events", &all]));
}

#[test]
fn a_cut_of_some_events_knows_their_threads() {
    let dir = Dir::new();
    let whole = dir.trace("whole.bin", 4);
    let part = dir.name("part.bin");
    well(&["cut", &whole, "--event", "syscall_*,tick", "-o", &part]);
    let chosen = well(&[
        "events",
        &whole,
        "--event",
        "syscall_*,tick",
        "--format",
        "json",
    ]);
    assert_eq!(well(&["events", &part, "--format", "json"]), chosen);
    assert!(well(&["verify", &part]).contains("whole and unharmed"));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let dir = Dir::new();
    let whole = dir.trace("whole.bin", 4);
    let [part, all] = ["part.bin", "all.bin"].map(|name| dir.name(name));
    let onto_itself = run(&["cut", &whole, "-o", &whole]);
    assert_eq!(onto_itself.status.code(), Some(2));
    let script = std::fs::read_to_string(SCRIPT).unwrap();
    let bytes = synthetic::trace(&script, 4);
    let mut header = trace_format::TraceFile::from_bytes(bytes)
        .unwrap()
        .header()
        .clone();
    header.kernel.release = "6.2.0-test".to_owned();
    let options = trace_format::WriterOptions {
        compression_level: 1,
    };
    let out = std::fs::File::create(&part).unwrap();
    let writer = trace_format::TraceWriter::new(out, &header, options).unwrap();
    writer.finish(&trace_format::Trailer::default()).unwrap();
    let foreign = run(&["merge", &whole, &part, "-o", &all]);
    assert_eq!(foreign.status.code(), Some(2));
    let told = String::from_utf8_lossy(&foreign.stderr);
    assert!(
        told.contains("trace 2 does not belong to the first: the kernel is another"),
        "{told}"
    );
    assert!(!Path::new(&all).exists() && !dir.path("all.bin.partial").exists());
    // Other events of one time belong together, of two times they do not.
    well(&["cut", &whole, "--event", "tick", "--to", "9us", "-o", &part]);
    let other = dir.name("other.bin");
    well(&[
        "cut", &whole, "--event", "irq_*", "--from", "9us", "-o", &other,
    ]);
    assert_eq!(
        run(&["merge", &part, &other, "-o", &all]).status.code(),
        Some(2)
    );
    well(&[
        "cut", &whole, "--event", "irq_*", "--to", "9us", "-o", &other,
    ]);
    well(&["merge", &part, &other, "-o", &all]);
    let chosen = well(&["events", &whole, "--event", "irq_*,tick", "--to", "9us"]);
    assert_eq!(well(&["events", &all]), chosen);
}
