//! Suites of real guests: the examples of `docs/ci/`, and what happens when a suite is interrupted.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use guesttrace_tests::{Cage, End, guests_wanted, guesttrace, project_dir, skip};
use serde_json::Value;

/// `guesttrace ci` in a cage.
fn ci(cage: &Cage, words: &[&str]) -> Command {
    let mut command = cage.program("ci");
    command.args(words).stdin(Stdio::null());
    command
}

/// A directory like a user's repository: the project in it as `guesttrace`, and the example's files at its top.
fn repository() -> Cage {
    let cage = Cage::new();
    let program = cage.path("guesttrace/target/release");
    fs::create_dir_all(&program).unwrap();
    symlink(guesttrace(), program.join("guesttrace")).unwrap();
    for name in ["scripts", "images", "Cargo.toml"] {
        symlink(project_dir().join(name), cage.path("guesttrace").join(name)).unwrap();
    }
    for entry in fs::read_dir(project_dir().join("docs/ci")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(
            &path,
            cage.path(&path.file_name().unwrap().to_string_lossy()),
        )
        .unwrap();
    }
    cage
}

/// The commands of an example that are about guesttrace itself; others install programs.
fn commands(example: &str) -> Vec<String> {
    let text = fs::read_to_string(project_dir().join("docs/ci").join(example)).unwrap();
    let command = |line: &str| {
        let line = line.trim_start_matches([' ', '-']);
        let line = line.strip_prefix("run: ").unwrap_or(line);
        line.starts_with("guesttrace/").then(|| line.to_owned())
    };
    text.lines().filter_map(command).collect()
}

fn results(cage: &Cage) -> Value {
    serde_json::from_slice(&fs::read(cage.path("results.json")).unwrap()).unwrap()
}

/// Verdicts of a run's checks by name.
fn check_named<'a>(results: &'a Value, run: &str, name: &str) -> &'a Value {
    let runs = results["runs"].as_array().unwrap();
    let run = runs.iter().find(|one| one["name"] == run).unwrap();
    let checks = run["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"].as_str().unwrap().contains(name))
        .unwrap_or_else(|| panic!("no {name} in {run}"))
}

#[test]
fn the_examples_work_and_find_what_is_planted() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let cage = repository();
    let of_github = commands("github.yml");
    assert_eq!(of_github.len(), 3, "{of_github:?}");
    // The nightly job is the same without a cache.
    for line in of_github.iter().filter(|line| !line.contains("--no-cache")) {
        run_line(&cage, line);
    }
    let junit = fs::read_to_string(cage.path("results.xml")).unwrap();
    assert!(junit.contains("failures=\"0\" errors=\"0\""), "{junit}");
    // The other service finds the recordings.
    let of_gitlab = commands("gitlab-ci.yml");
    assert_eq!(of_gitlab.len(), 2, "{of_gitlab:?}");
    let last = of_gitlab.last().unwrap();
    let end = run_line(&cage, &last.replace("$SUITE_CACHE", "--cache .cache/ci"));
    assert!(
        end.out
            .contains("3 runs: 3 passed, 0 failed, 0 with errors; 3 cached"),
        "{}",
        end.out
    );

    let program = cage.path("guesttrace/target/release/guesttrace");
    let mut planted = Command::new(program);
    planted.args([
        "ci",
        "run",
        "planted.toml",
        "--cache",
        ".cache/ci",
        "--json",
        "results.json",
    ]);
    planted
        .current_dir(cage.path(""))
        .env("TMPDIR", cage.path("tmp"));
    let end = cage.run(&mut planted);
    assert_eq!(end.status, 1, "{}{}", end.out, end.talk);
    let results = results(&cage);
    for (run, name, verdict) in [
        ("boot", "guest ends well", "passed"),
        ("boot", "starts within 5 s", "failed"),
        ("boot", "guest time is at most", "failed"),
        ("service", "starts within 5 s", "passed"),
        ("service", "few wake-ups", "failed"),
        ("service", "few system calls", "failed"),
    ] {
        let check = check_named(&results, run, name);
        assert_eq!(check["verdict"], verdict, "{run}: {check}");
    }
    for name in [
        "checks.txt",
        "trace.bin",
        "console.txt",
        "record.txt",
        "report.html",
    ] {
        let path = cage.path("ci-artifacts/service").join(name);
        assert!(path.is_file(), "{}", path.display());
    }
    let page = fs::read_to_string(cage.path("ci-artifacts/boot/report.html")).unwrap();
    assert!(page.contains("<html"), "a page");
}

/// Runs a line of an example as a shell would.
fn run_line(cage: &Cage, line: &str) -> End {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(cage.path(""));
    let end = cage.run(shell.env("TMPDIR", cage.path("tmp")));
    assert_eq!(end.status, 0, "{line}\n{}{}", end.out, end.talk);
    end
}

/// A suite of one guest with a golden trace.
fn golden_suite(append: &str) -> String {
    format!(
        "images = {:?}\n[[run]]\nname = \"boot\"\nkernel = \"6.1-amd64\"\ndisk = \"initramfs\"\nworkload = \"boot\"\n\
         events = \"sched_process_exec,printk\"\nappend = {append:?}\ngolden = \"golden/boot.bin\"\ntimeout = \"5min\"\n",
        project_dir().join("images")
    )
}

/// The files of an image that a suite built, by the beginning of their directory's name.
fn image_time(cage: &Cage, name: &str) -> SystemTime {
    let dirs = fs::read_dir(cage.path("build/suites")).unwrap().flatten();
    let mut dirs = dirs.filter(|dir| dir.file_name().to_string_lossy().starts_with(name));
    let image = dirs.next().unwrap().path().join("rootfs.img");
    assert!(dirs.next().is_none(), "one for each recipe and kernel");
    image.metadata().unwrap().modified().unwrap()
}

#[test]
fn images_come_from_recipes_and_are_built_once() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let cage = Cage::new();
    // What is fetched is that of the project; what is built is not.
    fs::create_dir(cage.path("build")).unwrap();
    let kept = std::env::var_os("GUESTTRACE_BUILD_DIR")
        .map_or_else(|| project_dir().join("images/build"), PathBuf::from);
    for name in ["kernels", "apt"] {
        fs::create_dir_all(kept.join(name)).unwrap();
        symlink(kept.join(name), cage.path("build").join(name)).unwrap();
    }
    let recipe = |said: &str| {
        format!(
            "about = \"a test\"\nfrom = {{ guest = true }}\n\
             [[file]]\npath = \"/workloads/own\"\ntext = \"# Own.\\necho {said}\\n\"\n"
        )
    };
    cage.write("own.toml", recipe("first"));
    let images = project_dir().join("images");
    cage.write(
        "suite.toml",
        format!(
            "images = {images:?}\n[defaults]\nevents = \"sched_process_exec\"\ntimeout = \"5min\"\n\
             [[run]]\nname = \"small\"\nimage = \"busybox\"\n[[run]]\nname = \"own\"\nimage = \"./own.toml\"\n\
             kernel = \"6.1-amd64\"\nworkload = \"own\"\n"
        ),
    );
    let run = |sums: &str| {
        let mut command = ci(&cage, &["run", "suite.toml", "--cache", "cache", "--keep"]);
        let end = cage.run(command.env("GUESTTRACE_BUILD_DIR", cage.path("build")));
        assert_eq!(end.status, 0, "{}{}", end.out, end.talk);
        assert!(end.out.contains(sums), "{}", end.out);
    };
    let said = |word: &str| {
        let console = fs::read(cage.path("ci-artifacts/own/console.txt")).unwrap();
        String::from_utf8_lossy(&console).contains(word)
    };
    run("2 runs: 2 passed, 0 failed, 0 with errors; 0 cached");
    assert!(said("first"));
    let times = ["busybox-", "own-"].map(|name| image_time(&cage, name));
    run("2 cached");
    let again = ["busybox-", "own-"].map(|name| image_time(&cage, name));
    assert_eq!(again, times, "nothing was built again");
    cage.write("own.toml", recipe("second"));
    run("1 cached");
    assert!(said("second"));
    assert_eq!(image_time(&cage, "busybox-"), times[0]);
}

#[test]
fn golden_traces_are_accepted_after_a_look() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let cage = Cage::new();
    let run = |words: &[&str]| {
        let end = cage.run(ci(&cage, words).args(["suite.toml", "--cache", "cache"]));
        end.assert_no_panic();
        end
    };
    cage.write("suite.toml", golden_suite(""));
    let end = run(&["run"]);
    assert_eq!(end.status, 3, "{}", end.talk);
    assert!(
        end.out.contains("`guesttrace ci accept` makes it"),
        "{}",
        end.out
    );
    let golden = cage.path("golden/boot.bin");
    let end = run(&["accept"]);
    assert!(end.status == 1 && !golden.exists(), "{}", end.talk);
    assert!(
        end.out.contains("golden/boot.bin, by boot:\n  new: "),
        "{}",
        end.out
    );
    assert_eq!(run(&["accept", "--yes"]).status, 0);
    let end = run(&["run"]);
    assert!(
        end.status == 0 && end.out.contains("1 cached"),
        "{}",
        end.out
    );
    // A word on the kernel's command line is a line in its log.
    cage.write("suite.toml", golden_suite("guesttrace.word"));
    let end = run(&["run", "--junit", "results.xml"]);
    assert_eq!(end.status, 1, "{}", end.out);
    let diff = fs::read_to_string(cage.path("ci-artifacts/boot/diff.txt")).unwrap();
    assert!(
        diff.contains("different after ") && diff.contains("guesttrace.word"),
        "{diff}"
    );
    let before = fs::read(&golden).unwrap();
    let end = run(&["accept", "--yes"]);
    assert!(
        end.status == 0 && end.out.contains("different after "),
        "{}",
        end.out
    );
    assert_ne!(fs::read(&golden).unwrap(), before);
    assert_eq!(run(&["run"]).status, 0);
    assert!(
        !cage.path("ci-artifacts/boot").exists(),
        "what failed before is not what failed now"
    );
}

#[test]
fn an_interrupted_suite_leaves_nothing_behind_and_goes_on() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let cage = Cage::new();
    let suite = |same: u32| {
        let run = "disk = \"initramfs\"\nevents = \"sched_process_exec\"\ntimeout = \"5min\"\nkernel = \"6.1-amd64\"";
        let images = project_dir().join("images");
        format!(
            "images = {images:?}\n[[run]]\nname = \"first\"\n{run}\n\
             [[run]]\nname = \"second\"\n{run}\nsmp = 2\nsame = {same}\n"
        )
    };
    cage.write("suite.toml", suite(1000));
    let words = ["run", "suite.toml", "--cache", "cache", "--jobs", "1"];
    let mut command = ci(&cage, &words);
    let log = fs::File::create(cage.path("log")).unwrap();
    command.stdout(Stdio::piped()).stderr(log).process_group(0);
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    // The first is judged, and the second's guest runs.
    let log = || fs::read_to_string(cage.path("log")).unwrap();
    while !log().contains("first passed") || cage.emulators().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(300), "{}", log());
        assert!(child.try_wait().unwrap().is_none(), "{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    // As a terminal does it: the whole group gets the signal.
    let group = format!("-{}", child.id());
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-INT", "--", &group])
            .status()
            .unwrap()
            .success()
    );
    let end = End::of(&child.wait_with_output().unwrap());
    assert_eq!(end.status, 130, "{}", log());
    let told = "error: interrupted: not all runs were made";
    assert!(log().contains(told), "{}", log());
    cage.assert_tidy();
    let names = |dir: &str| fs::read_dir(cage.path(dir)).map_or(0, Iterator::count);
    assert_eq!((names("cache"), names("ci-artifacts")), (1, 0));

    cage.write("suite.toml", suite(2));
    let end = cage.run(&mut ci(&cage, &words));
    assert_eq!(end.status, 0, "{}{}", end.out, end.talk);
    let sums = "2 runs: 2 passed, 0 failed, 0 with errors; 1 cached";
    assert!(end.out.contains(sums), "{}", end.out);
}

#[test]
fn what_is_wrong_with_a_suite_is_one_sentence() {
    if !guesttrace().exists() {
        skip!("cargo build --release comes first");
    }
    let cage = Cage::new();
    let check = |suite: &str, more: &[&str], message: &str, hint: &str| {
        cage.write("suite.toml", suite);
        let end = cage.run(ci(&cage, &["run", "suite.toml"]).args(more));
        end.assert_error(2, message, hint);
    };
    let one = "[[run]]\nname = \"boot\"\nkernel = \"./k\"\ninitrd = \"./i\"\n";
    check(
        "",
        &[],
        "suite.toml: line 1: the suite has no run",
        "[[run]]",
    );
    check(
        &format!("{one}wrokload = \"x\"\n"),
        &[],
        "line 5: unknown field `wrokload`",
        "docs/ci.md",
    );
    check(one, &["--only", "x*"], "no run is called x*", "--list");
    check(
        one,
        &["--junit", "nosuch/x.xml"],
        "cannot write nosuch/x.xml",
        "can be written",
    );
    let end = cage.run(&mut ci(&cage, &["run", "nosuch.toml"]));
    end.assert_error(2, "cannot read nosuch.toml", "docs/ci.md");
    // A kernel that is not there is an error of its run.
    cage.write("suite.toml", one);
    let end = cage.run(&mut ci(&cage, &["run", "suite.toml", "--no-cache"]));
    assert_eq!(end.status, 3, "{}", end.talk);
    assert!(
        end.out.contains("cannot read ") && end.out.contains("k: No such file"),
        "{}",
        end.out
    );
}
