//! One filter grammar over schema-typed records.
//!
//! Input: the text of a condition and the schema of a trace. Output: whether a record matches.
//! Does not know where records come from: they are seen through [`Row`].
//!
//! ```text
//! filter     = and (("||" | "or") and)*
//! and        = not (("&&" | "and") not)*
//! not        = ("!" | "not")* ("(" filter ")" | test)
//! test       = value (operator value | ["not"] "in" "(" value ("," value)* ")")?
//! operator   = "==" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "~"
//! value      = name | number | string | "true" | "false"
//! name       = identifier ("." identifier)?
//! number     = ["-"] (digits ["." digits] [suffix] | "0x" hexdigits)      "_" may separate digits
//! suffix     = "ns" | "us" | "ms" | "s" | "B" | "KiB" | "MiB" | "GiB" | "TiB"
//! string     = '"' ... '"' | "'" ... "'"                                  \n \t \r \0 \\ \" \' \xHH
//! ```
//!
//! - **Names**: `event` and `category` are those of the record's event; `cpu`, `pid`, `tid`, `comm`, `time`
//!   (nanoseconds since the start of the trace) and `tsc` are its context. Any other name is a field of the event.
//!   `sched_waking.pid` is the field of that event only, `event.pid` the field of whatever event has one, even where
//!   the bare name is context.
//! - **While a guest runs** the thread that runs tells more: `current.uid`, `current.gid`, `current.ppid`,
//!   `current.pgrp`, `current.sid`, `current.cgroup`, `current.cgroup_id`; and `current.followed`.
//! - **What an event does not have** makes the test false, and so does a field that could not be fetched. So
//!   `prev_pid != 1` holds only for events with a `prev_pid`, but `!(prev_pid == 1)` holds for all others too. A name
//!   that no event of the schema has is an error.
//! - **Numbers** are compared by value, whatever their width and sign. A hexadecimal number means its 64 bits, so that
//!   it can equal a signed field. A suffix is converted to the unit of the field: `size > 4KiB`, `delay >= 1.5ms`.
//! - **Values of an enumeration** go by name, quoted or bare: `state == running`. Names of events and categories too.
//! - **`=~`**, or `~` as in ftrace, matches text against a pattern: without `*` and `?` the pattern may occur anywhere, with them it must
//!   match the whole text, `*` being any bytes and `?` any one byte; a backslash takes the next byte as it is.
//!   On enumerations, `event` and `category` it matches their names.
//! - **A name alone** is true when it is a number but 0, or text but empty.

// In the order in which to read them; rustfmt sorts what has no blank line between.
mod row;

mod filter;

mod expr;
mod lexer;
mod number;
mod parser;

mod bind;
mod operand;

mod bound;
mod pattern;

mod error;
mod suggest;

pub use bound::{BoundFilter, Source};
pub use error::{FilterError, FilterErrorKind};
pub use filter::Filter;
pub use row::{Context, Row};
pub use suggest::nearest;
