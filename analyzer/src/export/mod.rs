//! Records as lines: text for people, JSON and CSV for programs.

mod escape;
mod layout;
mod line;
mod number;
mod stack;

pub use escape::{push_csv, push_json, push_text};
pub use line::{LineFormat, LineWriter};
