//! The house style, as far as a program can judge it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use guesttrace_tests::{documents, project_dir};
use serde_json::Value;

/// Which crate may use which: the data flow, and nothing against it.
const ARROWS: &[(&str, &[&str])] = &[
    ("guest-symbols", &[]),
    ("trace-format", &[]),
    ("guesttrace-events", &["trace-format"]),
    ("guesttrace-filter", &["trace-format"]),
    ("probe-plan", &["trace-format"]),
    (
        "plan-compiler",
        &[
            "guesttrace-events",
            "guest-symbols",
            "probe-plan",
            "guesttrace-filter",
            "trace-format",
        ],
    ),
    (
        "guesttrace-plugin",
        &["probe-plan", "guesttrace-filter", "trace-format"],
    ),
    (
        "guesttrace-plugin-api7",
        &["probe-plan", "guesttrace-filter", "trace-format"],
    ),
    (
        "analyzer",
        &["guesttrace-events", "trace-format", "guesttrace-filter"],
    ),
    (
        "guesttrace-view",
        &["analyzer", "guesttrace-filter", "trace-format"],
    ),
    ("guest-images", &["guest-symbols"]),
    ("guesttrace-ci", &["guest-images"]),
    (
        "guesttrace",
        &[
            "analyzer",
            "guesttrace-ci",
            "guesttrace-view",
            "guesttrace-events",
            "guest-images",
            "guest-symbols",
            "guesttrace-filter",
            "plan-compiler",
            "probe-plan",
            "trace-format",
        ],
    ),
    ("guesttrace-sql", &["analyzer", "trace-format"]),
    ("guesttrace-tests", &[]),
];

/// The workspaces, by their manifests: what takes minutes to build is one of its own.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "sql/Cargo.toml"];

const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 120;

/// Words by which the outside would leak in.
const FOREIGN_WORDS: &[&str] = &["/work/", "TODO:", "FIXME", "XXX"];

#[test]
fn crates_depend_along_the_arrows_only() {
    let packages: Vec<Value> = WORKSPACES.into_iter().flat_map(packages).collect();
    let members: Vec<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let allowed = arrows
            .get(name)
            .unwrap_or_else(|| panic!("crate {name} has no place in the picture"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let is_normal = dependency["kind"].is_null();
            assert!(
                !is_normal || !members.contains(&on) || allowed.contains(&on),
                "{name} must not depend on {on}"
            );
        }
    }
}

fn packages(manifest: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
            "--manifest-path",
            manifest,
        ])
        .current_dir(project_dir())
        .output()
        .expect("cargo metadata prints what it promises");
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints what it promises");
    metadata["packages"]
        .as_array()
        .expect("cargo metadata prints what it promises")
        .clone()
}

#[test]
fn the_plugin_knows_nothing_of_linux() {
    for (path, text) in sources(&project_dir().join("plugin/src")) {
        for word in [
            "task_struct",
            "sched_switch",
            "pt_regs",
            "kallsyms",
            "swapper",
            "__switch_to",
        ] {
            assert!(!text.contains(word), "{} speaks of {word}", path.display());
        }
    }
}

#[test]
fn files_functions_and_lines_stay_readable() {
    let mut faults = Vec::new();
    for (path, text) in rust_sources() {
        let body = text.split("#[cfg(test)]").next().unwrap_or("");
        let lines = body.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines", path.display()));
        }
        faults.extend(long_lines(&path, &text));
        // A test is as long as its data.
        if !path.to_string_lossy().contains("/tests/") {
            faults.extend(long_functions(&path, body));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    for (path, text) in rust_sources() {
        assert!(
            text.starts_with("//!"),
            "{} has no module documentation",
            path.display()
        );
    }
}

#[test]
fn unsafe_code_stays_at_the_boundary() {
    let allowed = [
        "plugin/src/ffi/",
        "trace-format/src/mapping.rs",
        "tests/tests/style.rs",
    ];
    for (path, text) in rust_sources() {
        let place = path
            .strip_prefix(project_dir())
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if !allowed.iter().any(|prefix| place.starts_with(prefix)) {
            assert!(
                !text.contains("unsafe {") && !text.contains("unsafe fn"),
                "{place} is unsafe"
            );
        }
    }
}

#[test]
fn the_project_speaks_of_itself_alone() {
    for (path, text) in rust_sources().chain(documents().into_iter().map(with_text)) {
        if path.ends_with("tests/tests/style.rs") {
            continue;
        }
        for word in FOREIGN_WORDS {
            assert!(!text.contains(word), "{} contains {word}", path.display());
        }
    }
}

fn long_lines(path: &Path, text: &str) -> Vec<String> {
    let is_long = |line: &&str| {
        line.chars().count() > LINE_COLUMNS_MAX && !line.contains('"') && !line.contains("//")
    };
    let long = text.lines().enumerate().filter(|(_, line)| is_long(line));
    long.map(|(index, _)| {
        format!(
            "{}:{}: more than {LINE_COLUMNS_MAX} columns",
            path.display(),
            index + 1
        )
    })
    .collect()
}

/// Functions by their indentation, which rustfmt keeps: from `fn` to the closing brace in the same column.
fn long_functions(path: &Path, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut faults = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let is_function = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn "]
            .iter()
            .any(|word| code.starts_with(word));
        // Where a body begins, or where a declaration that has none ends.
        let is_end = |line: &&&str| line.ends_with('{') || line.ends_with(';');
        let has_body = lines[start..]
            .iter()
            .find(is_end)
            .is_some_and(|line| line.ends_with('{'));
        if !is_function || line.ends_with('}') || !has_body {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[start..]
            .iter()
            .position(|line| *line == closing)
            .unwrap_or(0)
            + 1;
        if length > FUNCTION_LINES_MAX {
            faults.push(format!(
                "{}:{}: a function of {length} lines",
                path.display(),
                start + 1
            ));
        }
    }
    faults
}

fn rust_sources() -> impl Iterator<Item = (PathBuf, String)> {
    let crates = [
        "analyzer",
        "cli",
        "events",
        "filter",
        "guest-symbols",
        "images/src",
        "plan-compiler",
        "plugin",
        "probe-plan",
        "sql/examples",
        "sql/src",
        "sql/tests",
        "tests",
        "trace-format",
    ];
    crates
        .into_iter()
        .flat_map(|name| sources(&project_dir().join(name)))
}

fn with_text(path: PathBuf) -> (PathBuf, String) {
    let text = std::fs::read_to_string(&path).expect("a document");
    (path, text)
}

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)
        .expect("a directory")
        .map_while(Result::ok)
    {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("source text");
            found.push((path, text));
        }
    }
    found.sort();
    found
}
