//! What happens inside loadable modules, against what the guest's kernel says of them: where their functions are, how
//! many transactions the journal had; and how often a program wrote.
//!
//! The kernel is moved and the modules are loaded twice, at different addresses, so that no address is known beforehand.

use std::collections::BTreeMap;
use std::process::Command;

use guesttrace_tests::{Event, Run, events, guests_wanted, guesttrace, kernel, record, skip};
use trace_format::{ModuleState, TraceFile};

const KERNELS: [&str; 2] = ["6.1-amd64", "6.12-amd64"];
/// Phases of the workload, and calls of write(2) in each.
const PHASES: [(&str, usize); 2] = [("first", 30), ("second", 21)];

const MODULE_EVENTS: &str = "core,tracepoint:ext4:*,tracepoint:jbd2:*,tracepoint:mmc:*";
const PROBES: [&str; 5] = [
    "write=ext4_file_write_iter at:hex=%rip count=from->count",
    "written=ext4_file_write_iter%return retval=retval",
    "journal=jbd2__journal_start caller=caller",
    "request=mmc_start_request at:hex=%rip name=&mmc_start_request",
    "xfs_file_write_iter",
];

/// Two CPUs, a kernel that is moved, and the modules still at hand when the workload runs.
const MACHINE: [&str; 8] = [
    "--smp",
    "2",
    "--boot",
    "bzimage",
    "--disk",
    "sd",
    "--append",
    "root=initramfs cryptomgr.notests=1",
];

/// What the guest printed between two marks.
fn section<'a>(console: &'a str, name: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("== {name} =="), format!("== end of {name} =="));
    let lines = console.lines().map(|line| line.trim_end_matches('\r'));
    lines
        .skip_while(|line| *line != begin)
        .skip(1)
        .take_while(|line| *line != end)
        .collect()
}

/// Addresses of functions, as `/sys/kernel/debug/kprobes/list` has them.
fn addresses(console: &str, phase: &str) -> BTreeMap<String, i64> {
    let lines = section(console, &format!("addresses {phase}"));
    let entry = |line: &&str| {
        let mut words = line.split_whitespace();
        let addr = u64::from_str_radix(words.next()?, 16).ok()?;
        // Behind the landing instruction where the function begins with one.
        let (name, offset) = words.nth(1)?.split_once('+')?;
        let offset = u64::from_str_radix(offset.strip_prefix("0x")?, 16).ok()?;
        Some((name.to_owned(), (addr - offset).cast_signed()))
    };
    lines.iter().filter_map(entry).collect()
}

/// The events from one mark of the workload to another.
fn between<'a>(all: &'a [Event], from: &str, to: &str) -> &'a [Event] {
    let mark = |name: &str| {
        let text = format!("mark phase-{name}");
        let is_mark = |event: &Event| {
            event.name() == "printk" && event.text("text").trim_end().ends_with(&text)
        };
        all.iter()
            .position(is_mark)
            .unwrap_or_else(|| panic!("no {text}"))
    };
    &all[mark(from)..mark(to)]
}

fn named<'a>(events: &'a [Event], name: &'a str) -> impl Iterator<Item = &'a Event> {
    events.iter().filter(move |event| event.name() == name)
}

fn check_phase(run: &Run, all: &[Event], (phase, writes): (&str, usize), is_called: bool) {
    let addresses = addresses(&run.console, phase);
    let end = format!("{phase}-end");
    let here = between(all, phase, &end);

    // Every call of write(2), each where the function is, and its result.
    let found: Vec<&Event> = named(here, "write").collect();
    assert_eq!(found.len(), writes, "calls of write(2) in phase {phase}");
    for write in found {
        assert_eq!(write.field("at"), addresses["ext4_file_write_iter"]);
        assert_eq!(write.field("count"), 512);
    }
    let results: Vec<i64> = named(here, "written")
        .map(|it| it.field("retval"))
        .collect();
    assert_eq!(results, vec![512; writes]);

    // Every transaction since the disk was mounted, as the journal counts them.
    let journal = section(&run.console, &format!("journal {phase}"));
    let transactions = journal.first().and_then(|line| line.split(' ').next());
    let transactions: usize = transactions
        .and_then(|it| it.parse().ok())
        .expect("a count");
    let mounted = all.partition_point(|event| event.number("tsc") < here[0].number("tsc"));
    let start = { all[..mounted].iter() }
        .rposition(|event| event.name() == "journal" && event.comm() == "mount");
    let since = &all[start.unwrap_or(mounted)..];
    let read = since.partition_point(|event| {
        event.number("tsc") < between(all, &end, &format!("{phase}-read"))[0].number("tsc")
    });
    let commits = named(&since[..read], "jbd2:jbd2_run_stats").count();
    assert_eq!(commits, transactions, "transactions in phase {phase}");

    // Addresses in modules have names, at the distance that the kernel says.
    let caller = "__ext4_journal_start_sb";
    let mut named_callers = 0;
    for event in named(here, "journal") {
        let symbol = event.json["symbols"]["caller"].as_str().unwrap_or("none");
        assert!(symbol.contains(" [ext4]+"), "{symbol}");
        if symbol.starts_with(caller) {
            let offset = event.field("caller") - addresses[caller];
            assert_eq!(symbol, format!("{caller} [ext4]+{offset:#x}"), "{phase}");
            named_callers += 1;
        }
    }
    // 6.12's jumps there instead of calling, so that its own caller is told.
    assert_eq!(named_callers > 0, is_called, "{phase}");

    let requests: Vec<&Event> = named(here, "request").collect();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(request.field("at"), addresses["mmc_start_request"]);
        assert_eq!(request.field("name"), addresses["mmc_start_request"]);
    }
}

#[test]
fn modules_are_watched_wherever_they_are_loaded() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    for name in KERNELS {
        check_kernel(name);
    }
}

fn check_kernel(name: &str) {
    let files = kernel(name).expect("scripts/test.sh fetches it");
    let modules = files.modules.to_string_lossy();
    let probes = PROBES.iter().flat_map(|probe| ["--probe", probe]);
    let mut options = vec!["--events", MODULE_EVENTS, "--modules", &modules];
    options.extend(probes);
    options.extend(MACHINE);
    let run = record(name, "modules", &options);
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    let ended = "workload modules ended with status 0";
    assert!(run.console.contains(ended), "{}", run.console);
    let all = events(&run.trace, &[]);
    let file = TraceFile::open(&run.trace).expect("a trace");
    let states = { &file.trailer().expect("a whole trace").modules }.iter();
    let states: BTreeMap<&str, ModuleState> = states.map(|it| (&*it.name, it.state)).collect();
    let loaded = ["ext4", "jbd2", "mmc_core"].map(|name| (name, ModuleState::Loaded));
    let never = [("xfs", ModuleState::NeverLoaded)];
    assert_eq!(states, loaded.into_iter().chain(never).collect());
    let info = Command::new(guesttrace())
        .arg("info")
        .arg(&run.trace)
        .output();
    let info = String::from_utf8(info.expect("the program runs").stdout).expect("text");
    assert!(info.starts_with("notice: ") && info.contains("Module xfs was not loaded"));
    for phase in PHASES {
        check_phase(&run, &all, phase, name == "6.1-amd64");
    }
    let [first, second] = PHASES.map(|(phase, _)| addresses(&run.console, phase));
    for (function, addr) in &first {
        assert_ne!(second[function], *addr, "{function} is at another address");
    }
}
