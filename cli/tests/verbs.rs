//! The command as a user meets it: results, talk, exit statuses.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../../analyzer/tests/support/synthetic.rs"]
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use expect_test::{Expect, expect, expect_file};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../analyzer/tests/golden");

struct Traces {
    dir: tempfile::TempDir,
}

impl Traces {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn whole(&self) -> PathBuf {
        let path = self.path("whole.bin");
        std::fs::write(&path, script("first_program", 1000)).unwrap();
        path
    }

    /// The start of a trace of many chunks.
    fn cut(&self) -> PathBuf {
        let bytes = script("first_program", 2);
        let path = self.path("cut.bin.partial");
        let middle = middle_of_a_chunk(&bytes);
        std::fs::write(&path, &bytes[..middle]).unwrap();
        path
    }

    fn lossy(&self) -> PathBuf {
        let path = self.path("lossy.bin");
        std::fs::write(&path, script("lost_records", 1000)).unwrap();
        path
    }
}

fn script(name: &str, chunk_records: usize) -> Vec<u8> {
    let text =
        std::fs::read_to_string(Path::new(GOLDEN).join(name).with_extension("script")).unwrap();
    synthetic::trace(&text, chunk_records)
}

/// A place in a chunk half-way through a trace.
fn middle_of_a_chunk(bytes: &[u8]) -> usize {
    let file = trace_format::TraceFile::from_bytes(bytes.to_vec()).unwrap();
    let chunk = file.chunks()[file.chunks().len() / 2];
    usize::try_from(chunk.offset + chunk.length / 2).unwrap()
}

fn run(args: &[&str]) -> Output {
    Command::cargo_bin("guesttrace")
        .unwrap()
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn check_events(trace: &Path, args: &[&str], expected: Expect) {
    let mut all = vec!["events", trace.to_str().unwrap()];
    all.extend(args);
    let output = run(&all);
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
    expected.assert_eq(&stdout(&output));
}

#[test]
fn events_are_those_of_the_golden_files() {
    let traces = Traces::new();
    let whole = traces.whole();
    for format in ["text", "json", "csv"] {
        let output = run(&["events", whole.to_str().unwrap(), "--format", format]);
        let extension = if format == "text" { "txt" } else { format };
        expect_file![format!("{GOLDEN}/first_program.events.{extension}")]
            .assert_eq(&stdout(&output));
    }
}

#[test]
fn events_are_filtered() {
    let traces = Traces::new();
    let whole = traces.whole();
    check_events(
        &whole,
        &["--event", "tick,sched_process_w*", "--format", "csv"],
        expect![[r#"
            tsc,time_ns,cpu,pid,tid,comm,event,fields
            1001000,1000,0,0,0,swapper/0,tick,user=false
            1015500,15500,0,1,1,init,sched_process_wait,"comm=""init"" pid=0 prio=120"
            1018600,18600,1,3,3,init,tick,user=false
        "#]],
    );
    check_events(
        &whole,
        &["--filter", "syscall_exit.ret > 2 && comm == \"init\""],
        expect![[r#"
        [0.000013500] (+?.?????????) 0 init:1 syscall_exit: { nr = 56, name = clone, ret = 3 }
        [0.000020000] (+0.000006500) 1 init:3 syscall_exit: { nr = 1, name = write, ret = 5 }
        [0.000023000] (+0.000003000) 0 init:1 syscall_exit: { nr = 61, name = wait4, ret = 3 }
    "#]],
    );
    check_events(
        &whole,
        &[
            "--from",
            "12600ns",
            "--to",
            "18600ns",
            "--cpu",
            "1",
            "--event",
            "irq_exit,t*",
        ],
        expect![[r#"
            [0.000012600] (+?.?????????) 1 swapper/1:0 irq_exit: { vector = 253, name = reschedule_ipi }
            [0.000013000] (+0.000000400) 1 swapper/1:0 thread_context: { tid = 3, pid = 3, comm = "init" }
        "#]],
    );
    check_events(
        &whole,
        &["--pid", "3", "--event", "syscall_exit"],
        expect![[r#"
            [0.000014000] (+?.?????????) 1 init:3 syscall_exit: { nr = 56, name = clone, ret = 0 }
            [0.000020000] (+0.000006000) 1 init:3 syscall_exit: { nr = 1, name = write, ret = 5 }
        "#]],
    );
    check_events(
        &whole,
        &["--tid", "1", "--event", "trap_exit,power_off"],
        expect![[r#"
            [0.000009000] (+?.?????????) 0 init:1 trap_exit: { vector = 14, name = page_fault }
            [0.000025000] (+0.000016000) 0 init:1 power_off: {}
        "#]],
    );
    check_events(
        &whole,
        &["--comm", "swap*1", "--event", "*exit"],
        expect![[r#"
            [0.000012600] (+?.?????????) 1 swapper/1:0 irq_exit: { vector = 253, name = reschedule_ipi }
        "#]],
    );
    check_events(
        &whole,
        &["--event", "thread_context", "--limit", "2"],
        expect![[r#"
        [0.000000000] (+?.?????????) 0 swapper/0:0 thread_context: { tid = 0, pid = 0, comm = "swapper" }
        [0.000004000] (+0.000004000) 0 swapper/0:0 thread_context: { tid = 1, pid = 1, comm = "swapper/0" }
    "#]],
    );
    check_events(
        &whole,
        &["--event", "syscall_exit", "--format", "csv", "--limit", "2"],
        expect![[r#"
        tsc,time_ns,cpu,pid,tid,comm,event,fields.nr,fields.name,fields.ret
        1007000,7000,0,1,1,init,syscall_exit,59,execve,0
        1013500,13500,0,1,1,init,syscall_exit,56,clone,3
    "#]],
    );
    check_events(&whole, &["--limit", "0"], expect![[""]]);
}

#[track_caller]
fn check_failure(args: &[&str], status: i32, expected: Expect) {
    let output = run(args);
    assert_eq!(
        output.status.code(),
        Some(status),
        "{args:?}: {}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "", "{args:?}");
    expected.assert_eq(&stderr(&output));
}

#[test]
fn wrong_usage_ends_with_2() {
    let traces = Traces::new();
    let whole = traces.whole();
    let whole = whole.to_str().unwrap();
    check_failure(
        &["report", "sumary", whole],
        2,
        expect![[r#"
            error: there is no report "sumary"; did you mean "summary"?
            hint: `guesttrace list reports` names them
        "#]],
    );
    check_failure(
        &["events", whole, "--event", "sched_swich"],
        2,
        expect![[r#"
            error: the trace has no event "sched_swich"; did you mean "sched_switch"?
            hint: `guesttrace info` lists the events of a trace
        "#]],
    );
    check_failure(
        &["events", whole, "--event", "page_cache"],
        2,
        expect![[r#"
            error: the trace has no event "page_cache"
            hint: `guesttrace info` lists the events of a trace
        "#]],
    );
    check_failure(
        &["events", whole, "--filter", "prev_pid =="],
        2,
        expect![[r#"
            error: --filter cannot be understood: expected a value to compare with, found the end
              prev_pid ==
                         ^
            hint: `guesttrace events FILE --limit 20` shows events with their fields
        "#]],
    );
    check_failure(
        &["events", whole, "--filter", "prev_pit == 1"],
        2,
        expect![[r#"
            error: --filter does not fit this trace: no event has a field "prev_pit"; did you mean "prev_pid"?
              prev_pit == 1
              ^^^^^^^^
            hint: `guesttrace events FILE --limit 20` shows events with their fields
        "#]],
    );
    check_failure(
        &["events", whole, "--from", "2s", "--to", "1s"],
        2,
        expect![[r#"
            error: --from is later than --to
            hint: both count from the start of the trace, with a minus from its end
        "#]],
    );
    check_failure(
        &["events", whole, "--from", "-1us", "--to", "-2us"],
        2,
        expect![[r#"
            error: --from is later than --to
            hint: both count from the start of the trace, with a minus from its end
        "#]],
    );
    check_failure(
        &["events", whole, "--from", "soon"],
        2,
        expect![[r#"
        error: invalid value 'soon' for '--from <TIME>': "soon" is not a time: write 1.5s, 200ms, 15us or 7ns

        For more information, try '--help'.
    "#]],
    );
    check_failure(
        &["events", "/nonexistent/trace"],
        2,
        expect![[r#"
            error: cannot read /nonexistent/trace: No such file or directory (os error 2)
            hint: is the name right? a recording that did not end well is in FILE.partial
        "#]],
    );
    check_failure(
        &["list", "tracepoints"],
        2,
        expect![[r#"
        error: this needs a kernel
        hint: pass --kernel bzImage
    "#]],
    );
    check_failure(
        &["list", "functions", "--kernel", "/nonexistent/bzImage"],
        2,
        expect![[r#"
            error: cannot read /nonexistent/bzImage: No such file or directory (os error 2)
            hint: is the name right, and may you read it?
        "#]],
    );
}

#[test]
fn bad_data_ends_with_3() {
    let traces = Traces::new();
    let junk = traces.path("junk");
    std::fs::write(&junk, "not a trace").unwrap();
    for verb in ["info", "events", "verify"] {
        let output = run(&[verb, junk.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3), "{verb}");
        let expected = format!(
            "error: cannot read {}: this is no trace: it starts with the magic of none\n\
             hint: pass a trace of guesttrace, LTTng (its directory), trace-cmd, perf or Perfetto\n",
            junk.display()
        );
        assert_eq!(stderr(&output), expected);
    }
    let kernel = run(&["list", "functions", "--kernel", junk.to_str().unwrap()]);
    assert_eq!(kernel.status.code(), Some(3), "{}", stderr(&kernel));
}

#[test]
fn a_cut_trace_is_read_to_its_last_whole_chunk() {
    let traces = Traces::new();
    let (whole, cut) = (traces.whole(), traces.cut());
    let all = stdout(&run(&[
        "events",
        whole.to_str().unwrap(),
        "--format",
        "json",
    ]));
    let output = run(&["events", cut.to_str().unwrap(), "--format", "json"]);
    let part = stdout(&output);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).starts_with("data loss: "),
        "{}",
        stderr(&output)
    );
    assert!(part.lines().count() > 10 && part.lines().count() < all.lines().count());
    assert!(part.lines().all(|line| all.contains(line)));
    for verb in ["info", "verify"] {
        assert_eq!(
            run(&[verb, cut.to_str().unwrap()]).status.code(),
            Some(3),
            "{verb}"
        );
    }
}

#[test]
fn a_flipped_bit_is_found() {
    let traces = Traces::new();
    let mut bytes = script("first_program", 2);
    let place = middle_of_a_chunk(&bytes);
    bytes[place] ^= 4;
    let path = traces.path("flipped.bin");
    std::fs::write(&path, bytes).unwrap();
    let output = run(&["verify", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
}

#[test]
fn a_whole_trace_is_verified() {
    let traces = Traces::new();
    let whole = traces.whole();
    let output = run(&["verify", whole.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let expected = format!(
        "{}: whole and unharmed: 57 records in 2 chunks\n",
        whole.display()
    );
    assert_eq!(stdout(&output), expected);
    assert_eq!(
        run(&["info", whole.to_str().unwrap()]).status.code(),
        Some(0)
    );
}

#[test]
fn losses_come_first() {
    let traces = Traces::new();
    let lossy = traces.lossy();
    let lossy = lossy.to_str().unwrap();
    let text = run(&["report", "processes", lossy]);
    assert!(
        stdout(&text).starts_with("data loss: 12 (records_lost): "),
        "{}",
        stdout(&text)
    );
    assert_eq!(
        (text.status.code(), stderr(&text)),
        (Some(0), String::new())
    );
    let json = run(&["report", "processes", lossy, "--format", "json"]);
    assert!(
        stderr(&json).starts_with("data loss: 12 (records_lost): "),
        "{}",
        stderr(&json)
    );
    assert_eq!(run(&["info", lossy]).status.code(), Some(3));
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    use std::process::{Command, Stdio};
    let traces = Traces::new();
    let whole = traces.whole();
    let text = std::fs::read_to_string(Path::new(GOLDEN).join("first_program.script")).unwrap();
    let mut long = String::new();
    for round in 0..400_u64 {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (time, rest) = line.split_once('@').unwrap();
            let time = round * 30_000 + time.parse::<u64>().unwrap();
            long.push_str(&format!("{time}@{rest}\n"));
        }
    }
    std::fs::write(&whole, synthetic::trace(&long, 1000)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_guesttrace"))
        .args(["events", whole.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output)),
        (Some(0), String::new())
    );
}

#[test]
fn a_part_of_a_trace_is_reported_on() {
    let traces = Traces::new();
    let whole = traces.whole();
    let output = run(&[
        "report",
        "summary",
        whole.to_str().unwrap(),
        "--from",
        "10us",
        "--to",
        "20us",
        "--cpu",
        "0",
        "--format",
        "json",
    ]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["trace"]["duration_ns"], 10_000);
    assert_eq!(report["cpus"].as_array().unwrap().len(), 1);
    assert_eq!(report["cpus"][0]["idle_ns"], 3000);
    let events = run(&[
        "events",
        whole.to_str().unwrap(),
        "--from",
        "10us",
        "--to",
        "20us",
        "--cpu",
        "0",
    ]);
    assert_eq!(report["trace"]["events"], stdout(&events).lines().count());
}

#[test]
fn lists_need_no_kernel_where_they_can() {
    for what in ["events", "workloads", "reports"] {
        let output = run(&["list", what, "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{what}: {}", stderr(&output));
        for line in stdout(&output).lines() {
            let item: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(item["name"].is_string(), "{line}");
        }
    }
}

#[test]
fn help() {
    let mut text = stdout(&run(&["--help"]));
    let verbs = [
        "record",
        "list",
        "plan",
        "info",
        "events",
        "report",
        "verify",
        "repair",
        "diff",
        "check",
        "image build",
        "image list",
    ];
    for verb in verbs {
        // The help of the others belongs to this test; that of `record` is long and changes with the machines it knows.
        if verb != "record" {
            let words: Vec<&str> = verb.split(' ').chain(["--help"]).collect();
            let output = run(&words);
            assert_eq!(output.status.code(), Some(0), "{verb}");
            assert!(stdout(&output).contains("Example"), "{verb} has no example");
            text.push_str(&format!("\n==== {verb} ====\n{}", stdout(&output)));
        }
    }
    expect_file!["help.txt"].assert_eq(&text);
}

#[test]
fn sql_hands_over_to_the_program_beside_it() {
    let program = assert_cmd::cargo::cargo_bin("guesttrace");
    let dir = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let own = dir.path().join("guesttrace");
    // A copy could not be run while a test beside this one has just forked: that child has it open for writing.
    std::fs::hard_link(&program, &own).unwrap();
    let run = || {
        let mut command = Command::new(&own);
        command
            .args(["sql", "x.bin", "SELECT 1", "--format", "csv"])
            .output()
            .unwrap()
    };
    let output = run();
    assert_eq!(output.status.code(), Some(2));
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(talk.contains("guesttrace-sql is not there"), "{talk}");
    assert!(
        talk.contains("hint: cargo build --release --manifest-path sql/Cargo.toml"),
        "{talk}"
    );

    let beside = dir.path().join("guesttrace-sql");
    std::fs::write(&beside, "#!/bin/sh\necho \"$@\"\n").unwrap();
    let mut mode = std::fs::metadata(&beside).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&beside, mode).unwrap();
    assert_eq!(stdout(&run()), "sql x.bin SELECT 1 --format csv\n");
}

#[test]
fn a_trace_is_judged_by_rules() {
    let traces = Traces::new();
    let (whole, lossy, cut) = (traces.whole(), traces.lossy(), traces.cut());
    let rules = traces.path("rules.toml");
    let judge = |trace: &Path, text: &str, more: &[&str]| {
        std::fs::write(&rules, text).unwrap();
        let args = ["check", trace.to_str().unwrap(), rules.to_str().unwrap()];
        run(&[&args[..], more].concat())
    };
    let forks =
        |limit: &str| format!("[[count]]\nevents = 'event == sched_process_fork'\n{limit}\n");
    let status = |output: &Output| output.status.code();

    let passed = judge(&whole, &forks("equals = 3"), &[]);
    assert_eq!((status(&passed), stderr(&passed)), (Some(0), String::new()));
    let failed = judge(&whole, &forks("at_most = 2"), &["--format", "junit"]);
    assert_eq!(status(&failed), Some(1));
    assert!(stdout(&failed).contains("<failure message=\"found 3\">"));
    // What is lost makes no failure, and no success either.
    assert_eq!(status(&judge(&lossy, &forks("at_most = 2"), &[])), Some(3));
    assert_eq!(status(&judge(&cut, &forks("at_least = 1"), &[])), Some(3));
    assert_eq!(status(&judge(&cut, &forks("at_most = 0"), &[])), Some(1));

    let wrong = judge(&whole, &forks("at_mots = 2"), &[]);
    assert_eq!((status(&wrong), stdout(&wrong)), (Some(2), String::new()));
    let told = stderr(&wrong).replace(rules.to_str().unwrap(), "rules.toml");
    expect![[r#"
    error: rules.toml: line 3: there is no key of [[count]] "at_mots"; did you mean "at_most"?
      at_mots = 2
      ^^^^^^^
    hint: there are name, from, to, optional, equals, at_least, at_most, tolerance, over, under, events, after, until
    "#]]
    .assert_eq(&told);
    let missing = run(&["check", whole.to_str().unwrap(), "/nonexistent.toml"]);
    assert_eq!(status(&missing), Some(2));

    let alone = judge(&whole, &forks("tolerance = 0"), &[]);
    assert_eq!(status(&alone), Some(2));
    assert!(stderr(&alone).contains("line 1: a tolerance is measured from a golden trace"));
    let golden = format!("golden = \"whole.bin\"\n{}", forks("tolerance = 0"));
    assert_eq!(status(&judge(&whole, &golden, &[])), Some(0));
    let other = ["--golden", lossy.to_str().unwrap()];
    assert_eq!(status(&judge(&whole, &golden, &other)), Some(1));
}
