//! Suites as people write them, and as they should not.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::path::Path;
use std::time::Duration;

use guesttrace_ci::{Compare, Suite};
use proptest::prelude::*;

fn parse(text: &str) -> Suite {
    Suite::parse(text, Path::new("dir/suite.toml")).unwrap()
}

#[track_caller]
fn check_wrong(text: &str, expected: &str) {
    let error = Suite::parse(text, Path::new("suite.toml")).unwrap_err();
    let told = error.to_string();
    let (message, _) = told.split_once('\n').unwrap_or((&told, ""));
    assert_eq!(message, expected);
}

const HEAD: &str = "[defaults]\nkernel = \"6.1-amd64\"\n\n[[run]]\nname = \"boot\"\n";

#[track_caller]
fn check_key(key: &str, expected: &str) {
    check_wrong(&format!("{HEAD}smp = 1\n{key}\n"), expected);
}

#[test]
fn what_is_wrong_is_said_with_file_line_and_key() {
    check_wrong("", "suite.toml: line 1: the suite has no run");
    check_wrong(
        "[[run]]\nname = \"boot\"\n",
        "suite.toml: line 1: kernel of run \"boot\" is missing: a name such as \"6.1-amd64\", a path with a slash, or an image whose recipe has one",
    );
    check_wrong(
        "[defaults]\nkernel = \"k\"\n\n[[run]]\nsmp = 2\n",
        "suite.toml: line 4: a run needs a name",
    );
    check_wrong(
        &format!("{HEAD}\n[[run]]\nname = \"boot\"\n"),
        "suite.toml: line 7: there is a run \"boot\" already",
    );
    check_wrong(
        "[defaults]\nname = \"x\"\n",
        "suite.toml: line 1: name cannot be a default: it is of one run",
    );
    check_key(
        "same = 0",
        "suite.toml: line 7: same of run \"boot\" has to be from 1 to 1000000",
    );
    check_key(
        "status = 2",
        "suite.toml: line 7: status of run \"boot\" has to be 0 (ends well), 1 (panics or fails) \
         or 4 (runs into its time-out)",
    );
    check_key(
        "max_guest = \"fast\"",
        "suite.toml: line 7: max_guest of run \"boot\" has to be a time such as \"1.5s\" or \"400ms\"",
    );
    check_key(
        "timeout = \"1ms\"",
        "suite.toml: line 7: timeout of run \"boot\" has to be at least \"1s\"",
    );
    check_key(
        "memory = 1",
        "suite.toml: line 7: memory of run \"boot\" has to be at least 64 MiB",
    );
    check_key(
        "options = [\"--trace\", \"x\"]",
        "suite.toml: line 7: options of run \"boot\" cannot have --trace: the suite has a key for it or sees to it itself",
    );
    check_key(
        "options = [\"--serial=x\"]",
        "suite.toml: line 7: options of run \"boot\" cannot have --serial=x: \
         the suite has a key for it or sees to it itself",
    );
    check_key(
        "matrix = { smp = [1, 0] }",
        "suite.toml: line 6: smp of run \"boot\" has to be from 1 to 64",
    );
    for name in ["", "a/b", "..", "a b", &"x".repeat(101)] {
        check_wrong(
            &HEAD.replace("boot", name),
            &format!(
                "suite.toml: line 5: name of run \"{name}\" has to be 1 to 100 letters, digits and . _ + -, \
                 for files are called after it"
            ),
        );
    }
}

#[test]
fn a_key_that_does_not_exist_is_shown_with_its_line() {
    let error = |text: &str| {
        let text = format!("{HEAD}{text}\n");
        let error = Suite::parse(&text, Path::new("suite.toml")).unwrap_err();
        error.to_string()
    };
    let told = error("wrokload = \"mix\"");
    assert!(
        told.starts_with("suite.toml: line 6: unknown field `wrokload`"),
        "{told}"
    );
    assert!(told.contains("in `wrokload = \"mix\"`\nhint: "), "{told}");
    let told = error("smp = \"two\"");
    assert!(
        told.starts_with("suite.toml: line 6: invalid type: string \"two\""),
        "{told}"
    );
    assert!(told.contains("in `smp = \"two\"`\nhint: "), "{told}");
    let told = error("matrix = { disk = [\"sd\"] }");
    assert!(told.contains("unknown field `disk`"), "{told}");
    let told = error("smp = ");
    assert!(told.starts_with("suite.toml: line 6: "), "{told}");
}

#[test]
fn there_is_an_end_to_everything() {
    let many = "7, ".repeat(500);
    check_key(
        &format!("matrix = {{ smp = [{many}], workload = [\"a\", \"b\", \"c\"] }}"),
        "suite.toml: line 4: a suite has at most 1000 runs, all places of matrices counted",
    );
    check_wrong(
        &"#".repeat(2_000_000),
        "suite.toml: line 1: a suite has at most 1048576 bytes",
    );
    let nested = format!("images = {}", "[".repeat(100_000));
    assert!(Suite::parse(&nested, Path::new("suite.toml")).is_err());
}

#[test]
fn a_matrix_is_each_with_each() {
    let suite = parse(
        "[[run]]\nname = \"a\"\nmatrix = { kernel = [\"k1\", \"./k2\"], workload = [\"mix\"], smp = [1, 2] }\n\
         golden = \"golden/{name}.bin\"\nrules = [\"{workload}.toml\"]\n\
         [[run]]\nname = \"{workload}.{smp}\"\nkernel = \"k\"\nmatrix = { workload = [\"x\", \"y\"] }\n",
    );
    let names: Vec<&str> = suite.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(
        names,
        ["a-k1-1", "a-k1-2", "a-k2-1", "a-k2-2", "x.1", "y.1"]
    );
    let holds = &suite.runs[1].holds;
    assert_eq!(
        holds.golden.as_deref(),
        Some(Path::new("dir/golden/a-k1-2.bin"))
    );
    assert_eq!(holds.rules, [Path::new("dir/mix.toml")]);
    assert_eq!(suite.runs[2].guest.kernel.as_deref(), Some("./k2"));
    assert_eq!(suite.runs[3].guest.smp, Some(2));
}

#[test]
fn what_a_run_has_not_is_that_of_the_defaults() {
    let suite = parse(
        "[defaults]\nkernel = \"k\"\nsmp = 2\nrules = [\"all.toml\"]\noptions = [\"--seed\", \"7\"]\ntimeout = \"2min\"\n\
         [[run]]\nname = \"a\"\n\
         [[run]]\nname = \"b\"\nsmp = 4\nrules = [\"b.toml\"]\ncompare = \"sched_*\"\nmax_guest = \"1.5s\"\nstatus = 1\n",
    );
    let [a, b] = suite.runs.as_slice() else {
        panic!("two runs")
    };
    assert_eq!((a.guest.smp, b.guest.smp), (Some(2), Some(4)));
    assert_eq!(a.timeout, Duration::from_secs(120));
    assert_eq!(
        b.holds.rules,
        [Path::new("dir/all.toml"), Path::new("dir/b.toml")]
    );
    assert_eq!(b.guest.options, ["--seed", "7"]);
    assert_eq!(a.holds.compare, Compare::All);
    assert_eq!(b.holds.compare, Compare::Events("sched_*".to_owned()));
    assert_eq!(b.holds.max_guest, Some(Duration::from_millis(1500)));
    assert_eq!((a.holds.status, b.holds.status), (0, 1));
}

#[test]
fn rules_of_the_suite_keep_their_lines() {
    let text = "[[run]]\nname = \"a\"\nkernel = \"k\"\n\n[[run.count]]\nname = \"one\"\nevents = 'event == oops'\nequals = 0\n\n\
                # Two.\n[[run.report]]\nreport = \"syscalls\"\ntable = \"calls\"\nrow = { name = \"open*\" }\ncolumn = \"errors\"\nat_most = 3\n";
    let rules = parse(text).runs[0].holds.own_rules.clone().unwrap();
    for wanted in ["[[count]]", "[[report]]"] {
        let line = |text: &str, wanted: &str| text.lines().position(|line| line == wanted);
        let there = wanted.replace("[[", "[[run.");
        assert_eq!(line(&rules, wanted), line(text, &there), "{rules}");
    }
    let table: toml::Table = rules.parse().unwrap();
    assert_eq!(table["report"][0]["row"]["name"].as_str(), Some("open*"));
    assert_eq!(table["count"][0]["equals"].as_integer(), Some(0));
}

#[test]
fn examples_are_suites() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for name in ["suite.toml", "planted.toml"] {
        let suite = Suite::read(&docs.join("ci").join(name)).unwrap();
        for path in suite.runs.iter().flat_map(|run| &run.holds.rules) {
            assert!(path.is_file(), "{}", path.display());
        }
    }
    let manual = std::fs::read_to_string(docs.join("ci.md")).unwrap();
    let blocks: Vec<&str> = { manual.split("```toml\n").skip(1) }
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 1);
    assert_eq!(parse(blocks[0]).runs.len(), 5);
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC*") {
        let _ = Suite::parse(&text, Path::new("suite.toml"));
    }

    #[test]
    fn no_value_is_too_strange(key in "[a-z_]{1,10}", value in "\\PC{0,20}") {
        let _ = Suite::parse(&format!("{HEAD}{key} = {value}\n"), Path::new("suite.toml"));
        let _ = Suite::parse(&format!("{HEAD}{key} = {value:?}\n"), Path::new("suite.toml"));
    }
}
