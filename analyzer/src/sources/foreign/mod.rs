//! Traces of other tracers: what each format has to provide, and what is the same for all of them.
//!
//! A format decodes: it gives a [`Description`] of the whole trace and [`Lane`]s of events, each in order of time. Everything
//! else is done here: lanes become one stream, every event gets the thread that it belongs to, clocks that go backward
//! are told. What events mean to the model is said by [`Aliases`](crate::model::Aliases), as far as it can be in tables
//! (`dialect.rs`).
//!
//! Files of others are hostile input: a lane that cannot be read on ends with a finding, and never panics.

mod description;
mod dialect;
mod laid;
mod lane;
mod merge;
mod names;
mod opened;
mod raw;
mod threads;

pub use description::{Description, Fact, KnownThread};
pub(super) use dialect::Dialect;
pub use laid::{Laid, Layout, Place, PlaceKind};
pub use lane::{Head, Lane, LaneLoss, Step};
pub use opened::Foreign;
pub use raw::{Raw, RawRow, RawValues};

use std::fmt::Debug;

use super::stream::Range;
use super::trace::TraceError;

/// A trace of another tracer, opened.
pub trait ForeignTrace: Debug + Send + Sync {
    /// What is known of it without reading its events.
    fn description(&self) -> &Description;

    /// Its events, in lanes. What lies outside the range may be skipped, but for events that say which threads there
    /// are.
    ///
    /// # Errors
    /// When it cannot be read at all.
    fn lanes(&self, range: &Range) -> Result<Vec<Box<dyn Lane + '_>>, TraceError>;

    /// Ticks at which the trace can be cut into pages that fit into memory, ascending: where it can be read from without
    /// reading what is before.
    fn page_starts(&self) -> Vec<u64> {
        Vec::new()
    }
}
