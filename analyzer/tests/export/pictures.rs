//! Formats that show what the model made of a trace: slices nest, states add up, arrows have two ends.

use std::collections::BTreeMap;

use analyzer::export::{Wanted, chrome, firefox};
use analyzer::sources::Trace;
use expect_test::expect;
use guesttrace_tests::skip;
use serde_json::Value;

use crate::source::{all, golden, recorded, with};

fn chrome_events(trace: &Trace, wanted: &Wanted) -> Vec<Value> {
    let mut file = Vec::new();
    with(trace, wanted, |job| chrome(job, &mut file)).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    file["traceEvents"].as_array().unwrap().clone()
}

/// Nanoseconds of a time that is written as microseconds with three decimals.
fn nanos(value: &Value) -> u64 {
    let text = value.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let part: u64 = format!("{part:0<3}").parse().unwrap();
    whole.parse::<u64>().unwrap() * 1000 + part
}

fn of_phase<'a>(events: &'a [Value], phase: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["ph"] == phase)
}

/// Process and thread of a track; start, end and name of a slice.
type Track = (u64, u64);
type Named = (u64, u64, String);

/// On each track a slice lies wholly within another or outside of it.
fn check_chrome(events: &[Value]) {
    let mut tracks: BTreeMap<Track, Vec<Named>> = BTreeMap::new();
    for slice in of_phase(events, "X") {
        let start = nanos(&slice["ts"]);
        let end = start + nanos(&slice["dur"]);
        let track = (
            slice["pid"].as_u64().unwrap(),
            slice["tid"].as_u64().unwrap(),
        );
        let name = slice["name"].as_str().unwrap().to_owned();
        tracks.entry(track).or_default().push((start, end, name));
    }
    for (track, slices) in &mut tracks {
        slices.sort_by_key(|(start, end, _)| (*start, u64::MAX - *end));
        let mut open: Vec<u64> = Vec::new();
        for (start, end, name) in slices {
            while open.last().is_some_and(|last| last <= start) {
                open.pop();
            }
            let fits = open.last().is_none_or(|last| *end <= *last);
            assert!(
                fits,
                "{track:?}: {name} from {start} to {end} crosses {open:?}"
            );
            open.push(*end);
        }
    }
    let ids = |phase| -> Vec<u64> {
        let mut ids: Vec<u64> = of_phase(events, phase)
            .map(|event| event["id"].as_u64().unwrap())
            .collect();
        ids.sort_unstable();
        ids
    };
    let begins = ids("s");
    assert_eq!(begins, ids("f"));
    assert!(
        begins.windows(2).all(|pair| pair[0] != pair[1]),
        "two arrows with one number"
    );
    let named: Vec<u64> = of_phase(events, "M")
        .map(|event| event["tid"].as_u64().unwrap())
        .collect();
    for (_, tid) in tracks.keys() {
        assert!(named.contains(tid), "the track {tid} has no name");
    }
}

#[test]
fn chrome_shows_calls_states_wakeups_and_cpus() {
    for name in ["first_program", "kernel_services", "lost_records"] {
        check_chrome(&chrome_events(&golden(name), &Wanted::default()));
    }
    let events = chrome_events(&golden("lost_records"), &Wanted::default());
    let mut text = String::new();
    for event in &events {
        let [phase, tid, ts, dur] = ["ph", "tid", "ts", "dur"].map(|key| &event[key]);
        let name = event["name"].as_str().unwrap();
        text.push_str(&format!(
            "{phase} {tid} {ts} {dur} {name} {}\n",
            event["args"]
        ));
    }
    expect![[r#"
        "C" 0 0.1 null threads {"runnable":0,"running":1}
        "X" 7 0.0 0.1 running_unknown null
        "C" 0 0.2 null threads {"runnable":0,"running":0}
        "C" 0 0.9 null threads {"runnable":0,"running":1}
        "X" 9 0.0 0.9 unknown null
        "X" 4194304 0.0 0.2 sh {"tid":7}
        "C" 0 1.0 null threads {"runnable":0,"running":0}
        "X" 9 0.9 0.1 running_unknown null
        "C" 0 1.0 null threads {"runnable":0,"running":1}
        "X" 7 0.2 0.8 unknown null
        "X" 4194304 0.9 0.1 cat {"tid":9}
        "X" 7 1.0 0.1 running_unknown null
        "X" 7 1.1 0.2 user null
        "X" 9 1.0 0.3 blocked null
        "X" 4194304 1.0 0.3 sh {"tid":7}
        "M" 4194304 0.0 null process_name {"name":"CPUs"}
        "M" 4194304 0.0 null thread_name {"name":"CPU 0"}
        "M" 7 0.0 null process_name {"name":"sh"}
        "M" 7 0.0 null thread_name {"name":"sh"}
        "M" 9 0.0 null process_name {"name":"cat"}
        "M" 9 0.0 null thread_name {"name":"cat"}
    "#]]
    .assert_eq(&text);
}

#[test]
fn chosen_events_are_marks() {
    let trace = golden("kernel_services");
    let event = trace.schema().event_named("signal_generate").unwrap().id;
    let wanted = Wanted {
        events: vec![event],
        ..Wanted::default()
    };
    let events = chrome_events(&trace, &wanted);
    let marks: Vec<String> = of_phase(&events, "i")
        .map(|mark| format!("{} {} {}", mark["ts"], mark["tid"], mark["args"]["sig"]))
        .collect();
    expect![[r#"
        8.0 11 10
        8.05 11 10
        8.1 11 17
        8.6 10 11"#]]
    .assert_eq(&marks.join("\n"));
}

/// What the processed format requires: columns as long as their table says, references to what is there.
fn check_firefox(trace: &Trace) -> Value {
    let mut file = Vec::new();
    all(trace, |job| firefox(job, &mut file)).unwrap();
    let profile: Value = serde_json::from_slice(&file).unwrap();
    let meta = &profile["meta"];
    assert_eq!(meta["preprocessedProfileVersion"], 48);
    let categories = meta["categories"].as_array().unwrap().len() as u64;
    let schemas: Vec<&Value> = meta["markerSchema"]
        .as_array()
        .unwrap()
        .iter()
        .map(|schema| &schema["name"])
        .collect();
    for thread in profile["threads"].as_array().unwrap() {
        let length = |table: &str| thread[table]["length"].as_u64().unwrap();
        for table in [
            "samples",
            "markers",
            "stackTable",
            "frameTable",
            "funcTable",
            "resourceTable",
            "nativeSymbols",
        ] {
            for (name, column) in thread[table].as_object().unwrap() {
                if let Some(column) = column.as_array() {
                    assert_eq!(column.len() as u64, length(table), "{table}.{name}");
                }
            }
        }
        let strings = thread["stringArray"].as_array().unwrap().len() as u64;
        let refers = |table: &str, column: &str, below: u64| {
            for value in thread[table][column].as_array().unwrap() {
                assert!(
                    value.is_null() || value.as_u64().unwrap() < below,
                    "{table}.{column}: {value}"
                );
            }
        };
        refers("samples", "stack", length("stackTable"));
        refers("stackTable", "frame", length("frameTable"));
        refers("stackTable", "prefix", length("stackTable"));
        refers("stackTable", "category", categories);
        refers("frameTable", "func", length("funcTable"));
        refers("funcTable", "name", strings);
        refers("markers", "name", strings);
        refers("markers", "category", categories);
        for data in thread["markers"]["data"].as_array().unwrap() {
            assert!(schemas.contains(&&data["type"]), "{data}");
        }
        let numbers = |table: &str, column: &str| -> Vec<f64> {
            let column = thread[table][column].as_array().unwrap();
            column
                .iter()
                .map(|value| value.as_f64().unwrap_or(f64::NAN))
                .collect()
        };
        assert!(numbers("samples", "time").is_sorted());
        // The states of a thread follow each other without a hole.
        let times = numbers("samples", "time");
        for (pair, weight) in times.windows(2).zip(numbers("samples", "weight")) {
            assert!(
                (pair[0] + weight - pair[1]).abs() < 1e-6,
                "{}: {pair:?} {weight}",
                thread["name"]
            );
        }
        let phases = thread["markers"]["phase"].as_array().unwrap();
        let ends = thread["markers"]["endTime"].as_array().unwrap();
        assert!(
            phases
                .iter()
                .zip(ends)
                .all(|(phase, end)| (phase == 0) == end.is_null())
        );
    }
    profile
}

#[test]
fn firefox_profiles_are_as_their_format_says() {
    for name in ["first_program", "kernel_services", "lost_records"] {
        let profile = check_firefox(&golden(name));
        assert!(!profile["threads"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_recorded_guest_makes_pictures() {
    let Some((_, trace)) = recorded() else {
        skip!("no recorded trace: name one by GUESTTRACE_EXPORT_TRACE");
    };
    check_chrome(&chrome_events(&trace, &Wanted::default()));
    check_firefox(&trace);
}
