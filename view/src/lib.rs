//! A trace in the browser: an index of states at every scale, answers to a page's questions, and the page itself.
//!
//! Input: an opened trace. Output: pages, for a browser on this machine or in one file. Does not interpret events.
//!
//! `PROTOCOL.md` has the questions. An answer is made of what is [`Served`] and a [`Query`], without any network.

mod answer;
pub mod index;
mod query;
mod served;

pub use answer::{Answer, Refusal};
pub use query::Query;
pub use served::Served;
