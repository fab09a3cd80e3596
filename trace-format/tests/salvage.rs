//! What is whole of a damaged trace comes through a repair as it was, and what is lost is told.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Cursor;

use support::{read_all, schema, small_chunks, trailer, write};
use trace_format::{END_CUT_OFF, Gap, Salvage, TraceFile, salvage};

fn repaired(bytes: Vec<u8>) -> (TraceFile, Salvage) {
    let file = TraceFile::from_bytes(bytes).unwrap();
    let (out, done) = salvage(&file, Cursor::new(Vec::new())).unwrap();
    (TraceFile::from_bytes(out.into_inner()).unwrap(), done)
}

fn complete() -> Vec<u8> {
    write(&schema(), &small_chunks(), Some(&trailer()))
}

#[test]
fn a_whole_trace_stays_as_it_is() {
    let (out, done) = salvage(
        &TraceFile::from_bytes(complete()).unwrap(),
        Cursor::new(Vec::new()),
    )
    .unwrap();
    assert_eq!(out.into_inner(), complete());
    assert_eq!(done.gaps, []);
    assert_eq!(done.records, 16);
}

#[test]
fn every_cut_comes_out_whole_with_what_it_had() {
    let bytes = complete();
    for cut in (0..bytes.len()).rev().step_by(3) {
        let Ok(file) = TraceFile::from_bytes(bytes[..cut].to_vec()) else {
            continue;
        };
        let (after, done) = repaired(bytes[..cut].to_vec());
        assert_eq!(read_all(&after), read_all(&file), "cut at {cut}");
        assert_eq!(after.verify(), [], "cut at {cut}");
        let was_told = file.trailer().is_some() || done.gaps.len() == cpus(&after);
        assert!(was_told, "cut at {cut}: {done:?}");
        assert_eq!(after.symbols(), file.symbols());
        if file.trailer().is_none() {
            assert_eq!(after.trailer().unwrap().end_reason, END_CUT_OFF);
        }
    }
}

fn cpus(file: &TraceFile) -> usize {
    let cpus: std::collections::BTreeSet<u32> =
        file.chunks().iter().map(|chunk| chunk.cpu).collect();
    cpus.len()
}

#[test]
fn a_damaged_chunk_is_a_gap_between_its_neighbours() {
    let mut bytes = complete();
    let file = TraceFile::from_bytes(bytes.clone()).unwrap();
    let first = file.chunks()[0];
    bytes[usize::try_from(first.offset + first.length).unwrap() - 1] ^= 1;
    let (after, done) = repaired(bytes);
    assert_eq!(read_all(&after), small_chunks()[1..]);
    let gap = Gap {
        cpu: 0,
        chunks: Some(1),
        after_tsc: None,
        before_tsc: Some(2000),
    };
    assert_eq!(done.gaps, [gap]);
    // The gap is still there for every reader.
    let found = after.verify();
    assert!(
        found
            .iter()
            .any(|item| item.to_string().contains("1 chunks are missing"))
    );
}
