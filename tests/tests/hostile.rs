//! A guest whose program names itself, its files and its pointers to upset whoever watches.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use guesttrace_tests::{Run, events, guests_wanted, guesttrace, record, skip};

/// The same machine traced and untraced, and what its devices were asked.
struct Runs {
    traced: Run,
    untraced: Run,
    traced_reads: Vec<String>,
    untraced_reads: Vec<String>,
}

fn runs() -> &'static Runs {
    static RUNS: OnceLock<Runs> = OnceLock::new();
    RUNS.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // The probe follows the program's pointers itself.
        let probe = "paths=do_sys_openat2 path=string(user,filename)";
        let (traced, traced_reads) = run(
            &["--events", "all", "--probe", probe],
            dir.path().join("traced"),
        );
        let (untraced, untraced_reads) = run(&["--no-plugin"], dir.path().join("untraced"));
        Runs {
            traced,
            untraced,
            traced_reads,
            untraced_reads,
        }
    })
}

/// Runs the workload and collects, as QEMU itself notes them, all reads of device registers.
fn run(options: &[&str], log: PathBuf) -> (Run, Vec<String>) {
    let events = format!("enable=memory_region_ops_read,file={}", log.display());
    let emulator = ["--", "-device", "pci-testdev", "-trace", &events];
    let run = record("6.1-amd64", "hostile", &[options, &emulator].concat());
    let log = std::fs::read_to_string(log).expect("QEMU writes what was asked for");
    // memory_region_ops_read cpu 0 mr 0x55e1b1b2c9c0 addr 0xcfc value 0x29c08086 size 4 name 'pci-conf-data'
    let without_host_address = |line: &str| {
        let words = line.split(' ').enumerate();
        let kept: Vec<&str> = words
            .filter_map(|(index, word)| (index != 4).then_some(word))
            .collect();
        kept.join(" ")
    };
    (run, log.lines().map(without_host_address).collect())
}

#[test]
fn the_guest_survives_and_does_not_notice() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let Runs {
        traced, untraced, ..
    } = runs();
    for run in [traced, untraced] {
        assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    }
    let end = "guesttrace-init: workload hostile ended with status 0";
    assert!(traced.console.contains(end), "{}", traced.console);
    assert!(
        traced.console == untraced.console,
        "the consoles differ: {}\n{}",
        traced.console,
        untraced.console
    );
}

/// Reads of a device have effects. The program itself has the kernel read this one, by paths in its registers.
#[test]
fn no_probe_reads_a_device() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let runs = runs();
    let of_test_device = |reads: &[String]| {
        let is_its = |line: &&String| line.ends_with("'pci-testdev-mmio'");
        reads.iter().filter(is_its).count()
    };
    assert!(of_test_device(&runs.untraced_reads) > 1000);
    assert_eq!(
        of_test_device(&runs.traced_reads),
        of_test_device(&runs.untraced_reads)
    );
    assert!(
        runs.traced_reads == runs.untraced_reads,
        "{} and {} reads",
        runs.traced_reads.len(),
        runs.untraced_reads.len()
    );
}

/// A path is what lies in memory, or missing where the pointer leads to none.
#[test]
fn paths_are_told_while_they_lie_in_memory() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let opened = events(&runs().traced.trace, &["--event", "paths"]);
    let paths: Vec<Option<&str>> = opened
        .iter()
        .map(|event| event.json["fields"]["path"].as_str())
        .collect();
    let count = |wanted| paths.iter().filter(|path| **path == wanted).count();
    assert_eq!(count(Some("/tmp/hostile/was memory")), 3);
    assert_eq!(count(Some("/tmp/hostile/<script>")), 1);
    // Longer than any record may be, with and without an end: as much as is recorded of a string.
    let long = |begin: &str| {
        let is_long = |path: &&&str| path.starts_with(begin) && path.len() >= 255;
        paths.iter().flatten().filter(is_long).count()
    };
    assert!(long("aaaa") >= 2 && long("////") >= 2);
    assert!(count(None) > 100, "{} of {}", count(None), paths.len());
}

fn output(verb: &str, trace: &Path, options: &[&str]) -> String {
    let output = Command::new(guesttrace())
        .arg(verb)
        .arg(trace)
        .args(options)
        .output()
        .expect("cargo build --release comes first");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{verb} {options:?}: {talk}");
    String::from_utf8(output.stdout).expect("what is printed is UTF-8")
}

/// Asserts that a terminal shows the text as it is: no control character but the ends of lines.
#[track_caller]
fn assert_harmless(text: &str) {
    let moves = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(line) = text.lines().find(|line| line.contains(moves)) {
        panic!("a terminal would not just show {line:?}");
    }
}

#[test]
fn its_names_break_neither_terminals_nor_readers() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let trace = &runs().traced.trace;
    output("verify", trace, &[]);
    let formats = ["text", "json", "csv"];
    let [text, json, csv] = formats.map(|format| output("events", trace, &["--format", format]));
    for printed in [&text, &json, &csv] {
        assert_harmless(printed);
    }
    let records = text.lines().count();
    assert!(records > 50_000);
    assert_eq!(json.lines().count(), records);
    assert_eq!(csv.lines().count(), records + 1);
    for report in ["summary", "processes"] {
        for format in formats {
            let options = [trace.to_str().expect("a plain path"), "--format", format];
            let printed = output("report", Path::new(report), &options);
            assert_harmless(&printed);
            if format == "json" {
                serde_json::from_str::<serde_json::Value>(&printed)
                    .unwrap_or_else(|error| panic!("{report}: {error}"));
            }
        }
    }
    check_names(&json);
}

/// What the program called itself is what a reader of the JSON gets.
fn check_names(json: &str) {
    let mut comms = std::collections::BTreeSet::new();
    for line in json.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        comms.insert(event["comm"].as_str().unwrap_or_default().to_owned());
    }
    for name in [
        "<script>",
        "\u{1b}[2J\u{1b}[31mred\u{7}",
        "\r\nforged line",
        "\\xff\\xfe\\xc3(",
        "\"},{\"x\":[",
        "a,\"b\";c\\d",
        "\u{9b}[2Jc1",
        "\u{202e}evil\u{2028}",
        "sixteen-bytes-n",
    ] {
        assert!(comms.contains(name), "no {name:?} in {comms:?}");
    }
}
