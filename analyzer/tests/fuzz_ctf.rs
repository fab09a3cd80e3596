//! Damaged and forged traces in the Common Trace Format: reading ends in peace, with what is whole or with a sentence.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/ctf_writer.rs"]
mod ctf_writer;

use std::path::Path;

use analyzer::export::{LineFormat, LineWriter};
use analyzer::report::{Options, ReportError, ReportFormat, info, report_named};
use analyzer::sources::{Item, Range, Trace};
use ctf_writer::{Bits, Shape};
use guesttrace_tests::{Chance, fuzz, memory_bytes_most};

/// No damage makes reading a trace of some kilobytes need more.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Numbers that sizes, lengths and alignments are forged to.
const WILD: [&str; 12] = [
    "0",
    "1",
    "3",
    "7",
    "63",
    "64",
    "65",
    "1024",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "-1",
];

fn traces() -> Vec<Vec<(&'static str, Vec<u8>)>> {
    let shapes = [
        (false, false, false),
        (true, false, true),
        (false, true, false),
        (true, true, false),
    ];
    let trace = |(is_big_endian, is_json, is_packetised)| {
        ctf_writer::files(Shape {
            is_big_endian,
            is_json,
            is_packetised,
        })
    };
    shapes.into_iter().map(trace).collect()
}

/// Reads all that a trace has. Returns whether it could be opened.
fn read(directory: &Path) -> bool {
    let trace = match Trace::open(directory) {
        Ok(trace) => trace,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.lines().count() == 1, "{text:?}");
            return false;
        }
    };
    let text = ReportFormat::Text { width: Some(80) };
    info(&trace).write(text, &mut Vec::new()).unwrap();
    let mut lines = LineWriter::new(trace.schema(), LineFormat::Json);
    let mut out = Vec::new();
    let mut stream = trace.stream(&Range::default()).unwrap();
    // Flipped sizes may make many more of some events, but no more than there are bits.
    while let Some(item) = stream.next_item().unwrap() {
        if let Item::Record(record) = item {
            out.clear();
            lines.push(&mut out, &record);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        }
    }
    let _ = stream.damage();
    let processes = report_named("processes").unwrap();
    match processes.write(&trace, &Options::default(), text, &mut Vec::new()) {
        Ok(_) | Err(ReportError::Trace(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
    true
}

fn read_files(files: &[(&str, Vec<u8>)]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    read(directory.path())
}

/// Puts another number in place of one that a text has.
fn forge(text: &str, chance: &mut Chance) -> String {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let starts: Vec<usize> = (1..bytes.len())
        .filter(|at| is_digit(bytes[*at]) && !is_digit(bytes[at - 1]))
        .collect();
    let start = *chance.pick(&starts);
    let end = (start..bytes.len())
        .find(|at| !is_digit(bytes[*at]))
        .unwrap_or(bytes.len());
    format!("{}{}{}", &text[..start], chance.pick(&WILD), &text[end..])
}

#[test]
fn fuzz_damaged_streams_and_metadata() {
    let originals = traces();
    let mut opened = 0;
    fuzz(|chance| {
        let mut files = chance.pick(&originals).clone();
        // More of the metadata leads to a sentence at once.
        let which = if chance.once_in(4) {
            0
        } else {
            1 + chance.below(2)
        };
        chance.damage(&mut files[which].1);
        opened += usize::from(read_files(&files));
    });
    assert!(opened > 100, "only {opened} could be opened");
    assert!(memory_bytes_most() < MEMORY_BYTES_MAX);
}

#[test]
fn fuzz_forged_metadata() {
    let originals = traces();
    let mut opened = 0;
    fuzz(|chance| {
        let mut files = chance
            .pick(&[0, 2, 3].map(|index| originals[index].clone()))
            .clone();
        for _ in 0..=chance.below(3) {
            let text = String::from_utf8(files[0].1.clone()).unwrap();
            files[0].1 = forge(&text, chance).into_bytes();
        }
        opened += usize::from(read_files(&files));
    });
    assert!(opened > 50, "only {opened} could be opened");
    assert!(memory_bytes_most() < MEMORY_BYTES_MAX);
}

#[test]
fn a_stream_that_ends_anywhere_is_read_up_to_there() {
    let files = &traces()[0];
    let length = files[1].1.len();
    for end in (0..length).step_by(7) {
        let mut files = files.clone();
        files[1].1.truncate(end);
        assert!(read_files(&files), "cut at byte {end}");
    }
}

#[test]
fn types_that_expand_without_end_get_a_sentence() {
    let mut text = "/* CTF 1.8 */ typealias integer { size = 8; } := t0;\n".to_owned();
    for depth in 1..60 {
        text.push_str(&format!(
            "typedef struct {{ t{0} a; t{0} b; }} t{depth};\n",
            depth - 1
        ));
    }
    text.push_str("event { name = \"deep\"; fields := struct { t59 all; }; };");
    let mut nested = "/* CTF 1.8 */ event { name = \"n\"; fields := ".to_owned();
    nested.push_str(&"struct { struct s ".repeat(100_000));
    let arrays = "/* CTF 1.8 */ event { name = \"a\"; fields := struct { struct { } none[18446744073709551615]; \
                  struct { struct { } x[4294967296]; } more[4294967296]; integer { size = 1; } bits[1000000]; }; };";
    let aliases: String = (1..100_000)
        .map(|number| format!("typedef struct {{ u{} a; }} u{number};\n", number - 1))
        .collect();
    let aliases = format!("/* CTF 1.8 */ typealias integer {{ size = 8; }} := u0;\n{aliases}");
    for text in [&text, &nested, arrays, &aliases] {
        read_files(&[
            ("metadata", text.as_bytes().to_vec()),
            ("stream", vec![0; 100_000]),
        ]);
    }
    assert!(memory_bytes_most() < MEMORY_BYTES_MAX);
}

#[test]
fn packets_of_no_size_and_events_of_none_end() {
    let metadata = "/* CTF 1.8 */ trace { byte_order = le; }; \
        stream { packet.context := struct { \
        integer { size = 32; } packet_size; integer { size = 32; } content_size; }; }; \
        event { name = \"nothing\"; };";
    for (packet, content) in [
        (0, 0),
        (64, 64),
        (64, 8),
        (72, 72),
        (128, 4000),
        (u64::from(u32::MAX), 90),
        (1 << 31, 1 << 31),
    ] {
        let mut bits = Bits::new(false);
        bits.put(packet, 32).put(content, 32).raw(&[0; 4000]);
        read_files(&[
            ("metadata", metadata.as_bytes().to_vec()),
            ("stream", bits.bytes),
        ]);
    }
    let directory = tempfile::tempdir().unwrap();
    assert!(!read(directory.path()));
}
