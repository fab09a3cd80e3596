//! A trace in the browser: an index of states at every scale, answers to a page's questions, and the page itself.
//!
//! Input: an opened trace. Output: pages, for a browser on this machine or in one file. Does not interpret events.
//!
//! `PROTOCOL.md` has the questions. An answer is made of what is [`Served`] and a [`Query`], without any network.

mod answer;
mod bundle;
mod events;
mod filter;
mod graph;
mod html;
pub mod index;
mod indexing;
mod query;
mod reports;
mod routes;
mod served;
mod server;

#[cfg(test)]
mod testing;

pub use answer::{Answer, Refusal};
pub use html::{HtmlError, Written, foreseen, html};
pub use indexing::{Keep, build, build_in_background, follow, follow_in_background};
pub use query::Query;
pub use routes::{Traces, answer};
pub use served::{Served, Status};
pub use server::Server;
