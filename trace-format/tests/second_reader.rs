//! `docs/read_trace.py`, which was written from the words of FORMAT.md, reads what the crate's own reader reads.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use serde_json::{Value as Json, json};
use support::{Field, SampleChunk, sample, schema, small_chunks, text, trailer, write};
use trace_format::{FieldKind, Schema, TraceFile, Value};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/read_trace.py");

/// A Python that has the package: the path's, or Debian's own, for which Debian's package is, where another goes before it.
fn python() -> Option<&'static str> {
    let has_package = |program: &&str| {
        let import = Command::new(program)
            .args(["-c", "import zstandard"])
            .output();
        import.is_ok_and(|output| output.status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has_package)
}

/// The records as the script shall print them.
fn expected(file: &TraceFile) -> Vec<Json> {
    let mut lines = Vec::new();
    for (index, info) in file.chunks().iter().enumerate() {
        let chunk = file.read_chunk(index).unwrap();
        for (position, record) in chunk.records().enumerate() {
            let event = file.header().schema.event(record.event()).unwrap();
            let fields = event.fields.iter().enumerate();
            let fields: Vec<Json> = fields
                .map(|(index, field)| match record.field(index) {
                    Value::Missing => Json::Null,
                    Value::Number(number) if field.kind == FieldKind::Signed => {
                        json!(number.cast_signed())
                    }
                    Value::Number(number) => json!(number),
                    Value::Bytes(bytes) => {
                        json!(
                            bytes
                                .iter()
                                .map(|byte| format!("{byte:02x}"))
                                .collect::<String>()
                        )
                    }
                })
                .collect();
            lines.push(json!({
                "cpu": info.cpu,
                "tsc": record.tsc(),
                "event": event.name,
                "fields": fields,
                "repeated": position < info.sticky_count as usize,
            }));
        }
    }
    lines
}

fn check(python: &str, bytes: Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    std::fs::write(&path, &bytes).unwrap();
    let output = Command::new(python)
        .arg(SCRIPT)
        .arg(&path)
        .output()
        .unwrap();
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{talk}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Json> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, expected(&TraceFile::from_bytes(bytes).unwrap()));
}

/// Enough records for every encoding: constants, differences, multiples, dictionaries.
fn many() -> Vec<SampleChunk> {
    let record = |n: u64| match n % 3 {
        0 => sample(8000 + 8 * n, 1, []),
        1 => sample(
            8000 + 8 * n,
            7,
            [Field::Number((1 << 40) + n * n), Field::Number(3)],
        ),
        _ => sample(
            8000 + 8 * n,
            40,
            [
                text(["/etc/passwd", "/", ""][usize::try_from(n / 3 % 3).unwrap()]),
                Field::Number(n.wrapping_neg()),
            ],
        ),
    };
    let chunk = |cpu: u32| SampleChunk {
        cpu,
        lost_before: u64::from(cpu),
        records: (0..1000).map(record).collect(),
    };
    vec![chunk(0), chunk(3)]
}

#[test]
fn second_reader_reads_the_same() {
    let Some(python) = python() else {
        guesttrace_tests::skip!(
            "python3 with the package zstandard is not there (Debian: python3-zstandard)"
        );
    };
    let check = |bytes| check(python, bytes);
    check(write(&schema(), &small_chunks(), Some(&trailer())));
    check(write(&schema(), &many(), Some(&trailer())));
    check(write(&Schema::default(), &[], Some(&trailer())));
    // A recording of a guest, where the caller has one.
    if let Some(path) = std::env::var_os("GUESTTRACE_TRACE") {
        check(std::fs::read(path).unwrap());
    }
}
