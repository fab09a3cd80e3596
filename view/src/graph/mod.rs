//! Answers from the index: what there is, spans, arrows, sums, rates, latencies.

mod about;
mod choice;
mod numbers;
mod spans;
mod wire;

pub(crate) use about::{meta, meta_value, rows, rows_value};
pub(crate) use numbers::{histogram, latencies, statistics, sums_of};
pub(crate) use spans::{arrows, at, next, spans};
