//! The trace as the comparison sees it: raw values, and which record and field an event of ftrace is to be found in.

use std::collections::BTreeMap;

use guesttrace_tests::{FtraceEvent, FtraceField, FtraceFormat, FtraceValue};
use trace_format::{Schema, TraceFile, Value};

/// `include/linux/sched.h`
const EXIT_DEAD: u64 = 0x10;
const EXIT_ZOMBIE: u64 = 0x20;

/// A record of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) tsc: u64,
    pub(crate) fields: Vec<Fetched>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    Missing,
    Number(u64),
    Bytes(Vec<u8>),
}

/// The trace: records by event and CPU.
pub(crate) struct Trace {
    pub(crate) schema: Schema,
    pub(crate) records: BTreeMap<(String, u32), Vec<Record>>,
}

impl Trace {
    pub(crate) fn read(path: &std::path::Path) -> Self {
        let file = TraceFile::open(path).expect("a trace");
        assert_eq!(file.verify(), []);
        let schema = file.header().schema.clone();
        let names: BTreeMap<u16, String> = schema
            .events
            .iter()
            .map(|event| (event.id.0, event.name.clone()))
            .collect();
        let mut records: BTreeMap<(String, u32), Vec<Record>> = BTreeMap::new();
        for (index, info) in file.chunks().iter().enumerate() {
            let chunk = file.read_chunk(index).expect("a whole chunk");
            for record in chunk.records() {
                let field = |index| match record.field(index) {
                    Value::Missing => Fetched::Missing,
                    Value::Number(number) => Fetched::Number(number),
                    Value::Bytes(bytes) => Fetched::Bytes(bytes.to_vec()),
                };
                let fields = (0..record.field_count()).map(field).collect();
                let key = (names[&record.event().0].clone(), info.cpu);
                let tsc = record.tsc();
                records.entry(key).or_default().push(Record { tsc, fields });
            }
        }
        Self { schema, records }
    }

    fn field(&self, event: &str, field: &str) -> Option<usize> {
        let event = self.schema.event_named(event)?;
        event.fields.iter().position(|known| known.name == field)
    }

    /// The CPU's records of some events, in the order of time.
    pub(crate) fn of<'a>(&'a self, pairing: &'a Pairing, cpu: u32) -> Vec<(&'a str, &'a Record)> {
        let mut found = Vec::new();
        for event in &pairing.events {
            let condition = pairing.when.map(|(field, value)| {
                let index = self.field(event, field).expect("a field of the table");
                (index, Fetched::Number(value))
            });
            let records = self.records.get(&(event.clone(), cpu));
            let wanted = records.into_iter().flatten().filter(|record| {
                condition
                    .as_ref()
                    .is_none_or(|(index, value)| record.fields[*index] == *value)
            });
            found.extend(wanted.map(|record| (event.as_str(), record)));
        }
        found.sort_by_key(|(_, record)| record.tsc);
        found
    }
}

/// Which records of the trace an event of ftrace is to be found in.
#[derive(Clone, Debug)]
pub(crate) struct Pairing {
    pub(crate) events: Vec<String>,
    /// Only records with this value.
    pub(crate) when: Option<(&'static str, u64)>,
    /// Whether the trace's place is behind ftrace's: an interrupt ends, for ftrace, before the softirqs that it runs.
    pub(crate) is_later: bool,
}

/// Where an event of ftrace is in the trace: the tracepoint itself, the row of the table with its name, or the row for
/// what has other names there.
pub(crate) fn pairings(format: &FtraceFormat, schema: &Schema) -> Vec<Pairing> {
    let one = |event: String| Pairing {
        events: vec![event],
        when: None,
        is_later: false,
    };
    let mut pairings: Vec<Pairing> = [
        format!("{}:{}", format.group, format.name),
        format.name.clone(),
    ]
    .into_iter()
    .filter(|name| schema.event_named(name).is_some())
    .map(one)
    .collect();
    let both = |name: &str| vec![name.to_owned(), format!("compat_{name}")];
    let row = match (format.group.as_str(), format.name.as_str()) {
        ("raw_syscalls", "sys_enter") => Some((both("syscall_entry"), None)),
        ("raw_syscalls", "sys_exit") => Some((both("syscall_exit"), None)),
        ("irq_vectors", name) => vector(name).map(|vector| {
            let is_entry = name.ends_with("_entry");
            let event = if is_entry { "irq_entry" } else { "irq_exit" };
            (vec![event.to_owned()], Some(("vector", vector)))
        }),
        _ => None,
    };
    pairings.extend(row.map(|(events, when)| Pairing {
        is_later: events[0] == "irq_exit",
        events,
        when,
    }));
    pairings
}

/// arch/x86/include/asm/irq_vectors.h
fn vector(name: &str) -> Option<u64> {
    let name = name.trim_end_matches("_entry").trim_end_matches("_exit");
    Some(match name {
        "local_timer" => 236,
        "irq_work" => 246,
        "call_function_single" => 251,
        "call_function" => 252,
        "reschedule" => 253,
        _ => return None,
    })
}

/// The field of the trace that holds a field of ftrace; `None` where there is none, or another thing of that name.
fn counterpart(trace: &Trace, event: &str, field: &str, index: usize) -> Option<usize> {
    let name = match (event, field) {
        // ftrace computes these from arguments of the same name, which is what the tracepoint itself records.
        ("sched:sched_switch", "prev_state")
        | ("sched:sched_process_wait" | "timer:itimer_expire", "pid")
        | ("timer:hrtimer_expire_entry", "now") => return None,
        ("cpu_idle", "cpu_id") => "cpu",
        (
            "syscall_entry" | "compat_syscall_entry" | "syscall_exit" | "compat_syscall_exit",
            "id",
        ) => "nr",
        // A quotient that only the code of a handler computes: `plan` says that it is not had.
        ("ext4:ext4_journal_start_reserved", "blocks") => return None,
        // ftrace has an inode's number where the tracepoint passes the inode.
        ("ext4:ext4_unlink_enter", "parent") => "parent_i_ino",
        ("ext4:ext4_request_inode" | "ext4:ext4_allocate_inode", "dir") => "dir_i_ino",
        (_, "ino") if trace.field(event, "inode_i_ino").is_some() => "inode_i_ino",
        (_, "args") => return trace.field(event, &format!("arg{index}")),
        _ => field,
    };
    trace.field(event, name)
}

/// Asks whether every field that both have is equal; counts them.
pub(crate) fn agree(
    trace: &Trace,
    (event, ours): (&str, &Record),
    format: &FtraceFormat,
    theirs: &FtraceEvent,
) -> Option<usize> {
    let mut count = 0;
    let mut check = |field: &FtraceField, index, equals: &dyn Fn(&Fetched) -> bool| {
        let Some(found) = counterpart(trace, event, &field.name, index) else {
            return true;
        };
        count += 1;
        equals(&ours.fields[found])
    };
    for field in &format.fields {
        // 64-bit code may make 32-bit calls: ftrace shows registers whose upper halves the kernel does not look at.
        let is_half = event == "compat_syscall_entry" && field.name == "args";
        let bytes = if is_half { 4 } else { field.bytes.min(8) };
        let mask = u64::MAX >> (64 - 8 * bytes);
        let is_number = |number: u64| {
            move |found: &Fetched| match found {
                Fetched::Number(value) => value & mask == number & mask,
                Fetched::Missing | Fetched::Bytes(_) => false,
            }
        };
        let same = match theirs.value(field) {
            // On another CPU its parent may bury the dead thread between the two stamps.
            FtraceValue::Number(EXIT_DEAD) if field.name == "prev_state" => {
                check(field, 0, &|found| {
                    matches!(found, Fetched::Number(EXIT_DEAD | EXIT_ZOMBIE))
                })
            }
            FtraceValue::Number(number) => check(field, 0, &is_number(number)),
            FtraceValue::Numbers(numbers) => numbers
                .iter()
                .enumerate()
                .all(|(index, number)| check(field, index, &is_number(*number))),
            FtraceValue::Text(text) => check(
                field,
                0,
                &|found| matches!(found, Fetched::Bytes(bytes) if *bytes == text),
            ),
        };
        if !same {
            return None;
        }
    }
    Some(count)
}
