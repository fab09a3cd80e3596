//! A small schema and one record of each of its events.
#![allow(dead_code, reason = "each test file uses its own part")]

use guesttrace_filter::{Context, Row};
use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, FieldSchema, Schema, Value};

/// A record, as data.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) event: EventId,
    pub(crate) context: [Value<'static>; 6],
    pub(crate) fields: Vec<Value<'static>>,
}

impl Row for Sample {
    fn event(&self) -> EventId {
        self.event
    }

    fn context(&self, context: Context) -> Value<'_> {
        let index = Context::ALL.iter().position(|known| *known == context);
        index.map_or(Value::Missing, |index| self.context[index])
    }

    fn field(&self, index: usize) -> Value<'_> {
        self.fields.get(index).copied().unwrap_or(Value::Missing)
    }
}

fn field(name: &str, kind: FieldKind, unit: Option<&str>) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        kind,
        unit: unit.map(str::to_owned),
        doc: String::new(),
    }
}

fn event(id: u16, category: &str, name: &str, fields: Vec<FieldSchema>) -> EventSchema {
    EventSchema {
        id: EventId(id),
        name: name.to_owned(),
        category: category.to_owned(),
        ltt: None,
        doc: String::new(),
        sticky: false,
        fields,
    }
}

fn enumeration(name: &str, values: &[(u64, &str)]) -> EnumSchema {
    let values = values
        .iter()
        .map(|(value, name)| (*value, (*name).to_owned()))
        .collect();
    EnumSchema {
        name: name.to_owned(),
        values,
    }
}

pub(crate) fn schema() -> Schema {
    use FieldKind::{Bool, Enum, Hex, Signed, Text, Unsigned};
    let switch = vec![
        field("prev_pid", Unsigned, None),
        field("prev_state", Enum("task_state".to_owned()), None),
        field("next_pid", Unsigned, None),
        field("next_comm", Text, None),
    ];
    let waking = vec![
        field("pid", Unsigned, None),
        field("delay", Unsigned, Some("us")),
        field("name", Text, None),
    ];
    let trap = vec![
        field("name", Enum("trap".to_owned()), None),
        field("address", Hex, None),
    ];
    let exit = vec![
        field("ret", Signed, None),
        field("size", Unsigned, Some("bytes")),
        field("is_write", Bool, None),
        field("timeout", Unsigned, Some("jiffies")),
    ];
    Schema {
        events: vec![
            event(40, "sched", "sched_switch", switch),
            event(41, "sched", "sched_waking", waking),
            event(50, "trap", "trap_entry", trap),
            event(60, "syscall", "syscall_exit", exit),
        ],
        enums: vec![
            enumeration(
                "task_state",
                &[(0, "running"), (1, "sleeping"), (2, "disk_sleep")],
            ),
            enumeration("trap", &[(6, "invalid_op"), (14, "page_fault")]),
        ],
    }
}

/// One record of each event, in the order of the schema.
pub(crate) fn samples() -> Vec<Sample> {
    use Value::{Bytes, Missing, Number};
    let sample = |event, cpu, tid, comm: &'static str, time, fields: &[Value<'static>]| Sample {
        event: EventId(event),
        context: [
            Number(cpu),
            Number(100),
            Number(tid),
            Bytes(comm.as_bytes()),
            Number(time),
            Number(time + 7),
        ],
        fields: fields.to_vec(),
    };
    vec![
        sample(
            40,
            0,
            100,
            "bash",
            1_000,
            &[Number(100), Number(2), Number(101), Bytes(b"kworker/0:1")],
        ),
        sample(
            41,
            0,
            0,
            "swapper/0",
            2_500_000,
            &[Number(7), Number(1500), Bytes(b"cc1")],
        ),
        sample(
            50,
            1,
            101,
            "bash",
            3_000_000_000,
            &[Number(14), Number(0xffff_8880_0000_1000)],
        ),
        sample(
            60,
            1,
            101,
            "cat",
            4_000_000_000,
            &[
                Number(0u64.wrapping_sub(14)),
                Number(8192),
                Number(1),
                Missing,
            ],
        ),
    ]
}
