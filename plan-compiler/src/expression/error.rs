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
    #[error("{name:?} is not a register")]
    UnknownRegister { name: String },
    #[error("{expected} expected, found {found}")]
    Expected {
        expected: &'static str,
        found: String,
    },
    #[error("the expression is nested too deeply")]
    TooDeep,
    #[error(
        "there is no function {name:?} in the language: container_of, offsetof, sizeof, percpu, string, bytes, either"
    )]
    UnknownFunction { name: String },
    #[error("unknown name `{name}`{}", Hint(.suggestion))]
    UnknownName {
        name: String,
        suggestion: Option<String>,
    },
    #[error("unknown type `{name}`{}", Hint(.suggestion))]
    UnknownType {
        name: String,
        suggestion: Option<String>,
    },
    #[error("{of} has no field `{field}`{}", Hint(.suggestion))]
    UnknownField {
        of: String,
        field: String,
        suggestion: Option<String>,
    },
    #[error("`{name}` is a per-CPU variable; write percpu({name})")]
    NeedsPerCpu { name: String },
    #[error("the kernel has no per-CPU variable `{name}`")]
    UnknownPerCpu { name: String },
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
    #[error("{found} is no number; choose a field of it")]
    NotScalar { found: String },
    #[error("{name} is declared but not defined in this kernel's types")]
    Incomplete { name: String },
    #[error("signed division is not possible; cast to an unsigned type")]
    SignedDivision,
    #[error("division by the constant 0")]
    DivisionByZero,
    #[error("string() and bytes() make a whole field and cannot be part of a calculation")]
    TextInside,
    #[error("the field needs {expected}")]
    WrongOutput { expected: &'static str },
    #[error("a string or run of bytes has at most {max} bytes")]
    TooLong { max: u16 },
    #[error("the expression is too long: a jump over {steps} steps")]
    JumpTooFar { steps: usize },
    #[error("more than {max} shared expressions are in use")]
    TooManyBindings { max: usize },
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
