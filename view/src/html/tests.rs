//! The file as text: what is in it, and what must not be.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;
use crate::testing::{golden, served};

fn file(served: &Served, span: Span) -> String {
    let mut out = Vec::new();
    let written = html(served, span, &mut out).unwrap();
    assert_eq!(written.bytes, out.len() as u64);
    String::from_utf8(out).unwrap()
}

/// What is in a block.
fn block(file: &str, name: &str) -> Vec<u8> {
    let start = format!("id=\"data-{name}\">");
    let from = file.find(&start).unwrap() + start.len();
    let text = file[from..].split('<').next().unwrap();
    let mut out = Vec::new();
    let packed = bytes_of_base64(text);
    GzDecoder::new(&packed[..]).read_to_end(&mut out).unwrap();
    out
}

fn bytes_of_base64(text: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits = text.bytes().filter(|digit| *digit != b'=').map(value);
    let digits: Vec<u32> = digits.map(u32::from).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit);
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

fn contents(file: &str) -> Value {
    serde_json::from_slice(&block(file, "contents")).unwrap()
}

#[test]
fn all_that_there_is_is_in_the_file() {
    let served = served(&golden("first_program"), 20);
    let file = file(&served, Span::ALL);
    let contents = contents(&file);
    assert_eq!(contents["meta"]["events"], contents["events"]["events"]);
    assert_eq!(contents["meta"]["features"]["sql"], false);
    assert_eq!(contents["rows"], rows_value(&served));
    for report in analyzer::report::REPORTS {
        let told = block(&file, &format!("report-{}", report.name));
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["report"], report.name);
    }
    for name in [
        "overview",
        "spans-0",
        "arrows",
        "runs",
        "histogram",
        "events-0",
    ] {
        assert!(!block(&file, name).is_empty(), "{name}");
    }
}

#[test]
fn a_part_has_what_is_in_that_time() {
    let served = served(&golden("first_program"), 20);
    let span = Span {
        start: analyzer::model::GuestNanos(8000),
        end: analyzer::model::GuestNanos(12_000),
    };
    let contents = contents(&file(&served, span));
    let counts = served.counts_of(span).unwrap();
    let expected: u64 = counts.iter().map(|(_, count)| count).sum();
    assert_eq!(contents["meta"]["events"], expected);
    assert_eq!(contents["start_ns"], 8000);
    assert_eq!(contents["meta"]["end_ns"], 12_000);
}

#[test]
fn names_cannot_leave_their_place() {
    let script = "0@0 thread_context tid=5 pid=5 comm=</script><script>evil_words()\n\
                  10@0 sched_process_exec filename=</script><!--<script>evil_words() pid=5 old_pid=5 comm=--></style>\n\
                  20@0 tick user=0";
    let file = file(&served(script, 9), Span::ALL);
    assert!(!file.contains("evil_words()"));
    let ends = file.matches("</script").count();
    let blocks = file
        .matches("<script type=\"application/octet-stream\"")
        .count();
    assert_eq!(ends, blocks + 1);
    assert!(!file.contains("src=\"") && !file.contains("href=\"app"));
}

#[test]
fn a_file_that_nobody_could_open_is_not_begun() {
    let served = served(&golden("first_program"), 20);
    assert!(foreseen(&served, Span::ALL).unwrap() < 1 << 20);
}
