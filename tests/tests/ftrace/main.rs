//! What a trace says, against what the guest's own ftrace recorded in the same run, event by event.
//!
//! Both stamp with the guest's TSC: the trace at the place of the tracepoint, ftrace some 240 instructions later, when it
//! takes a place in its ring. What may lie between the two, and is counted: an interrupt, the threads that it wakes, and
//! the turns of other CPUs, as all share one clock. ftrace changes the guest's run, but does so within the guest, so that both see the same run.

mod timehist;
mod trace;

use std::collections::{BTreeMap, BTreeSet};

use guesttrace_tests::{Ftrace, FtraceEvent, FtraceFormat, guests_wanted, kernel, skip};
use trace_format::TraceFile;

use trace::{Pairing, Record, Trace, agree, pairings};

const KERNEL: &str = "6.1-amd64";

/// Ticks of the TSC for one instruction in deterministic mode.
const TICKS: u64 = 8;
/// Instructions from a tracepoint to ftrace's stamp when nothing comes between.
const UNINTERRUPTED: u64 = 1500;

/// Ticks that an interrupt may last after ftrace's last word on it: softirqs run for at most 2 ms.
const LATER_MAX: u64 = 10_000_000;

/// The same tracepoints as the workload switches on, and all rows of the table.
const GROUPS: [&str; 16] = [
    "sched",
    "task",
    "irq",
    "irq_vectors",
    "timer",
    "signal",
    "kmem",
    "block",
    "net",
    "raw_syscalls",
    "exceptions",
    "workqueue",
    "power",
    "ext4",
    "jbd2",
    "mmc",
];
/// Those that are in loadable modules.
const MODULES: [&str; 3] = ["ext4", "jbd2", "mmc"];

/// A record and ftrace's event of the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    /// Place in ftrace's ring.
    place: usize,
    ours: u64,
    theirs: u64,
}

impl Pair {
    /// Instructions from the tracepoint to ftrace's stamp.
    fn distance(self) -> u64 {
        (self.theirs - self.ours) / TICKS
    }
}

#[derive(Default)]
struct Comparison {
    /// By CPU.
    pairs: BTreeMap<u32, Vec<Pair>>,
    field_count: usize,
    kind_count: usize,
    faults: Vec<String>,
}

impl Comparison {
    /// Finds each event of one kind and CPU in the trace, and that there are no others while ftrace was on.
    fn add(
        &mut self,
        trace: &Trace,
        pairing: &Pairing,
        format: &FtraceFormat,
        cpu: u32,
        theirs: &[(usize, &FtraceEvent)],
        span: &std::ops::Range<u64>,
    ) {
        let mut ours = trace.of(pairing, cpu);
        // At the ends there may be interrupts of which ftrace saw the other half.
        let span = match theirs {
            [(_, first), .., (_, last)] if pairing.is_later => &(first.tsc..last.tsc + LATER_MAX),
            _ => span,
        };
        ours.retain(|(_, record)| span.contains(&record.tsc));
        let mut left: Vec<Option<(&str, &Record)>> = ours.into_iter().map(Some).collect();
        let mut head = 0;
        for (place, event) in theirs {
            while left.get(head).is_some_and(Option::is_none) {
                head += 1;
            }
            // Usually the first; an interrupt's own come between.
            let found = left[head..].iter().enumerate().find_map(|(index, record)| {
                let record =
                    record.filter(|(_, record)| (record.tsc > event.tsc) == pairing.is_later)?;
                Some((head + index, agree(trace, record, format, event)?))
            });
            let Some((index, fields)) = found else {
                let next = left.get(head);
                let event = describe(format, event);
                self.faults.push(format!(
                    "{pairing:?} on CPU {cpu} lacks {event}; next is {next:x?}"
                ));
                continue;
            };
            let (_, record) = left[index].take().expect("just found");
            self.field_count += fields;
            if pairing.is_later {
                continue;
            }
            let pair = Pair {
                place: *place,
                ours: record.tsc,
                theirs: event.tsc,
            };
            self.pairs.entry(cpu).or_default().push(pair);
        }
        let last = theirs.last().map_or(0, |(_, event)| event.tsc);
        let others = left.into_iter().flatten();
        for (event, record) in others.filter(|(_, record)| record.tsc < last) {
            self.faults
                .push(format!("ftrace lacks {event} on CPU {cpu}: {record:x?}"));
        }
    }
}

fn describe(format: &FtraceFormat, event: &FtraceEvent) -> String {
    let fields: Vec<String> = format
        .fields
        .iter()
        .map(|field| format!("{} = {:x?}", field.name, event.value(field)))
        .collect();
    format!("{} {} {}", event.tsc, format.name, fields.join(", "))
}

/// Compares all kinds of all CPUs.
fn compare(trace: &Trace, ftrace: &Ftrace) -> Comparison {
    let mut comparison = Comparison::default();
    let all = ftrace.events.values().flatten().map(|event| event.tsc);
    let start = all.clone().min().expect("ftrace recorded something");
    // What came before is in the trace alone; ftrace's first events are not interrupted.
    let span = start - UNINTERRUPTED / 2 * TICKS..all.max().unwrap_or(start);
    let mut kinds = std::collections::BTreeSet::new();
    for (cpu, events) in &ftrace.events {
        let mut by_kind: BTreeMap<u16, Vec<(usize, &FtraceEvent)>> = BTreeMap::new();
        for (place, event) in events.iter().enumerate() {
            by_kind.entry(event.id).or_default().push((place, event));
        }
        for (id, theirs) in &by_kind {
            let format = &ftrace.formats[id];
            let pairings = pairings(format, &trace.schema);
            if pairings.is_empty() {
                comparison
                    .faults
                    .push(format!("no event for {}", format.name));
            }
            for pairing in &pairings {
                kinds.extend(pairing.events.iter().cloned());
                comparison.add(trace, pairing, format, *cpu, theirs, &span);
            }
        }
        // Page faults are two kinds there and one here.
        add_page_faults(&mut comparison, trace, ftrace, *cpu, &span);
    }
    comparison.kind_count = kinds.len();
    comparison
}

/// The fault's address, place and error code, whichever of the kernel's two tracepoints tells it.
fn add_page_faults(
    comparison: &mut Comparison,
    trace: &Trace,
    ftrace: &Ftrace,
    cpu: u32,
    span: &std::ops::Range<u64>,
) {
    let format = |event: &FtraceEvent| &ftrace.formats[&event.id];
    let theirs: Vec<(usize, &FtraceEvent)> = ftrace.events[&cpu]
        .iter()
        .enumerate()
        .filter(|(_, event)| format(event).name.starts_with("page_fault_"))
        .collect();
    let Some((_, first)) = theirs.first() else {
        return;
    };
    let pairing = Pairing {
        events: vec!["trap_entry".to_owned()],
        when: Some(("vector", 14)),
        is_later: false,
    };
    comparison.add(trace, &pairing, format(first), cpu, &theirs, span);
}

/// Stamps of what can come between a tracepoint and ftrace's stamp.
struct Interruptions {
    /// Interrupts and faults, by CPU.
    own: BTreeMap<u32, Vec<u64>>,
    /// All records, by CPU: CPUs take turns, and time goes on while another one runs.
    all: BTreeMap<u32, Vec<u64>>,
}

impl Interruptions {
    fn of(trace: &Trace) -> Self {
        let mut found = Self {
            own: BTreeMap::new(),
            all: BTreeMap::new(),
        };
        for ((event, cpu), records) in &trace.records {
            let stamps = records.iter().map(|record| record.tsc);
            if matches!(event.as_str(), "irq_entry" | "trap_entry") {
                found.own.entry(*cpu).or_default().extend(stamps.clone());
            }
            found.all.entry(*cpu).or_default().extend(stamps);
        }
        for stamps in found.own.values_mut().chain(found.all.values_mut()) {
            stamps.sort_unstable();
        }
        found
    }

    /// What came between the two stamps of a pair.
    fn between(&self, cpu: u32, pair: Pair) -> &'static str {
        let lies_between = |stamps: &Vec<u64>| {
            let next = stamps.partition_point(|stamp| *stamp <= pair.ours);
            stamps.get(next).is_some_and(|stamp| *stamp < pair.theirs)
        };
        if self.own.get(&cpu).is_some_and(lies_between) {
            "interrupt"
        } else if self
            .all
            .iter()
            .any(|(other, all)| *other != cpu && lies_between(all))
        {
            "turn of another CPU"
        } else {
            "nothing seen"
        }
    }
}

/// Why pairs are further from each other than usual, with their numbers.
fn reasons_for_distance(comparison: &Comparison, trace: &Trace) -> BTreeMap<&'static str, usize> {
    let interruptions = Interruptions::of(trace);
    let mut reasons = BTreeMap::new();
    for (cpu, pairs) in &comparison.pairs {
        for pair in pairs.iter().filter(|pair| pair.distance() > UNINTERRUPTED) {
            *reasons
                .entry(interruptions.between(*cpu, *pair))
                .or_default() += 1;
        }
    }
    reasons
}

/// What was not interrupted is in the same order on both sides.
fn check_order(comparison: &Comparison) {
    for (cpu, pairs) in &comparison.pairs {
        let mut pairs: Vec<Pair> = { pairs.iter().copied() }
            .filter(|pair| pair.distance() <= UNINTERRUPTED)
            .collect();
        pairs.sort_unstable();
        for pair in pairs.windows(2) {
            assert!(pair[0].ours <= pair[1].ours, "order on CPU {cpu}: {pair:?}");
        }
    }
}

#[test]
fn every_event_of_ftrace_is_in_the_trace_and_no_other() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let groups: Vec<String> = GROUPS
        .iter()
        .map(|group| format!("tracepoint:{group}:*"))
        .collect();
    let events = format!("all,{}", groups.join(","));
    let files = kernel(KERNEL).expect("scripts/test.sh fetches it");
    let modules = files.modules.to_string_lossy();
    let options = ["--smp", "2", "--events", &events, "--modules", &modules];
    let (run, ftrace) = Ftrace::record(KERNEL, "ftrace", &options);
    let trace = Trace::read(&run.trace);
    for stats in ftrace.stats.values() {
        assert!(stats.contains("overrun: 0\ncommit overrun: 0\n"), "{stats}");
        assert!(stats.contains("dropped events: 0\n"), "{stats}");
    }

    let comparison = compare(&trace, &ftrace);
    let faults = &comparison.faults;
    assert!(
        faults.is_empty(),
        "{}:\n{}",
        faults.len(),
        faults[..faults.len().min(20)].join("\n")
    );
    let file = TraceFile::open(&run.trace).expect("a trace");
    let late = comparison.pairs.iter().flat_map(|(cpu, pairs)| {
        let late = pairs.iter().filter(|pair| pair.distance() > UNINTERRUPTED);
        late.map(|pair| (*cpu, pair.theirs))
    });
    let late = late.collect();
    let source = (run.trace.as_path(), file.origin_tsc());
    let turns = timehist::compare(&ftrace, source, &late, UNINTERRUPTED * TICKS);
    println!("{turns:?}");
    assert!(
        turns.timed > 40 && turns.switches > 300 && turns.wakeups > 200,
        "{turns:?}"
    );

    let reasons = reasons_for_distance(&comparison, &trace);
    let far: usize = reasons.values().sum();
    check_order(&comparison);
    let event_count: usize = ftrace.events.values().map(Vec::len).sum();
    let formats = ftrace.events.values().flatten();
    let formats: Vec<&FtraceFormat> = formats.map(|event| &ftrace.formats[&event.id]).collect();
    let kinds: BTreeSet<&str> = formats.iter().map(|format| &*format.name).collect();
    let of_modules = { formats.iter() }.filter(|format| MODULES.contains(&&*format.group));
    let of_modules = of_modules.count();
    let mut distances: Vec<u64> = comparison
        .pairs
        .values()
        .flatten()
        .map(|pair| pair.distance())
        .collect();
    distances.sort_unstable();
    let measured = format!(
        "{event_count} events of ftrace of {} kinds, {of_modules} of them in modules, on {} CPUs, {} pairs of {} kinds, {} fields; instructions between: median {}, 99 % {}, most {}; of those above {UNINTERRUPTED}: {reasons:?}",
        kinds.len(),
        ftrace.events.len(),
        distances.len(),
        comparison.kind_count,
        comparison.field_count,
        distances[distances.len() / 2],
        distances[distances.len() * 99 / 100],
        distances[distances.len() - 1],
    );
    println!("{measured}");
    assert_eq!(ftrace.events.len(), 2, "{measured}");
    assert!(
        event_count > 50_000 && comparison.kind_count > 80,
        "{measured}"
    );
    assert!(
        comparison.field_count > 150_000 && of_modules > 1000,
        "{measured}"
    );
    assert!(
        distances[distances.len() / 2] < 300
            && distances[distances.len() * 99 / 100] < UNINTERRUPTED,
        "{measured}"
    );
    assert!(far * 200 < distances.len(), "{measured}");
    // With one CPU there are none: another CPU that runs a program in its turn leaves no record.
    let unseen = reasons.get("nothing seen").copied().unwrap_or(0);
    assert!(unseen * 2000 < distances.len(), "{measured}");
}
