//! LTT's event table: every row fires with the values that a program in the guest knows it used, and the rows' sums are
//! the kernel's own counters.

mod kernels;
mod pairs;
mod reports;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use guesttrace_tests::{
    Event, Run, counters, events, guest_arguments_on, guests_wanted, guesttrace, record_guest, skip,
};

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
const UNREACHED: [(&str, &str); 1] = [(
    "recording_start",
    "a recording that begins with the kernel has no other beginning",
)];

/// A tracepoint that no kernel here has a place for; its neighbours are not asked for.
const NOWHERE: &str = "tracepoint:block:block_rq_rem*";

/// The recording of a kernel, which all tests look at.
fn recording(kernel: &str) -> &'static (Run, Vec<Event>) {
    type Cell = &'static OnceLock<(Run, Vec<Event>)>;
    static ALL: Mutex<BTreeMap<String, Cell>> = Mutex::new(BTreeMap::new());
    let cell: Cell = {
        let mut all = ALL.lock().expect("nobody panics with it");
        all.entry(kernel.to_owned())
            .or_insert_with(|| Box::leak(Box::default()))
    };
    cell.get_or_init(|| {
        let is_cloud = kernel.contains("cloud");
        let disk = if is_cloud { "nvme" } else { "sd" };
        let guest = guest_arguments_on(kernel, disk, "ltt")
            .expect("scripts/test.sh fetches kernels and builds images");
        let mut options = vec!["--smp", "2", "--append", "guesttrace.modules=fs.squashfs"];
        if is_cloud {
            options.extend(["--clock", "wall"]);
        }
        let file = bulk_file();
        let mut selection = format!("all,{NOWHERE}");
        if kernel == KERNEL {
            selection += &format!(",{}", file.display());
        }
        options.extend(["--events", &selection]);
        let probes = pairs::probes();
        for probe in &probes {
            options.extend(["--probe", probe]);
        }
        let run = record_guest(&guest, &options);
        assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
        let all = events(&run.trace, &[]);
        (run, all)
    })
}

/// Kernels that are recorded: those of `scripts/test.sh`, or those that somebody wants.
fn recorded() -> Vec<String> {
    let wanted = std::env::var("GUESTTRACE_KERNELS");
    let wanted = wanted
        .as_deref()
        .unwrap_or("6.1-amd64 6.1-cloud-amd64 6.12-amd64");
    wanted.split_whitespace().map(str::to_owned).collect()
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
    for kernel in recorded() {
        let (run, all) = recording(&kernel);
        let expected = expectations(&run.console);
        assert!(expected.len() >= 80, "{} lines", expected.len());
        let missing: Vec<String> = { expected.iter() }
            .filter(|(name, fields)| !is_in(all, name, fields))
            .map(|(name, fields)| format!("{name} {fields:?}"))
            .collect();
        assert!(
            missing.is_empty(),
            "not in the trace of {kernel}:\n{}",
            missing.join("\n")
        );
        println!(
            "{kernel}: {} events with known values found",
            expected.len()
        );
    }
}

fn is_in(all: &[Event], name: &str, fields: &[(&str, &str)]) -> bool {
    let mut named = all.iter().filter(|event| event.name() == name);
    named.any(|event| {
        fields
            .iter()
            .all(|(field, told)| agrees(event, field, told))
    })
}

#[test]
fn every_row_of_ltt_fires() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (_, all) = recording(KERNEL);
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

/// What was asked for and is not in the trace is said where the recording ends, and by `info` with the reason.
#[test]
fn what_did_not_happen_is_said() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, all) = recording(KERNEL);
    let said = |start: &str| {
        let mut lines = run.complaints.lines();
        let line = lines.find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no {start:?}: {}", run.complaints));
        line.split_once(": ").expect("names").1.to_owned()
    };
    assert_eq!(
        said("no place in this kernel (1): "),
        "block:block_rq_remap"
    );
    let silent = said("never fired (");
    let silent: Vec<&str> = silent.split(", ").collect();
    assert!(silent.len() > 1, "{silent:?}");
    for name in silent.iter().filter(|name| **name != "...") {
        assert!(all.iter().all(|event| event.name() != *name), "{name}");
    }

    let info = info(run);
    let absent = &info["absent_events"][0];
    assert_eq!(absent["event"], "block:block_rq_remap");
    assert_eq!(
        absent["reason"],
        "tracepoint block_rq_remap is not used in the kernel image"
    );
    let hooks = info["silent_hooks"].as_array().expect("a table");
    let halt = hooks.iter().find(|row| row["event"] == "halt");
    assert_eq!(halt.expect("a row")["hook"], "entry:native_machine_halt");
    // One hook of an event may be silent where another fires: no system call comes by the vDSO here.
    let of_compat = |row: &&serde_json::Value| row["event"] == "compat_syscall_entry";
    let of_compat: Vec<_> = hooks
        .iter()
        .filter(of_compat)
        .map(|row| &row["hook"])
        .collect();
    assert_eq!(of_compat, ["entry:do_fast_syscall_32"]);
}

/// What `guesttrace info` says.
fn info(run: &Run) -> serde_json::Value {
    let output = Command::new(guesttrace())
        .arg("info")
        .arg(&run.trace)
        .args(["--format", "json"])
        .output()
        .expect("cargo build --release comes first");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_error_of_wall_time_is_small_and_told() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let recorded = recorded();
    let Some(kernel) = recorded.iter().find(|kernel| kernel.contains("cloud")) else {
        skip!("no kernel is recorded in wall time");
    };
    let (run, _) = recording(kernel);
    let info = info(run);
    let clock = &info["clock"];
    assert_eq!(clock["mode"], "wall");
    let figure = |name: &str| clock[name].as_u64().unwrap_or_else(|| panic!("{clock}"));
    assert!(figure("compared") > 10_000, "{clock}");
    // A wrong constant or CPU would be wrong by much more; the host may keep QEMU waiting at any moment, but not always.
    let millisecond = figure("tsc_hz") / 1000;
    assert!(figure("error_p99_ticks") < millisecond, "{clock}");
    assert!(figure("error_max_ticks") >= figure("error_p99_ticks"));
}

/// The sum of `amount` over the events from one mark to another.
fn sum_between(all: &[Event], marks: [&str; 2], amount: impl Fn(&Event) -> Option<i64>) -> u64 {
    let [begin, end] = marks.map(|name| {
        all.iter()
            .position(|event| {
                event.name() == "marker" && event.text("text").trim_end().ends_with(name)
            })
            .unwrap_or_else(|| panic!("no mark {name}"))
    });
    all[begin..end]
        .iter()
        .filter_map(amount)
        .sum::<i64>()
        .cast_unsigned()
}

/// The sum of `amount` over the events between the two readings of the counters.
fn sum(all: &[Event], amount: impl Fn(&Event) -> Option<i64>) -> u64 {
    sum_between(all, ["before-counters", "after-counters"], amount)
}

fn of(name: &'static str, amount: impl Fn(&Event) -> i64) -> impl Fn(&Event) -> Option<i64> {
    move |event| (event.name() == name).then(|| amount(event))
}

#[test]
fn sums_are_those_that_the_kernel_counts() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, all) = recording(KERNEL);
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
    // A reading may need memory itself, before or after it looks at the count; and the first page of a bulk may come
    // from the ordinary allocator, which traces it.
    let without = sum_between(
        all,
        ["before-counters-end", "after-counters"],
        of("mm_page_alloc", pages),
    );
    let with = sum_between(
        all,
        ["before-counters", "after-counters-end"],
        of("mm_page_alloc", pages),
    );
    let bulk = sum(all, of("bulk_allocated", |event| event.field("pages")));
    let zones = ["pgalloc_dma", "pgalloc_dma32", "pgalloc_normal"];
    let counted: u64 = zones.iter().map(|zone| change(vm, zone)).sum();
    println!("{counted} pages allocated: {without} to {with} traced, {bulk} in bulk");
    assert!((without..=with + bulk).contains(&counted));
}
