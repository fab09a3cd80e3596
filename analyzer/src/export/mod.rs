//! Traces in other forms: lines for people and programs, and the formats of other tools.
//!
//! `job.rs` hands the wanted records over, one at a time; a writer of a format is a `Sink`, or an `Analysis` where it
//! shows what the model made of them. None keeps events: memory holds what is known of threads and CPUs, and a buffer
//! for each.

mod chrome;
mod ctf;
mod escape;
mod firefox;
mod folded;
mod gap;
mod job;
mod labels;
mod layout;
mod line;
mod ltt;
mod meaning;
mod number;
mod pcap;
mod perfetto;
mod rows;
mod slices;
mod stack;

pub use chrome::chrome;
pub use ctf::{CtfVersion, ctf};
pub use escape::{push_csv, push_json, push_text};
pub use firefox::firefox;
pub use folded::folded;
pub use gap::{Gap, GapKind, Gaps};
pub use job::{ExportError, Exported, Job, Wanted};
pub use line::{LineFormat, LineWriter};
pub use ltt::ltt;
pub use number::seconds;
pub use pcap::pcap;
pub use perfetto::perfetto;
pub use rows::rows;
pub use stack::push_named;
