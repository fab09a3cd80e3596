//! SQL over traces: tables whose rows are read from a trace while a query runs.
//!
//! Input: a trace and a query. Output: rows. What events mean is said by the model of `analyzer`; planning and running
//! queries is DataFusion's business.

// In the order in which to read them; rustfmt sorts what has no blank line between.
mod opened;

mod column;

mod rows;

pub mod tables;

mod constraints;

mod provider;

mod functions;

mod session;

mod dataset;

mod export;

mod describe;

mod output;

mod prompt;

mod failure;

pub use column::{Column, Kind};
pub use describe::{document, table_text};
pub use export::{ExportOptions, export};
pub use failure::{BAD_DATA, Failure, USAGE, report};
pub use opened::Opened;
pub use output::{Format, Sink, write};
pub use prompt::prompt;
pub use session::{Limits, Session};
