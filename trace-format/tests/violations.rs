//! Each thing that a file must not be is found, although every checksum is right.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Cursor;

use support::{event, header, sample, schema, small_chunks, symbols};
use trace_format::{
    ChunkMeta, Counter, EventId, FieldKind, RecordBuffer, Schema, TraceFile, TraceWriter, Trailer,
    WriterOptions,
};

/// Kind and payload of each block.
type Blocks = Vec<([u8; 4], Vec<u8>)>;

fn complete() -> Vec<u8> {
    let chunks = small_chunks();
    let mut trailer = support::trailer();
    let records = chunks.iter().map(|chunk| chunk.records.len() as u64);
    trailer.stats.set(Counter::RecordsWritten, records.sum());
    let lost = chunks.iter().map(|chunk| chunk.lost_before);
    trailer.stats.set(Counter::RecordsLost, lost.sum());
    support::write(&schema(), &chunks, Some(&trailer))
}

fn blocks(bytes: &[u8]) -> Blocks {
    let (mut found, mut at) = (Vec::new(), 16);
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let kind = bytes[at + 4..at + 8].try_into().unwrap();
        found.push((kind, bytes[at + 20..at + 20 + length].to_vec()));
        at += 20 + length;
    }
    found
}

/// The file of those blocks, with right checksums and an end that knows where they are.
fn build(mut blocks: Blocks) -> Vec<u8> {
    let mut bytes = complete()[..16].to_vec();
    let mut places = [0u64; 3];
    for (kind, payload) in &mut blocks {
        let own = [b"TRLR", b"HCPY", b"INDX"]
            .iter()
            .position(|name| *name == kind);
        if let Some(index) = own {
            places[index] = bytes.len() as u64;
        }
        if kind == b"ENDB" {
            *payload = places
                .iter()
                .flat_map(|place| place.to_le_bytes())
                .collect();
        }
        let mut head = [b"\xF7GTB", &kind[..]].concat();
        head.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        head.extend(crc32fast::hash(payload).to_le_bytes());
        let checksum = crc32fast::hash(&head);
        head.extend(checksum.to_le_bytes());
        bytes.extend(head);
        bytes.extend(&*payload);
    }
    bytes
}

fn position(blocks: &Blocks, kind: &[u8; 4]) -> usize {
    blocks.iter().position(|(own, _)| own == kind).unwrap()
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut payload = u32::try_from(content.len()).unwrap().to_le_bytes().to_vec();
    payload.extend(zstd::bulk::compress(content, 3).unwrap());
    payload
}

fn unpacked(payload: &[u8]) -> Vec<u8> {
    let length = u32::from_le_bytes(payload[..4].try_into().unwrap()) as usize;
    zstd::bulk::decompress(&payload[4..], length).unwrap()
}

/// Changes the text of a packed block.
fn reword(blocks: &mut Blocks, kind: &[u8; 4], from: &str, to: &str) {
    let at = position(blocks, kind);
    let text = String::from_utf8(unpacked(&blocks[at].1)).unwrap();
    assert!(text.contains(from), "{text}");
    blocks[at].1 = packed(text.replace(from, to).as_bytes());
}

#[track_caller]
fn check(bytes: Vec<u8>, expected: &str) {
    let file = TraceFile::from_bytes(bytes).unwrap();
    let found: Vec<String> = file.verify().iter().map(ToString::to_string).collect();
    assert!(
        found.iter().any(|item| item.contains(expected)),
        "{found:?}"
    );
}

#[track_caller]
fn check_blocks(expected: &str, change: impl FnOnce(&mut Blocks)) {
    let mut parts = blocks(&complete());
    change(&mut parts);
    check(build(parts), expected);
}

#[test]
fn what_is_whole_violates_nothing() {
    let bytes = build(blocks(&complete()));
    assert_eq!(bytes, complete());
    assert_eq!(TraceFile::from_bytes(bytes).unwrap().verify(), []);
}

#[test]
fn blocks_out_of_their_place_are_found() {
    let swap = |parts: &mut Blocks| {
        let at = position(parts, b"TRLR");
        parts.swap(at, at + 1);
    };
    check_blocks("is out of its place", swap);
    check_blocks("block HEAD at", |parts| {
        let head = parts[0].clone();
        parts.insert(position(parts, b"TRLR"), head);
    });
    check_blocks("block TRLR at", |parts| {
        let at = position(parts, b"TRLR");
        let trailer = parts[at].clone();
        parts.insert(at, trailer);
    });
    check_blocks("block PART at", |parts| {
        let at = position(parts, b"TRLR");
        parts.insert(at, (*b"PART", packed(b"{}")));
    });
}

#[test]
fn bytes_that_nothing_refers_to_are_found() {
    let mut bytes = complete();
    let end = bytes.len() - 44;
    bytes.splice(end..end, [0u8; 33]);
    check(bytes, "33 bytes at");
}

#[test]
fn copies_that_differ_are_found() {
    check_blocks("block HCPY", |parts| {
        reword(
            parts,
            b"HCPY",
            r#""producer":"test""#,
            r#""producer":"tost""#,
        );
    });
    check_blocks("it is not what it is a copy of", |parts| {
        reword(
            parts,
            b"TRLR",
            r#"{"end_reason""#,
            r#"{"part":{"origin_tsc":5},"end_reason""#,
        );
        let at = position(parts, b"CHNK");
        parts.remove(at);
        parts.insert(1, (*b"PART", packed(br#"{"origin_tsc":6}"#)));
    });
}

#[test]
fn counts_that_are_wrong_are_found() {
    check_blocks(
        "the trailer says records_written 99, but the chunks have 16",
        |parts| {
            reword(
                parts,
                b"TRLR",
                r#"["records_written",16]"#,
                r#"["records_written",99]"#,
            );
        },
    );
    check_blocks(
        "the trailer says records_lost 1, but the chunks have",
        |parts| {
            reword(
                parts,
                b"TRLR",
                r#"["records_lost","#,
                r#"["records_lost",1],["x","#,
            );
        },
    );
}

/// Changes the content of the index.
fn forge_index(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut parts = blocks(&complete());
    let at = position(&parts, b"INDX");
    let mut content = unpacked(&parts[at].1);
    change(&mut content);
    parts[at].1 = packed(&content);
    build(parts)
}

#[test]
fn an_index_that_leaves_something_out_is_found() {
    // Each chunk's kinds are one or more of 1, 7 and 40, and its threads unknown: the last list but one is of kinds.
    let forged = forge_index(|content| {
        assert_eq!(content.pop(), Some(0), "threads of the last chunk");
        let kinds = content.len() - 1;
        content[kinds] += 1;
        content.push(0);
    });
    check(forged, "the index does not list all that it holds");
    // The one block of symbols is elsewhere: after two counts, a constant column of one byte or two.
    let forged = forge_index(|content| content[4] ^= 1);
    check(forged, "it is not the chunk that the index describes");
}

#[test]
fn a_chunk_that_begins_too_early_is_found() {
    let mut parts = blocks(&complete());
    let is_second = |(kind, payload): &&mut ([u8; 4], Vec<u8>)| {
        kind == b"CHNK" && payload[..4] == [0; 4] && payload[8] == 1
    };
    let (_, payload) = parts.iter_mut().find(is_second).unwrap();
    for at in [16, 24] {
        let tsc = u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
        payload[at..at + 8].copy_from_slice(&(tsc - 1500).to_le_bytes());
    }
    parts.truncate(position(&parts, b"TRLR"));
    check(build(parts), "begins before the one before it ends");
}

#[test]
fn a_chunk_from_before_what_was_complete_is_found() {
    let up_to = |parts: &mut Blocks, tsc: u64, strange: u8| {
        let at = position(parts, b"CHNK");
        let mut payload = parts[at].1[48..52].to_vec();
        payload[0] ^= strange;
        payload.extend(tsc.to_le_bytes());
        parts.insert(at, (*b"UPTO", payload));
    };
    let whole = TraceFile::from_bytes(complete()).unwrap();
    let chunks = whole.chunks().iter();
    let with_records = chunks.filter(|chunk| chunk.record_count > 0);
    let first_tsc = with_records.map(|chunk| chunk.first_tsc).min().unwrap();
    let mut parts = blocks(&complete());
    up_to(&mut parts, first_tsc, 0);
    let late = "records from before a time up to which all was said to be there";
    let faults = TraceFile::from_bytes(build(parts)).unwrap().verify();
    assert!(!format!("{faults:?}").contains("Late"), "{faults:?}");
    check_blocks(late, |parts| up_to(parts, first_tsc + 1, 0));
    check_blocks("block UPTO at", |parts| up_to(parts, first_tsc, 1));
}

#[test]
fn symbols_of_another_recording_are_found() {
    check_blocks("block SYMB", |parts| {
        let at = position(parts, b"SYMB");
        parts[at].1[0] ^= 1;
    });
    assert!(!symbols().is_empty());
}

#[test]
fn a_repetition_of_what_is_not_sticky_is_found() {
    let schema = Schema {
        events: vec![event(1, "tick", &[])],
        enums: Vec::new(),
    };
    let options = WriterOptions {
        compression_level: 3,
    };
    let out = Cursor::new(Vec::new());
    let mut writer = TraceWriter::new(out, &header(schema), options).unwrap();
    let (mut first, mut second) = (RecordBuffer::new(0), RecordBuffer::new(0));
    first.begin(5, EventId(1)).unwrap().finish();
    second.repeat(6, &first.last_record().unwrap()).unwrap();
    let meta = ChunkMeta {
        cpu: 0,
        lost_before: 0,
    };
    writer.write_chunk(&meta, &second, |stamp| stamp).unwrap();
    let bytes = writer.finish(&Trailer::default()).unwrap().into_inner();
    check(bytes, "it repeats an event that is not sticky");
}

#[test]
fn the_index_knows_kinds_and_threads() {
    let mut context = event(
        2,
        "context",
        &[("tid", FieldKind::Unsigned), ("comm", FieldKind::Text)],
    );
    context.sticky = true;
    let schema = Schema {
        events: vec![event(1, "tick", &[]), context, event(3, "tock", &[])],
        enums: Vec::new(),
    };
    let thread = |tsc, tid| sample(tsc, 2, [support::Field::Number(tid), support::text("x")]);
    let chunk = |records: Vec<support::Sample>| support::SampleChunk {
        cpu: 0,
        lost_before: 0,
        records,
    };
    let chunks = [
        chunk(vec![thread(1, 70), sample(2, 1, [])]),
        chunk(vec![sample(3, 3, [])]),
        chunk(vec![thread(4, 80), thread(5, 90), thread(6, 95)]),
        chunk(vec![sample(7, 1, [])]),
    ];
    let bytes = support::write(&schema, &chunks, Some(&support::trailer()));
    let file = TraceFile::from_bytes(bytes).unwrap();
    assert_eq!(file.verify(), []);
    let may = |events: &[u16], threads: &[u64]| -> Vec<usize> {
        let events: Vec<EventId> = events.iter().map(|id| EventId(*id)).collect();
        (0..4)
            .filter(|index| file.may_have(*index, &events, threads))
            .collect()
    };
    assert_eq!(may(&[], &[]), [0, 1, 2, 3]);
    assert_eq!(may(&[1], &[]), [0, 3]);
    assert_eq!(may(&[3], &[]), [1]);
    assert_eq!(may(&[1, 3], &[]), [0, 1, 3]);
    // What was true before, and just before that, may still be true at the start of the next.
    assert_eq!(may(&[], &[70]), [0, 1, 2]);
    assert_eq!(may(&[], &[80]), [2]);
    assert_eq!(may(&[], &[90]), [2, 3]);
    assert_eq!(may(&[], &[95]), [2, 3]);
    assert_eq!(may(&[1], &[95]), [3]);
    assert_eq!(may(&[], &[1234]), Vec::<usize>::new());
}
