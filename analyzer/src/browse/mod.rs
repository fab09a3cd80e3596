//! Going through a trace in both directions, however large it is.
//!
//! Input: a trace. Output: its events one by one, forward, backward and from any time; when CPUs go from user code into the
//! kernel and back. Memory holds the events of one stretch, between the starts of two chunks.
//! `docs/library.md` is a tour.

mod browser;
mod event;
mod transitions;

pub use browser::Browser;
pub use event::{Event, FieldValue};
pub use transitions::{Transition, transitions};
