//! Files of a real recording: in several, cut, put together, compared, repaired.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use guesttrace_tests::{guests_wanted, guesttrace, record, skip};
use trace_format::{TraceFile, later_part_files, part_path};

/// Bytes at which a file is full: of the core events of `mix` there are several.
const MAX_FILE_SIZE: &str = "0.03";

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(guesttrace());
    command
        .args(arguments)
        .output()
        .expect("the program is built")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn ends(status: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {}{talk}",
        out(&output)
    );
    out(&output)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

fn events(trace: &Path) -> String {
    ends(
        0,
        &["events", text(trace), "--event", "*", "--format", "json"],
    )
}

/// Lines without those that only say which thread runs.
fn kernel_events(trace: &Path) -> String {
    ends(0, &["events", text(trace), "--format", "json"])
}

#[test]
fn a_recording_in_parts_is_one_recording() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name);
    let whole = record(
        "6.1-amd64",
        "mix",
        &["--events", "core", "--max-file-size", MAX_FILE_SIZE],
    );
    assert_eq!(whole.status, 0, "{}", whole.complaints);
    let session = format!("trace={},events=irq", path("irq.bin").display());
    let rest = record(
        "6.1-amd64",
        "mix",
        &["--events", "core,-irq", "--session", &session],
    );
    assert_eq!(rest.status, 0, "{}", rest.complaints);
    files_are_one(&whole.trace, dir.path());
    cuts_are_parts(&whole.trace, dir.path());
    // Sessions of a run hold together what one trace of all events holds.
    let merged = path("merged.bin");
    ends(
        0,
        &[
            "merge",
            text(&path("irq.bin")),
            text(&rest.trace),
            "-o",
            text(&merged),
        ],
    );
    assert_eq!(kernel_events(&merged), kernel_events(&whole.trace));
    ends(0, &["verify", text(&merged)]);
    // A trace of fewer events differs in what it lacks, and in nothing else.
    let json = ends(
        1,
        &[
            "diff",
            text(&whole.trace),
            text(&rest.trace),
            "--format",
            "json",
        ],
    );
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let alignment = &told["alignment"];
    let counts = ["moved", "changed", "only_b"].map(|key| alignment[key].as_u64());
    assert_eq!(counts, [Some(0); 3], "{}", alignment["by_event"]);
    // Besides them each trace has the end of the machine.
    let irqs = kernel_events(&path("irq.bin"));
    let irqs = irqs.matches("\"event\":\"irq_").count() as u64;
    assert_eq!(alignment["only_a"].as_u64(), Some(irqs));
}

/// The files of a recording are read as one and each alone, and put together are the same.
fn files_are_one(first: &Path, dir: &Path) {
    let later = later_part_files(first);
    assert!(later.len() >= 2, "{later:?}");
    assert!(ends(0, &["verify", text(first)]).contains("whole and unharmed"));
    let all = events(first);
    let mut count = 0;
    for file in later.iter().map(|path| &**path) {
        ends(0, &["verify", text(file)]);
        count += events(file).lines().count();
    }
    let alone = TraceFile::open_alone(first).expect("a trace");
    let own = alone
        .chunks()
        .iter()
        .map(|chunk| chunk.record_count - chunk.sticky_count);
    assert_eq!(all.lines().count(), count + own.sum::<u32>() as usize);
    let one = dir.join("one.bin");
    ends(0, &["merge", text(first), "-o", text(&one)]);
    assert_eq!(events(&one), all);
    assert!(ends(0, &["diff", text(first), text(&one)]).starts_with("identical: "));
    // Without one of them the rest is there, and what is missing is said.
    let copy = dir.join("copy.bin");
    for (number, path) in (0..).zip(std::iter::once(first).chain(later.iter().map(|path| &**path)))
    {
        fs::copy(path, part_path(&copy, number)).expect("room for a copy");
    }
    fs::remove_file(part_path(&copy, 1)).expect("the copy is there");
    let output = run(&["events", text(&copy), "--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(
        talk.contains("file 1 of the recording is missing"),
        "{talk}"
    );
    let shown = out(&output);
    let (gaps, events): (Vec<_>, Vec<_>) =
        shown.lines().partition(|line| line.contains("\"gap\":"));
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let known: std::collections::HashSet<&str> = all.lines().collect();
    let strange = events.iter().find(|line| !known.contains(**line));
    assert_eq!(strange, None);
    // Repaired it says so for good.
    let repaired = dir.join("repaired.bin");
    let told = ends(1, &["repair", text(&copy), "-o", text(&repaired)]);
    assert!(told.contains("lost between"), "{told}");
    ends(3, &["info", text(&repaired)]);
}

/// Cuts show what the whole shows, and put together they are the whole.
fn cuts_are_parts(whole: &Path, dir: &Path) {
    let bounds = ["1s", "4s", "6.2s"];
    let mut parts = Vec::new();
    for (number, (from, to)) in (0..).zip([
        (None, Some(0)),
        (Some(0), Some(1)),
        (Some(1), Some(2)),
        (Some(2), None),
    ]) {
        let part = dir.join(format!("part{number}.bin"));
        let mut range = Vec::new();
        for (option, bound) in [("--from", from), ("--to", to)] {
            range.extend(bound.into_iter().flat_map(|at: usize| [option, bounds[at]]));
        }
        ends(
            0,
            &[&["cut", text(whole), "-o", text(&part)], &range[..]].concat(),
        );
        ends(0, &["verify", text(&part)]);
        let of_whole = ends(0, &[&["events", text(whole)], &range[..]].concat());
        assert_eq!(ends(0, &["events", text(&part)]), of_whole, "{range:?}");
        assert!(of_whole.lines().count() > 10, "{range:?}");
        parts.push(part);
    }
    let all = dir.join("all.bin");
    let parts: Vec<&str> = parts.iter().rev().map(|path| text(path)).collect();
    ends(0, &[&["merge", "-o", text(&all)], &parts[..]].concat());
    assert!(ends(0, &["diff", text(whole), text(&all)]).starts_with("identical: "));
    ends(0, &["verify", text(&all)]);
    // What the index leaves out is nothing.
    let tid = "1";
    let shown = ends(
        0,
        &["events", text(whole), "--tid", tid, "--format", "json"],
    );
    let all = kernel_events(whole);
    let of_thread = all
        .lines()
        .filter(|line| line.contains(",\"tid\":1,\"comm\":"));
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        of_thread.collect::<Vec<_>>()
    );
}
