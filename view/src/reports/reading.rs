//! A trace while it is read for one answer: no longer than somebody waits for it.

use std::sync::Arc;

use analyzer::sources::{Stoppable, Trace};

use crate::query::Query;
use crate::served::Served;

/// A trace whose streams end when nobody waits for the answer any more.
pub(crate) fn reading(served: &Served, query: &Query) -> Trace {
    Trace::Stoppable(Stoppable::new(served.trace(), Arc::clone(query.stop())))
}
