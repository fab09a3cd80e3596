//! Call stacks of the kernel, against those that the guest's own ftrace records at the same events.
//!
//! ftrace's stack begins in its own functions and has the event's function by the return address of its call; from there
//! on outwards both must be the same addresses. What may differ is counted, by name.

use std::collections::BTreeMap;

use guest_symbols::{Kernel, LinkAddr};
use guesttrace_tests::{Ftrace, FtraceEvent, FtraceValue, guests_wanted, kernel, skip};
use trace_format::{CUT, TraceFile, Value, addresses};

/// Ticks of the TSC for one instruction in deterministic mode.
const TICKS: u64 = 8;
/// ftrace stamps an event some 240 instructions behind its tracepoint.
const INSTRUCTIONS_MAX: u64 = 1500;
/// As the workload switches them on.
const EVENTS: [&str; 6] = [
    "sched:sched_switch",
    "sched:sched_waking",
    "timer:hrtimer_expire_entry",
    "irq:softirq_raise",
    "block:block_rq_issue",
    "exceptions:page_fault_kernel",
];

/// Stamps and stacks, by event and CPU.
type Stacks = BTreeMap<(String, u32), Vec<(u64, Vec<u64>)>>;

fn our_stacks(path: &std::path::Path) -> Stacks {
    let file = TraceFile::open(path).expect("a trace");
    assert_eq!(file.verify(), []);
    let schema = &file.header().schema;
    let mut stacks = Stacks::new();
    for (index, info) in file.chunks().iter().enumerate() {
        let chunk = file.read_chunk(index).expect("a whole chunk");
        for record in chunk.records() {
            let event = schema
                .event(record.event())
                .expect("an event of the schema");
            let Some(field) = event.field_index("kernel_stack") else {
                continue;
            };
            let Value::Bytes(run) = record.field(field) else {
                panic!("{} without a stack", event.name);
            };
            let key = (event.name.clone(), info.cpu);
            let stack = (record.tsc(), addresses(run).collect());
            stacks.entry(key).or_default().push(stack);
        }
    }
    stacks
}

/// The events that ftrace has a stack of, which is the next entry of the same ring.
fn their_stacks(ftrace: &Ftrace) -> Stacks {
    let mut stacks = Stacks::new();
    for (cpu, events) in &ftrace.events {
        for pair in events.windows(2) {
            let name = |event: &FtraceEvent| {
                let format = &ftrace.formats[&event.id];
                format!("{}:{}", format.group, format.name)
            };
            let [size, caller] = match ftrace.formats[&pair[1].id].fields.as_slice() {
                [size, caller, ..] if name(&pair[1]) == "ftrace:kernel_stack" => [size, caller],
                _ => continue,
            };
            let FtraceValue::Number(count) = pair[1].value(size) else {
                panic!("the number of frames is a number");
            };
            let mut stack = pair[1].numbers_from(caller);
            stack.truncate(usize::try_from(count).expect("a few frames"));
            let key = (name(&pair[0]), *cpu);
            stacks.entry(key).or_default().push((pair[0].tsc, stack));
        }
    }
    stacks
}

/// How two stacks of the same event compare.
fn verdict(ours: &[u64], theirs: &[u64], function: impl Fn(u64) -> String) -> &'static str {
    let Some((first, outer)) = ours.split_first() else {
        return "empty";
    };
    let (outer, is_cut) = match outer.split_last() {
        Some((&CUT, rest)) => (rest, true),
        _ => (outer, false),
    };
    // Where ftrace's stack comes to our second frame.
    let begin = match outer.first() {
        Some(second) => theirs.iter().position(|addr| addr == second),
        None => Some(theirs.len()),
    };
    let Some(begin) = begin.filter(|begin| *begin > 0) else {
        return "no frame in common";
    };
    let common = theirs[begin..]
        .iter()
        .zip(outer)
        .take_while(|(a, b)| a == b)
        .count();
    let own = theirs[begin - 1];
    if function(own - 1).trim_end_matches(".cold") != function(*first).trim_end_matches(".cold") {
        return "another function has the event";
    }
    match (
        common == outer.len(),
        begin + common == theirs.len(),
        is_cut,
    ) {
        (true, true, false) => "equal",
        (true, true, true) => "equal, ours says that it was cut",
        (true, false, _) => "ours ends early",
        (false, ..) => "frames differ",
    }
}

/// Verdicts with their numbers, frames that were equal, and the first stacks of each other verdict.
#[derive(Debug, Default)]
struct Comparison {
    verdicts: BTreeMap<&'static str, usize>,
    frame_count: usize,
    examples: Vec<String>,
}

fn compare(ours: &Stacks, theirs: &Stacks, kernel: &Kernel) -> Comparison {
    let mut comparison = Comparison::default();
    let function = |addr: u64| {
        let found = kernel.symbols().at(LinkAddr(addr));
        found.map_or(format!("{addr:#x}"), |(symbol, _)| symbol.name.to_owned())
    };
    for (key, stacks) in theirs {
        let own = ours.get(key).map(Vec::as_slice).unwrap_or_default();
        for (tsc, stack) in stacks {
            let after = own.partition_point(|(stamp, _)| stamp < tsc);
            let near = after.checked_sub(1).map(|index| &own[index]);
            let near = near.filter(|(stamp, _)| tsc - stamp < INSTRUCTIONS_MAX * TICKS);
            let verdict = match near {
                Some((_, ours)) => verdict(ours, stack, function),
                // An interrupt came between the event and ftrace's entry or stack.
                None => "no event so close",
            };
            let count = comparison.verdicts.entry(verdict).or_default();
            *count += 1;
            if verdict == "equal" {
                comparison.frame_count += near.map_or(0, |(_, ours)| ours.len());
            } else if *count <= 3 {
                let names = |stack: &[u64]| -> Vec<String> {
                    stack
                        .iter()
                        .map(|addr| function(addr.wrapping_sub(1)))
                        .collect()
                };
                let ours = near.map(|(_, ours)| names(ours));
                comparison.examples.push(format!(
                    "{verdict}: {key:?} ours {ours:?} theirs {:?}",
                    names(stack)
                ));
            }
        }
    }
    comparison
}

#[test]
fn stacks_of_the_kernel_are_those_of_ftrace() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    const GUEST: &str = "6.1-amd64";
    let events: Vec<String> = EVENTS
        .iter()
        .map(|event| format!("tracepoint:{event}"))
        .collect();
    let events = events.join(",");
    let stack = format!("kernel={events}");
    let options = ["--smp", "2", "--events", &events, "--stack", &stack];
    let (run, ftrace) = Ftrace::record(GUEST, "stacks", &options);
    let image = std::fs::read(kernel(GUEST).expect("a kernel").vmlinuz).expect("readable");
    let kernel = Kernel::from_vecs(Some(image), None).expect("a kernel");
    let (ours, theirs) = (our_stacks(&run.trace), their_stacks(&ftrace));
    let comparison = compare(&ours, &theirs, &kernel);
    let Comparison {
        verdicts,
        frame_count,
        examples,
    } = &comparison;
    let total: usize = verdicts.values().sum();
    println!(
        "{total} stacks, {frame_count} frames equal: {verdicts:?}\n{}",
        examples.join("\n")
    );
    let kinds: Vec<&String> = theirs.keys().map(|(event, _)| event).collect();
    for event in EVENTS {
        assert!(kinds.iter().any(|kind| *kind == event), "none of {event}");
    }
    assert!(total > 1000, "{verdicts:?}");
    let count = |verdict| verdicts.get(verdict).copied().unwrap_or(0);
    assert_eq!(
        count("equal") + count("no event so close"),
        total,
        "{verdicts:?}\n{}",
        examples.join("\n")
    );
    assert!(count("no event so close") * 50 < total, "{verdicts:?}");
}
