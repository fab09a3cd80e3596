//! The worked example of `FORMAT.md`: a file taken apart by hand, byte by byte, and told in the words of the contract.
//!
//! Reads the bytes without the crate's reader: what is asserted here is the contract, not the code.
//! `UPDATE_EXPECT=1 cargo test -p trace-format` writes the section anew.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fmt::Write;

use expect_test::expect_file;
use support::{Field, SampleChunk, event, header, sample, text, trailer, write};
use trace_format::{FieldKind, Schema};

const HEX_COLUMNS: usize = 8;
const TEXT_COLUMNS: usize = 76;

/// Takes bytes off a file and writes down what they are.
struct Annotator<'a> {
    bytes: &'a [u8],
    at: usize,
    out: String,
}

impl<'a> Annotator<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            out: String::new(),
        }
    }

    fn heading(&mut self, text: &str) {
        writeln!(self.out, "      -- {text}").unwrap();
    }

    fn take(&mut self, count: usize, note: &str) -> &'a [u8] {
        let taken = &self.bytes[self.at..self.at + count];
        for (row, bytes) in taken.chunks(HEX_COLUMNS).enumerate() {
            let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let note = if row == 0 { note } else { "" };
            let line = format!(
                "{:04x}  {:24}  {note}",
                self.at + row * HEX_COLUMNS,
                hex.join(" ")
            );
            writeln!(self.out, "{}", line.trim_end()).unwrap();
        }
        self.at += count;
        taken
    }

    /// Takes a length and what is compressed to it; gives that.
    fn packed(&mut self, count: usize, note: &str) -> Vec<u8> {
        let length = u32::from_le_bytes(self.bytes[self.at..self.at + 4].try_into().unwrap());
        self.u32(length, &format!("{length} bytes before compression"));
        let compressed = &self.bytes[self.at..self.at + count - 4];
        let content = zstd::bulk::decompress(compressed, length as usize).unwrap();
        assert_eq!(content.len(), length as usize);
        if compressed.len() > 64 {
            writeln!(self.out, "{:04x}  ... {} bytes: {note}", self.at, count - 4).unwrap();
            self.at += count - 4;
        } else {
            self.take(count - 4, note);
        }
        content
    }

    fn u16(&mut self, expected: u16, note: &str) {
        assert_eq!(self.take(2, note), expected.to_le_bytes(), "{note}");
    }

    fn u32(&mut self, expected: u32, note: &str) {
        assert_eq!(self.take(4, note), expected.to_le_bytes(), "{note}");
    }

    fn u64(&mut self, expected: u64, note: &str) {
        assert_eq!(self.take(8, note), expected.to_le_bytes(), "{note}");
    }

    fn bytes(&mut self, expected: &[u8], note: &str) {
        assert_eq!(self.take(expected.len(), note), expected, "{note}");
    }

    /// The header of a block; gives the length of the payload.
    fn block(&mut self, kind: &str, what: &str) -> usize {
        self.heading(what);
        let start = self.at;
        self.bytes(b"\xF7GTB", "magic of a block");
        self.bytes(kind.as_bytes(), &format!("kind {kind}"));
        let length = u32::from_le_bytes(self.bytes[self.at..self.at + 4].try_into().unwrap());
        self.u32(length, &format!("{length} bytes of payload"));
        let length = usize::try_from(length).unwrap();
        let payload = &self.bytes[start + 20..start + 20 + length];
        self.u32(crc32fast::hash(payload), "CRC-32 of the payload");
        self.u32(
            crc32fast::hash(&self.bytes[start..start + 16]),
            "CRC-32 of the 16 bytes before",
        );
        length
    }
}

fn example() -> Vec<u8> {
    let fields = [("tid", FieldKind::Unsigned), ("comm", FieldKind::Text)];
    let schema = Schema {
        events: vec![event(7, "switch", &fields)],
        enums: Vec::new(),
    };
    let records = vec![
        sample(5000, 7, [Field::Number(1), text("init")]),
        sample(5040, 7, [Field::Number(300), text("sh")]),
        sample(5048, 7, [Field::Missing, text("init")]),
    ];
    let chunk = SampleChunk {
        cpu: 0,
        lost_before: 2,
        records,
    };
    write(&schema, &[chunk], Some(&trailer()))
}

/// Tells the chunk's head and gives its compressed columns.
fn tell_chunk<'a>(told: &mut Annotator<'a>, recording: u32) -> (usize, &'a [u8]) {
    let length = told.block("CHNK", "chunk");
    let start = told.at;
    told.u32(0, "CPU 0");
    told.u32(3, "3 records");
    told.u64(0, "the CPU's first chunk");
    told.u64(5000, "TSC of the first record: 5000");
    told.u64(5048, "TSC of the last record: 5048");
    told.u64(2, "2 records were dropped before");
    told.u32(0, "no record is a repetition");
    let columns = u32::from_le_bytes(told.bytes[told.at..told.at + 4].try_into().unwrap());
    told.u32(columns, &format!("{columns} bytes of columns, told below"));
    told.u32(recording, "identity of the recording");
    let compressed = told.take(length - 52, "the columns, compressed by zstd");
    (
        start,
        zstd::bulk::decompress(compressed, columns as usize)
            .unwrap()
            .leak(),
    )
}

fn tell_columns(columns: &[u8]) -> String {
    let mut told = Annotator::new(columns);
    told.bytes(&[1], "one kind of event");
    told.bytes(&[7, 3, 2], "event 7, 3 records, 2 fields");
    told.bytes(&[0, 1, 0], "kind of each record: constant, 1 byte, 0");
    told.bytes(
        &[5, 6, 8, 1, 3, 0, 5, 1],
        "ticks: scaled, 6 bytes, 8 times (plain, 3 bytes, 0 5 1)",
    );
    told.bytes(
        &[1, 3, 0, 0, 1],
        "missing fields: plain, 3 bytes, the third lacks field 0",
    );
    told.bytes(
        &[2, 4, 2, 0xD6, 4, 0],
        "tid: delta, 4 bytes, +1 +299 and, being missing, 300 again",
    );
    told.bytes(&[4, 16, 2], "comm: dictionary, 16 bytes, 2 values");
    told.bytes(
        &[1, 3, 0, 1, 0],
        "value of each record: plain, 3 bytes, 0 1 0",
    );
    told.bytes(&[1, 2, 4, 2], "lengths of the values: plain, 2 bytes, 4 2");
    told.bytes(b"initsh", "the values: init sh");
    assert_eq!(told.at, columns.len());
    told.out
}

fn tell_file(bytes: &[u8]) -> String {
    let mut told = Annotator::new(bytes);
    told.heading("start of the file");
    told.bytes(b"\x89GTR\r\n\x1A\n", "magic");
    told.u16(1, "major version 1");
    told.u16(0, "minor version 0");
    told.u32(
        crc32fast::hash(&bytes[..12]),
        "CRC-32 of the 12 bytes before",
    );
    let length = told.block("HEAD", "header");
    let json = told.packed(length, "JSON, told below, compressed by zstd");
    let header: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(header["schema"]["events"][0]["fields"][1]["kind"], "text");
    let recording = crc32fast::hash(&json);
    let symbols = told.at as u64;
    tell_symbols(&mut told, recording);
    let (head, columns) = tell_chunk(&mut told, recording);
    let chunk_end = told.at;
    let length = told.block("TRLR", "trailer");
    let trailer = told.packed(length, "JSON, told below, compressed by zstd");
    let parsed: serde_json::Value = serde_json::from_slice(&trailer).unwrap();
    assert_eq!(parsed["kernel_slide"], "0xfffffffffffff000");
    let copy = told.at as u64;
    let length = told.block("HCPY", "copy of the header");
    assert_eq!(told.packed(length, "the header's JSON again"), json);
    let index = told.at as u64;
    let length = told.block("INDX", "index");
    let entries = told.packed(length, "content, told below, compressed by zstd");
    told.block("ENDB", "end");
    told.u64(chunk_end as u64, "offset of the trailer");
    told.u64(copy, "offset of the header's copy");
    told.u64(index, "offset of the index");
    assert_eq!(told.at, bytes.len());
    let mut told_index = Annotator::new(&entries);
    tell_index(&mut told_index, symbols, head, chunk_end);
    assert_eq!(told_index.at, entries.len());
    let parts = [
        ("The file", told.out),
        ("The header", tell_json(&json)),
        ("The columns of the chunk", tell_columns(columns)),
        ("The trailer", tell_json(&trailer)),
        ("The content of the index", told_index.out),
    ];
    let tell = |(what, text)| format!("{what}:\n\n```text\n{text}```\n");
    parts.map(tell).join("\n")
}

/// A column of one number.
fn tell_one(told: &mut Annotator<'_>, value: u64, note: &str) {
    let (mut varint, mut rest) = (Vec::new(), value);
    while rest > 127 {
        varint.push(rest.to_le_bytes()[0] | 128);
        rest >>= 7;
    }
    varint.push(rest.to_le_bytes()[0]);
    let length = u8::try_from(varint.len()).unwrap();
    told.bytes(&[&[0, length][..], &varint].concat(), note);
}

fn tell_index(told: &mut Annotator<'_>, symbols: u64, head: usize, chunk_end: usize) {
    let head = head as u64 - 20;
    told.bytes(&[1, 1], "one block of symbols, one chunk");
    tell_one(told, symbols, "offset of the block of symbols");
    tell_one(told, head - 16, "offset of the chunk's block, from 16");
    tell_one(told, chunk_end as u64 - head, "length of the chunk's block");
    tell_one(told, 0, "CPU 0");
    tell_one(told, 3, "3 records");
    tell_one(told, 0, "sequence as expected");
    tell_one(told, 10000, "TSC of the first record: 5000, as zigzag");
    tell_one(told, 48, "ticks to the last record");
    tell_one(told, 2, "2 records were dropped before");
    tell_one(told, 0, "no record is a repetition");
    told.bytes(&[1, 7], "one kind of event: 7");
    told.bytes(&[0], "of its threads nothing is known");
}

/// JSON as it is, in lines.
fn tell_json(json: &[u8]) -> String {
    let line = |bytes| format!("{}\n", std::str::from_utf8(bytes).unwrap());
    json.chunks(TEXT_COLUMNS).map(line).collect()
}

fn tell_symbols(told: &mut Annotator<'_>, recording: u32) {
    let length = told.block("SYMB", "symbols");
    told.u32(
        recording,
        "identity of the recording: CRC-32 of the header's JSON",
    );
    told.u64(support::SLIDE, "slide of the kernel: -4096");
    let content = told.packed(length - 12, "symbols, compressed by zstd");
    let expected = [&[0x80, 0x82, 2, 5][..], b"start", &[0x70, 4], b"stop"].concat();
    assert_eq!(content, expected);
}

#[test]
fn contract_tells_what_is_written() {
    assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
    assert_eq!(header(Schema::default()).producer, "test");
    let told = tell_file(&example());
    let contract = include_str!("../../FORMAT.md");
    let (before, rest) = contract.split_once("<!-- example:begin -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- example:end -->").unwrap();
    expect_file!["../../FORMAT.md"].assert_eq(&format!(
        "{before}<!-- example:begin -->\n{told}<!-- example:end -->{after}"
    ));
}
