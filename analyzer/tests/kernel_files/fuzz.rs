//! Damaged files: a sentence, or what can still be read, and never a panic, an endless loop or all the memory.

use std::path::Path;

use analyzer::export::{LineFormat, LineWriter};
use analyzer::report::{Options, ReportError, ReportFormat, report_named};
use analyzer::sources::{Item, Range, Trace};
use guesttrace_tests::{Chance, fuzz};

use super::made;
use super::written::Machine;

/// Writes every event, and the reports that use most of the model.
fn read_everything(path: &Path) {
    let trace = match Trace::open(path) {
        Ok(trace) => trace,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    trace.schema().check().unwrap();
    let mut lines = LineWriter::new(trace.schema(), LineFormat::Json).with_symbols(trace.symbols());
    let mut out = Vec::new();
    let mut stream = trace.stream(&Range::default()).unwrap();
    while let Ok(Some(item)) = stream.next_item() {
        if let Item::Record(record) = item {
            lines.push(&mut out, &record);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap();
            out.clear();
        }
    }
    for name in ["processes", "sched", "irqs", "io"] {
        let report = report_named(name).unwrap();
        match report.write(
            &trace,
            &Options::default(),
            ReportFormat::Json,
            &mut Vec::new(),
        ) {
            Ok(_) | Err(ReportError::Trace(_)) => {}
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
}

/// Damages copies of a file, and cuts them off.
fn damage(files: &[Vec<u8>]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace");
    for file in files {
        std::fs::write(&path, file).unwrap();
        Trace::open(&path).unwrap();
        read_everything(&path);
    }
    fuzz(|chance: &mut Chance| {
        let mut file = chance.pick(files).clone();
        chance.damage(&mut file);
        std::fs::write(&path, &file).unwrap();
        read_everything(&path);
    });
}

/// Cuts a file off at many places.
fn cut(file: &[u8], step: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace");
    for end in (0..file.len()).step_by(step) {
        std::fs::write(&path, &file[..end]).unwrap();
        read_everything(&path);
    }
}

#[test]
fn damaged_files_of_trace_cmd_end_in_peace() {
    let machines = [(false, 8), (true, 4)];
    let files = machines.map(|(is_big_endian, long_bytes)| {
        let machine = Machine {
            is_big_endian,
            long_bytes,
        };
        machine.file()
    });
    damage(&files);
    cut(&files[0], 97);
}

#[test]
fn damaged_files_of_perf_end_in_peace() {
    let files = [made::perf(false), made::perf(true)];
    damage(&files);
    cut(&files[0], 31);
    cut(&files[1], 31);
}

#[test]
fn damaged_traces_of_perfetto_end_in_peace() {
    let files = [
        made::perfetto(None),
        made::perfetto(Some(50)),
        made::perfetto(Some(133)),
    ];
    damage(&files);
    cut(&files[0], 1);
    cut(&files[2], 1);
}
