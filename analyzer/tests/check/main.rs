//! Rules over small traces: what passes, what fails and by which events, what the trace cannot tell, what is no rule.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../support/synthetic.rs"]
mod synthetic;

mod answers;
mod doubts;
mod kinds;
mod wrong;

use std::path::Path;

use analyzer::check::{CheckError, CheckFormat, Rules, Verdict, check};
use analyzer::sources::Trace;
use expect_test::{Expect, expect};
use guesttrace_tests::fuzz;
use trace_format::TraceFile;

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    std::fs::read_to_string(path.with_extension("script")).unwrap()
}

fn open(script: &str) -> Trace {
    Trace::Own(TraceFile::from_bytes(synthetic::trace(script, 1000)).unwrap())
}

/// What is said of rules over a trace: the text of the verdicts, or of the error.
fn verdicts(trace: &Trace, golden: Option<&Trace>, rules: &str) -> String {
    let judged = Rules::parse(rules).map_err(CheckError::from);
    match judged.and_then(|rules| check(trace, &rules, golden, &synthetic::schema())) {
        Ok(mut report) => {
            report.findings.clear();
            let mut out = Vec::new();
            report
                .write(CheckFormat::Text, "rules.toml", &mut out)
                .unwrap();
            String::from_utf8(out).unwrap()
        }
        Err(error) => format!("error: {error}\n"),
    }
}

#[track_caller]
fn check_rules(rules: &str, expected: Expect) {
    expected.assert_eq(&verdicts(&open(&script("first_program")), None, rules));
}

#[test]
fn verdicts_are_written_for_programs_too() {
    let rules = "[[never]]\nname = '<\"&\\u0007>'\nevents = 'event == tick'\n\n\
                 [[count]]\nname = 'enough'\nevents = 'event == tick'\nat_least = 1\n";
    let rules = rules.replace("'<\"&\\u0007>'", "\"<\\\"&\\u0007>\"");
    let trace = open(&script("first_program"));
    let rules = Rules::parse(&rules).unwrap();
    let report = check(&trace, &rules, None, &synthetic::schema()).unwrap();
    assert_eq!(report.count(Verdict::Failed), 1);
    let text = |format| {
        let mut out = Vec::new();
        report.write(format, "rules.toml", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    expect![[r#"
        {
          "check": "rules.toml",
          "failed": 1,
          "findings": [],
          "passed": 1,
          "rules": [
            {
              "expected": "none",
              "found": "2",
              "kind": "never",
              "line": 1,
              "name": "<\"&\u0007>",
              "offender_count": 2,
              "offenders": [
                {
                  "text": "0 swapper/0:0 tick: { user = false }",
                  "time_ns": 1000
                },
                {
                  "text": "1 init:3 tick: { user = false }",
                  "time_ns": 18600
                }
              ],
              "reason": null,
              "verdict": "failed"
            },
            {
              "expected": "at least 1",
              "found": "2",
              "kind": "count",
              "line": 5,
              "name": "enough",
              "offender_count": 0,
              "offenders": [],
              "reason": null,
              "verdict": "passed"
            }
          ],
          "unknown": 0
        }
    "#]]
    .assert_eq(&text(CheckFormat::Json));
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="rules.toml" tests="2" skipped="0" failures="1" errors="0">
            <testsuite name="rules.toml" tests="2" skipped="0" errors="0" failures="1">
                <testcase name="&lt;&quot;&amp;&gt;" classname="never" file="rules.toml" line="1">
                    <failure message="found 2">expected none
        found    2
          [0.000001000] 0 swapper/0:0 tick: { user = false }
          [0.000018600] 1 init:3 tick: { user = false }</failure>
                </testcase>
                <testcase name="enough" classname="count" file="rules.toml" line="5"/>
            </testsuite>
        </testsuites>
    "#]]
    .assert_eq(&text(CheckFormat::Junit));
}

#[test]
fn how_a_trace_is_cut_into_chunks_changes_no_verdict() {
    let rules = "[[never]]\nevents = 'event == tick'\n[[state]]\ncomm = '*'\nstate = 'waiting'\nlongest = '1us'\n\
                 [[latency]]\nbegin = 'event == syscall_entry'\nend = 'event == syscall_exit'\nmax = '1us'\n";
    let script = script("first_program");
    let whole = verdicts(&open(&script), None, rules);
    for records in [1, 2, 3, 7] {
        let bytes = synthetic::trace(&script, records);
        let cut = Trace::Own(TraceFile::from_bytes(bytes).unwrap());
        assert_eq!(
            verdicts(&cut, None, rules),
            whole,
            "{records} records a chunk"
        );
    }
}

#[test]
fn fuzz_rules() {
    let good = include_str!("../golden/rules.toml");
    let trace = open(&script("first_program"));
    let mut understood = 0;
    fuzz(|chance| {
        let mut bytes = good.as_bytes().to_vec();
        chance.damage(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        understood += usize::from(!verdicts(&trace, Some(&trace), &text).starts_with("error"));
    });
    assert!(understood > 0, "no rule survived");
}

#[test]
fn fuzz_rules_over_damaged_traces() {
    let rules = Rules::parse(include_str!("../golden/rules.toml")).unwrap();
    let original = synthetic::trace(&script("first_program"), 3);
    let mut passed = 0;
    fuzz(|chance| {
        let mut bytes = original.clone();
        chance.damage(&mut bytes);
        let Ok(file) = TraceFile::from_bytes(bytes) else {
            return;
        };
        let trace = Trace::Own(file);
        if let Ok(report) = check(&trace, &rules, Some(&trace), &synthetic::schema()) {
            report
                .write(CheckFormat::Json, "rules.toml", &mut Vec::new())
                .unwrap();
            passed += report.count(Verdict::Passed);
        }
    });
    assert!(passed > 0, "no rule passed on any trace");
}

/// The rules in the blocks of a document.
fn rules_of(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```toml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

#[test]
fn the_rules_of_the_manual_are_rules() {
    let blocks = rules_of("docs/check.md");
    assert!(blocks.len() >= 7, "the manual has {} blocks", blocks.len());
    let names = [
        "count", "never", "order", "latency", "state", "report", "answer",
    ];
    for name in names {
        let title = format!("[[{name}]]");
        assert!(
            blocks.iter().any(|block| block.contains(&title)),
            "no block shows {title}"
        );
    }
    let trace = open(&script("first_program"));
    for block in blocks {
        let found = verdicts(&trace, Some(&trace), &block);
        assert!(!found.starts_with("error"), "{block}\n{found}");
    }
}
