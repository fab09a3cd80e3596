//! What is written comes back.

mod support;

use support::{header, read_all, schema, small_chunks, trailer, write};
use trace_format::TraceFile;

#[test]
fn complete_file_comes_back_whole() {
    let bytes = write(&schema(), &small_chunks(), Some(&trailer()));
    let file = TraceFile::from_bytes(bytes).unwrap();
    assert_eq!(file.diagnostics(), []);
    assert_eq!(file.verify(), []);
    assert_eq!(file.header(), &header(schema()));
    assert_eq!(file.trailer(), Some(&trailer()));
    assert_eq!(read_all(&file), small_chunks());
    let sequences: Vec<_> = file
        .chunks()
        .iter()
        .map(|chunk| (chunk.cpu, chunk.sequence))
        .collect();
    assert_eq!(sequences, [(0, 0), (1, 0), (0, 1)]);
}
