//! Perfetto's format, read by a walker made from its public schema (`protos/perfetto/trace/**/*.proto`).

use std::collections::BTreeMap;

use analyzer::export::perfetto;
use analyzer::sources::Trace;
use guesttrace_tests::skip;
use trace_format::FieldKind;

use crate::source::{Event, Field, Held, all, events, golden, recorded};

/// A message: its fields in their order.
type Message<'a> = Vec<(u64, Part<'a>)>;

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0_u64;
    for place in 0..10 {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return number;
        }
    }
    panic!("a number without end");
}

fn message(mut bytes: &[u8]) -> Message<'_> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let part = match tag & 7 {
            0 => Part::Number(varint(&mut bytes)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (content, rest) = bytes.split_at(length);
                bytes = rest;
                Part::Bytes(content)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, part));
    }
    fields
}

fn number(message: &Message<'_>, field: u64) -> Option<u64> {
    message.iter().find_map(|(number, part)| match part {
        Part::Number(value) if *number == field => Some(*value),
        _ => None,
    })
}

fn bytes<'a>(message: &Message<'a>, field: u64) -> Option<&'a [u8]> {
    message.iter().find_map(|(number, part)| match part {
        Part::Bytes(value) if *number == field => Some(*value),
        _ => None,
    })
}

fn text(message: &Message<'_>, field: u64) -> Option<String> {
    Some(String::from_utf8(bytes(message, field)?.to_vec()).unwrap())
}

fn messages<'a>(message_of: &Message<'a>, field: u64) -> Vec<Message<'a>> {
    let parts = message_of.iter().filter_map(|(number, part)| match part {
        Part::Bytes(value) if *number == field => Some(message(value)),
        _ => None,
    });
    parts.collect()
}

/// An event: time, thread, number of its message, the message's content.
type Written = (u64, u64, u64, Vec<u8>);

/// What a file has, by the numbers of the schema.
struct Walked {
    /// By CPU, its events in their order.
    events: BTreeMap<u64, Vec<Written>>,
    /// CPUs of bundles before which events are missing.
    losses: Vec<u64>,
    /// Processes and threads in the order in which they are told: time, number, process.
    told: Vec<(u64, u64, u64)>,
    machine: Option<String>,
}

fn walk(file: &[u8]) -> Walked {
    let mut walked = Walked {
        events: BTreeMap::new(),
        losses: Vec::new(),
        told: Vec::new(),
        machine: None,
    };
    for packet in messages(&message(file), 1) {
        assert!(number(&packet, 10).is_some(), "a packet of no sequence");
        for bundle in messages(&packet, 1) {
            let cpu = number(&bundle, 1).unwrap();
            if number(&bundle, 3) == Some(1) {
                walked.losses.push(cpu);
            }
            let of_cpu = walked.events.entry(cpu).or_default();
            for event in messages(&bundle, 2) {
                let (time, pid) = (number(&event, 1).unwrap(), number(&event, 2).unwrap());
                let (kind, part) = event.iter().find(|(number, _)| *number > 2).unwrap();
                let Part::Bytes(content) = part else {
                    panic!("an event is a message")
                };
                of_cpu.push((time, pid, *kind, content.to_vec()));
            }
        }
        for tree in messages(&packet, 2) {
            let at = number(&packet, 8).unwrap();
            for process in messages(&tree, 1) {
                let pid = number(&process, 1).unwrap();
                walked.told.push((at, pid, pid));
            }
            for thread in messages(&tree, 2) {
                let (tid, pid) = (number(&thread, 1).unwrap(), number(&thread, 3).unwrap());
                walked.told.push((at, tid, pid));
            }
        }
        for info in messages(&packet, 45) {
            let utsname = &messages(&info, 1)[0];
            assert_eq!(text(utsname, 1).as_deref(), Some("Linux"));
            walked.machine = text(utsname, 4);
        }
    }
    walked
}

/// Fields of a message with their numbers.
type Numbers = &'static [(&'static str, u64)];

/// Messages and their fields as the schema numbers them: those that the test looks into.
const KNOWN: &[(&str, u64, Numbers)] = &[
    (
        "sched_switch",
        4,
        &[
            ("prev_comm", 1),
            ("prev_pid", 2),
            ("prev_prio", 3),
            ("prev_state", 4),
            ("next_comm", 5),
            ("next_pid", 6),
            ("next_prio", 7),
        ],
    ),
    (
        "sched_waking",
        20,
        &[("comm", 1), ("pid", 2), ("prio", 3), ("target_cpu", 5)],
    ),
    (
        "sched_wakeup",
        17,
        &[("comm", 1), ("pid", 2), ("prio", 3), ("target_cpu", 5)],
    ),
    (
        "sched_wakeup_new",
        114,
        &[("comm", 1), ("pid", 2), ("prio", 3), ("target_cpu", 5)],
    ),
    ("softirq_raise", 26, &[("vec", 1)]),
    ("softirq_entry", 24, &[("vec", 1)]),
    ("softirq_exit", 25, &[("vec", 1)]),
    ("irq_handler_entry", 36, &[("irq", 1), ("name", 2)]),
    ("irq_handler_exit", 37, &[("irq", 1), ("ret", 2)]),
    ("syscall_entry", 329, &[("nr", 1)]),
    ("syscall_exit", 330, &[("ret", 2)]),
    (
        "sched_process_fork",
        239,
        &[("parent_pid", 2), ("child_pid", 4)],
    ),
    ("sched_process_exec", 237, &[("filename", 1), ("pid", 2)]),
    ("sched_process_exit", 238, &[("comm", 1), ("pid", 2)]),
    (
        "task_rename",
        236,
        &[("pid", 1), ("oldcomm", 2), ("newcomm", 3)],
    ),
    (
        "signal_generate",
        325,
        &[
            ("code", 1),
            ("comm", 2),
            ("group", 3),
            ("pid", 4),
            ("sig", 6),
        ],
    ),
    (
        "block_rq_issue",
        45,
        &[("dev", 1), ("sector", 2), ("nr_sector", 3)],
    ),
    (
        "workqueue_execute_start",
        58,
        &[("work", 1), ("function", 2)],
    ),
    ("cpu_idle", 13, &[]),
];

fn check_event(event: &Event, (time, pid, kind, content): &Written) {
    assert_eq!((*time, *pid), (event.at, u64::from(event.tid)), "{event:?}");
    let content = message(content);
    if let Some((_, expected, fields)) = KNOWN.iter().find(|(name, ..)| *name == event.name) {
        assert_eq!(kind, expected, "{}", event.name);
        for (name, field) in *fields {
            match event.value(name) {
                Some(Held::Number(value)) => assert_eq!(number(&content, *field), Some(*value)),
                Some(Held::Bytes(value)) => {
                    let value = String::from_utf8_lossy(value).into_owned();
                    assert_eq!(text(&content, *field), Some(value));
                }
                Some(Held::Missing) | None => {
                    assert!(
                        content.iter().all(|(number, _)| number != field),
                        "{event:?} {name}"
                    );
                }
            }
        }
    } else if *kind == 327 {
        assert_eq!(text(&content, 1).as_deref(), Some(event.name.as_str()));
        let written = messages(&content, 2);
        let present = event
            .fields
            .iter()
            .filter(|field| field.value != Held::Missing);
        let present: Vec<&Field> = present.collect();
        assert_eq!(written.len(), present.len(), "{event:?}");
        for (written, field) in written.iter().zip(present) {
            assert_eq!(text(written, 1).as_deref(), Some(field.name.as_str()));
            let plain = matches!(
                field.kind,
                FieldKind::Unsigned | FieldKind::Hex | FieldKind::Bool
            );
            match (&field.value, &field.label) {
                (_, Some(label)) => assert_eq!(text(written, 3).as_ref(), Some(label)),
                (Held::Number(value), None) => {
                    let place = if plain { 5 } else { 4 };
                    assert_eq!(number(written, place), Some(*value), "{event:?}");
                }
                _ => assert!(text(written, 3).is_some()),
            }
        }
    }
}

fn check(trace: &Trace) -> Walked {
    let mut file = Vec::new();
    all(trace, |job| perfetto(job, &mut file)).unwrap();
    let walked = walk(&file);
    let events = events(trace);
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    for event in &events {
        let place = places.entry(u64::from(event.cpu)).or_default();
        check_event(event, &walked.events[&u64::from(event.cpu)][*place]);
        *place += 1;
    }
    for (cpu, of_cpu) in &walked.events {
        assert_eq!(places.get(cpu), Some(&of_cpu.len()), "events of CPU {cpu}");
        assert!(of_cpu.is_sorted_by_key(|(time, ..)| *time));
    }
    // Every thread is told of, with its process, before its first event.
    for event in events.iter().filter(|event| event.tid != 0) {
        let mut told = walked
            .told
            .iter()
            .filter(|(at, tid, _)| *at <= event.at && *tid == u64::from(event.tid));
        let process = told.next_back().map(|(_, _, pid)| *pid);
        assert_eq!(process, Some(u64::from(event.pid)), "{event:?}");
    }
    assert_eq!(walked.machine.as_deref(), Some("x86_64"));
    walked
}

#[test]
fn every_event_is_in_the_bundles_of_its_cpu() {
    assert_eq!(check(&golden("first_program")).losses, [0; 0]);
    assert_eq!(check(&golden("kernel_services")).losses, [0; 0]);
    assert_eq!(check(&golden("lost_records")).losses, [0]);
}

#[test]
fn a_recorded_guest_is_whole_in_perfettos_format() {
    let Some((_, trace)) = recorded() else {
        skip!("no recorded trace: name one by GUESTTRACE_EXPORT_TRACE");
    };
    check(&trace);
}
