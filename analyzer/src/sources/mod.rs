//! Traces, whoever recorded them, as one stream of records in order of time.
//!
//! A source yields records of its schema and the thread that each belongs to. It does not interpret them.

mod clock;
mod context;
mod ctf;
mod detect;
mod finding;
mod following;
pub mod foreign;
mod ftrace;
mod live;
mod merge;
mod own;
mod perf;
mod perfetto;
mod record;
mod several;
mod stoppable;
mod stream;
mod symbols;
mod syscall_names;
mod trace;
mod tracedat;

pub use clock::Clock;
pub use context::Context;
pub(crate) use finding::NO_SUCH_THREAD;
pub use finding::{Finding, findings_of_file, findings_of_parts, sort_findings};
pub use following::{FollowError, Following, Found, POLL, Step};
pub use live::LiveStream;
pub(crate) use record::context_value;
pub use record::{Fields, Item, Loss, Record};
pub use several::{NamedTrace, Several, SeveralError};
pub use stoppable::Stoppable;
pub use stream::{Range, RecordStream};
pub use symbols::Symbols;
pub use trace::{Trace, TraceError};
