//! Answers about events, against a plain read of the trace from its start to its end.

use std::fmt::Write as _;

use analyzer::export::{LineFormat, LineWriter};
use analyzer::model::GuestNanos;
use analyzer::report::{Selection, run};
use analyzer::sources::{Item, Range};
use guesttrace_filter::{BoundFilter, Filter};
use guesttrace_tests::{Chance, fuzz_usually};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::query::Query;
use crate::served::Served;
use crate::testing::{ask, golden, served};

/// What a plain read says of an event.
struct Truth {
    at: u64,
    line: String,
}

fn each(trace: &Trace, mut tell: impl FnMut(&analyzer::sources::Record<'_>)) {
    let mut stream = trace.stream(&Range::default()).unwrap();
    while let Some(item) = stream.next_item().unwrap() {
        match item {
            Item::Record(record) if record.is_repeated || record.is_context => {}
            Item::Record(record) => tell(&record),
            Item::Loss(_) => {}
        }
    }
}

fn truths(trace: &Trace, filter: Option<&BoundFilter>) -> Vec<(u64, Truth)> {
    let mut lines = LineWriter::new(trace.schema(), LineFormat::Text);
    let (mut truths, mut number) = (Vec::new(), 0);
    each(trace, |record| {
        if filter.is_none_or(|filter| filter.matches(record)) {
            let mut line = Vec::new();
            lines.push_untimed(&mut line, record);
            let line = String::from_utf8(line).unwrap();
            let at = record.at.0;
            truths.push((number, Truth { at, line }));
        }
        number += 1;
    });
    truths
}

/// Events of three CPUs, several of them at the same ticks.
fn crowd(events: u64) -> String {
    let mut script = String::new();
    for n in 0..events {
        let (at, cpu) = (n / 7 * 10, n % 7 % 3);
        let line = match n % 11 {
            0 => "tick user=0".to_owned(),
            1 => format!("sched_waking comm=some pid={n} prio=120 target_cpu=0"),
            2 if n % 1000 < 11 => "sched_process_exec filename=/bin/\"x\" pid=1".to_owned(),
            _ => format!("irq_entry vector={}", n % 200),
        };
        writeln!(script, "{at}@{cpu} {line}").unwrap();
    }
    script
}

/// The line that the event of a page is, as the events verb writes it.
fn line(trace: &Trace, event: &Value) -> String {
    let id = u16::try_from(event["event"].as_u64().unwrap()).unwrap();
    let name = &trace.schema().event(EventId(id)).unwrap().name;
    let fields = event["fields"].as_array().unwrap().iter();
    let fields: Vec<String> = fields
        .map(|field| {
            let [name, value] = [0, 1].map(|at| field[at].as_str().unwrap());
            format!("{name} = {value}")
        })
        .collect();
    let comm = event["comm"].as_str().unwrap();
    let place = format!("{} {comm}:{}", event["cpu"], event["tid"]);
    if fields.is_empty() {
        return format!("{place} {name}: {{}}\n");
    }
    format!("{place} {name}: {{ {} }}\n", fields.join(", "))
}

fn check_page(served: &Served, truths: &[(u64, Truth)], first: usize, count: usize, filter: &str) {
    let (first_text, count_text) = (first.to_string(), count.to_string());
    let pairs = [
        ("first", first_text.as_str()),
        ("count", &count_text),
        ("filter", filter),
    ];
    let mut page = ask(served, events, &pairs);
    while page["complete"] == false {
        page = ask(served, events, &pairs);
    }
    assert_eq!(page["total"], truths.len());
    let shown = page["events"].as_array().unwrap();
    let start = first.min(truths.len());
    let end = truths.len().min(first.saturating_add(count.min(1000)));
    assert_eq!(
        shown.len(),
        end.max(start) - start,
        "{first} {count} {filter}"
    );
    for (event, (number, truth)) in shown.iter().zip(&truths[start..]) {
        assert_eq!(event["n"], *number);
        assert_eq!(event["at"], truth.at);
        assert_eq!(line(&served.trace(), event), truth.line);
    }
}

#[test]
fn pages_are_those_of_a_plain_read() {
    let script = crowd(30_000);
    for chunk in [100, 5000] {
        let served = served(&script, chunk);
        let all = truths(&served.trace(), None);
        let mut chance = Chance::new(1);
        for (first, count) in [
            (0, 10),
            (4090, 1000),
            (29_990, 50),
            (30_000, 5),
            (usize::MAX, 9),
        ] {
            check_page(&served, &all, first, count, "");
        }
        for _ in 0..40 {
            check_page(&served, &all, chance.below(30_000), chance.below(1100), "");
        }
    }
    for name in ["first_program", "lost_records"] {
        let served = served(&golden(name), 3);
        let all = truths(&served.trace(), None);
        (0..all.len()).for_each(|first| check_page(&served, &all, first, 4, ""));
    }
}

const FILTERS: &[&str] = &[
    "event == sched_process_exec",
    "event == tick || vector > 190",
    "!(cpu == 1)",
    "pid == 12101",
    "event == task_rename",
];

#[test]
fn filters_let_through_what_they_do_elsewhere() {
    let served = served(&crowd(60_000), 700);
    let trace = served.trace();
    for text in FILTERS {
        let filter = Filter::parse(text).unwrap().bind(trace.schema()).unwrap();
        let passing = truths(&trace, Some(&filter));
        let mut chance = Chance::new(2);
        for _ in 0..12 {
            let first = chance.below(passing.len() + 10);
            check_page(&served, &passing, first, chance.below(1100), text);
        }
        for _ in 0..30 {
            let number = chance.below(60_010) as u64;
            let n = number.to_string();
            let found = |direction: &str| {
                let pairs = [
                    ("n", n.as_str()),
                    ("direction", direction),
                    ("filter", text),
                ];
                ask(&served, find, &pairs)["n"].as_u64()
            };
            let numbers = passing.iter().map(|(number, _)| *number);
            assert_eq!(found("next"), numbers.clone().find(|own| *own > number));
            assert_eq!(found("previous"), numbers.rev().find(|own| *own < number));
        }
        for at in [0, 5, 10, 4321, 40_000, 90_000] {
            let pairs = [("ns", &*at.to_string()), ("filter", *text)];
            let before = passing.iter().filter(|(_, truth)| truth.at < at).count();
            assert_eq!(
                ask(&served, position, &pairs)["first"],
                before,
                "{text} {at}"
            );
        }
    }
}

#[test]
fn a_filter_that_is_none_is_refused_with_its_place() {
    let served = served(&golden("first_program"), 9);
    let query = Query::new(vec![
        ("first".to_owned(), "0".to_owned()),
        ("filter".to_owned(), "cpu == 1 && nothing == 2".to_owned()),
    ]);
    let Err(crate::Refusal::Malformed { text, hint }) = events(&served, &query) else {
        panic!("no refusal");
    };
    assert!(text.contains("no event has a field \"nothing\""), "{text}");
    assert!(hint.contains("character 13"), "{hint}");
}

#[test]
fn counts_of_an_interval_are_those_of_a_report() {
    let served = served(&crowd(30_000), 900);
    let trace = served.trace();
    fuzz_usually(20, |chance| {
        let (start, length) = (chance.below(50_000) as u64, chance.below(20_000) as u64);
        let span = Span {
            start: GuestNanos(start),
            end: GuestNanos(start + length),
        };
        let selection = Selection {
            span,
            ..Selection::default()
        };
        let expected = run(&trace, &selection, ()).unwrap().counts;
        let expected = (0..=u16::MAX).zip(expected).filter(|(_, count)| *count > 0);
        let expected: Vec<_> = expected.map(|(id, count)| (EventId(id), count)).collect();
        assert_eq!(served.events.counts(&trace, span).unwrap(), expected);
    });
    let all = served.events.counts(&trace, Span::ALL).unwrap();
    assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 30_000);
}

#[test]
fn what_is_recorded_meanwhile_is_found() {
    let whole = served(&crowd(20_000), 900);
    let trace = whole.trace();
    let all = truths(&trace, None);
    let filter = FILTERS[1];
    let bound = Filter::parse(filter).unwrap().bind(trace.schema()).unwrap();
    let mut index = EventIndex::default();
    let mut states = Vec::new();
    let mut count = 0;
    each(&trace, |record| {
        index.record(record);
        count += 1;
        if count % 3333 == 0 || count == 20_000 {
            states.push((count, index.clone()));
        }
    });
    for (count, state) in states {
        whole.events.publish(state);
        let known = &all[..count];
        let mut passing = truths(&trace, Some(&bound));
        passing.retain(|(number, _)| *number < count as u64);
        check_page(&whole, known, count - 40, 100, "");
        check_page(
            &whole,
            &passing,
            passing.len().saturating_sub(30),
            100,
            filter,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn questions_with_any_numbers_get_an_answer(
        numbers in proptest::array::uniform3(any::<u64>()),
        filter in "(event|cpu|tick|==|!=|1|\\(|\\)|&&| ){0,6}",
    ) {
        let served = served(&golden("first_program"), 4);
        let [first, count, n] = numbers.map(|number| number.to_string());
        let pairs = [("first", &first), ("count", &count), ("n", &n), ("ns", &n), ("filter", &filter)];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.clone()));
        let query = Query::new(pairs.to_vec());
        for question in [events, position, find, crate::filter::check] {
            let answer = question(&served, &query);
            let is_sane = match answer {
                Ok(answer) => serde_json::from_slice::<Value>(&answer.bytes).is_ok(),
                Err(refusal) => refusal.status() == 400,
            };
            prop_assert!(is_sane);
        }
    }
}
