//! A perf.data that the guest's own perf recorded, event by event against `perf script`, and turns against `perf sched timehist`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use guesttrace_tests::{guest_arguments_with, guests_wanted, guesttrace, record_guest, skip};
use serde_json::Value;

/// Events that perf writes beside what it samples.
const OF_PERF: [&str; 8] = [
    "comm",
    "exit",
    "fork",
    "mmap",
    "perf_record",
    "switch_in",
    "switch_out",
    "thread_context",
];

/// When, where, what, which thread.
type Place = (u64, u64, String, i64);

fn output_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Nanoseconds of `12.000000345:`.
fn nanos(text: &str) -> Option<u64> {
    text.trim_end_matches(':').replace('.', "").parse().ok()
}

/// What `perf script` prints: places and the fields behind them.
fn told(path: &Path) -> Vec<(Place, String)> {
    let script = output_of(
        Command::new("perf")
            .args(["script", "--ns", "-F", "tid,cpu,time,event,trace", "-i"])
            .arg(path),
    );
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let tid = words.next()?.parse().ok()?;
        let cpu = words.next()?.trim_matches(['[', ']']).parse().ok()?;
        let time = nanos(words.next()?)?;
        let event = words
            .next()?
            .trim_end_matches(':')
            .rsplit(':')
            .next()?
            .to_owned();
        let fields = words.collect::<Vec<_>>().join(" ");
        Some(((time, cpu, event, tid), fields))
    };
    script.lines().filter_map(line).collect()
}

/// What we read.
fn read(path: &Path) -> Vec<(Place, Value)> {
    let lines = output_of(
        Command::new(guesttrace())
            .args(["events", "--format", "json"])
            .arg(path),
    );
    let line = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("each line is JSON");
        let name = event["event"].as_str()?.to_owned();
        let number = |key: &str| event[key].as_u64().expect("a number");
        let tid = event["tid"].as_i64().expect("a number");
        let place = (number("tsc"), number("cpu"), name, tid);
        (!OF_PERF.contains(&place.2.as_str())).then(|| (place, event["fields"].clone()))
    };
    lines.lines().filter_map(line).collect()
}

/// Compares fields that are told as `name=number` or `name=text`; how many there were.
fn compare(place: &Place, own: &Value, told: &str) -> usize {
    let words: BTreeMap<&str, &str> = told
        .split(' ')
        .filter_map(|word| word.split_once('='))
        .collect();
    let mut compared = 0;
    for (name, value) in own.as_object().expect("fields") {
        let Some(word) = words.get(name.as_str()) else {
            continue;
        };
        let same = match value {
            Value::Number(number) => word
                .parse::<i64>()
                .ok()
                .map(|told| number.as_i64() == Some(told)),
            Value::String(text) if text.starts_with("0x") && word.starts_with("0x") => {
                Some(text == word)
            }
            // A text may have spaces, and numbers may have names.
            Value::String(_) => None,
            _ => None,
        };
        assert_ne!(
            same,
            Some(false),
            "{place:?}: {name} is {value}, not {word}"
        );
        compared += usize::from(same.is_some());
    }
    compared
}

/// Turns that `perf sched timehist` tells: end in microseconds, CPU and thread, with their length in nanoseconds.
fn turns_told(path: &Path) -> BTreeMap<(u64, u64, i64), f64> {
    let table = output_of(
        Command::new("perf")
            .args(["sched", "timehist", "-i"])
            .arg(path),
    );
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [time, cpu, .., run] = words[..] else {
            return None;
        };
        let at = nanos(time)?;
        let cpu = cpu.trim_matches(['[', ']']).parse().ok()?;
        let task = words[..words.len() - 3].last()?.strip_suffix(']')?;
        let thread = task.rsplit('[').next()?.split('/').next()?;
        Some(((at, cpu, thread.parse().ok()?), run.parse().ok()?))
    };
    table.lines().filter_map(line).collect()
}

#[test]
fn perf_script_and_timehist_see_the_same() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let arguments = guest_arguments_with("6.1-amd64", "+perf", "mix")
        .expect("scripts/test.sh builds the image");
    let run = record_guest(&arguments, &["--quiet", "--smp", "2", "--native", "perf"]);
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    let path = run.trace.with_extension("perf.data");

    // perf itself prints events that its buffers gave it late where it meets them; here they are in order.
    let (mut own, mut told) = (read(&path), told(&path));
    assert!(own.is_sorted_by_key(|(place, _)| place.0));
    assert!(own.len() > 10_000, "{} events", own.len());
    own.sort_by(|one, other| {
        { (one.0.0, one.0.1, &one.0.2) }.cmp(&(other.0.0, other.0.1, &other.0.2))
    });
    told.sort_by(|one, other| {
        { (one.0.0, one.0.1, &one.0.2) }.cmp(&(other.0.0, other.0.1, &other.0.2))
    });
    assert_eq!(own.len(), told.len());
    let mut compared = 0;
    for ((place, fields), (other, words)) in own.iter().zip(&told) {
        assert_eq!((place.0, place.1, &place.2), (other.0, other.1, &other.2));
        // perf knows no number for a thread that has ended; the kernel's own record has it.
        assert!(
            place.3 == other.3 || other.3 == -1,
            "{place:?} is {other:?}"
        );
        compared += compare(place, fields, words);
    }
    assert!(compared > own.len() / 4, "{compared} fields were compared");
    check_turns(&path);
}

/// Tick 0 of times since the start of the trace.
fn start_of(path: &Path) -> u64 {
    let first = output_of(
        Command::new(guesttrace())
            .args(["events", "--format", "json", "--limit", "1"])
            .arg(path),
    );
    let event: Value = serde_json::from_str(first.lines().next().expect("an event")).expect("JSON");
    event["tsc"].as_u64().expect("ticks") - event["time_ns"].as_u64().expect("a time")
}

/// A turn is the same when it ends at the same microsecond and its length is the same to one.
fn check_turns(path: &Path) {
    let mut command = Command::new(guesttrace());
    let report = output_of(
        command
            .args(["report", "timehist", "--format", "json"])
            .arg(path),
    );
    let report: Value = serde_json::from_str(&report).expect("a report is JSON");
    let rows = report["timehist"].as_array().expect("a table");
    let (told, start) = (turns_told(path), start_of(path));
    let mut same = 0;
    for row in rows {
        let name = row["thread"].as_str().expect("a thread");
        let thread = name
            .rsplit(':')
            .next()
            .and_then(|number| number.parse().ok());
        let (Some(thread), Some(run)) = (thread, row["run_ns"].as_f64()) else {
            continue;
        };
        let at = (row["at_ns"].as_u64().expect("a time") + start) / 1000;
        let cpu = row["cpu"].as_u64().expect("a CPU");
        let near = [at, at + 1]
            .into_iter()
            .find_map(|at| told.get(&(at, cpu, thread)));
        same += usize::from(near.is_some_and(|told| (told * 1_000_000.0 - run).abs() < 1_500.0));
    }
    // perf leaves out what it met late, and what was under way when it began.
    assert!(
        told.len() > 500 && same * 100 > told.len() * 95,
        "{same} of {} turns are the same",
        told.len()
    );
}
