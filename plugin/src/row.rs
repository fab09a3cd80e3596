//! A record as it was just fetched, as filters see it: fields, and the thread that runs.

use guesttrace_filter::{Context, Row};
use probe_plan::ThreadEvent;
use trace_format::{EventId, Record, Value};

/// Longest name of a thread that is kept.
const COMM_BYTES_MAX: usize = 64;
/// Longest text of [`Asked`].
const TEXT_BYTES_MAX: usize = 128;

/// Which fields of an event are runs of bytes; the others are numbers.
pub(crate) type Layout = [bool];

/// Bytes of the first field of `payload`, and what is behind it.
pub(crate) fn split_field(payload: &[u8], is_bytes: bool) -> Option<(&[u8], &[u8])> {
    if !is_bytes {
        return payload.split_at_checked(8);
    }
    let (length, rest) = payload.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

/// The field at `index` of a plain record.
pub(crate) fn field<'a>(record: &Record<'a>, layout: &Layout, index: usize) -> Value<'a> {
    if record.missing >> (index & 31) & 1 == 1 {
        return Value::Missing;
    }
    let mut payload = record.payload;
    for (position, is_bytes) in layout.iter().enumerate() {
        let Some((field, rest)) = split_field(payload, *is_bytes) else {
            break;
        };
        if position == index {
            return match field.first_chunk() {
                Some(number) if !is_bytes => Value::Number(u64::from_le_bytes(*number)),
                _ => Value::Bytes(field),
            };
        }
        payload = rest;
    }
    Value::Missing
}

/// A bounded piece of text that is overwritten in place.
#[derive(Clone, Debug)]
pub(crate) struct Text<const MAX: usize> {
    bytes: [u8; MAX],
    length: usize,
}

impl<const MAX: usize> Text<MAX> {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; MAX],
            length: 0,
        }
    }

    pub(crate) fn set(&mut self, text: &[u8]) {
        self.length = text.len().min(MAX);
        self.bytes[..self.length].copy_from_slice(&text[..self.length]);
    }

    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The thread that a CPU runs. Readers of a trace follow it by the same rules.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) tid: u64,
    pub(crate) pid: u64,
    comm: Text<COMM_BYTES_MAX>,
    idle_comm: Text<COMM_BYTES_MAX>,
}

impl Thread {
    /// A CPU starts with its idle thread.
    pub(crate) fn idle(cpu: usize, event: Option<&ThreadEvent>) -> Self {
        let prefix = event.map_or("", |event| event.idle_prefix.as_str());
        let mut comm = Text::new();
        comm.set(format!("{prefix}{cpu}").as_bytes());
        Self {
            tid: 0,
            pid: 0,
            idle_comm: comm.clone(),
            comm,
        }
    }

    pub(crate) fn comm(&self) -> &[u8] {
        self.comm.get()
    }

    /// Takes the thread from a record of the event that says so. What is missing of a thread that stays remains.
    pub(crate) fn learn(&mut self, event: &ThreadEvent, record: &Record<'_>, layout: &Layout) {
        let number = |index: u8| match field(record, layout, index.into()) {
            Value::Number(number) => Some(number),
            Value::Bytes(_) | Value::Missing => None,
        };
        let Some(tid) = number(event.tid) else { return };
        let is_same = tid == self.tid;
        self.pid = number(event.pid).unwrap_or(if is_same { self.pid } else { tid });
        self.tid = tid;
        if tid == 0 {
            self.comm = self.idle_comm.clone();
            return;
        }
        match field(record, layout, event.comm.into()) {
            Value::Bytes(bytes) => {
                let end = bytes.iter().position(|byte| *byte == 0);
                self.comm.set(&bytes[..end.unwrap_or(bytes.len())]);
            }
            Value::Number(_) | Value::Missing if !is_same => self.comm.set(b""),
            Value::Number(_) | Value::Missing => {}
        }
    }
}

/// What was asked of the guest besides, because a filter wants it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    numbers: [Option<u64>; Context::RECORDING.len()],
    text: Option<Text<TEXT_BYTES_MAX>>,
}

impl Asked {
    pub(crate) fn new() -> Self {
        Self {
            numbers: [None; Context::RECORDING.len()],
            text: None,
        }
    }

    /// Notes a number; [`Context::Cgroup`] is the one text.
    pub(crate) fn set_number(&mut self, context: Context, number: Option<u64>) {
        if let Some(index) = index(context) {
            self.numbers[index] = number;
        }
    }

    pub(crate) fn set_text(&mut self, text: Option<&[u8]>) {
        self.text = text.map(|bytes| {
            let mut text = Text::new();
            text.set(bytes);
            text
        });
    }

    fn get(&self, context: Context) -> Value<'_> {
        if context.is_bytes() {
            return self
                .text
                .as_ref()
                .map_or(Value::Missing, |text| Value::Bytes(text.get()));
        }
        let number = index(context).and_then(|index| self.numbers[index]);
        number.map_or(Value::Missing, Value::Number)
    }
}

fn index(context: Context) -> Option<usize> {
    Context::RECORDING
        .iter()
        .position(|known| *known == context)
}

/// A record, as filters see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchedRow<'a> {
    pub(crate) cpu: usize,
    pub(crate) tsc: u64,
    /// Since the start of the trace.
    pub(crate) nanos: u64,
    pub(crate) thread: &'a Thread,
    pub(crate) asked: &'a Asked,
    pub(crate) record: Record<'a>,
    pub(crate) layout: &'a Layout,
}

impl Row for FetchedRow<'_> {
    fn event(&self) -> EventId {
        self.record.event
    }

    fn context(&self, context: Context) -> Value<'_> {
        match context {
            Context::Cpu => Value::Number(self.cpu as u64),
            Context::Pid => Value::Number(self.thread.pid),
            Context::Tid => Value::Number(self.thread.tid),
            Context::Comm => Value::Bytes(self.thread.comm()),
            Context::Time => Value::Number(self.nanos),
            Context::Tsc => Value::Number(self.tsc),
            Context::Uid
            | Context::Gid
            | Context::Ppid
            | Context::Pgrp
            | Context::Sid
            | Context::Cgroup
            | Context::CgroupId
            | Context::Followed => self.asked.get(context),
        }
    }

    fn field(&self, index: usize) -> Value<'_> {
        field(&self.record, self.layout, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: ThreadEvent = ThreadEvent {
        event: EventId(1),
        tid: 0,
        pid: 1,
        comm: 2,
        idle_prefix: String::new(),
    };
    const LAYOUT: [bool; 3] = [false, false, true];

    fn payload(tid: u64, pid: u64, comm: &[u8]) -> Vec<u8> {
        let mut bytes = tid.to_le_bytes().to_vec();
        bytes.extend(pid.to_le_bytes());
        bytes.extend(u16::try_from(comm.len()).unwrap().to_le_bytes());
        bytes.extend(comm);
        bytes
    }

    fn record(payload: &[u8], missing: u32) -> Record<'_> {
        Record {
            stamp: 0,
            event: EventId(1),
            missing,
            payload,
        }
    }

    #[test]
    fn fields_are_found_behind_others_of_any_length() {
        let bytes = payload(7, 8, b"sh");
        assert_eq!(field(&record(&bytes, 0), &LAYOUT, 1), Value::Number(8));
        assert_eq!(field(&record(&bytes, 0), &LAYOUT, 2), Value::Bytes(b"sh"));
        assert_eq!(field(&record(&bytes, 4), &LAYOUT, 2), Value::Missing);
        assert_eq!(field(&record(&bytes, 0), &LAYOUT, 3), Value::Missing);
        for cut in 0..bytes.len() {
            let _ = field(&record(&bytes[..cut], 0), &LAYOUT, 2);
        }
    }

    #[test]
    fn what_is_missing_of_a_thread_that_stays_remains() {
        let mut thread = Thread::idle(3, Some(&EVENT));
        assert_eq!(thread.comm(), b"3");
        thread.learn(&EVENT, &record(&payload(7, 5, b"sh\0junk"), 0), &LAYOUT);
        assert_eq!((thread.tid, thread.pid, thread.comm()), (7, 5, &b"sh"[..]));
        thread.learn(&EVENT, &record(&payload(7, 0, b""), 6), &LAYOUT);
        assert_eq!((thread.tid, thread.pid, thread.comm()), (7, 5, &b"sh"[..]));
        thread.learn(&EVENT, &record(&payload(9, 0, b""), 6), &LAYOUT);
        assert_eq!((thread.tid, thread.pid, thread.comm()), (9, 9, &b""[..]));
        thread.learn(&EVENT, &record(&payload(0, 0, b"x"), 0), &LAYOUT);
        assert_eq!((thread.tid, thread.comm()), (0, &b"3"[..]));
    }
}
