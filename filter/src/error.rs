//! What is wrong with a filter, and where.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use crate::expr::Span;

/// A filter that cannot be used; [`fmt::Display`] shows the place in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    kind: FilterErrorKind,
    span: Span,
    text: String,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterErrorKind {
    /// A character that begins nothing.
    #[error("unexpected character {0:?}")]
    Character(char),
    /// A string without its closing quote.
    #[error("the string has no closing quote")]
    OpenString,
    /// An escape in a string that means nothing.
    #[error("unknown escape; \\n \\t \\r \\0 \\\\ \\\" \\' and \\xHH are possible")]
    Escape,
    /// A number that is not one, or that is out of range.
    #[error("not a number: {0}")]
    Number(&'static str),
    /// Something else must be here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What is possible here.
        expected: &'static str,
        /// What is here.
        found: String,
    },
    /// More parentheses and negations than any reader can follow.
    #[error("nested more than {max} deep")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// No event of the trace has such a field.
    #[error("no event has a field {name:?}{}", DidYouMean(suggestion.as_deref()))]
    UnknownField {
        /// The name.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
    /// A bare word beside text, which is no field either.
    #[error("no event has a field {name:?}: text must be quoted")]
    Unquoted {
        /// The word.
        name: String,
    },
    /// The event named has no such field.
    #[error("event {event:?} has no field {name:?}{}", DidYouMean(suggestion.as_deref()))]
    UnknownFieldOf {
        /// The event.
        event: String,
        /// The name.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
    /// There is no such event, category or value of an enumeration.
    #[error("there is no {what} {name:?}{}", DidYouMean(suggestion.as_deref()))]
    UnknownValue {
        /// What the name should be one of.
        what: String,
        /// The name.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
    /// Both sides of a comparison are of different types.
    #[error("cannot compare {left} with {right}")]
    Types {
        /// Type of the left side.
        left: &'static str,
        /// Type of the right side.
        right: &'static str,
    },
    /// The operator is not possible for that type.
    #[error("{operator} is not possible for {operand}")]
    Operator {
        /// The operator.
        operator: &'static str,
        /// Type of the left side.
        operand: &'static str,
    },
    /// A number's suffix does not fit the unit of the field.
    #[error("the field is in {unit}: the number's suffix does not fit")]
    Unit {
        /// Unit of the field.
        unit: String,
    },
    /// What only a running guest tells.
    #[error("\"current.{name}\" is known only while recording: use it in `record --filter`")]
    NoLongerKnown {
        /// The name after `current.`.
        name: String,
    },
    /// A comparison of two constants.
    #[error("there is no field in this comparison")]
    Constant,
}

struct DidYouMean<'a>(Option<&'a str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(out, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

impl FilterError {
    pub(crate) fn new(kind: FilterErrorKind, span: Span, text: &str) -> Self {
        Self {
            kind,
            span,
            text: text.to_owned(),
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &FilterErrorKind {
        &self.kind
    }

    /// Where in the text, in bytes.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The line of the text with the start of the span, the number of characters before the span and those in it.
    fn place(&self) -> (&str, usize, usize) {
        let start = self.span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let line_end = line_start + line.len();
        let column = self
            .text
            .get(line_start..start)
            .unwrap_or("")
            .chars()
            .count();
        let inside = self
            .text
            .get(start..self.span.end.clamp(start, line_end.max(start)));
        (line, column, inside.unwrap_or("").chars().count().max(1))
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column, width) = self.place();
        writeln!(out, "{}", self.kind)?;
        let line = format!("  {}", line.replace(char::is_control, " "));
        writeln!(out, "{}", line.trim_end())?;
        write!(out, "  {:column$}{}", "", "^".repeat(width))
    }
}

impl std::error::Error for FilterError {}
