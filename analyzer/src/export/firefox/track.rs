//! One thread of a Firefox profile: its samples, its markers, and what both refer to.

use std::collections::HashMap;
use std::io::{self, BufRead as _, Read as _, Write};

use super::spool::{Log, Spool};
use crate::export::escape::push_json;
use crate::model::Span;

/// A thread of the profile on its way to the file.
#[derive(Debug, Default)]
pub(super) struct Track {
    samples: Log,
    sample_count: usize,
    markers: Log,
    marker_data: Log,
    marker_count: usize,
    strings: Vec<String>,
    string_ids: HashMap<String, u32>,
    /// What stacks are made of: the stack below, name of the innermost frame, category.
    stacks: Vec<(Option<u32>, u32, u8)>,
    stack_ids: HashMap<(Option<u32>, u32, u8), u32>,
}

/// What a track is called.
#[derive(Debug)]
pub(super) struct Title {
    pub(super) name: String,
    pub(super) process: String,
    pub(super) pid: u64,
    pub(super) tid: u64,
    pub(super) is_main: bool,
    pub(super) end: u64,
}

const SAMPLE_BYTES: usize = 8 + 8 + 4;
const MARKER_BYTES: usize = 8 + 8 + 4 + 4;
/// End of a marker that is an instant.
const INSTANT: u64 = u64::MAX;

impl Track {
    fn string(&mut self, text: &str) -> u32 {
        if let Some(id) = self.string_ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.strings.len()).unwrap_or(u32::MAX);
        self.strings.push(text.to_owned());
        self.string_ids.insert(text.to_owned(), id);
        id
    }

    /// The stack with a frame on top of another stack.
    pub(super) fn stack(&mut self, below: Option<u32>, name: &str, category: u8) -> u32 {
        let key = (below, self.string(name), category);
        let next = u32::try_from(self.stacks.len()).unwrap_or(u32::MAX);
        let id = *self.stack_ids.entry(key).or_insert(next);
        if id == next {
            self.stacks.push(key);
        }
        id
    }

    /// Appends a stretch of time in which the thread had a stack.
    pub(super) fn sample(&mut self, spool: &mut Spool, span: Span, stack: u32) -> io::Result<()> {
        let mut row = [0; SAMPLE_BYTES];
        row[..8].copy_from_slice(&span.start.0.to_le_bytes());
        row[8..16].copy_from_slice(&span.length().0.to_le_bytes());
        row[16..].copy_from_slice(&stack.to_le_bytes());
        self.sample_count += 1;
        spool.push(&mut self.samples, &row)
    }

    /// Appends a marker; an instant if it has no length. Its data are an object of JSON on one line.
    pub(super) fn marker(
        &mut self,
        spool: &mut Spool,
        (span, is_instant): (Span, bool),
        (name, category): (&str, u8),
        data: &[u8],
    ) -> io::Result<()> {
        let end = if is_instant { INSTANT } else { span.end.0 };
        let mut row = [0; MARKER_BYTES];
        row[..8].copy_from_slice(&span.start.0.to_le_bytes());
        row[8..16].copy_from_slice(&end.to_le_bytes());
        row[16..20].copy_from_slice(&self.string(name).to_le_bytes());
        row[20] = category;
        self.marker_count += 1;
        spool.push(&mut self.markers, &row)?;
        spool.push(&mut self.marker_data, data)?;
        spool.push(&mut self.marker_data, b"\n")
    }

    /// Writes the object.
    pub(super) fn write(
        &self,
        spool: &Spool,
        title: &Title,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        write!(
            out,
            "{{\"processType\":\"default\",\"processStartupTime\":0,\"processShutdownTime\":null,\
\"registerTime\":0,\"unregisterTime\":"
        )?;
        write_time(out, title.end)?;
        write!(out, ",\"pausedRanges\":[],\"processName\":")?;
        write_string(out, &title.process)?;
        write!(out, ",\"name\":")?;
        write_string(out, &title.name)?;
        let Title {
            pid, tid, is_main, ..
        } = title;
        write!(
            out,
            ",\"isMainThread\":{is_main},\"pid\":\"{pid}\",\"tid\":{tid},\"samples\":"
        )?;
        self.write_samples(spool, out)?;
        write!(out, ",\"markers\":")?;
        self.write_markers(spool, out)?;
        self.write_tables(out)
    }

    fn write_samples(&self, spool: &Spool, out: &mut dyn Write) -> io::Result<()> {
        write!(
            out,
            "{{\"weightType\":\"tracing-ms\",\"length\":{}",
            self.sample_count
        )?;
        let (count, log) = (self.sample_count, &self.samples);
        write_column::<SAMPLE_BYTES>(out, "time", spool, (log, count), |out, row| {
            write_time(out, number(row, 0))
        })?;
        write_column::<SAMPLE_BYTES>(out, "weight", spool, (log, count), |out, row| {
            write_time(out, number(row, 8))
        })?;
        write_column::<SAMPLE_BYTES>(out, "stack", spool, (log, count), |out, row| {
            write!(out, "{}", word(row, 16))
        })?;
        write!(out, "}}")
    }

    fn write_markers(&self, spool: &Spool, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\"length\":{}", self.marker_count)?;
        let rows = (&self.markers, self.marker_count);
        type Cell = fn(&mut dyn Write, &[u8; MARKER_BYTES]) -> io::Result<()>;
        let columns: [(&str, Cell); 5] = [
            ("name", |out, row| write!(out, "{}", word(row, 16))),
            ("startTime", |out, row| write_time(out, number(row, 0))),
            ("endTime", |out, row| match number(row, 8) {
                INSTANT => write!(out, "null"),
                end => write_time(out, end),
            }),
            ("phase", |out, row| {
                write!(out, "{}", u8::from(number(row, 8) != INSTANT))
            }),
            ("category", |out, row| write!(out, "{}", row[20])),
        ];
        for (name, cell) in columns {
            write_column::<MARKER_BYTES>(out, name, spool, rows, cell)?;
        }
        write!(out, ",\"data\":[")?;
        let mut data = spool.rows(&self.marker_data);
        let mut line = Vec::new();
        for index in 0..self.marker_count {
            line.clear();
            data.read_until(b'\n', &mut line)?;
            line.pop();
            write!(out, "{}", if index == 0 { "" } else { "," })?;
            out.write_all(&line)?;
        }
        write!(out, "]}}")
    }

    /// Writes what samples and markers refer to. Every stack has a frame of its own, every name a function.
    fn write_tables(&self, out: &mut dyn Write) -> io::Result<()> {
        let stacks = || self.stacks.iter();
        let count = self.stacks.len();
        write!(out, ",\"stackTable\":{{\"length\":{count}")?;
        write_list(out, "frame", 0..count)?;
        write_list(out, "prefix", stacks().map(|(below, ..)| Nullable(*below)))?;
        write_list(out, "category", stacks().map(|(.., category)| *category))?;
        write_list(out, "subcategory", stacks().map(|_| 0))?;
        write!(out, "}},\"frameTable\":{{\"length\":{count}")?;
        write_list(out, "func", stacks().map(|(_, name, _)| *name))?;
        write_list(out, "category", stacks().map(|(.., category)| *category))?;
        for (name, value) in [
            ("address", "-1"),
            ("inlineDepth", "0"),
            ("subcategory", "0"),
            ("nativeSymbol", "null"),
            ("innerWindowID", "0"),
            ("implementation", "null"),
            ("line", "null"),
            ("column", "null"),
        ] {
            write_list(out, name, stacks().map(|_| value))?;
        }
        let count = self.strings.len();
        write!(out, "}},\"funcTable\":{{\"length\":{count}")?;
        write_list(out, "name", 0..count)?;
        for (name, value) in [
            ("isJS", "false"),
            ("relevantForJS", "false"),
            ("resource", "-1"),
            ("fileName", "null"),
            ("lineNumber", "null"),
            ("columnNumber", "null"),
        ] {
            write_list(out, name, (0..count).map(|_| value))?;
        }
        write!(
            out,
            "}},\"resourceTable\":{{\"length\":0,\"lib\":[],\"name\":[],\"host\":[],\"type\":[]}},\
\"nativeSymbols\":{{\"length\":0,\"libIndex\":[],\"address\":[],\"name\":[],\"functionSize\":[]}},\"stringArray\":["
        )?;
        for (index, text) in self.strings.iter().enumerate() {
            write!(out, "{}", if index == 0 { "" } else { "," })?;
            write_string(out, text)?;
        }
        write!(out, "]}}")
    }
}

struct Nullable(Option<u32>);

impl std::fmt::Display for Nullable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("null"),
        }
    }
}

fn write_list(
    out: &mut dyn Write,
    name: &str,
    values: impl Iterator<Item = impl std::fmt::Display>,
) -> io::Result<()> {
    write!(out, ",\"{name}\":[")?;
    for (index, value) in values.enumerate() {
        write!(out, "{}{value}", if index == 0 { "" } else { "," })?;
    }
    write!(out, "]")
}

/// Writes one column of a table, which is read anew for it.
fn write_column<const N: usize>(
    out: &mut dyn Write,
    name: &str,
    spool: &Spool,
    (log, count): (&Log, usize),
    cell: impl Fn(&mut dyn Write, &[u8; N]) -> io::Result<()>,
) -> io::Result<()> {
    write!(out, ",\"{name}\":[")?;
    let mut rows = spool.rows(log);
    let mut row = [0; N];
    for index in 0..count {
        rows.read_exact(&mut row)?;
        write!(out, "{}", if index == 0 { "" } else { "," })?;
        cell(out, &row)?;
    }
    write!(out, "]")
}

fn number(row: &[u8], at: usize) -> u64 {
    let bytes = row.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

fn word(row: &[u8], at: usize) -> u32 {
    let bytes = row.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

/// Writes nanoseconds as milliseconds.
fn write_time(out: &mut dyn Write, nanos: u64) -> io::Result<()> {
    write!(out, "{}.{:06}", nanos / 1_000_000, nanos % 1_000_000)
}

pub(super) fn write_string(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let mut quoted = vec![b'"'];
    push_json(&mut quoted, text.as_bytes());
    quoted.push(b'"');
    out.write_all(&quoted)
}
