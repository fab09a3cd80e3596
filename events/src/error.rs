//! Why an event table is refused.

use crate::hook::HookError;

/// Why an event table is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Not TOML, or not of the table's shape.
    #[error("{file}: {source}")]
    Syntax {
        /// The file.
        file: String,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A row breaks a rule.
    #[error("{file}:{line}: {row}: {problem}")]
    Row {
        /// The file.
        file: String,
        /// Line of the row, from 1.
        line: usize,
        /// The row, such as `event "sched_switch"`.
        row: String,
        /// The rule.
        #[source]
        problem: RowProblem,
    },
}

/// A rule that a row breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message is its documentation")]
pub enum RowProblem {
    /// The event whose sites a row takes is not above it, or the row has sites of its own.
    #[error("`like = {name:?}` needs an event of that name above this one, and no hooks here")]
    BadLike {
        /// The name.
        name: String,
    },
    /// The event whose fields a row takes is not above it.
    #[error("`fields_like = {name:?}` needs an event of that name above this one")]
    BadFieldsLike {
        /// The name.
        name: String,
    },
    #[error("{name:?} is not a name: a small letter, then small letters, digits and underscores")]
    BadName { name: String },
    #[error("id {id} is that of {other:?}")]
    DuplicateId { id: u16, other: String },
    #[error("id {id} is kept for events without an id in their row; take one below {first}")]
    ReservedId { id: u16, first: u16 },
    #[error("there are no ids left")]
    OutOfIds,
    #[error("the name is taken by a row in the category {category:?}")]
    DuplicateEvent { category: String },
    #[error("the name is taken by another enumeration")]
    DuplicateEnum,
    #[error("the names {name:?} of two fields or bindings are the same")]
    DuplicateField { name: String },
    #[error("no sentence (doc) for {of}")]
    NoDoc { of: String },
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("no hooks, or a site without")]
    NoHooks,
    #[error("{count} fields, at most {max} are possible")]
    TooManyFields { count: usize, max: usize },
    #[error(
        "field {field:?} has the unknown type {type_name:?}: one of u64, i64, hex, bool, tid, pid, cpu, string, bytes, enum:NAME"
    )]
    BadType { field: String, type_name: String },
    #[error("field {field:?} refers to the unknown enumeration {name:?}")]
    UnknownEnum { field: String, name: String },
    #[error("{name:?} has no expression, and site {site} sets none")]
    NoExpression { name: String, site: usize },
    #[error("site {site} sets {name:?}, which is neither a field nor a binding")]
    SetsUnknown { name: String, site: usize },
    #[error("binding {text:?} is neither NAME = EXPRESSION nor NAME")]
    BadBinding { text: String },
    #[error("end = {text:?} is none of power_off, restart, halt, panic")]
    BadEnd { text: String },
    #[error("{key:?} is not a number")]
    BadEnumValue { key: String },
    #[error("{source:?} is none of syscalls:x64, syscalls:ia32", source = text)]
    BadEnumSource { text: String },
    #[error("either values or a source, and not both")]
    BadEnumShape,
}
