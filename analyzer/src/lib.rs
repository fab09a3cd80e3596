//! Traces of every source to one model, and from there to reports and exports.
//!
//! Input: a trace. Output: tables and lines of text. Does not record, and knows nothing of QEMU.

pub mod causes;
pub mod check;
pub mod export;
pub mod model;
pub mod report;
pub mod sources;
