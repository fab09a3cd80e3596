//! Places in programs, against what the program itself prints and against the system calls of the same threads.

use std::collections::BTreeMap;
use std::path::Path;

use guesttrace_tests::{Event, Run, events, guests_wanted, objdump, project_dir, record, skip};

const KERNEL: &str = "6.1-amd64";
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
/// `images/programs/calls/calls.c`.
const CALLS: u64 = 35;
const LOOKS: usize = 64;
const PAGES: usize = 32;

/// One call of `work` as the program printed it: number, text, right, small, result.
type Told = (i64, String, i64, i64, i64);

/// Where objdump sees it.
fn second_instruction(program: &Path, function: &str) -> u64 {
    let text = objdump(program, function).expect("scripts/test.sh installs objdump");
    let address = |line: &str| u64::from_str_radix(line.trim().split_once(":\t")?.0, 16).ok();
    let mut addresses = text.lines().filter_map(address);
    addresses.nth(1).expect("a second instruction")
}

fn run(more: &[&str]) -> Run {
    // The guest's copy is stripped; the one beside the images has debug information.
    let program = project_dir()
        .join("images/build/guest")
        .join(KERNEL)
        .join("calls");
    let looked = second_instruction(&program, "look");
    let program = program.display();
    let probes = [
        format!(
            "work={program}:work number=number text=text right=pair->right small=small \
             global=known_global who=current->comm"
        ),
        format!("worked={program}:work%return result=retval number=number took=elapsed"),
        format!("look={program}:look place=place ip=%rip"),
        // Not on this machine: in the guest's image.
        format!("looked=/usr/bin/calls:{looked:#x}"),
        format!("write={LIBC}:write fd=(int)arg0 count=arg2"),
        format!("written={LIBC}:write%return"),
    ];
    let mut arguments = vec!["--events", "syscall,trap,sched"];
    for probe in &probes {
        arguments.extend(["--uprobe", probe]);
    }
    arguments.extend(more);
    let run = record(KERNEL, "uprobe", &arguments);
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    run
}

/// What the program printed, by thread.
fn told(console: &str) -> BTreeMap<u64, Vec<Told>> {
    let mut all: BTreeMap<u64, Vec<Told>> = BTreeMap::new();
    for line in console.lines().filter(|line| line.starts_with("work tid=")) {
        let words: BTreeMap<&str, &str> = line
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .collect();
        let number = |name: &str| words[name].parse::<i64>().expect("a number");
        let text = words["text"].to_owned();
        let [right, small, result] = ["right", "small", "result"].map(number);
        let tid = words["tid"].parse().expect("a thread");
        let told = (number("number"), text, right, small, result);
        all.entry(tid).or_default().push(told);
    }
    all
}

fn named<'a>(all: &'a [Event], name: &str) -> Vec<&'a Event> {
    all.iter().filter(|event| event.name() == name).collect()
}

/// Every call of every process and thread, with its arguments and result.
fn compare_calls(run: &Run, all: &[Event]) {
    let mut seen: BTreeMap<u64, Vec<Told>> = BTreeMap::new();
    let entries = named(all, "work");
    let returns = named(all, "worked");
    assert_eq!(entries.len() as u64, CALLS);
    for tid in told(&run.console).keys() {
        let of_thread = |event: &&&Event| event.number("tid") == *tid;
        let pairs = entries
            .iter()
            .filter(of_thread)
            .zip(returns.iter().filter(of_thread));
        for (entry, end) in pairs {
            assert_eq!(entry.field("number"), end.field("number"));
            assert_eq!(entry.field("global"), 4711);
            assert_eq!(entry.text("who"), entry.comm());
            let took = end.number("tsc") - entry.number("tsc");
            assert_eq!(end.field("took").cast_unsigned(), took);
            seen.entry(*tid).or_default().push((
                entry.field("number"),
                entry.text("text").to_owned(),
                entry.field("right"),
                entry.field("small"),
                end.field("result"),
            ));
        }
    }
    assert_eq!(seen, told(&run.console));
    assert_eq!(seen.len(), 7, "processes and threads");
}

/// An instruction that faults is one event, however often the processor begins it.
fn compare_retries(all: &[Event]) {
    let looks = named(all, "look");
    assert_eq!(looks.len(), LOOKS);
    assert_eq!(named(all, "looked").len(), LOOKS);
    let address = looks[0].field("ip");
    let faults = named(all, "trap_entry");
    let faults = faults.iter().filter(|event| event.field("ip") == address);
    assert_eq!(faults.count(), PAGES, "its first instruction faults");
}

/// The C library's function against the kernel's view of the same calls.
fn compare_writes(all: &[Event]) -> usize {
    // It executes itself by /proc/self/exe. Everything else in the guest has its C library linked into it.
    let is_program = |event: &&Event| matches!(event.comm(), "calls" | "exe");
    let calls = |name: &str| -> Vec<&Event> {
        let named = named(all, name).into_iter().filter(is_program);
        named.filter(|event| event.field("nr") == 1).collect()
    };
    let (entries, exits) = (calls("syscall_entry"), calls("syscall_exit"));
    let (writes, written) = (named(all, "write"), named(all, "written"));
    assert_eq!(writes.len(), entries.len());
    assert_eq!(written.len(), exits.len());
    for (event, call) in writes.iter().zip(&entries) {
        assert_eq!(event.number("tid"), call.number("tid"));
        assert_eq!(event.field("fd"), call.field("arg0"));
        assert_eq!(event.field("count"), call.field("arg2"));
    }
    for (event, call) in written.iter().zip(&exits) {
        assert_eq!(event.field("ret"), call.field("ret"), "{event:?} {call:?}");
    }
    writes.len()
}

#[test]
fn programs_are_seen_as_they_see_themselves() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let first = run(&[]);
    let all = events(&first.trace, &[]);
    compare_calls(&first, &all);
    compare_retries(&all);
    let writes = compare_writes(&all);
    println!(
        "{CALLS} calls in 7 threads, {writes} writes, {PAGES} of {LOOKS} looks at first in vain"
    );

    let second = run(&[]);
    assert_eq!(second.console, first.console);
    let bytes = |run: &Run| std::fs::read(&run.trace).expect("the trace");
    assert!(
        bytes(&first) == bytes(&second),
        "the same command, another trace"
    );

    let parallel = run(&["--smp", "2"]);
    let all = events(&parallel.trace, &[]);
    compare_calls(&parallel, &all);
    assert_eq!(named(&all, "look").len(), LOOKS);
}
