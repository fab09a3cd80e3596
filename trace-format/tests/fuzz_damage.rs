//! Traces damaged by chance: what is read is what was written, and whatever a file claims, reading it ends in peace.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use guesttrace_tests::{Chance, fuzz};
use support::{Field, SampleChunk, read, sample, schema, small_chunks, text, trailer, write};
use trace_format::{RECORD_BYTES_MAX, Severity, TraceFile};

/// Bytes of a block before its payload, and of a chunk before its columns.
const BLOCK_HEADER_BYTES: usize = 20;
const CHUNK_HEAD_BYTES: usize = 52;

/// A trace like those of guests: chunks of several CPUs in turns, some hundred records each.
fn chunks(chance: &mut Chance) -> Vec<SampleChunk> {
    let mut tsc = 1_000_000;
    let mut chunk = |number: usize, chance: &mut Chance| SampleChunk {
        cpu: u32::try_from(number % 3).unwrap(),
        lost_before: 0,
        records: (0..100 + chance.below(200))
            .map(|_| {
                tsc += 8 * chance.number() % 5000;
                match chance.below(3) {
                    0 => sample(tsc, 1, []),
                    1 => sample(
                        tsc,
                        7,
                        [Field::Number(chance.number() >> 50), Field::Number(0)],
                    ),
                    _ => {
                        let path = text(&"/etc/passwd"[..chance.below(11)]);
                        sample(tsc, 40, [path, Field::Number(chance.number() >> 60)])
                    }
                }
            })
            .collect(),
    };
    (0..9).map(|number| chunk(number, chance)).collect()
}

/// Chunks with the number of each among those of its CPU.
type Numbered = Vec<(u64, SampleChunk)>;

/// Reads all there is, chunk by chunk, with the number of each among those of its CPU.
fn read_numbered(file: &TraceFile) -> Numbered {
    let chunks = file.chunks().iter().enumerate();
    chunks
        .filter_map(|(index, info)| Some((info.sequence, read(file, index).ok()?)))
        .collect()
}

/// Opens a file and checks that what it gives is bounded by its size.
fn exhaust(bytes: Vec<u8>) -> Option<TraceFile> {
    let file_bytes = bytes.len();
    let file = TraceFile::from_bytes(bytes).ok()?;
    // No chunk is smaller than its headers; no diagnostic can be had for less than a byte.
    assert!(file.chunks().len() <= file_bytes / (BLOCK_HEADER_BYTES + CHUNK_HEAD_BYTES) + 1);
    let found = file.verify();
    assert!(found.len() <= file_bytes);
    for item in found {
        assert!(!item.to_string().is_empty());
    }
    for index in 0..file.chunks().len() {
        if let Ok(chunk) = file.read_chunk(index) {
            assert!(chunk.len() <= trace_format::BUFFER_BYTES_MAX);
            for record in chunk.records().take(1000) {
                for field in 0..record.field_count() {
                    if let trace_format::Value::Bytes(bytes) = record.field(field) {
                        assert!(bytes.len() <= RECORD_BYTES_MAX);
                    }
                }
            }
        }
    }
    Some(file)
}

#[test]
fn fuzz_damaged_traces_invent_nothing() {
    let mut outcomes = [0, 0];
    let originals: Vec<(Vec<u8>, Numbered)> = (0..6)
        .map(|number| {
            let mut chance = Chance::new(number);
            let chunks = if number == 0 {
                small_chunks()
            } else {
                chunks(&mut chance)
            };
            let end = trailer();
            let bytes = write(&schema(), &chunks, (number % 2 == 0).then_some(&end));
            let file = TraceFile::from_bytes(bytes.clone()).unwrap();
            (bytes, read_numbered(&file))
        })
        .collect();
    fuzz(|chance| {
        let (bytes, all) = chance.pick(&originals);
        let mut damaged = bytes.clone();
        chance.damage(&mut damaged);
        let Some(file) = exhaust(damaged.clone()) else {
            outcomes[0] += 1;
            return;
        };
        outcomes[1] += 1;
        let read = read_numbered(&file);
        let mut seen = Vec::new();
        for chunk in &read {
            assert!(all.contains(chunk), "an event that was never written");
            assert!(!seen.contains(&chunk), "the same events twice");
            seen.push(chunk);
        }
        let is_told = file
            .verify()
            .iter()
            .any(|item| item.severity() >= Severity::DataLoss);
        assert!(
            read.len() == all.len() || is_told,
            "loss is not told: {:?}",
            file.verify()
        );
    });
    assert!(outcomes[0] > 5 && outcomes[1] > 100, "{outcomes:?}");
}

/// Places and lengths of the payloads of a whole file's blocks.
fn payloads(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 16;
    while let Some(length) = bytes.get(at + 8..at + 12) {
        let length = u32::from_le_bytes(length.try_into().unwrap());
        let start = at + BLOCK_HEADER_BYTES;
        at = start + usize::try_from(length).unwrap();
        found.push(start..at);
    }
    found
}

/// The payload damaged as by somebody who knows the format: inside the compressed columns, too.
fn forged(payload: &[u8], is_chunk: bool, chance: &mut Chance) -> Vec<u8> {
    if !is_chunk || chance.once_in(3) {
        let mut payload = payload.to_vec();
        chance.damage(&mut payload);
        return payload;
    }
    let (head, packed) = payload.split_at(CHUNK_HEAD_BYTES);
    let mut columns = zstd::decode_all(packed).unwrap();
    chance.damage(&mut columns);
    let mut head = head.to_vec();
    if chance.once_in(2) {
        // Before the identity of the recording.
        let length = u32::try_from(columns.len()).unwrap();
        head[44..48].copy_from_slice(&length.to_le_bytes());
    }
    if chance.once_in(4) {
        chance.damage(&mut head);
        head.resize(CHUNK_HEAD_BYTES, 0);
    }
    [head, zstd::encode_all(&columns[..], 1).unwrap()].concat()
}

#[test]
fn fuzz_forged_traces_are_survived() {
    let bytes = write(&schema(), &chunks(&mut Chance::new(1)), Some(&trailer()));
    let blocks = payloads(&bytes);
    let mut read_count = 0;
    fuzz(|chance| {
        let range = chance.pick(&blocks).clone();
        let header = range.start - BLOCK_HEADER_BYTES;
        let is_chunk = &bytes[header + 4..header + 8] == b"CHNK";
        let payload = forged(&bytes[range.clone()], is_chunk, chance);
        let mut block = bytes[header..header + 16].to_vec();
        block[8..12].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        block[12..16].copy_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        let checksum = crc32fast::hash(&block);
        block.extend(checksum.to_le_bytes());
        let forged = [&bytes[..header], &block, &payload, &bytes[range.end..]].concat();
        read_count += usize::from(exhaust(forged).is_some());
    });
    assert!(read_count > 100);
}
