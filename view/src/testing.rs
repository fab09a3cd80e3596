//! What tests of several answers share: traces from scripts, served, and questions about them.

#[path = "../../analyzer/tests/support/synthetic.rs"]
mod synthetic;

use std::path::{Path, PathBuf};

use analyzer::sources::Trace;
use serde_json::Value;
use trace_format::TraceFile;

use crate::answer::{Answer, Refusal};
use crate::indexing::{Keep, build};
use crate::query::Query;
use crate::served::Served;

/// A file among the analyzer's golden ones.
pub(crate) fn golden_file(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../analyzer/tests/golden");
    golden.join(name)
}

/// One of the analyzer's golden scripts.
pub(crate) fn golden(name: &str) -> String {
    std::fs::read_to_string(golden_file(name).with_extension("script")).unwrap()
}

/// A script as a trace that is served, with at most so many records in a chunk.
pub(crate) fn served(script: &str, chunk_records: usize) -> Served {
    let file = TraceFile::from_bytes(synthetic::trace(script, chunk_records)).unwrap();
    let served = Served::new("test.bin".to_owned(), Vec::new(), Trace::Own(file));
    build(&served, Keep::Nowhere).unwrap();
    served
}

/// A question with those names and values.
pub(crate) fn query(pairs: &[(&str, &str)]) -> Query {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Query::new(pairs.collect())
}

/// What is answered to one.
pub(crate) fn ask(
    served: &Served,
    question: fn(&Served, &Query) -> Result<Answer, Refusal>,
    pairs: &[(&str, &str)],
) -> Value {
    let answer = question(served, &query(pairs)).unwrap();
    serde_json::from_slice(&answer.bytes).unwrap()
}
