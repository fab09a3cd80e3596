//! Who ran, how often, how long and how late, from ftrace's own events by the rules of `perf sched timehist`, against
//! `guesttrace report sched` of the same run.
//!
//! Run: from a switch to a thread to the next away from it. Delay: from being woken to being switched to. Both are summed by
//! thread. The stamps of the two differ by what ftrace needs to get to its own, which is nearly the same each time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use guesttrace_tests::{Ftrace, FtraceEvent, FtraceFormat, FtraceValue, guesttrace};
use serde_json::Value;

/// `TASK_REPORT` and what is above it: why a thread left its CPU; 0 and `TASK_REPORT_MAX` if it could have gone on.
const PREEMPTED: u64 = 0x100;

/// What a thread did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    switches: u64,
    preemptions: u64,
    running_ns: u64,
    wakeups: u64,
    delay_ns: u64,
    /// Since when it has its CPU, or is woken.
    since: Option<u64>,
    woken: Option<u64>,
    /// Woken before it left its CPU.
    early: Option<u64>,
    is_blocked: bool,
    /// Something came between a tracepoint and ftrace's stamp, which is late by as much.
    is_late: bool,
}

fn field(format: &FtraceFormat, event: &FtraceEvent, name: &str) -> u64 {
    let field = format
        .fields
        .iter()
        .find(|field| field.name == name)
        .expect("a field of sched");
    match event.value(field) {
        FtraceValue::Number(number) => number,
        other => panic!("{name} is {other:?}"),
    }
}

/// The turns of all threads but the idle ones, by number, between two stamps.
fn turns(ftrace: &Ftrace, span: &Range<u64>, late: &BTreeSet<(u32, u64)>) -> BTreeMap<u64, Turns> {
    let mut events: Vec<(u64, u32, &FtraceEvent)> = Vec::new();
    for (cpu, own) in &ftrace.events {
        events.extend(own.iter().map(|event| (event.tsc, *cpu, event)));
    }
    events.sort_by_key(|(tsc, cpu, _)| (*tsc, *cpu));
    let mut threads: BTreeMap<u64, Turns> = BTreeMap::new();
    for (tsc, cpu, event) in events.into_iter().filter(|(tsc, ..)| span.contains(tsc)) {
        let format = &ftrace.formats[&event.id];
        let number = |name: &str| field(format, event, name);
        let is_late = late.contains(&(cpu, tsc));
        match (format.group.as_str(), format.name.as_str()) {
            ("sched", "sched_switch") => {
                let prev = threads.entry(number("prev_pid")).or_default();
                let state = number("prev_state");
                let can_go_on = state == 0 || state == PREEMPTED;
                // Who has the CPU when ftrace is switched on has it since then.
                prev.running_ns += tsc - prev.since.take().unwrap_or(span.start);
                prev.preemptions += u64::from(can_go_on);
                prev.is_blocked = !can_go_on;
                let early = prev.early.take();
                prev.woken = prev.woken.or(early.filter(|_| prev.is_blocked));
                prev.is_late |= is_late;
                let next = threads.entry(number("next_pid")).or_default();
                next.switches += 1;
                next.since = Some(tsc);
                next.is_blocked = false;
                next.early = None;
                next.is_late |= is_late;
                if let Some(woken) = next.woken.take() {
                    next.wakeups += 1;
                    next.delay_ns += tsc - woken;
                }
            }
            ("sched", "sched_waking") => {
                let thread = threads.entry(number("pid")).or_default();
                // Another CPU may wake a thread that is still on its way to sleep.
                if !thread.is_blocked {
                    thread.early = thread.early.or(Some(tsc));
                } else if thread.woken.is_none() {
                    thread.woken = Some(tsc);
                    thread.is_late |= is_late;
                }
            }
            // It was not on its way yet: it goes on, and is not woken from what it sleeps in later.
            ("sched", "sched_wakeup") => {
                threads.entry(number("pid")).or_default().early = None;
            }
            ("sched", "sched_wakeup_new") => {
                let thread = threads.entry(number("pid")).or_default();
                thread.woken = Some(tsc);
                thread.is_late |= is_late;
            }
            _ => {}
        }
    }
    for thread in threads.values_mut() {
        thread.running_ns += thread.since.take().map_or(0, |since| span.end - since);
    }
    threads.remove(&0);
    threads
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    pub(crate) threads: usize,
    /// Of these, those whose times were compared too: ftrace has no late stamp of them.
    pub(crate) timed: usize,
    pub(crate) switches: u64,
    pub(crate) wakeups: u64,
    /// Largest differences of a thread, in nanoseconds for each of its switches.
    pub(crate) running_most: u64,
    pub(crate) delay_most: u64,
}

/// Compares the threads that were made while ftrace was on, of which both sides know the whole life. `late` are CPU and stamp
/// of the events that ftrace stamped late, `far_ns` how late any other may be.
pub(crate) fn compare(
    ftrace: &Ftrace,
    (trace, origin): (&Path, u64),
    late: &BTreeSet<(u32, u64)>,
    far_ns: u64,
) -> Agreement {
    let stamps = || ftrace.events.values().flatten().map(|event| event.tsc);
    let (start, end) = (
        stamps().min().expect("events"),
        stamps().max().expect("events"),
    );
    let threads = turns(ftrace, &(start..end), late);
    let output = Command::new(guesttrace())
        .args(["report", "sched", "--format", "json", "--top", "100000"])
        .args([
            "--from",
            &format!("{}ns", start - origin),
            "--to",
            &format!("{}ns", end - origin),
        ])
        .arg(trace)
        .output()
        .expect("cargo build --release comes first");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = report["threads"].as_array().expect("a table");
    let mut agreement = Agreement::default();
    for (tid, theirs) in threads.iter().filter(|(tid, _)| is_made(ftrace, **tid)) {
        // A number may be given twice, but not in a run of some seconds.
        let row = rows.iter().find(|row| row["tid"] == *tid);
        let row = row.unwrap_or_else(|| panic!("the report lacks thread {tid}: {theirs:?}"));
        let ours = |column: &str| row[column].as_u64().unwrap_or(0);
        let counts = [ours("switches"), ours("preemptions"), ours("wakeups")];
        let told = [theirs.switches, theirs.preemptions, theirs.wakeups];
        assert_eq!(
            counts, told,
            "switches, preemptions, wake-ups of {tid}: {row} {theirs:?}"
        );
        agreement.threads += 1;
        agreement.switches += theirs.switches;
        agreement.wakeups += theirs.wakeups;
        if theirs.is_late {
            continue;
        }
        let running = ours("running_ns").abs_diff(theirs.running_ns);
        let delay = (ours("delay_mean_ns") * theirs.wakeups).abs_diff(theirs.delay_ns);
        let allowed = far_ns * (theirs.switches + theirs.wakeups);
        assert!(running <= allowed, "{tid} ran {row}, by ftrace {theirs:?}");
        assert!(
            delay <= allowed + theirs.wakeups,
            "{tid} waited {row}, by ftrace {theirs:?}"
        );
        agreement.timed += 1;
        agreement.running_most = agreement.running_most.max(running / theirs.switches.max(1));
        agreement.delay_most = agreement.delay_most.max(delay / theirs.wakeups.max(1));
    }
    agreement
}

/// Whether a thread was made while ftrace was on.
fn is_made(ftrace: &Ftrace, tid: u64) -> bool {
    ftrace.events.values().flatten().any(|event| {
        let format = &ftrace.formats[&event.id];
        format.name == "sched_wakeup_new" && field(format, event, "pid") == tid
    })
}
