//! Suites from end to end, with a program in the place of `guesttrace` that does what the workload's name says.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use guesttrace_ci::{
    Artifacts, Cache, News, Prepared, RunOutcome, Settings, Suite, Tools, Verdict, Workshop,
    execute, prepare, renewals, write_golden, write_json, write_junit, write_text,
};
use quick_xml::Reader;
use quick_xml::events::Event;

/// Answers as `guesttrace` would; files of rules are the answers of `check`.
const PROGRAM: &str = r#"#!/bin/sh
here=$(dirname "$0")
verb=$1
shift
case $verb in
  record)
    while [ $# -gt 0 ]; do
      case $1 in
        --trace) trace=$2 ;;
        --serial) console=$2 ;;
        --workload) workload=$2 ;;
      esac
      shift
    done
    echo "$workload" >>"$here/recorded"
    echo "console of $workload" >"$console"
    case $workload in
      killed) kill -9 $$ ;;
      usage) echo 'error: cannot read the kernel' >&2; exit 2 ;;
      incomplete) echo 'error: the recorder ended early' >&2; exit 3 ;;
    esac
    echo "events of $workload" >"$trace"
    case $workload in
      chance) echo $$ >>"$trace" ;;
      slow) sleep 30 & trap 'kill $!; exit 3' TERM; wait $! ;;
      panics) printf 'error: Kernel panic\nhint: look\n' >&2; exit 1 ;;
      hangs) exit 4 ;;
    esac ;;
  info) echo '{"trace": {"duration_ns": 1500000000, "records": 10}, "machine": {"reproducible": true}}' ;;
  check) case $2 in *.rules.toml) echo "error: $2: line 3: no such rule" >&2; exit 2 ;; *) cat "$2" ;; esac ;;
  diff) echo 'different after 3 events'; exit 1 ;;
  compare) echo 'numbers' ;;
  html) echo page >"$3" ;;
esac
"#;

struct Stand {
    dir: tempfile::TempDir,
    interrupted: AtomicBool,
}

impl Stand {
    fn new(suite: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, text) in [("suite.toml", suite), ("kernel", "k"), ("program", PROGRAM)] {
            fs::write(path(name), text).unwrap();
        }
        fs::set_permissions(path("program"), fs::Permissions::from_mode(0o755)).unwrap();
        let rule = |verdict: &str| {
            format!(
                r#"{{"rules": [{{"name": "a <rule> & more", "verdict": "{verdict}", "expected": "1", "found": "2",
                "line": 4, "offenders": [{{"time_ns": 1500, "text": "this one"}}]}}]}}"#
            )
        };
        fs::write(path("keeps.toml"), rule("passed")).unwrap();
        fs::write(path("breaks.toml"), rule("failed")).unwrap();
        fs::write(path("unknown.toml"), rule("unknown")).unwrap();
        Self {
            dir,
            interrupted: AtomicBool::new(false),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn with<T>(&self, ask: impl FnOnce(&Tools<'_>) -> T) -> T {
        let leash = |command: &Command| {
            let mut same = Command::new(command.get_program());
            same.args(command.get_args());
            same
        };
        ask(&Tools {
            program: self.path("program"),
            leash: &leash,
            identity: vec!["this".to_owned()],
            interrupted: &self.interrupted,
        })
    }

    fn make(&self, tell: &(dyn Fn(News<'_>) + Sync)) -> (Vec<Prepared>, Vec<RunOutcome>) {
        let path = self.path("suite.toml");
        let suite = Suite::read(&path).unwrap();
        let work = self.path("work");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).unwrap();
        let settings = Settings {
            suite: path,
            jobs: 2,
            cache: Some(Cache::open(&self.path("cache"), 1 << 30).unwrap()),
            artifacts: Artifacts {
                dir: self.path("artifacts"),
                of_all: false,
            },
            work,
        };
        self.with(|tools| {
            let mut workshop = Workshop::find(None, suite.dir(), Path::new("/nosuch/program"));
            let prepared = prepare(&suite, &mut workshop, tools);
            let outcomes = execute(&prepared, &settings, tools, tell).unwrap();
            (prepared, outcomes)
        })
    }

    fn outcomes(&self) -> Vec<RunOutcome> {
        self.make(&|_| {}).1
    }

    /// How often the program recorded.
    fn recorded(&self) -> usize {
        let text = fs::read_to_string(self.path("recorded")).unwrap_or_default();
        text.lines().count()
    }
}

const DEFAULTS: &str = "[defaults]\nkernel = \"./kernel\"\ninitrd = \"./kernel\"\n";

fn suite(runs: &[(&str, &str)]) -> String {
    let run = |(name, keys): &(&str, &str)| format!("[[run]]\nname = \"{name}\"\n{keys}\n");
    DEFAULTS.to_owned() + &runs.iter().map(run).collect::<String>()
}

#[track_caller]
fn check_run(keys: &str, verdict: Verdict, told: &str) {
    let stand = Stand::new(&suite(&[("one", keys)]));
    let outcomes = stand.outcomes();
    let mut text = Vec::new();
    write_text(&outcomes, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(outcomes[0].verdict(), verdict, "{text}");
    assert!(text.contains(told), "{text}");
    let is_kept = stand.path("artifacts/one/checks.txt").is_file();
    let is_recorded = outcomes[0].recordings > 0;
    assert_eq!(is_kept, is_recorded && verdict != Verdict::Passed, "{text}");
}

#[test]
fn what_has_to_hold_is_looked_at() {
    use Verdict::{Failed, Passed, Unmade};
    check_run(
        "workload = \"well\"",
        Passed,
        "1 run: 1 passed, 0 failed, 0 with errors",
    );
    check_run(
        "workload = \"well\"\nstatus = 1",
        Failed,
        "the guest panics or fails",
    );
    check_run("workload = \"panics\"", Failed, "Kernel panic");
    check_run("workload = \"panics\"\nstatus = 1", Passed, "");
    check_run("workload = \"hangs\"\nstatus = 4", Passed, "");
    check_run("workload = \"well\"\nsame = 3", Passed, "3 times");
    check_run("workload = \"chance\"\nsame = 3", Failed, "1 of 3 are");
    check_run("workload = \"well\"\nrules = [\"keeps.toml\"]", Passed, "");
    check_run(
        "workload = \"well\"\nrules = [\"breaks.toml\"]",
        Failed,
        "[0.000001500] this one",
    );
    check_run(
        "workload = \"well\"\nrules = [\"unknown.toml\"]",
        Failed,
        "failed  a <rule> & more",
    );
    check_run(
        "workload = \"well\"\nrules = [\"nosuch.toml\"]",
        Unmade,
        "No such file",
    );
    check_run(
        "workload = \"well\"\nmax_guest = \"1.4s\"",
        Failed,
        "it is 1.500 s",
    );
    check_run(
        "workload = \"well\"\nmax_guest = \"1.5s\"\nmax_wall = \"10s\"",
        Passed,
        "",
    );
    check_run(
        "workload = \"well\"\ngolden = \"nosuch.bin\"",
        Unmade,
        "`guesttrace ci accept` makes it",
    );
    check_run(
        "workload = \"well\"\ngolden = \"kernel\"",
        Failed,
        "different after 3 events",
    );
    check_run(
        "workload = \"well\"\ngolden = \"kernel\"\ncompare = \"sched_*\"",
        Failed,
        "different after 3 events",
    );
    check_run(
        "workload = \"well\"\ngolden = \"kernel\"\ncompare = \"none\"",
        Passed,
        "",
    );
    // Rules of the suite itself are named after it.
    check_run(
        "workload = \"well\"\n[[run.count]]\nevents = 'x'",
        Unmade,
        "suite.toml: line 3: no such rule",
    );
}

#[test]
fn what_cannot_be_made_is_an_error_of_that_run() {
    use Verdict::Unmade;
    check_run(
        "workload = \"killed\"",
        Unmade,
        "record was ended by signal 9",
    );
    check_run(
        "workload = \"killed\"\nsame = 50",
        Unmade,
        "record was ended by signal 9",
    );
    check_run("workload = \"usage\"", Unmade, "cannot read the kernel");
    check_run(
        "workload = \"incomplete\"",
        Unmade,
        "the recorder ended early",
    );
    check_run("kernel = \"./nosuch\"", Unmade, "nosuch: No such file");
    check_run(
        "kernel = \"6.1-amd64\"",
        Unmade,
        "the kernel 6.1-amd64 is a name, and there is no directory images",
    );
    check_run(
        "image = \"./nosuch\"",
        Unmade,
        "holds neither initrd.cpio nor rootfs.img",
    );
    check_run(
        "image = \"nosuch\"",
        Unmade,
        "no image is known as \"nosuch\"; there are \"busybox\", \"debian\", \"guest\" and \"guest+TOOL\"",
    );
    check_run(
        "image = \"busybox+strace\"",
        Unmade,
        "no image is known as \"busybox+strace\"",
    );
    check_run(
        "image = \"./keeps.toml\"",
        Unmade,
        "images/README.md says what a recipe can hold",
    );
    let stand = Stand::new(&suite(&[
        ("bad", "workload = \"killed\""),
        ("good", "workload = \"well\""),
    ]));
    let verdicts: Vec<_> = stand.outcomes().iter().map(RunOutcome::verdict).collect();
    assert_eq!(verdicts, [Unmade, Verdict::Passed]);
}

#[test]
fn the_same_inputs_are_recorded_once() {
    let stand = Stand::new(&suite(&[
        ("a", "workload = \"well\"\nrules = [\"keeps.toml\"]"),
        ("b", "workload = \"well\"\nrules = [\"breaks.toml\"]"),
        ("bad", "workload = \"panics\""),
        ("chance", "workload = \"chance\"\nsame = 2"),
    ]));
    let first = stand.outcomes();
    assert_eq!(stand.recorded(), 4);
    assert!(first.iter().all(|outcome| !outcome.is_cached));
    let second = stand.outcomes();
    // What failed as a recording is made again.
    assert_eq!(stand.recorded(), 7);
    let cached: Vec<_> = second.iter().map(|outcome| outcome.is_cached).collect();
    assert_eq!(cached, [true, true, false, false]);
    let verdicts: Vec<_> = second.iter().map(RunOutcome::verdict).collect();
    use Verdict::{Failed, Passed};
    assert_eq!(verdicts, [Passed, Failed, Failed, Failed]);
    // Rules are judged again without a guest, and an input that changes brings a recording.
    fs::copy(stand.path("keeps.toml"), stand.path("breaks.toml")).unwrap();
    assert!(stand.outcomes()[1].verdict() == Passed && stand.recorded() == 10);
    fs::write(stand.path("kernel"), "another").unwrap();
    assert!(!stand.outcomes()[0].is_cached && stand.recorded() == 14);
}

#[test]
fn artifacts_are_those_of_the_last_run() {
    let stand = Stand::new(&suite(&[("one", "workload = \"chance\"\nsame = 2")]));
    let outcomes = stand.outcomes();
    let dir = outcomes[0].artifacts.clone().unwrap();
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let wanted = [
        "checks.txt",
        "console.txt",
        "diff.txt",
        "other.bin",
        "record.txt",
        "report.html",
        "trace.bin",
    ];
    assert_eq!(names(&dir), wanted);
    fs::write(dir.join("mine"), "").unwrap();
    let runs = suite(&[("one", "workload = \"well\"")]);
    fs::write(stand.path("suite.toml"), runs).unwrap();
    stand.outcomes();
    assert_eq!(names(&dir), ["mine"], "what is not ours stays");
}

#[test]
fn artifacts_that_cannot_be_kept_change_no_verdict() {
    let stand = Stand::new(&suite(&[("one", "workload = \"panics\"")]));
    fs::write(stand.path("artifacts"), "a file in the way").unwrap();
    let troubles = std::sync::Mutex::new(Vec::new());
    let (_, outcomes) = stand.make(&|news| {
        if let News::Trouble(told) = news {
            troubles.lock().unwrap().push(told.to_owned());
        }
    });
    assert_eq!(outcomes[0].verdict(), Verdict::Failed);
    assert_eq!(outcomes[0].artifacts, None);
    let troubles = troubles.into_inner().unwrap();
    assert!(
        troubles[0].starts_with("cannot keep all artifacts in "),
        "{troubles:?}"
    );
}

#[test]
fn golden_traces_are_renewed_by_the_first_run_that_names_them() {
    let stand = Stand::new(&suite(&[
        ("a", "workload = \"well\"\ngolden = \"golden/x.bin\""),
        ("b", "workload = \"other\"\ngolden = \"golden/x.bin\""),
        ("bad", "workload = \"killed\"\ngolden = \"golden/y.bin\""),
        (
            "chance",
            "workload = \"chance\"\nsame = 2\ngolden = \"golden/z.bin\"",
        ),
    ]));
    let renew = |stand: &Stand| {
        let (prepared, outcomes) = stand.make(&|_| {});
        stand.with(|tools| renewals(&prepared, &outcomes, tools).unwrap())
    };
    let found = renew(&stand);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].run.as_str(), found[0].changes.as_slice()),
        ("a", &["new: 10 events".to_owned()][..])
    );
    write_golden(&found[0]).unwrap();
    let golden = stand.path("golden/x.bin");
    assert_eq!(fs::read_to_string(&golden).unwrap(), "events of well\n");
    let verdicts: Vec<_> = stand.outcomes().iter().map(RunOutcome::verdict).collect();
    use Verdict::{Failed, Passed, Unmade};
    assert_eq!(verdicts, [Passed, Failed, Unmade, Failed]);
    assert!(renew(&stand).is_empty());
    fs::write(&golden, "older").unwrap();
    assert_eq!(
        renew(&stand)[0].changes,
        ["different after 3 events", "numbers"]
    );
    // Where it cannot be written, the old one stays.
    let mut renewal = renew(&stand).remove(0);
    renewal.trace = stand.path("nosuch");
    assert!(write_golden(&renewal).is_err());
    assert_eq!(fs::read_to_string(&golden).unwrap(), "older");
    assert_eq!(fs::read_dir(stand.path("golden")).unwrap().count(), 1);
}

#[test]
fn an_interrupt_ends_the_recordings() {
    let stand = Stand::new(&suite(&[
        ("slow", "workload = \"slow\""),
        ("later", "workload = \"well\"\nsame = 1000000"),
    ]));
    let (_, outcomes) = stand.make(&|news| {
        if let News::Begun { run: "slow" } = news {
            stand.interrupted.store(true, Ordering::Relaxed);
        }
    });
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.verdict() == Verdict::Unmade)
    );
    assert!(
        outcomes[0].checks[0].lines[0].contains("interrupted"),
        "{:?}",
        outcomes[0]
    );
}

/// Elements of XML by name, with their attributes; and that it is well-formed.
fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut found = Vec::new();
    let mut depth = 0;
    loop {
        let event = reader.read_event().unwrap();
        let start = match &event {
            Event::Eof => break,
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            Event::Start(start) => {
                depth += 1;
                start
            }
            Event::Empty(start) => start,
            _ => continue,
        };
        let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
            (
                key,
                attribute
                    .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                    .unwrap()
                    .into_owned(),
            )
        });
        found.push((name, attributes.collect()));
    }
    assert_eq!(depth, 0);
    found
}

#[test]
fn junit_and_json_say_the_same() {
    let stand = Stand::new(&suite(&[
        ("good", "workload = \"well\""),
        ("breaks", "workload = \"well\"\nrules = [\"breaks.toml\"]"),
        ("killed", "workload = \"killed\""),
    ]));
    let mut outcomes = stand.outcomes();
    outcomes[0].checks[0]
        .lines
        .push("a\u{1}b ]]> \u{fffe}".to_owned());
    let (mut junit, mut json) = (Vec::new(), Vec::new());
    let path = stand.path("suite.toml");
    write_junit(&path, &outcomes, &mut junit).unwrap();
    write_json(&path, &outcomes, &mut json).unwrap();
    let elements = elements(std::str::from_utf8(&junit).unwrap());
    let names: Vec<&str> = elements.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = [
        "testsuites",
        "testsuite",
        "testcase",
        "testsuite",
        "testcase",
        "testcase",
        "failure",
        "testsuite",
        "testcase",
        "error",
    ];
    assert_eq!(names, wanted);
    let attribute = |element: usize, key: &str| {
        let (_, attributes) = &elements[element];
        let found = attributes.iter().find(|(name, _)| name == key);
        found.unwrap_or_else(|| panic!("no {key}")).1.clone()
    };
    assert_eq!(
        [
            attribute(0, "tests"),
            attribute(0, "failures"),
            attribute(0, "errors")
        ],
        ["4", "1", "1"]
    );
    assert_eq!(attribute(5, "name"), "a <rule> & more");
    assert_eq!(attribute(6, "message"), "expected 1");
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        [&json["passed"], &json["failed"], &json["errors"]],
        [1, 1, 1]
    );
    assert_eq!(json["runs"][1]["checks"][1]["verdict"], "failed");
    assert_eq!(json["runs"][0]["guest_ns"], 1_500_000_000_u64);
}
