//! An event as the page gets it: its fields as text, the same as in the lines of `guesttrace events`.

use std::io::Write as _;

use analyzer::export::{LineFormat, LineWriter, push_json, push_text};
use analyzer::sources::{Record, Trace};

/// Longest text of a field, in bytes; what is longer is cut.
const FIELD_BYTES_MAX: usize = 4096;

/// Turns records into JSON.
#[derive(Debug)]
pub(super) struct Decoder {
    lines: LineWriter,
}

impl Decoder {
    pub(super) fn new(trace: &Trace) -> Self {
        let lines = LineWriter::new(trace.schema(), LineFormat::Text);
        Self {
            lines: lines.with_symbols(trace.symbols()),
        }
    }

    /// Appends an event.
    pub(super) fn push(&self, out: &mut Vec<u8>, number: u64, record: &Record<'_>) {
        let context = record.context;
        // Writing to memory does not fail.
        let _ = write!(
            out,
            "{{\"n\":{number},\"at\":{},\"cpu\":{},\"tid\":{},\"pid\":{},\"comm\":\"",
            record.at.0, record.cpu.0, context.tid.0, context.pid.0
        );
        let mut room = Vec::new();
        push_text(&mut room, &context.comm);
        push_json(out, &room);
        let _ = write!(out, "\",\"event\":{},\"fields\":[", record.event.0);
        let mut separator: &[u8] = b"[\"";
        self.lines.each_field(record, &mut room, |name, text| {
            out.extend_from_slice(separator);
            separator = b",[\"";
            push_json(out, name);
            out.extend_from_slice(b"\",\"");
            push_cut(out, text);
            out.extend_from_slice(b"\"]");
        });
        out.extend_from_slice(b"]}");
    }
}

fn push_cut(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= FIELD_BYTES_MAX {
        return push_json(out, text);
    }
    let is_boundary = |at: &usize| text[*at] & 0xC0 != 0x80;
    let end = (0..=FIELD_BYTES_MAX).rev().find(is_boundary).unwrap_or(0);
    push_json(out, &text[..end]);
    out.extend_from_slice("\u{2026}".as_bytes());
}
