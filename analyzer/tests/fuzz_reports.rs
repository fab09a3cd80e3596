//! Everything that reads a trace, over damaged ones: what `info`, `events`, `report` and `repair` do ends in peace.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/synthetic.rs"]
mod synthetic;

use std::io::Cursor;
use std::ops::Range as Bytes;
use std::path::Path;

use analyzer::causes::{
    ChainOptions, ChainStart, FlameKind, PathEnd, PathOptions, Subject, WaitOptions, chain,
    critical_path, flame, wait,
};
use analyzer::export::{LineFormat, LineWriter};
use analyzer::model::{GuestNanos, Span, Tid};
use analyzer::report::{Options, REPORTS, ReportError, ReportFormat, Selection, info};
use analyzer::sources::{Finding, Item, Range, Trace};
use guesttrace_tests::{Chance, fuzz, memory_bytes_most};
use trace_format::{Severity, TraceFile, salvage};

/// Bytes of a file before its first block, and of a block before its payload.
const PREAMBLE_BYTES: usize = 16;
const BLOCK_HEADER_BYTES: usize = 20;
const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// No damage makes reading a trace of some kilobytes need more.
const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Traces of a few chunks, and of many.
fn traces() -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let script = |name| std::fs::read_to_string(golden.join(name)).unwrap();
    let scripts = [
        "first_program.script",
        "kernel_services.script",
        "lost_records.script",
    ]
    .map(script);
    let traces = scripts
        .iter()
        .flat_map(|script| [3, 1000].map(|records| synthetic::trace(script, records)));
    traces.collect()
}

/// Places of the payloads of a whole file's blocks.
fn payloads(bytes: &[u8]) -> Vec<Bytes<usize>> {
    let mut found = Vec::new();
    let mut at = PREAMBLE_BYTES;
    while let Some(length) = bytes.get(at + 8..at + 12) {
        let length = u32::from_le_bytes(length.try_into().unwrap());
        let start = at + BLOCK_HEADER_BYTES;
        at = start + usize::try_from(length).unwrap();
        found.push(start..at);
    }
    found
}

/// A trace one of whose blocks was changed by somebody who knows the format: what is compressed in it is damaged before it
/// is compressed, and the checksums are right.
fn forge(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let range = chance.pick(&payloads(bytes)).clone();
    let mut payload = bytes[range.clone()].to_vec();
    let is_magic = |window: &[u8]| window == ZSTD_MAGIC;
    match payload.windows(4).position(is_magic) {
        Some(at) if !chance.once_in(4) => {
            let mut plain = zstd::decode_all(&payload[at..]).unwrap();
            let length = plain.len();
            chance.damage(&mut plain);
            // Where the length is written somewhere, another one would be all that is noticed.
            if !chance.once_in(4) {
                plain.resize(length, 0);
            }
            payload.truncate(at);
            payload.extend(zstd::encode_all(&plain[..], 1).unwrap());
        }
        _ => chance.damage(&mut payload),
    }
    let head = range.start - BLOCK_HEADER_BYTES;
    let mut block = bytes[head..head + 16].to_vec();
    block[8..12].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    block[12..16].copy_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    let checksum = crc32fast::hash(&block);
    block.extend(checksum.to_le_bytes());
    // Somebody who forges a file may leave out its end, so that the rest is not looked up in the index.
    let rest = if chance.once_in(2) {
        &[][..]
    } else {
        &bytes[range.end..]
    };
    [&bytes[..head], &block, &payload, rest].concat()
}

/// Writes every event in every format, and every report.
fn read_everything(trace: &Trace) {
    for format in [LineFormat::Text, LineFormat::Json, LineFormat::Csv] {
        let mut lines = LineWriter::new(trace.schema(), format).with_symbols(trace.symbols());
        let mut out = Vec::new();
        let Ok(mut stream) = trace.stream(&Range::default()) else {
            continue;
        };
        while let Ok(Some(item)) = stream.next_item() {
            if let Item::Record(record) = item {
                lines.push(&mut out, &record);
            }
            if format == LineFormat::Json && !out.is_empty() {
                serde_json::from_slice::<serde_json::Value>(&out).unwrap();
            }
            out.clear();
        }
    }
    for kind in REPORTS {
        let text = ReportFormat::Text { width: Some(80) };
        for format in [ReportFormat::Json, text] {
            match kind.write(trace, &Options::default(), format, &mut Vec::new()) {
                Ok(_) | Err(ReportError::Trace(_)) => {}
                Err(error) => panic!("{}: {error:?}", kind.name),
            }
        }
    }
}

/// Writes the trace in every format of other tools; what is JSON has to be such.
fn export_everything(trace: &Trace) {
    use analyzer::export::{
        CtfVersion, Job, Wanted, chrome, ctf, firefox, folded, ltt, pcap, perfetto,
    };
    let whole = Wanted::default();
    let part = Wanted {
        selection: Selection {
            span: Span {
                start: GuestNanos(2000),
                end: GuestNanos(50_000),
            },
            ..Selection::default()
        },
        ..Wanted::default()
    };
    for wanted in [&whole, &part] {
        let job = Job {
            trace,
            wanted,
            progress: &|_| {},
        };
        for version in [CtfVersion::V1, CtfVersion::V2] {
            let directory = tempfile::tempdir().unwrap();
            let _ = ctf(job, version, directory.path());
        }
        for export in [chrome, firefox] {
            let mut out = Vec::new();
            if export(job, &mut out).is_ok() {
                serde_json::from_slice::<serde_json::Value>(&out).unwrap();
            }
        }
        for export in [perfetto, folded, ltt, pcap] {
            let _ = export(job, &mut Vec::new());
        }
    }
}

/// Everything that follows causes: what is explained is explained wholly, whatever the trace says.
fn follow_causes(trace: &Trace) {
    let options = WaitOptions {
        selection: Selection::default(),
        subject: Subject::Selected,
        depth: 16,
        top: 5,
    };
    let path = PathOptions {
        span: Span::ALL,
        end: PathEnd::Thread(Tid(1)),
        depth: 64,
        top: 5,
    };
    let effects = ChainOptions {
        span: Span::ALL,
        start: ChainStart::Line(-1),
        within: GuestNanos(u64::MAX),
        top: 5,
        all_steps: true,
    };
    let reports = [
        wait(trace, &options).ok(),
        critical_path(trace, &path).ok(),
        chain(trace, &effects).ok(),
    ];
    for report in reports.into_iter().flatten() {
        let broken = |finding: &&Finding| {
            finding.name == "partition_broken" && finding.severity == Severity::Error
        };
        assert_eq!(report.findings.iter().find(broken), None, "{}", report.name);
        report.write(ReportFormat::Json, &mut Vec::new()).unwrap();
    }
    let _ = flame(trace, &Selection::default(), FlameKind::All);
}

/// What the verbs do with a file. Returns whether it could be opened.
fn use_file(bytes: Vec<u8>, chance: &mut Chance) -> bool {
    let Ok(file) = TraceFile::from_bytes(bytes) else {
        return false;
    };
    let _ = file.verify();
    // What was repaired is read again, and is not read any better. It is compressed with care, which takes its time.
    if chance.once_in(10)
        && let Ok((out, _)) = salvage(&file, Cursor::new(Vec::new()))
    {
        let records = |file: &TraceFile| -> u64 {
            let chunks = 0..file.chunks().len();
            chunks
                .filter_map(|index| file.read_chunk(index).ok())
                .map(|chunk| chunk.len() as u64)
                .sum()
        };
        let repaired = TraceFile::from_bytes(out.into_inner()).expect("a repaired trace opens");
        assert!(
            records(&repaired) <= records(&file),
            "a repair invents records"
        );
    }
    let trace = Trace::Own(file);
    let text = ReportFormat::Text { width: Some(80) };
    info(&trace).write(text, &mut Vec::new()).unwrap();
    let _ = trace.findings();
    read_everything(&trace);
    follow_causes(&trace);
    // Directories take their time.
    if chance.once_in(4) {
        export_everything(&trace);
    }
    true
}

#[test]
fn fuzz_readers_of_damaged_traces() {
    let originals = traces();
    let mut opened = 0;
    fuzz(|chance| {
        let mut bytes = chance.pick(&originals).clone();
        chance.damage(&mut bytes);
        opened += usize::from(use_file(bytes, chance));
    });
    assert!(opened > 100, "only {opened} could be opened");
    assert!(memory_bytes_most() < MEMORY_BYTES_MAX);
}

#[test]
fn fuzz_readers_of_forged_traces() {
    let originals = traces();
    let mut opened = 0;
    fuzz(|chance| {
        let original = chance.pick(&originals);
        let bytes = forge(original, chance);
        opened += usize::from(use_file(bytes, chance));
    });
    assert!(opened > 100, "only {opened} could be opened");
    assert!(memory_bytes_most() < MEMORY_BYTES_MAX);
}
