//! A trace that went through CTF is the same trace: the model is told the same of the same threads at the same ticks.

use analyzer::export::{CtfVersion, ctf};
use analyzer::model::Reading;
use analyzer::sources::{Item, Range, Trace};
use guesttrace_tests::skip;

use crate::source::{all, golden, recorded};

/// An event as the model is told of it.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    ticks: u64,
    cpu: u32,
    tid: u32,
    pid: u32,
    event: String,
}

/// What the model is told of a trace, but which threads there are, which an export adds to.
fn told(trace: &Trace) -> Vec<Told> {
    let binding = trace.binding();
    let mut stream = trace.stream(&Range::default()).unwrap();
    let mut told = Vec::new();
    while let Some(item) = stream.next_item().unwrap() {
        let Item::Record(record) = item else {
            continue;
        };
        if record.is_context || record.is_repeated {
            continue;
        }
        let event = match binding.read(record.event, &record.fields) {
            Reading::Event(event) => format!("{event:?}"),
            Reading::NotModelled => trace.schema().event(record.event).unwrap().name.clone(),
            Reading::Incomplete => "incomplete".to_owned(),
        };
        if event.starts_with("TaskState") {
            continue;
        }
        told.push(Told {
            ticks: record.tsc,
            cpu: record.cpu.0,
            tid: record.context.tid.0,
            pid: record.context.pid.0,
            event,
        });
    }
    told
}

/// Where events are lost, CTF does not say who runs behind them: `threads` says whether that is compared.
fn check(trace: &Trace, threads: bool) {
    let told = |trace: &Trace| {
        let mut told = told(trace);
        for event in told.iter_mut().filter(|_| !threads) {
            (event.tid, event.pid) = (0, 0);
        }
        told
    };
    let before = told(trace);
    for version in [CtfVersion::V1, CtfVersion::V2] {
        let directory = tempfile::tempdir().unwrap();
        all(trace, |job| ctf(job, version, directory.path())).unwrap();
        let after = told(&Trace::open(directory.path()).unwrap());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "{version:?}");
        }
        assert_eq!(before.len(), after.len(), "{version:?}");
    }
}

#[test]
fn a_trace_comes_back_from_ctf_as_it_was() {
    check(&golden("first_program"), true);
    check(&golden("kernel_services"), true);
    check(&golden("lost_records"), false);
}

#[test]
fn a_recorded_guest_comes_back_from_ctf_as_it_was() {
    let Some((_, trace)) = recorded() else {
        skip!("no recorded trace: name one by GUESTTRACE_EXPORT_TRACE");
    };
    check(&trace, true);
}
