//! What is wrong with a file of rules, and where.

use std::fmt;
use std::ops::Range;

use guesttrace_filter::FilterError;
use thiserror::Error;

/// Rules that cannot be used; [`fmt::Display`] shows the place in their file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    problem: Box<RulesProblem>,
    line: usize,
    /// The text of the line, where the place in it begins and how long it is, in characters.
    place: Option<(String, usize, usize)>,
}

/// What is wrong with rules.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message is its documentation")]
pub enum RulesProblem {
    #[error("{message}")]
    Syntax { message: String },
    #[error("the file has more than {max} bytes")]
    TooLong { max: usize },
    #[error("there are more than {max} rules")]
    TooMany { max: usize },
    #[error("there is no rule in it\nhint: a rule begins with one of {sections}")]
    Empty { sections: String },
    #[error("there is no {what} {name:?}{}", Names { suggestion, hint })]
    Unknown {
        what: String,
        name: String,
        suggestion: Option<String>,
        hint: String,
    },
    #[error("{section} needs {key:?}\nhint: {hint}")]
    Missing {
        section: &'static str,
        key: &'static str,
        hint: &'static str,
    },
    #[error("{section} says nothing that could be broken\nhint: give it one of {keys}")]
    Unlimited {
        section: &'static str,
        keys: &'static str,
    },
    #[error("{key:?} has to be {expected}, this is {found}")]
    Type {
        key: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("{text:?} is not a time\nhint: write 1.5s, 200ms, 15us or 7ns, in quotes")]
    Time { text: String },
    #[error("{text:?} is not a number\nhint: write 3, \"20%\", or a time such as \"5ms\"")]
    Amount { text: String },
    #[error("{key:?} is {found}, but what it limits is {unit}")]
    Unit {
        key: &'static str,
        found: &'static str,
        unit: &'static str,
    },
    #[error("{one:?} and {other:?} do not go together")]
    Conflict {
        one: &'static str,
        other: &'static str,
    },
    #[error("\"from\" is later than \"to\"\nhint: both count from the start of the trace")]
    Backwards,
    #[error("{key:?} cannot be understood: {source}")]
    Filter {
        key: &'static str,
        source: FilterError,
    },
    #[error("{key:?} does not fit this trace: {source}")]
    Binding {
        key: &'static str,
        source: FilterError,
    },
    #[error(
        "{key:?} has to name something that the events have, such as \"tid\" or \"sched_waking.pid\""
    )]
    Bare { key: &'static str },
    #[error("\"key\" has to be a name of letters, digits and underscores")]
    Key,
    #[error("two questions have the key {key:?}")]
    TwoKeys { key: String },
    #[error("\"points\" has to be at most {max}")]
    TooManyPoints { max: u32 },
    #[error("the report {report:?} has several tables\nhint: say which with \"table\": {names}")]
    NoTable { report: &'static str, names: String },
}

struct Names<'a> {
    suggestion: &'a Option<String>,
    hint: &'a str,
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.suggestion {
            write!(out, "; did you mean {name:?}?")?;
        }
        write!(out, "\nhint: {}", self.hint)
    }
}

impl RulesProblem {
    /// A name that there is none of.
    pub(super) fn unknown<'a>(
        what: impl Into<String>,
        name: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        Self::Unknown {
            what: what.into(),
            name: name.to_owned(),
            suggestion: guesttrace_filter::nearest(name, names.iter().copied()),
            hint: format!("there are {}", names.join(", ")),
        }
    }
}

impl RulesProblem {
    /// The same, with something else to do about it than to look at all names.
    pub(super) fn with_hint(mut self, text: &str) -> Self {
        if let Self::Unknown { hint, .. } = &mut self {
            text.clone_into(hint);
        }
        self
    }
}

impl RulesError {
    /// Something wrong at a place of the text.
    pub(super) fn at(problem: RulesProblem, text: &str, span: &Range<usize>) -> Self {
        let start = (0..=span.start.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let column = text[line_start..start].chars().count();
        let inside = text.get(start..span.end.min(line_start + line.len()).max(start));
        let width = inside.map_or(1, |inside| inside.chars().count().max(1));
        Self {
            problem: Box::new(problem),
            line: line_number(text, start),
            place: Some((line.replace(char::is_control, " "), column, width)),
        }
    }

    /// Something wrong with what a line says, found out later.
    pub(super) fn in_line(problem: RulesProblem, line: usize) -> Self {
        Self {
            problem: Box::new(problem),
            line,
            place: None,
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &RulesProblem {
        &self.problem
    }

    /// Line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Number of the line in which a place of the text is, from 1.
pub(super) fn line_number(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

impl fmt::Display for RulesError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.problem.to_string();
        // The hint goes below the place; a filter shows its own place.
        let (message, hint) = match message.split_once("\nhint: ") {
            Some((message, hint)) => (message, Some(hint)),
            None => (message.as_str(), None),
        };
        write!(out, "line {}: {message}", self.line)?;
        if let Some((line, column, width)) = &self.place {
            write!(out, "\n  {}\n", line.trim_end())?;
            write!(out, "  {:column$}{}", "", "^".repeat(*width))?;
        }
        match hint {
            Some(hint) => write!(out, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RulesError {}

/// What is wrong with a file of answers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message is its documentation")]
pub enum AnswersError {
    #[error("line {line}: {message}\nhint: a line of answers is key = \"text\" or key = 12")]
    Syntax { message: String, line: usize },
    #[error("the file has more than {max} bytes")]
    TooLong { max: usize },
    #[error("{key:?} has to be text in quotes or a number, this is {found}")]
    Type { key: String, found: &'static str },
    #[error("there is no question {key:?}{}", Names { suggestion, hint })]
    Unknown {
        key: String,
        suggestion: Option<String>,
        hint: String,
    },
    #[error(
        "there are answers, but the rules ask nothing\nhint: a question is a section [[answer]] of the rules"
    )]
    NoQuestions,
}

impl AnswersError {
    pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Self {
        Self::Syntax {
            message: error.message().replace('\n', ", "),
            line: line_number(text, error.span().map_or(0, |span| span.start)),
        }
    }

    pub(super) fn unknown<'a>(key: String, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys: Vec<&str> = keys.into_iter().collect();
        Self::Unknown {
            suggestion: guesttrace_filter::nearest(&key, keys.iter().copied()),
            hint: format!("the questions are {}", keys.join(", ")),
            key,
        }
    }
}
