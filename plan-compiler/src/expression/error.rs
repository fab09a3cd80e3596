//! Why an expression cannot be compiled.

use std::fmt;

/// Why an expression cannot be compiled, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {problem}", at + 1)]
pub struct ExprError {
    /// Character of the text, counted from 0.
    pub at: usize,
    /// What is wrong there.
    pub problem: ExprProblem,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message is its documentation")]
pub enum ExprProblem {
    #[error("{found:?} is not part of the language")]
    BadCharacter { found: char },
    #[error("{text:?} is not a number")]
    BadNumber { text: String },
    #[error("`{name}` is not a register{}", Hint(.suggestion))]
    UnknownRegister {
        name: String,
        suggestion: Option<String>,
    },
    #[error("{expected} expected, found {found}")]
    Expected {
        expected: &'static str,
        found: String,
    },
    #[error("the expression is nested too deeply")]
    TooDeep,
    #[error(
        "there is no function `{name}` in the language{}",
        Known(.suggestion, "it has", &["container_of", "offsetof", "sizeof", "percpu", "string", "bytes", "stack", "either"])
    )]
    UnknownFunction {
        name: String,
        suggestion: Option<String>,
    },
    #[error("unknown name `{name}`{}", Known(.suggestion, "known here are", .arguments))]
    UnknownName {
        name: String,
        suggestion: Option<String>,
        arguments: Vec<String>,
    },
    #[error("unknown type `{name}`{}", Hint(.suggestion))]
    UnknownType {
        name: String,
        suggestion: Option<String>,
    },
    #[error("{of} has no field `{field}`{}", Known(.suggestion, "it has", .fields))]
    UnknownField {
        of: String,
        field: String,
        suggestion: Option<String>,
        fields: Vec<String>,
    },
    #[error("`{name}` is a per-CPU variable; write percpu({name})")]
    NeedsPerCpu { name: String },
    #[error("the kernel has no per-CPU variable `{name}`{}", Hint(.suggestion))]
    UnknownPerCpu {
        name: String,
        suggestion: Option<String>,
    },
    #[error("the kernel's current thread is found neither in current_task nor in pcpu_hot")]
    NoCurrent,
    #[error("`{name}` has no value here: {reason}")]
    NoArgument { name: String, reason: String },
    #[error("{operator} needs {needs}, not {found}")]
    BadOperand {
        operator: &'static str,
        needs: &'static str,
        found: String,
    },
    #[error("{found} is a pointer: write -> instead of .")]
    NeedsArrow { found: String },
    #[error("{found} is no number; choose a field of it")]
    NotScalar { found: String },
    #[error("{name} is declared but not defined in this kernel's types")]
    Incomplete { name: String },
    #[error("signed division is not possible; cast to an unsigned type")]
    SignedDivision,
    #[error("division by the constant 0")]
    DivisionByZero,
    #[error("string(), bytes() and stack() make a whole field and cannot be part of a calculation")]
    TextInside,
    #[error("the field needs {expected}")]
    WrongOutput { expected: &'static str },
    #[error("a string or run of bytes has at most {max} bytes")]
    TooLong { max: u16 },
    #[error("a stack has 1 to {max} frames")]
    TooManyFrames { max: u8 },
    #[error("the kernel's stack cannot be followed here: {reason}")]
    NoStacks { reason: String },
    #[error("the expression is too long: a jump over {steps} steps")]
    JumpTooFar { steps: usize },
    #[error("more than {max} shared expressions are in use")]
    TooManyBindings { max: usize },
}

/// The end of a message that knows a better name, or all names when they are few.
struct Known<'a, T>(&'a Option<String>, &'static str, &'a [T]);

/// A list of more names helps nobody.
const NAMES_MAX: usize = 12;

impl<T: AsRef<str>> fmt::Display for Known<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(suggestion, what, names) = self;
        if suggestion.is_some() || names.is_empty() || names.len() > NAMES_MAX {
            return Hint(suggestion).fmt(f);
        }
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        write!(f, "; {what} {}", names.join(", "))
    }
}

/// The end of a message that knows a better name.
struct Hint<'a>(&'a Option<String>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}
