//! The event table: what can be recorded, each event defined exactly once, in `linux/*.toml`.
//!
//! Input: TOML text. Output: checked rows. Expressions are carried as text: the plan compiler understands them.
//! Invariant: a row that was accepted has a unique id and name, well-formed hooks, and no dangling reference.

mod check;
mod error;
mod hook;
mod raw;
mod row;
mod table;

pub use error::{EventError, RowProblem};
pub use hook::{Hook, HookError};
pub use row::{
    BindRow, EndRow, EnumRow, EnumValues, EventRow, FieldRow, FieldType, SiteRow, Source,
};
pub use table::{EventTable, TRACEPOINT_ID_FIRST, USER_ID_FIRST};
