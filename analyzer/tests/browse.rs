//! Going through a trace both ways, against one read from its start to its end.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/synthetic.rs"]
mod synthetic;

use std::path::{Path, PathBuf};

use analyzer::browse::{Browser, Event, transitions};
use analyzer::model::{Activity, CpuId, GuestNanos};
use analyzer::report::{Accounts, Selection, run};
use analyzer::sources::{Item, Loss, Range, Trace};
use guesttrace_filter::Filter;
use guesttrace_tests::{Chance, fuzz_usually};
use trace_format::TraceFile;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn script(name: &str) -> String {
    std::fs::read_to_string(golden(name).with_extension("script")).unwrap()
}

fn open(script: &str, chunk_records: usize) -> Trace {
    Trace::Own(TraceFile::from_bytes(synthetic::trace(script, chunk_records)).unwrap())
}

/// Time, CPU, thread and kind of an event.
type Key = (u64, u32, u32, u16);

/// What a plain read says: time, CPU, thread and event of each record; and what is lost.
fn read(trace: &Trace) -> (Vec<Key>, Vec<Loss>) {
    let mut stream = trace.stream(&Range::default()).unwrap();
    let (mut events, mut losses) = (Vec::new(), Vec::new());
    while let Some(item) = stream.next_item().unwrap() {
        match item {
            Item::Record(record) if record.is_repeated || record.is_context => {}
            Item::Record(record) => {
                let tid = record.context.tid.0;
                events.push((record.tsc, record.cpu.0, tid, record.event.0));
            }
            Item::Loss(loss) => losses.push(loss),
        }
    }
    (events, losses)
}

fn key(event: &Event) -> Key {
    (event.tsc, event.cpu.0, event.tid.0, event.id.0)
}

fn forward(browser: &mut Browser<'_>) -> Vec<Key> {
    let mut events = Vec::new();
    while let Some(event) = browser.next_event().unwrap() {
        events.push(key(event));
    }
    events
}

#[test]
fn both_ways_give_the_same_events() {
    for name in ["first_program", "lost_records"] {
        for records in [1, 2, 3, 7, 1000] {
            let trace = open(&script(name), records);
            let (expected, _) = read(&trace);
            let mut browser = Browser::new(&trace).unwrap();
            assert_eq!(browser.previous_event().unwrap(), None);
            assert_eq!(
                forward(&mut browser),
                expected,
                "{name}, {records} records a chunk"
            );
            let mut backward = Vec::new();
            while let Some(event) = browser.previous_event().unwrap() {
                backward.push(key(event));
            }
            backward.reverse();
            assert_eq!(backward, expected, "{name}, {records} records a chunk");
            browser.seek_end().unwrap();
            assert_eq!(browser.next_event().unwrap(), None);
        }
    }
}

#[test]
fn from_any_time_the_rest_is_that_of_the_whole() {
    for records in [1, 3, 1000] {
        let trace = open(&script("first_program"), records);
        let (all, _) = read(&trace);
        let mut browser = Browser::new(&trace).unwrap();
        for at in [0, 1, 12_550, 17_000, 17_001, 25_000, 25_001, u64::MAX] {
            let tsc = trace.clock().tsc(GuestNanos(at));
            let first = all.partition_point(|event| event.0 < tsc);
            browser.seek(GuestNanos(at)).unwrap();
            let before = browser.previous_event().unwrap().map(key);
            assert_eq!(
                before,
                first.checked_sub(1).map(|index| all[index]),
                "before {at}"
            );
            browser.seek(GuestNanos(at)).unwrap();
            assert_eq!(
                forward(&mut browser),
                all[first..],
                "from {at}, {records} a chunk"
            );
        }
    }
}

/// A walk at random, against a place in a list.
#[test]
fn fuzz_walks() {
    let traces = [1, 4, 9].map(|records| open(&script("first_program"), records));
    fuzz_usually(60, |chance: &mut Chance| {
        let trace = chance.pick(&traces);
        let (all, _) = read(trace);
        let (mut browser, mut place) = (Browser::new(trace).unwrap(), 0);
        for _ in 0..60 {
            if chance.once_in(8) {
                let at = GuestNanos(chance.number() % 26_000);
                browser.seek(at).unwrap();
                let tsc = trace.clock().tsc(at);
                place = all.partition_point(|event| event.0 < tsc);
            } else if chance.once_in(2) {
                let expected = all.get(place).copied();
                place += usize::from(expected.is_some());
                assert_eq!(browser.next_event().unwrap().map(key), expected);
            } else {
                let expected = place.checked_sub(1).map(|index| all[index]);
                place = place.saturating_sub(1);
                assert_eq!(browser.previous_event().unwrap().map(key), expected);
            }
        }
    });
}

#[test]
fn every_loss_is_told_once() {
    for records in [1, 2, 1000] {
        let trace = open(&script("lost_records"), records);
        let (_, expected) = read(&trace);
        let mut browser = Browser::new(&trace).unwrap();
        let mut losses: Vec<Loss> = browser.losses().to_vec();
        while browser.next_event().unwrap().is_some() {
            let told = browser
                .losses()
                .iter()
                .filter(|loss| !losses.contains(loss));
            let told: Vec<Loss> = told.copied().collect();
            losses.extend(told);
        }
        let places = |losses: &[Loss]| -> Vec<_> {
            losses
                .iter()
                .map(|loss| (loss.cpu, loss.at, loss.count))
                .collect()
        };
        assert_eq!(
            places(&losses),
            places(&expected),
            "{records} records a chunk"
        );
    }
}

#[test]
fn events_are_found_in_both_directions() {
    let trace = open(&script("first_program"), 3);
    let fork = Filter::parse("event == sched_process_fork").unwrap();
    let fork = fork.bind(trace.schema()).unwrap();
    let mut browser = Browser::new(&trace).unwrap();
    let mut times = Vec::new();
    while let Some(event) = browser.find_next(&fork).unwrap() {
        times.push(event.at.0);
    }
    assert_eq!(times, [2000, 3000, 11_000]);
    let last = browser.find_previous(&fork).unwrap().unwrap().clone();
    assert_eq!(last.at, GuestNanos(11_000));
    assert_eq!(browser.name(&last), "sched_process_fork");
    assert_eq!(browser.text(&last, "child_comm").as_deref(), Some("init"));
    assert_eq!(browser.number(&last, "child_pid"), Some(3));
    assert_eq!(browser.number(&last, "no such field"), None);
    assert_eq!(browser.text(&last, "child_pid"), None);
    assert_eq!(
        browser.find_previous(&fork).unwrap().unwrap().at,
        GuestNanos(3000)
    );
}

/// What changes tell adds up to what the accounts say.
#[test]
fn transitions_partition_the_time_of_a_cpu() {
    let trace = open(&script("first_program"), 1000);
    let accounts = run(
        &trace,
        &Selection::default(),
        Accounts::new(Selection::default()),
    )
    .unwrap();
    for cpu in [CpuId(0), CpuId(1)] {
        let (mut since, mut user) = (None, 0);
        let selection = Selection {
            cpus: vec![cpu],
            ..Selection::default()
        };
        let machine = transitions(&trace, &selection, |_, change| {
            assert_eq!(change.cpu, cpu);
            if change.leaves_kernel() {
                since = Some(change.at.0);
            } else if change.enters_kernel() {
                user += change.at.0 - since.take().unwrap();
            }
        });
        assert_eq!(
            user,
            accounts.analysis.cpu(cpu).of(Activity::User).0,
            "CPU {cpu}"
        );
        assert_eq!(machine.unwrap().cpus().count(), 2);
    }
}

/// The trace of the examples in the crate's documentation. It explains itself: a table that has grown since is no matter.
#[test]
fn the_trace_of_the_examples_is_that_of_the_script() {
    let path = golden("first_program.trace");
    let bytes = synthetic::trace(&script("first_program"), 10);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    let (kept, expected) = (
        Trace::open(&path).unwrap(),
        open(&script("first_program"), 10),
    );
    assert_eq!(read(&kept), read(&expected), "UPDATE_EXPECT=1 renews it");
}
