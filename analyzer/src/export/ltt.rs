//! The Linux Trace Toolkit's own text: the table of events that its analyser printed.
//!
//! Names, columns and descriptions are those of LTT 0.9 (figure 6 of the paper has an excerpt); time is seconds and
//! microseconds, as there. The length is that of LTT's record of the event on a machine with 64 bits that logs the CPU.
//! Events that LTT did not have stand under their own names with all their fields, as its custom events did.

use std::io::Write;

use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, Schema, Value};

use super::escape::push_text;
use super::gap::{Gap, GapKind};
use super::job::{ExportError, Exported, Job, Sink};
use super::layout::Layouts;
use super::line::LineFormat;
use super::meaning::{Meanings, place};
use super::number::push_decimal;
use crate::model::{Alias, GuestNanos};
use crate::sources::{Fields, Loss, Record};

/// An event of LTT's: the model's name or ours, LTT's, bytes of its payload, its description.
///
/// In a description `{field}` is a field as people read it, `{#field}` its number, `{@field}` text that adds to the
/// payload; `{!user}` tells of a truth that is false.
type Row = (&'static str, &'static str, usize, &'static str);

const CALL: &str = "SYSCALL : {name}; EIP : {ip}";
const TIMEOUT: &str = "SET TIMEOUT : {expires}";

const EVENTS: &[Row] = &[
    ("recording_start", "Trace start", 16, ""),
    ("syscall_entry", "Syscall entry", 10, CALL),
    ("compat_syscall_entry", "Syscall entry", 10, CALL),
    ("syscall_exit", "Syscall exit", 0, ""),
    ("compat_syscall_exit", "Syscall exit", 0, ""),
    ("trap_entry", "Trap entry", 10, "TRAP : {name}; EIP : {ip}"),
    ("trap_exit", "Trap exit", 0, ""),
    ("irq_entry", "IRQ entry", 3, "IRQ : {irq}{!user}"),
    ("irq_exit", "IRQ exit", 0, ""),
    (
        "sched_switch",
        "Sched change",
        16,
        "IN : {next_pid}; OUT : {prev_pid}; STATE : {#prev_state}",
    ),
    ("tick", "Kernel timer", 0, ""),
    ("softirq_entry", "Soft IRQ", 9, "SOFT IRQ : {#vec}"),
    (
        "tasklet_entry",
        "Soft IRQ",
        9,
        "TASKLET ACTION : {function}",
    ),
    ("workqueue_execute_start", "Soft IRQ", 9, "BH : {function}"),
    (
        "kthread_create",
        "Process",
        13,
        "KTHREAD : {pid}; FUNCTION ADDRESS : {function}",
    ),
    ("sched_process_fork", "Process", 13, "FORK : {child_pid}"),
    ("sched_process_exit", "Process", 13, "EXIT"),
    ("sched_process_wait", "Process", 13, "WAIT PID : {pid}"),
    (
        "signal_generate",
        "Process",
        13,
        "SIGNAL : {sig}; PID : {pid}",
    ),
    ("sched_wakeup", "Process", 13, "WAKEUP PID : {pid}"),
    ("buffer_wait_start", "File system", 9, "START I/O WAIT"),
    ("buffer_wait_end", "File system", 9, "END I/O WAIT"),
    (
        "sched_process_exec",
        "File system",
        10,
        "EXEC : {@filename}",
    ),
    ("file_open", "File system", 10, "OPEN : {@path}; FD : {fd}"),
    ("file_close", "File system", 9, "CLOSE : {fd}"),
    ("file_read", "File system", 9, "READ : {fd}; COUNT : {done}"),
    (
        "file_write",
        "File system",
        9,
        "WRITE : {fd}; COUNT : {done}",
    ),
    (
        "file_seek",
        "File system",
        9,
        "SEEK : {fd}; OFFSET : {offset}",
    ),
    (
        "file_ioctl",
        "File system",
        9,
        "IOCTL : {fd}; COMMAND : {cmd}",
    ),
    ("file_select", "File system", 9, "SELECT : {nfds}"),
    ("file_poll", "File system", 9, "POLL : {fd}"),
    ("timer_expire_entry", "Timer", 18, "TIMER EXPIRED"),
    ("timer_start", "Timer", 18, TIMEOUT),
    ("hrtimer_start", "Timer", 18, TIMEOUT),
    (
        "itimer_state",
        "Timer",
        18,
        "SET ITIMER : {#which}; INTERVAL : {interval}; VALUE : {value}",
    ),
    ("mm_page_alloc", "Memory", 9, "PAGE ALLOC ORDER : {order}"),
    ("mm_page_free", "Memory", 9, "PAGE FREE ORDER : {order}"),
    ("swap_in", "Memory", 9, "SWAP IN : {page}"),
    ("swap_out", "Memory", 9, "SWAP OUT : {page}"),
    ("page_wait_start", "Memory", 9, "START PAGE WAIT"),
    ("page_wait_end", "Memory", 9, "END PAGE WAIT"),
    (
        "socket_call",
        "Socket",
        13,
        "SO; CALL : {#call}; FPM(FD) : {fd}",
    ),
    (
        "socket_create",
        "Socket",
        13,
        "SO CREATE; FD : {fd}; TYPE : {#type}",
    ),
    (
        "socket_send",
        "Socket",
        13,
        "SO SEND; TYPE : {#type}; SIZE : {size}",
    ),
    (
        "socket_receive",
        "Socket",
        13,
        "SO RECEIVE; TYPE : {#type}; SIZE : {size}",
    ),
    ("ipc_call", "IPC", 9, "IPC; CALL : {#call}; FPM(ID) : {id}"),
    (
        "ipc_msg_create",
        "IPC",
        9,
        "MSG CREATE; ID : {id}; FLAGS : {flags}",
    ),
    (
        "ipc_sem_create",
        "IPC",
        9,
        "SEM CREATE; ID : {id}; FLAGS : {flags}",
    ),
    (
        "ipc_shm_create",
        "IPC",
        9,
        "SHM CREATE; ID : {id}; FLAGS : {flags}",
    ),
    (
        "netif_receive_skb",
        "Network",
        5,
        "PACKET IN; PROTOCOL : {#protocol}",
    ),
    (
        "net_dev_queue",
        "Network",
        5,
        "PACKET OUT; PROTOCOL : {#protocol}",
    ),
];

/// CPU, event, time and size, which are around every payload.
const FRAME_BYTES: usize = 1 + 1 + 4 + 2;
/// Number and length, which are before the data of a custom event.
const CUSTOM_BYTES: usize = 8;
/// Bytes that are gathered before they are written.
const BLOCK_BYTES: usize = 1 << 16;
const RULE: &str = "####################################################################\n";

/// Writes the table.
///
/// # Errors
/// When the trace cannot be read or the result cannot be written.
pub fn ltt(job: Job<'_>, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let meanings = Meanings::of(job.trace);
    let schema = job.trace.schema();
    let mut layouts = Vec::new();
    for event in &schema.events {
        let index = usize::from(event.id.0);
        if layouts.len() <= index {
            layouts.resize_with(index + 1, || None);
        }
        layouts[index] = Layout::new(schema, event, meanings.get(event.id));
    }
    let mut writer = Writer {
        out,
        layouts,
        custom: Layouts::new(schema, LineFormat::Text),
        block: Vec::with_capacity(2 * BLOCK_BYTES),
    };
    writer.head(&job);
    let done = job.pour(&mut writer)?;
    writer.out.write_all(&writer.block)?;
    Ok(done)
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    /// By event id; none for events that LTT did not have.
    layouts: Vec<Option<Layout>>,
    custom: Layouts,
    block: Vec<u8>,
}

struct Layout {
    name: &'static str,
    bytes: usize,
    pieces: Vec<Piece>,
}

enum Piece {
    Text(&'static str),
    /// Stands where a truth is false.
    Unless(Option<usize>),
    Field(Shown),
}

/// A field as it is shown.
struct Shown {
    place: Option<usize>,
    kind: FieldKind,
    names: Option<EnumSchema>,
    adds_to_payload: bool,
}

impl Layout {
    fn new(schema: &Schema, event: &EventSchema, alias: Option<&Alias>) -> Option<Self> {
        let name = alias.map_or(event.name.as_str(), |alias| alias.is.as_str());
        let row = EVENTS.iter().find(|(event, ..)| *event == name)?;
        let mut pieces = Vec::new();
        for part in row.3.split('{') {
            let Some((field, text)) = part.split_once('}') else {
                pieces.push(Piece::Text(part));
                continue;
            };
            let (mark, field) = match field.as_bytes().first() {
                Some(mark @ (b'#' | b'@' | b'!')) => (Some(*mark), &field[1..]),
                _ => (None, field),
            };
            let place = place(event, alias, field);
            let kind = place
                .and_then(|place| event.fields.get(place))
                .map(|field| &field.kind);
            pieces.push(match mark {
                Some(b'!') => Piece::Unless(place),
                _ => Piece::Field(Shown {
                    place,
                    kind: kind.cloned().unwrap_or(FieldKind::Unsigned),
                    names: match kind {
                        Some(FieldKind::Enum(names)) if mark != Some(b'#') => {
                            schema.enumeration(names).cloned()
                        }
                        _ => None,
                    },
                    adds_to_payload: mark == Some(b'@'),
                }),
            });
            pieces.push(Piece::Text(text));
        }
        Some(Self {
            name: row.1,
            bytes: row.2,
            pieces,
        })
    }

    /// Appends the description.
    fn push(&self, out: &mut Vec<u8>, fields: &Fields<'_>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Unless(place) => {
                    if place.map(|place| fields.value(place)) == Some(Value::Number(0)) {
                        out.extend_from_slice(b", IN-KERNEL");
                    }
                }
                Piece::Field(shown) => shown.push(out, fields),
            }
        }
    }

    fn payload_bytes(&self, fields: &Fields<'_>) -> usize {
        let added = |piece: &Piece| match piece {
            Piece::Field(shown) if shown.adds_to_payload => match shown.value(fields) {
                Value::Bytes(text) => text.len(),
                Value::Missing | Value::Number(_) => 0,
            },
            _ => 0,
        };
        self.bytes + self.pieces.iter().map(added).sum::<usize>()
    }
}

impl Shown {
    fn value<'a>(&self, fields: &Fields<'a>) -> Value<'a> {
        self.place
            .map_or(Value::Missing, |place| fields.value(place))
    }

    fn push(&self, out: &mut Vec<u8>, fields: &Fields<'_>) {
        let number = match self.value(fields) {
            Value::Missing => return out.push(b'?'),
            Value::Bytes(text) => return push_text(out, text),
            Value::Number(number) => number,
        };
        if let Some(name) = self.names.as_ref().and_then(|names| names.name_of(number)) {
            return push_text(out, name.as_bytes());
        }
        // Writing into memory does not fail.
        let _ = match self.kind {
            FieldKind::Hex => write!(out, "0x{number:08X}"),
            FieldKind::Signed | FieldKind::Enum(_) => write!(out, "{}", number.cast_signed()),
            _ => write!(out, "{number}"),
        };
    }
}

impl Writer<'_> {
    fn head(&mut self, job: &Job<'_>) {
        let span = job.wanted.selection.span;
        let (start, end) = (span.start, span.end.min(job.trace.duration()));
        let times = [
            ("start time", start),
            ("end time", end),
            ("duration", end.since(start)),
        ];
        for (name, time) in times {
            let _ = write!(self.block, "Trace {name}: ");
            push_pair(&mut self.block, time);
            self.block.push(b'\n');
        }
        self.block.push(b'\n');
        self.block.extend_from_slice(RULE.as_bytes());
        let (event, time) = ("Event", "Time");
        let _ = writeln!(
            self.block,
            "CPU-ID  {event:<23} {time:<20} PID     Length  Description"
        );
        self.block.extend_from_slice(RULE.as_bytes());
    }

    fn custom(&mut self, record: &Record<'_>) {
        let mut text = Vec::new();
        let layout = self.custom.of(record.event);
        for (index, field) in layout.fields.iter().enumerate() {
            field.push_pair(&mut text, index, record.fields.value(index));
        }
        let mut name = Vec::new();
        push_text(&mut name, &layout.name);
        let name = String::from_utf8_lossy(&name).into_owned();
        self.columns(record, &name, CUSTOM_BYTES + text.len());
        self.block.extend_from_slice(&text);
    }

    /// Appends everything but the description.
    fn columns(&mut self, record: &Record<'_>, name: &str, payload_bytes: usize) {
        let mut time = Vec::new();
        push_pair(&mut time, record.at);
        let time = String::from_utf8_lossy(&time);
        let (cpu, tid) = (record.cpu, record.context.tid);
        let length = FRAME_BYTES + payload_bytes;
        let _ = write!(
            self.block,
            "{cpu:<7} {name:<23} {time:<20} {tid:<7} {length:<7} "
        );
    }
}

impl Sink for Writer<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), ExportError> {
        let EventId(index) = record.event;
        let layout = self.layouts.get_mut(usize::from(index));
        match layout.and_then(Option::take) {
            Some(layout) => {
                let bytes = layout.payload_bytes(&record.fields);
                self.columns(record, layout.name, bytes);
                layout.push(&mut self.block, &record.fields);
                self.layouts[usize::from(index)] = Some(layout);
            }
            None => self.custom(record),
        }
        while self.block.last() == Some(&b' ') {
            self.block.pop();
        }
        self.block.push(b'\n');
        if self.block.len() >= BLOCK_BYTES {
            self.out.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }

    fn loss(&mut self, _: &Loss) -> Result<(), ExportError> {
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), ExportError> {
        let _ = match gap.kind {
            GapKind::Lost(cpu, Some(count)) => write!(self.block, "{cpu:<7} {count} events lost"),
            GapKind::Lost(cpu, None) => write!(self.block, "{cpu:<7} Events lost"),
            GapKind::NotRecorded => write!(self.block, "        Not recorded"),
        };
        for (word, time) in [(" from ", gap.from), (" to ", gap.to)] {
            if let Some(time) = time {
                self.block.extend_from_slice(word.as_bytes());
                push_pair(&mut self.block, time);
            }
        }
        self.block.push(b'\n');
        Ok(())
    }
}

/// Appends a time as LTT has it: `(seconds, microseconds)`.
fn push_pair(out: &mut Vec<u8>, time: GuestNanos) {
    out.push(b'(');
    push_decimal(out, time.0 / 1_000_000_000);
    let _ = write!(out, ", {:06})", time.0 / 1_000 % 1_000_000);
}
