//! `docs/kernels.md`: which event has a hook in which kernel, and fires there on the workload meant for it.
//!
//! Hooks are what `guesttrace plan` says, of every kernel that was fetched. What fires is known of the kernels that are
//! recorded: those named in `GUESTTRACE_KERNELS`, which `scripts/soak.sh` sets to the others. The columns of kernels that
//! are not recorded stay as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use guesttrace_tests::{guests_wanted, guesttrace, kernel, project_dir, skip};
use serde_json::Value;

use super::{info, recorded, recording};

const KERNELS: [&str; 5] = [
    "5.10-amd64",
    "6.1-amd64",
    "6.1-cloud-amd64",
    "6.12-amd64",
    "7.2-amd64",
];
const BEGIN: &str = "<!-- table:begin -->\n";
const END: &str = "<!-- table:end -->";

/// Events that have a hook and do not fire, in which kernels, and why. Of all others it is asked that they fire.
const SILENT: [(&str, &[&str], &str); 4] = [
    (
        "restart",
        &KERNELS,
        "a guest ends in one way: by `power_off`",
    ),
    ("halt", &KERNELS, "the same"),
    ("panic", &KERNELS, "the same"),
    ("oops", &KERNELS, "nothing breaks these kernels"),
];
/// Events that fire or do not, by what else is on the disk or what the host does, in which kernels, and why.
const CHANCE: [(&str, &[&str], &str); 2] = [
    (
        "block_rq_insert",
        &["6.1-cloud-amd64"],
        "NVMe has no scheduler there: a request waits in a queue only when the device is slower than the guest",
    ),
    (
        "block_rq_requeue",
        &KERNELS,
        "a driver gives a request back when it is busy with another, which takes two threads that issue at one moment",
    ),
];

/// What is known of an event in a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Hooks that were taken.
    hooks: BTreeSet<String>,
    /// Why there is none.
    reason: String,
}

fn json_lines(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(guesttrace())
        .args(arguments)
        .args(["--format", "json"])
        .output()
        .expect("cargo build --release comes first");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Names of the events, in the order of the table; those of the recorder itself have no place in a kernel.
fn names() -> Vec<String> {
    let rows = json_lines(&["list", "events"]);
    let of_kernel = rows.iter().filter(|row| {
        !row["hook"]
            .as_str()
            .is_some_and(|hook| hook.starts_with("recorder:"))
    });
    of_kernel
        .map(|row| row["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn places(vmlinuz: &str) -> BTreeMap<String, Place> {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for site in json_lines(&["plan", "--kernel", vmlinuz, "--events", "all"]) {
        let Some(event) = site["event"].as_str() else {
            continue;
        };
        let place = places.entry(event.to_owned()).or_default();
        let candidates = site["candidates"].as_array().expect("candidates");
        match site["chosen"].as_u64() {
            Some(chosen) => {
                let taken = &candidates[usize::try_from(chosen).expect("an index")];
                place
                    .hooks
                    .insert(taken["hook"].as_str().expect("a hook").to_owned());
            }
            None => {
                let reason = candidates
                    .first()
                    .and_then(|first| first["reason"].as_str());
                reason.unwrap_or("").clone_into(&mut place.reason);
            }
        }
    }
    places
}

/// How often each event's hooks fired, by `guesttrace info`.
fn fired(kernel: &str) -> BTreeMap<String, u64> {
    let (run, _) = recording(kernel);
    let info = info(run);
    let events = info["events"].as_array().expect("a table of events");
    events
        .iter()
        .map(|row| {
            let name = row["event"].as_str().expect("a name").to_owned();
            (name, row["fired"].as_u64().expect("a count"))
        })
        .collect()
}

/// The cells of the document as it is, by event and kernel.
fn cells(document: &str) -> BTreeMap<(String, &'static str), String> {
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let mut columns = row.trim_matches('|').split('|').map(str::trim);
        let name = columns.next().unwrap_or("").trim_matches('`').to_owned();
        let cells = columns.skip(1).map(str::to_owned);
        let of_kernel = KERNELS.into_iter().zip(cells);
        of_kernel
            .map(move |(kernel, cell)| ((name.clone(), kernel), cell))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// `prefix` of hooks that are told by number: `3 hooks`.
fn hooks_of(place: &Place) -> String {
    match place.hooks.len() {
        0 => String::new(),
        1 => format!("`{}`", place.hooks.first().expect("one")),
        count => format!("{count} hooks"),
    }
}

fn is_silent(event: &str, kernel: &str) -> bool {
    SILENT
        .iter()
        .any(|(name, kernels, _)| *name == event && kernels.contains(&kernel))
}

/// The table, and the reasons below it. A kernel that was not fetched, or not recorded, keeps its cells.
fn table(found: &str, recorded: &[&str]) -> String {
    let before = cells(found);
    let known: BTreeMap<&str, BTreeMap<String, Place>> = KERNELS
        .into_iter()
        .filter_map(|name| {
            let vmlinuz = kernel(name)?.vmlinuz;
            Some((name, places(&vmlinuz.to_string_lossy())))
        })
        .collect();
    let counts: BTreeMap<&str, BTreeMap<String, u64>> =
        recorded.iter().map(|name| (*name, fired(name))).collect();
    let usual = known.get("6.1-amd64").expect("scripts/test.sh fetches it");
    let mut text = format!(
        "\n| event | hook in 6.1 | {} |\n|",
        KERNELS.join(" | ").replace("-amd64", "")
    );
    text += &"---|".repeat(KERNELS.len() + 2);
    text.push('\n');
    let mut reasons = String::new();
    for event in names() {
        let hook = usual.get(&event).map(hooks_of).unwrap_or_default();
        let _ = write!(text, "| `{event}` | {hook} |");
        for kernel in KERNELS {
            let kept = || {
                before
                    .get(&(event.clone(), kernel))
                    .cloned()
                    .unwrap_or_default()
            };
            let cell = match known.get(kernel).and_then(|places| places.get(&event)) {
                None => {
                    let line = format!("- `{event}` has no hook in {kernel}: ");
                    let known = found.lines().filter(|known| known.starts_with(&line));
                    reasons.extend(known.flat_map(|line| [line, "\n"]));
                    kept()
                }
                Some(place) if place.hooks.is_empty() => {
                    let _ = writeln!(
                        reasons,
                        "- `{event}` has no hook in {kernel}: {}.",
                        place.reason
                    );
                    "no hook".to_owned()
                }
                Some(place) => {
                    let is_chance = { CHANCE.iter() }
                        .any(|(name, at, _)| *name == event && at.contains(&kernel));
                    let verdict = match counts.get(kernel).map(|counts| counts.get(&event)) {
                        Some(_) if is_chance => "at times".to_owned(),
                        Some(Some(count)) if *count > 0 => "fires".to_owned(),
                        Some(_) => "silent".to_owned(),
                        None => kept().split(" by ").next().unwrap_or_default().to_owned(),
                    };
                    let other = hooks_of(place);
                    if other == hook || place.hooks.len() > 1 {
                        verdict
                    } else {
                        format!("{verdict} by {other}")
                    }
                }
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    let told = |what: &str, (event, kernels, why): (&str, &[&str], &str)| {
        let wherever = if kernels.len() == KERNELS.len() {
            String::new()
        } else {
            format!(" in {}", kernels.join(", "))
        };
        format!("- `{event}` {what}{wherever}: {why}.\n")
    };
    reasons.extend(SILENT.map(|row| told("is silent", row)));
    reasons.extend(CHANCE.map(|row| told("fires at times", row)));
    format!("{text}\n{reasons}\n")
}

#[test]
fn events_of_every_kernel_are_as_the_document_says() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let recorded = recorded();
    let recorded: Vec<&str> = recorded.iter().map(String::as_str).collect();
    let path = project_dir().join("docs/kernels.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("a mark where the table begins");
    let (found, after) = rest.split_once(END).expect("a mark where the table ends");
    let expected = table(found, &recorded);
    for ((event, kernel), cell) in cells(&expected) {
        let silent = cell.starts_with("silent");
        let is_known = !cell.is_empty() && cell != "no hook";
        assert!(
            silent == is_silent(&event, kernel) || !is_known,
            "{event} in {kernel}: {cell}"
        );
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert!(
            found == expected,
            "docs/kernels.md is stale: UPDATE_EXPECT=1 GUESTTRACE_E2E=1 cargo test -p guesttrace-tests --test ltt_table renews it\n{expected}"
        );
    }
}
