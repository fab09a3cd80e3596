//! LTT's event table: every row fires with the values that a program in the guest knows it used, and the rows' sums are
//! the kernel's own counters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use guesttrace_tests::{Event, Run, counters, events, guests_wanted, guesttrace, record, skip};

const KERNEL: &str = "6.1-amd64";

/// Pages that the kernel allocates in bulk are counted and not traced: this tells of them.
const BULK: &str = r#"
category = "test"
[[event]]
name = "bulk_allocated"
doc = "Pages were allocated in bulk."
hooks = ["return:__alloc_pages_bulk"]
fields = [{ name = "pages", type = "u64", fetch = "%rax", doc = "how many there are now" }]
"#;

/// Rows with LTT's name that workload `ltt` does not reach on this machine, and why.
const UNREACHED: [(&str, &str); 5] = [
    (
        "recording_start",
        "a recording that begins with the kernel has no other beginning",
    ),
    (
        "compat_syscall_entry",
        "the workload has no 32-bit program; `mix` has",
    ),
    ("compat_syscall_exit", "the same"),
    (
        "buffer_wait_start",
        "the SD card's worker is done before its reader comes to wait",
    ),
    ("buffer_wait_end", "the same"),
];

/// One recording that all tests look at.
fn table() -> &'static (Run, Vec<Event>) {
    static TABLE: OnceLock<(Run, Vec<Event>)> = OnceLock::new();
    TABLE.get_or_init(|| {
        let file = bulk_file();
        let selection = format!("all,{}", file.display());
        let run = record(KERNEL, "ltt", &["--events", &selection]);
        assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
        let all = events(&run.trace, &[]);
        (run, all)
    })
}

fn bulk_file() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bulk.toml");
    std::fs::write(&path, BULK).expect("a directory for tests");
    path
}

/// An event that the guest says there is: its name, and fields as text.
fn expectations(console: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let lines = console.lines().map(|line| line.trim_end_matches('\r'));
    lines
        .filter_map(|line| line.strip_prefix("expect "))
        .map(|line| {
            let (name, fields) = line.split_once(' ').expect("a name and fields");
            // A text with spaces is the last field.
            let fields = match fields.split_once("=\"") {
                Some((field, text)) => vec![(field, text.trim_end_matches('"'))],
                None => fields
                    .split(' ')
                    .filter_map(|f| f.split_once('='))
                    .collect(),
            };
            (name, fields)
        })
        .collect()
}

fn agrees(event: &Event, field: &str, told: &str) -> bool {
    let value = &event.json["fields"][field];
    match value.as_str() {
        Some(text) if text == told => true,
        Some(text) => match (text.strip_prefix("0x"), told.strip_prefix("0x")) {
            (Some(a), Some(b)) => u64::from_str_radix(a, 16) == u64::from_str_radix(b, 16),
            _ => false,
        },
        None => told.parse::<i64>().ok() == value.as_i64(),
    }
}

#[test]
fn rows_have_the_values_that_the_program_used() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, all) = table();
    let expected = expectations(&run.console);
    assert!(expected.len() >= 40, "{} lines", expected.len());
    let mut missing = Vec::new();
    for (name, fields) in &expected {
        let found = all.iter().any(|event| {
            event.name() == *name
                && fields
                    .iter()
                    .all(|(field, told)| agrees(event, field, told))
        });
        if !found {
            missing.push(format!("{name} {fields:?}"));
        }
    }
    assert!(
        missing.is_empty(),
        "not in the trace:\n{}",
        missing.join("\n")
    );
    println!("{} events with known values found", expected.len());
}

#[test]
fn every_row_of_ltt_fires() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (_, all) = table();
    let listed = Command::new(guesttrace())
        .args(["list", "events", "--format", "json"])
        .output()
        .unwrap();
    let mut fired: BTreeMap<&str, u64> = BTreeMap::new();
    for event in all {
        *fired.entry(event.name()).or_default() += 1;
    }
    let text = String::from_utf8(listed.stdout).unwrap();
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|row: &serde_json::Value| !row["ltt"].is_null())
        .collect();
    assert!(rows.len() > 40, "{} rows have a name of LTT's", rows.len());
    for row in &rows {
        let name = row["name"].as_str().unwrap();
        let reached = !UNREACHED.iter().any(|(unreached, _)| *unreached == name);
        assert_eq!(fired.contains_key(name), reached, "{name} fired");
    }
}

/// The sum of `amount` over the events between the two readings of the counters.
fn sum(all: &[Event], amount: impl Fn(&Event) -> Option<i64>) -> u64 {
    let mark = |text: &str| {
        all.iter()
            .position(|event| event.name() == "marker" && event.text("text").contains(text))
            .unwrap_or_else(|| panic!("no mark {text}"))
    };
    let between = &all[mark("mark before-counters")..mark("mark after-counters")];
    between
        .iter()
        .filter_map(amount)
        .sum::<i64>()
        .cast_unsigned()
}

fn of(name: &'static str, amount: impl Fn(&Event) -> i64) -> impl Fn(&Event) -> Option<i64> {
    move |event| (event.name() == name).then(|| amount(event))
}

#[test]
fn sums_are_those_that_the_kernel_counts() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, all) = table();
    let change = |file: &str, name: &str| {
        counters(&run.console, "after").get(file, name)
            - counters(&run.console, "before").get(file, name)
    };
    let pages = |event: &Event| 1 << event.field("order");
    let done = |op: &'static str, amount: fn(&Event) -> i64| {
        of("block_rq_complete", move |event| {
            if event.text("op") == op {
                amount(event)
            } else {
                0
            }
        })
    };
    let disk = "/proc/diskstats";
    let lo = "/proc/net/dev";
    let vm = "/proc/vmstat";
    for (what, traced, counted) in [
        (
            "reads",
            sum(all, done("READ", |_| 1)),
            change(disk, "mmcblk0 reads"),
        ),
        (
            "sectors read",
            sum(all, done("READ", |e| e.field("nr_sector"))),
            change(disk, "mmcblk0 sectors read"),
        ),
        (
            "writes",
            sum(all, done("WRITE", |_| 1)),
            change(disk, "mmcblk0 writes"),
        ),
        (
            "sectors written",
            sum(all, done("WRITE", |e| e.field("nr_sector"))),
            change(disk, "mmcblk0 sectors written"),
        ),
        (
            "packets in",
            sum(all, of("netif_receive_skb", |_| 1)),
            change(lo, "lo packets in"),
        ),
        (
            "bytes in",
            sum(all, of("netif_receive_skb", |e| e.field("len"))),
            change(lo, "lo bytes in"),
        ),
        (
            "packets out",
            sum(all, of("net_dev_xmit", |_| 1)),
            change(lo, "lo packets out"),
        ),
        (
            "swapped in",
            sum(all, of("swap_in", |_| 1)),
            change(vm, "pswpin"),
        ),
        (
            "swapped out",
            sum(all, of("swap_out", |_| 1)),
            change(vm, "pswpout"),
        ),
        (
            "pages freed",
            sum(all, of("mm_page_free", pages)),
            change(vm, "pgfree"),
        ),
    ] {
        assert!(counted > 0, "{what}: the workload has none");
        assert_eq!(traced, counted, "{what}");
    }
    // The first page of a bulk may come from the ordinary allocator, which traces it.
    let allocated = sum(all, of("mm_page_alloc", pages));
    let bulk = sum(all, of("bulk_allocated", |event| event.field("pages")));
    let zones = ["pgalloc_dma", "pgalloc_dma32", "pgalloc_normal"];
    let counted: u64 = zones.iter().map(|zone| change(vm, zone)).sum();
    println!("{counted} pages allocated: {allocated} traced, {bulk} in bulk");
    assert!((allocated..=allocated + bulk).contains(&counted));
}
