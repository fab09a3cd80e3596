//! Records as lines: text for people, JSON and CSV for programs.

mod escape;
mod gap;
mod layout;
mod line;
mod number;
mod stack;

pub use escape::{push_csv, push_json, push_text};
pub use gap::{Gap, GapKind, Gaps};
pub use line::{LineFormat, LineWriter};
pub use number::seconds;
