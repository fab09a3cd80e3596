//! Records that are no samples: threads, mappings, switches, as events of their own.

use trace_format::{EventId, FieldKind};

use super::attr::Sample;
use super::file::RecordHeader;
use super::order::PerfRecord;
use crate::model::{Alias, FieldSource};
use crate::sources::foreign::{Place, PlaceKind, Raw, RawValues};
use crate::sources::ftrace::{Bytes, Columns, EventTable, Machine};

const MMAP: u32 = 1;
pub(super) const COMM: u32 = 3;
const EXIT: u32 = 4;
const THROTTLE: u32 = 5;
const UNTHROTTLE: u32 = 6;
pub(super) const FORK: u32 = 7;
const MMAP2: u32 = 10;
const SWITCH: u32 = 14;
const SWITCH_CPU_WIDE: u32 = 15;

/// Bits of `misc`.
const COMM_EXEC: u16 = 1 << 13;
const SWITCH_OUT: u16 = 1 << 13;
const SWITCH_PREEMPTED: u16 = 1 << 14;

/// Bytes of the numbers before the name of the file: those of an old record, and of a new one.
const MMAP_BYTES: usize = 32;
const MMAP2_BYTES: usize = 64;

/// The events that stand for such records.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskEvents {
    comm: EventId,
    fork: EventId,
    exit: EventId,
    mmap: EventId,
    switch_out: EventId,
    switch_in: EventId,
    throttle: EventId,
    unthrottle: EventId,
    other: EventId,
}

impl TaskEvents {
    /// Adds them to a table; says what they are to the model where no tracepoint of the file says the same.
    pub(super) fn add(table: &mut EventTable, machine: &Machine, has_tasks: bool) -> Self {
        let thread = [("pid", FieldKind::Unsigned), ("tid", FieldKind::Unsigned)];
        let family = [
            ("pid", FieldKind::Unsigned),
            ("ppid", FieldKind::Unsigned),
            ("tid", FieldKind::Unsigned),
            ("ptid", FieldKind::Unsigned),
        ];
        let mut add = |name: &str, fields: &[(&str, FieldKind)]| {
            let mut columns = Columns::new(machine);
            for (name, kind) in fields {
                columns.push(name, kind.clone(), NOWHERE);
            }
            table.add(name, "perf", columns).unwrap_or(EventId(0))
        };
        let [pid, tid] = thread.clone();
        let name = ("comm", FieldKind::Text);
        let mapping = [
            pid.clone(),
            tid.clone(),
            ("addr", FieldKind::Hex),
            ("len", FieldKind::Hex),
            ("pgoff", FieldKind::Hex),
            ("filename", FieldKind::Text),
        ];
        let out = [
            tid.clone(),
            ("next_pid", FieldKind::Unsigned),
            ("next_tid", FieldKind::Unsigned),
            ("preempted", FieldKind::Bool),
        ];
        let into = [
            tid.clone(),
            ("prev_pid", FieldKind::Unsigned),
            ("prev_tid", FieldKind::Unsigned),
        ];
        let events = Self {
            comm: add("comm", &[pid, tid, name, ("exec", FieldKind::Bool)]),
            fork: add("fork", &family),
            exit: add("exit", &family),
            mmap: add("mmap", &mapping),
            switch_out: add("switch_out", &out),
            switch_in: add("switch_in", &into),
            throttle: add("throttle", &[]),
            unthrottle: add("unthrottle", &[]),
            other: add(
                "perf_record",
                &[("type", FieldKind::Unsigned), ("data", FieldKind::Bytes)],
            ),
        };
        events.add_meanings(table, has_tasks);
        events
    }

    fn add_meanings(self, table: &mut EventTable, has_tasks: bool) {
        let has = |table: &EventTable, name| table.aliases.events(name).next().is_some();
        if has_tasks {
            // The tracepoint does not tell the process.
            let told: Vec<EventId> = table.aliases.events("sched_process_fork").collect();
            for event in told {
                table.aliases.remove(event);
            }
            self.mean(
                table,
                self.fork,
                "sched_process_fork",
                &[("parent_pid", 3), ("child_pid", 2), ("child_tgid", 0)],
            );
        }
        if !has(table, "sched_process_exit") {
            self.mean(table, self.exit, "sched_process_exit", &[("pid", 2)]);
        }
        if !has(table, "task_rename") {
            self.mean(
                table,
                self.comm,
                "task_rename",
                &[("pid", 1), ("newcomm", 2)],
            );
        }
        if !has(table, "sched_switch") {
            self.mean(
                table,
                self.switch_out,
                "sched_switch",
                &[("prev_pid", 0), ("next_pid", 2)],
            );
        }
    }

    fn mean(self, table: &mut EventTable, event: EventId, is: &str, fields: &[(&str, usize)]) {
        let source =
            |(name, index): &(&str, usize)| ((*name).to_owned(), FieldSource::plain(*index));
        let alias = Alias {
            is: is.to_owned(),
            fields: fields.iter().map(source).collect(),
        };
        table.aliases.insert(event, alias);
    }

    /// Reads a record into values. Bytes are those of its body.
    pub(super) fn read(
        self,
        record: &PerfRecord<'_>,
        end: &Sample<'_>,
        is_big_endian: bool,
        values: &mut RawValues,
    ) -> EventId {
        let body = record.body;
        let text_end = body.len().saturating_sub(record.attr.record_end_bytes());
        let mut numbers = Bytes::new(body, is_big_endian);
        let mut set = |index: usize, value: Option<u64>| {
            values.set(index, value.map_or(Raw::Missing, Raw::Number));
        };
        match record.header.kind {
            COMM => {
                set(0, numbers.u32().map(u64::from));
                set(1, numbers.u32().map(u64::from));
                set(3, Some(u64::from(record.header.misc & COMM_EXEC != 0)));
                values.set(2, text_at(body, 8, text_end));
                self.comm
            }
            FORK | EXIT => {
                for index in 0..4 {
                    set(index, numbers.u32().map(u64::from));
                }
                if record.header.kind == FORK {
                    self.fork
                } else {
                    self.exit
                }
            }
            MMAP | MMAP2 => {
                set(0, numbers.u32().map(u64::from));
                set(1, numbers.u32().map(u64::from));
                for index in 2..5 {
                    set(index, numbers.u64());
                }
                let start = if record.header.kind == MMAP {
                    MMAP_BYTES
                } else {
                    MMAP2_BYTES
                };
                values.set(5, text_at(body, start, text_end));
                self.mmap
            }
            SWITCH | SWITCH_CPU_WIDE => {
                set(0, end.tid.map(u64::from));
                if record.header.kind == SWITCH_CPU_WIDE {
                    set(1, numbers.u32().map(u64::from));
                    set(2, numbers.u32().map(u64::from));
                }
                if record.header.misc & SWITCH_OUT == 0 {
                    return self.switch_in;
                }
                let is_preempted = record.header.misc & SWITCH_PREEMPTED != 0;
                set(3, Some(u64::from(is_preempted)));
                self.switch_out
            }
            THROTTLE => self.throttle,
            UNTHROTTLE => self.unthrottle,
            kind => {
                set(0, Some(u64::from(kind)));
                values.set(1, block(0, text_end));
                self.other
            }
        }
    }
}

/// These events are not read from places.
pub(super) const NOWHERE: Place = Place {
    offset: 0,
    size: 0,
    kind: PlaceKind::Bytes,
};

/// Bytes of the body.
fn block(start: usize, end: usize) -> Raw {
    let place = u32::try_from(start)
        .ok()
        .zip(u32::try_from(end.saturating_sub(start)).ok());
    place.map_or(Raw::Missing, |(start, length)| Raw::Block { start, length })
}

/// Text of the body, up to a NUL.
fn text_at(body: &[u8], start: usize, end: usize) -> Raw {
    let Some(text) = body.get(start..end.max(start)) else {
        return Raw::Missing;
    };
    let length = text
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(text.len());
    block(start, start + length)
}

/// The thread that a record names, with its process and its name, if it has one.
pub(super) fn named_thread<'a>(
    header: &RecordHeader,
    body: &'a [u8],
    is_big_endian: bool,
) -> Option<(u32, u32, &'a [u8])> {
    let mut numbers = Bytes::new(body, is_big_endian);
    let pid = numbers.u32()?;
    match header.kind {
        COMM => Some((numbers.u32()?, pid, numbers.text()?)),
        FORK => {
            numbers.u32()?;
            Some((numbers.u32()?, pid, &[]))
        }
        _ => None,
    }
}
