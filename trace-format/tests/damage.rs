//! Cut and flipped files: what is whole is read, what is not is said, and nothing panics.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use proptest::prelude::*;
use support::{SampleChunk, read_all, schema, small_chunks, trailer, write};
use trace_format::{Diagnostic, Severity, TraceFile};

fn complete() -> Vec<u8> {
    write(&schema(), &small_chunks(), Some(&trailer()))
}

fn unfinished() -> Vec<u8> {
    write(&schema(), &small_chunks(), None)
}

/// Where each chunk ends.
fn chunk_ends(bytes: &[u8]) -> Vec<usize> {
    let file = TraceFile::from_bytes(bytes.to_vec()).unwrap();
    file.chunks()
        .iter()
        .map(|chunk| usize::try_from(chunk.offset + chunk.length).unwrap())
        .collect()
}

/// Where the block of the header ends, by the length in it.
fn header_end(bytes: &[u8]) -> usize {
    let length = u32::from_le_bytes(bytes[24..28].try_into().unwrap());
    36 + usize::try_from(length).unwrap()
}

#[test]
fn cut_file_gives_its_whole_chunks() {
    let bytes = complete();
    let ends = chunk_ends(&bytes);
    let header_end = header_end(&bytes);
    for cut in 0..bytes.len() {
        let result = TraceFile::from_bytes(bytes[..cut].to_vec());
        if cut < header_end {
            assert!(result.is_err(), "cut at {cut}: there is no whole header");
            continue;
        }
        let file = result.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        if ends.iter().any(|end| *end <= cut) {
            assert_eq!(file.symbols().symbols, support::symbols(), "cut at {cut}");
        }
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(read_all(&file), small_chunks()[..whole], "cut at {cut}");
        let says_so = |item: &Diagnostic| {
            matches!(
                item,
                Diagnostic::Unfinished { .. } | Diagnostic::IndexMissing { .. }
            )
        };
        assert!(
            file.diagnostics().iter().any(says_so),
            "cut at {cut}: {:?}",
            file.diagnostics()
        );
        assert!(!file.verify().is_empty(), "cut at {cut}");
    }
}

#[test]
fn unfinished_file_is_read_to_its_end() {
    let file = TraceFile::from_bytes(unfinished()).unwrap();
    assert_eq!(read_all(&file), small_chunks());
    assert_eq!(file.trailer(), None);
    assert!(matches!(
        file.diagnostics(),
        [Diagnostic::Unfinished { .. }]
    ));
}

/// Flips every bit of a file, one at a time; `header_end` bounds where the whole file may be lost.
fn check_flips(bytes: &[u8], fatal_end: usize) {
    let all = small_chunks();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(file) = TraceFile::from_bytes(flipped) else {
            assert!(bit / 8 < fatal_end, "bit {bit}: nothing can be read");
            continue;
        };
        let read = read_all(&file);
        let lost: Vec<&SampleChunk> = all.iter().filter(|chunk| !read.contains(chunk)).collect();
        assert!(lost.len() <= 1, "bit {bit}: lost {lost:?}");
        assert_eq!(
            read.len() + lost.len(),
            all.len(),
            "bit {bit}: invented a chunk"
        );
        let found = file.verify();
        let severe = found
            .iter()
            .any(|item| item.severity() >= Severity::DataLoss);
        assert!(!found.is_empty(), "bit {bit}: not noticed");
        assert!(
            severe || lost.is_empty(),
            "bit {bit}: loss is not said: {found:?}"
        );
    }
}

#[test]
fn flipped_bit_of_a_complete_file_costs_one_chunk() {
    // The magic and the version before the first block have no copy.
    check_flips(&complete(), 16);
}

#[test]
fn flipped_bit_of_an_unfinished_file_costs_one_chunk_or_the_header() {
    let bytes = unfinished();
    check_flips(&bytes, header_end(&bytes));
}

#[test]
fn flipped_bit_in_the_header_is_healed_by_the_copy() {
    let mut bytes = complete();
    bytes[100] ^= 4;
    let file = TraceFile::from_bytes(bytes).unwrap();
    assert_eq!(file.header(), &support::header(schema()));
    assert!(matches!(
        file.diagnostics(),
        [
            Diagnostic::Checksum { .. },
            Diagnostic::HeaderCopyUsed { .. }
        ]
    ));
}

#[test]
fn garbage_between_blocks_is_skipped() {
    let bytes = unfinished();
    let end = chunk_ends(&bytes)[0];
    let garbage = [&b"\xF7GTBCHNK"[..], &[0xF7; 90], &[0; 33]].concat();
    let spliced = [&bytes[..end], &garbage, &bytes[end..]].concat();
    let file = TraceFile::from_bytes(spliced).unwrap();
    assert_eq!(read_all(&file), small_chunks());
    let skipped = Diagnostic::NotABlock {
        offset: end as u64,
        bytes: garbage.len() as u64,
    };
    assert!(
        file.diagnostics().contains(&skipped),
        "{:?}",
        file.diagnostics()
    );
}

#[test]
fn missing_chunk_is_said() {
    let bytes = unfinished();
    let ends = chunk_ends(&bytes);
    let first =
        usize::try_from(TraceFile::from_bytes(bytes.clone()).unwrap().chunks()[0].offset).unwrap();
    let without_first = [&bytes[..first], &bytes[ends[0]..]].concat();
    let file = TraceFile::from_bytes(without_first).unwrap();
    assert_eq!(read_all(&file), small_chunks()[1..]);
    let says_so = |item: &Diagnostic| {
        matches!(
            item,
            Diagnostic::MissingChunks {
                cpu: 0,
                missing: 1,
                ..
            }
        )
    };
    assert!(
        file.diagnostics().iter().any(says_so),
        "{:?}",
        file.diagnostics()
    );
}

#[test]
fn a_chunk_that_comes_again_is_not_told_twice() {
    let bytes = unfinished();
    let ends = chunk_ends(&bytes);
    let doubled = [&bytes[..ends[1]], &bytes[ends[0]..]].concat();
    let file = TraceFile::from_bytes(doubled).unwrap();
    assert_eq!(read_all(&file), small_chunks());
    let says_so = |item: &Diagnostic| item.to_string().contains("came before");
    assert!(file.diagnostics().iter().any(says_so));
}

#[test]
fn a_chunk_of_another_recording_is_not_told() {
    let bytes = complete();
    let mut other = schema();
    other.events[0].doc = "another recording".to_owned();
    let other = write(&other, &small_chunks(), None);
    let ends = chunk_ends(&bytes);
    let other_ends = chunk_ends(&other);
    let spliced = [&bytes[..ends[1]], &other[other_ends[1]..]].concat();
    let file = TraceFile::from_bytes(spliced).unwrap();
    assert_eq!(read_all(&file), small_chunks()[..2]);
    let says_so = |item: &Diagnostic| item.to_string().contains("another recording");
    assert!(file.verify().iter().any(says_so), "{:?}", file.verify());
}

#[test]
fn another_major_version_is_refused_and_another_minor_is_read() {
    let version = |major: u16, minor: u16| {
        let mut bytes = complete();
        bytes[8..10].copy_from_slice(&major.to_le_bytes());
        bytes[10..12].copy_from_slice(&minor.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    };
    let error = TraceFile::from_bytes(version(2, 7)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file is of format version 2.7, this program reads 1.x"
    );
    // What a later 1.x may add: a block of a new kind.
    let mut later = version(1, 9);
    let at = header_end(&later);
    let payload = b"of a later version";
    let mut block = [&b"\xF7GTBNEWS"[..], &18u32.to_le_bytes()].concat();
    block.extend(crc32fast::hash(payload).to_le_bytes());
    block.extend(crc32fast::hash(&block).to_le_bytes());
    block.extend(payload);
    later.splice(at..at, block);
    // Without the end, whose places would be others.
    let end = later.len() - 44;
    let file = TraceFile::from_bytes(later[..end].to_vec()).unwrap();
    assert_eq!(read_all(&file), small_chunks());
    let is_unknown = |item: &Diagnostic| matches!(item, Diagnostic::UnknownBlock { .. });
    assert!(file.diagnostics().iter().any(is_unknown));
}

/// Reads whatever there is of a file.
fn exhaust(bytes: Vec<u8>) {
    if let Ok(file) = TraceFile::from_bytes(bytes) {
        let _ = read_all(&file);
        let _ = file.verify();
        file.diagnostics()
            .iter()
            .for_each(|item| assert!(!item.to_string().is_empty()));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        exhaust([&complete()[..16], &bytes].concat());
        exhaust(bytes);
    }

    #[test]
    fn any_damage_is_survived(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
        doubled in any::<prop::sample::Index>(),
    ) {
        let mut bytes = complete();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (cut, doubled) = (cut.index(bytes.len()), doubled.index(bytes.len()));
        exhaust([&bytes[..cut], &bytes[doubled..]].concat());
    }
}
