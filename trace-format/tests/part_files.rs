//! A recording in several files is one recording; what is missing of it is said, and what is not of it is left out.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use support::{SampleChunk, header, push, read_all, schema, small_chunks, symbols, trailer};
use trace_format::{
    ChunkMeta, Counter, Diagnostic, END_CONTINUED, Piece, RecordBuffer, TraceFile, TraceWriter,
    Trailer, WriterOptions, is_later_part, later_part_files, part_path,
};

fn write_chunk(writer: &mut TraceWriter<File>, chunk: &SampleChunk) {
    let mut buffer = RecordBuffer::new(0);
    for record in &chunk.records {
        push(&mut buffer, &schema(), record).unwrap();
    }
    let meta = ChunkMeta {
        cpu: chunk.cpu,
        lost_before: chunk.lost_before,
    };
    writer.write_chunk(&meta, &buffer, |stamp| stamp).unwrap();
}

/// A recording with each chunk in a file of its own.
fn write(dir: &Path, chunks: &[SampleChunk]) -> PathBuf {
    let first = dir.join("out.bin");
    let piece = Piece {
        number: Some(0),
        ..Piece::default()
    };
    let options = WriterOptions {
        compression_level: 3,
    };
    let out = File::create(&first).unwrap();
    let mut writer = TraceWriter::of_part(out, &header(schema()), options, Some(piece)).unwrap();
    writer.write_symbols(support::SLIDE, &symbols()).unwrap();
    for (number, chunk) in (0..).zip(chunks) {
        if number > 0 {
            let next = File::create(part_path(&first, number)).unwrap();
            writer.continue_in(next).unwrap();
        }
        write_chunk(&mut writer, chunk);
    }
    let mut end = trailer();
    let records = chunks.iter().map(|chunk| chunk.records.len() as u64).sum();
    let lost = chunks.iter().map(|chunk| chunk.lost_before).sum();
    end.stats.set(Counter::RecordsWritten, records);
    end.stats.set(Counter::RecordsLost, lost);
    writer.finish(&end).unwrap();
    first
}

fn says(file: &TraceFile, what: &str) -> bool {
    file.diagnostics()
        .iter()
        .any(|item| item.to_string().contains(what))
}

#[test]
fn files_have_numbers_in_their_names() {
    let name = |first: &str, number| part_path(Path::new(first), number).display().to_string();
    assert_eq!(name("a/out.bin", 0), "a/out.bin");
    assert_eq!(name("a/out.bin", 12), "a/out.12.bin");
    assert_eq!(name("out", 1), "out.1");
    assert_eq!(name("a.b/my.out.bin", 1), "a.b/my.out.1.bin");
}

#[test]
fn the_first_file_stands_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let chunks = small_chunks();
    let first = write(dir.path(), &chunks);
    let file = TraceFile::open(&first).unwrap();
    assert_eq!(file.file_count(), chunks.len());
    assert_eq!(read_all(&file), chunks);
    assert_eq!(file.verify(), []);
    assert_eq!(file.part(), None);
    assert_eq!(file.symbols().symbols, symbols());
    let records: usize = chunks.iter().map(|chunk| chunk.records.len()).sum();
    let stats = &file.trailer().unwrap().stats;
    assert_eq!(stats.get(Counter::RecordsWritten), records as u64);
    // Each can be read alone, with the time and the names of the whole.
    let later = later_part_files(&first);
    assert_eq!(later.len() + 1, chunks.len());
    assert!(later.iter().all(|path| is_later_part(path)) && !is_later_part(&first));
    for (path, chunk) in later.iter().zip(&chunks[1..]) {
        let own = TraceFile::open(path).unwrap();
        assert_eq!(read_all(&own), std::slice::from_ref(chunk));
        assert_eq!(own.verify(), []);
        assert_eq!(own.origin_tsc(), file.origin_tsc());
        assert_eq!(own.symbols(), file.symbols());
    }
    let alone = TraceFile::open_alone(&first).unwrap();
    assert_eq!(read_all(&alone), chunks[..1]);
    assert_eq!(alone.trailer().unwrap().end_reason, END_CONTINUED);
}

#[test]
fn a_missing_file_is_a_gap_that_is_said() {
    let chunks = small_chunks();
    for missing in 1..u32::try_from(chunks.len()).unwrap() {
        let dir = tempfile::tempdir().unwrap();
        let first = write(dir.path(), &chunks);
        fs::remove_file(part_path(&first, missing)).unwrap();
        let file = TraceFile::open(&first).unwrap();
        let is_last = missing as usize == chunks.len() - 1;
        let mut rest = chunks.clone();
        let lost = rest.remove(missing as usize);
        assert_eq!(read_all(&file), rest);
        let contents = |item: &Diagnostic| item.to_string().contains("does not list");
        assert!(!file.verify().iter().any(contents));
        assert!(says(
            &file,
            &format!("file {missing} of the recording is missing")
        ));
        assert_eq!(file.trailer().is_none(), is_last);
        let goes_on = rest[missing as usize..]
            .iter()
            .any(|chunk| chunk.cpu == lost.cpu);
        assert_eq!(
            says(&file, "1 chunks are missing"),
            goes_on,
            "{:?}",
            file.diagnostics()
        );
    }
}

#[test]
fn files_of_another_run_are_left_out() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let chunks = small_chunks();
    let first = write(dir.path(), &chunks);
    // The same command, so the same identity, but other stamps in the first file.
    let mut moved = chunks.clone();
    for record in &mut moved[0].records {
        record.tsc -= 1;
    }
    let foreign = write(other.path(), &moved);
    fs::copy(part_path(&foreign, 1), part_path(&first, 1)).unwrap();
    let file = TraceFile::open(&first).unwrap();
    assert!(
        says(&file, "file 1 of the recording does not follow"),
        "{:?}",
        file.diagnostics()
    );
    assert!(!read_all(&file).contains(&chunks[1]));
    // A file of that name that is no trace, and one with another number.
    fs::write(part_path(&first, 1), "text").unwrap();
    assert!(says(
        &TraceFile::open(&first).unwrap(),
        "file 1 of the recording cannot be read"
    ));
    fs::copy(part_path(&first, 2), part_path(&first, 1)).unwrap();
    assert!(says(
        &TraceFile::open(&first).unwrap(),
        "file 1 of the recording does not follow"
    ));
}

#[test]
fn what_was_killed_in_a_later_file_is_read_so_far() {
    let dir = tempfile::tempdir().unwrap();
    let chunks = small_chunks();
    let first = write(dir.path(), &chunks);
    let last = part_path(&first, u32::try_from(chunks.len()).unwrap() - 1);
    let bytes = fs::read(&last).unwrap();
    let whole = bytes.len();
    let partial = PathBuf::from(format!("{}.partial", last.display()));
    fs::remove_file(&last).unwrap();
    for cut in (0..whole).step_by(7) {
        fs::write(&partial, &bytes[..cut]).unwrap();
        let file = TraceFile::open(&first).unwrap();
        let read = read_all(&file);
        assert!(
            read == chunks || read == chunks[..chunks.len() - 1],
            "cut at {cut}"
        );
        assert!(
            !file.diagnostics().is_empty() && !file.verify().is_empty(),
            "cut at {cut}"
        );
        assert_eq!(
            file.trailer().is_none(),
            file.trailer().is_none_or(|_| false)
        );
    }
}

#[test]
fn any_flip_in_a_later_file_costs_that_file_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let chunks = small_chunks();
    let first = write(dir.path(), &chunks);
    let second = part_path(&first, 1);
    let bytes = fs::read(&second).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&second, &flipped).unwrap();
        let file = TraceFile::open(&first).unwrap();
        let read = read_all(&file);
        assert!(read.iter().all(|chunk| chunks.contains(chunk)), "byte {at}");
        assert!(
            read.len() + 1 >= chunks.len(),
            "byte {at}: {:?}",
            file.diagnostics()
        );
        let found = file.verify();
        assert!(!found.is_empty(), "byte {at}: not noticed");
        let is_told = found
            .iter()
            .any(|item: &Diagnostic| item.severity() >= trace_format::Severity::DataLoss);
        assert!(
            read.len() == chunks.len() || is_told,
            "byte {at}: {found:?}"
        );
    }
}

#[test]
fn an_empty_recording_in_several_files_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(dir.path(), &[]);
    let file = TraceFile::open(&first).unwrap();
    assert_eq!((file.file_count(), file.chunks().len()), (1, 0));
    assert_eq!(file.verify(), []);
    assert_eq!(Trailer::default().part, None);
}
