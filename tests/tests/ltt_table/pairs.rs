//! Returns that are paired with their entries: what `--probe FUNCTION%return` says, against the entries themselves.
//!
//! Each thread's calls of a function are a stack: a return belongs to the latest entry that has none. Functions that call
//! themselves, calls in which a thread is killed, threads on several CPUs, and both clocks are among the recordings.

use std::collections::BTreeMap;

use guesttrace_tests::{Event, guests_wanted, skip};

use super::{expectations, recorded, recording};

/// What is watched: a name, the function, and an argument of it.
const WATCHED: [(&str, &str, &str); 3] = [
    ("read", "vfs_read", "count=count"),
    // Epolls that watch each other call each other back within the call.
    (
        "callback",
        "ep_poll_callback",
        "fd=((struct epitem *)container_of(wait, struct eppoll_entry, wait)->base)->ffd.fd",
    ),
    // A thread that is killed ends in here.
    ("signal", "get_signal", "ksig=ksig"),
];
const ERESTARTSYS: i64 = 512;

/// The probes that the recordings have.
pub(crate) fn probes() -> Vec<String> {
    let of = |(name, function, argument): (&str, &str, &str)| {
        [
            format!("{name}_begins={function} {argument}"),
            format!("{name}_ends={function}%return {argument} got=(s64)retval took=elapsed"),
        ]
    };
    WATCHED.into_iter().flat_map(of).collect()
}

/// A call: its entry, its return unless the thread ended before, and how many calls it is within.
struct Call<'a> {
    entry: &'a Event,
    end: Option<&'a Event>,
    depth: usize,
}

/// The calls of a function, as the entries and returns alone tell.
fn calls<'a>(all: &'a [Event], name: &str) -> Vec<Call<'a>> {
    let (begins, ends) = (format!("{name}_begins"), format!("{name}_ends"));
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut open: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for event in all {
        let of_thread = open.entry(event.number("tid")).or_default();
        if event.name() == begins {
            of_thread.push(calls.len());
            calls.push(Call {
                entry: event,
                end: None,
                depth: of_thread.len() - 1,
            });
        } else if event.name() == ends {
            let call = of_thread.pop();
            let call = call.unwrap_or_else(|| panic!("a return without an entry: {event:?}"));
            calls[call].end = Some(event);
        } else if event.name() == "sched_process_exit" {
            // What it was in does not return.
            of_thread.clear();
        }
    }
    calls
}

/// Argument and time of each return are those of its entry. Returns how many had a time.
fn check_calls(kernel: &str, name: &str, argument: &str, calls: &[Call<'_>]) -> usize {
    let field = argument.split('=').next().expect("a field");
    let mut timed = 0;
    for call in calls {
        let Some(end) = call.end else { continue };
        let context = format!("{kernel}, {name}: {:?} {end:?}", call.entry);
        assert_eq!(
            call.entry.json["fields"][field], end.json["fields"][field],
            "{context}"
        );
        if end.json["fields"]["took"].is_null() {
            continue;
        }
        timed += 1;
        let passed = end.number("time_ns") - call.entry.number("time_ns");
        // Stamps are rounded to nanoseconds where the TSC counts something else.
        assert!(
            end.field("took").cast_unsigned().abs_diff(passed) <= 2,
            "{context}"
        );
    }
    timed
}

#[test]
fn returns_belong_to_their_entries() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    for kernel in recorded() {
        let (run, all) = recording(&kernel);
        let mut depths = BTreeMap::new();
        for (name, _, argument) in WATCHED {
            let calls = calls(all, name);
            let timed = check_calls(&kernel, name, argument, &calls);
            let returned = calls.iter().filter(|call| call.end.is_some()).count();
            let depth = calls.iter().map(|call| call.depth).max();
            println!(
                "{kernel}: {} calls of {name}, {returned} returned, {timed} with their time, nested {depth:?}",
                calls.len()
            );
            assert!(
                timed * 2 > returned,
                "{kernel}: {timed} of {returned} have a time"
            );
            depths.insert(name, depth);
        }
        // Three epolls, one within the other.
        assert_eq!(depths["callback"], Some(2), "{kernel}");
        check_killed(&kernel, all, &run.console);
    }
}

/// The read in which the program was killed returned; the function that ended it did not, nor is it taken for another's.
fn check_killed(kernel: &str, all: &[Event], console: &str) {
    let killed = expectations(console);
    let killed = killed
        .iter()
        .find(|(name, _)| *name == "sched_process_exit");
    let tid: u64 = killed.expect("the program tells whom it kills").1[0]
        .1
        .parse()
        .expect("a number");
    let of_thread = |name| -> Vec<Call<'_>> {
        let mut calls = calls(all, name);
        calls.retain(|call| call.entry.number("tid") == tid);
        calls
    };
    let reads = of_thread("read");
    let end = reads
        .last()
        .and_then(|call| call.end)
        .expect("its read ended");
    assert_eq!(end.field("got"), -ERESTARTSYS, "{kernel}: {end:?}");
    let took = &end.json["fields"]["took"];
    assert!(
        took.as_u64().is_none_or(|took| took > 4_000_000),
        "{kernel}: {end:?}"
    );
    let signals = of_thread("signal");
    assert!(
        !signals.is_empty() && signals.iter().all(|call| call.end.is_none()),
        "{kernel}"
    );
}
