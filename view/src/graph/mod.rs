//! Answers from the index: what there is, spans, arrows, sums, rates, latencies.

mod about;
mod choice;
mod numbers;
mod spans;
mod wire;

pub(crate) use about::{meta, rows};
pub(crate) use numbers::{histogram, latencies, statistics};
pub(crate) use spans::{arrows, at, next, spans};
