//! Events as the kernel's own tracer describes them: the text of event formats, which trace.dat and perf.data carry, as
//! schema and places of fields.
//!
//! The texts are those of `/sys/kernel/tracing/events/*/*/format` (`kernel/trace/trace_events.c`), since 2.6.30. How
//! an event is printed is not interpreted; what it says of fields (hexadecimal, names of values) is taken where that is plain.

mod bytes;
mod expression;
mod format;
mod place;
mod print;
mod schema;

pub(super) use bytes::{Bytes, lossy};
pub(super) use format::EventFormat;
pub(super) use place::Columns;
pub(super) use schema::{EventTable, Machine, kernel_alias};
