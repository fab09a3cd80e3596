//! What is wrong with a row, shown where it is written.

use std::fmt;

use guesttrace_events::{EventRow, Hook, SiteRow, Source};

use crate::expression::ExprError;
use crate::hook::HookProblem;

/// Why a row cannot be compiled for a kernel; [`fmt::Display`] shows the place in its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RowFault {
    /// Where the row is: `mine.toml:12: event "mine": field "name"`, or a probe.
    place: String,
    problem: Problem,
    /// The text with the fault, and which of its characters is wrong, counted from 0.
    text: Option<(String, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Expression(ExprError),
    Hook(HookProblem),
}

impl RowFault {
    /// An expression of the row: of a field, of a binding, or a condition, by its name.
    pub(crate) fn expression(row: &EventRow, site: &SiteRow, name: &str, error: ExprError) -> Self {
        let (text, line) = expression_of(row, site, name);
        let text = match &row.source {
            // The probe is a line itself: the fault is shown in it as the user wrote it.
            Source::Probe { text: probe } => in_probe(probe, name, &text, error.at),
            Source::Builtin | Source::File { .. } => (text, error.at),
        };
        let field = match &row.source {
            Source::Probe { .. } => String::new(),
            Source::Builtin | Source::File { .. } => format!(": `{name}`"),
        };
        Self {
            place: format!("{}{field}", place(row, line)),
            problem: Problem::Expression(error),
            text: Some(text),
        }
    }

    /// A hook that the kernel does not have.
    pub(crate) fn hook(row: &EventRow, hook: &Hook, problem: HookProblem) -> Self {
        let text = match &row.source {
            Source::Probe { text } => Some((text.clone(), place_in_probe(text))),
            Source::File { .. } => Some((hook.to_string(), 0)),
            Source::Builtin => None,
        };
        Self {
            place: place(row, 0),
            problem: Problem::Hook(problem),
            text,
        }
    }

    /// Whether the place in the kernel is missing, rather than an expression wrong.
    pub(crate) fn is_hook(&self) -> bool {
        matches!(self.problem, Problem::Hook(_))
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match &self.problem {
            Problem::Expression(error) => error.problem.to_string(),
            Problem::Hook(problem) => problem.to_string(),
        };
        // A hint stays at the end, below the place.
        let (problem, hint) = match problem.split_once("\nhint: ") {
            Some((problem, hint)) => (problem, Some(hint)),
            None => (problem.as_str(), None),
        };
        write!(out, "{}: {problem}", self.place)?;
        if let Some((text, at)) = &self.text {
            let at = *at;
            let whole = self.is_hook();
            write!(out, "\n{}", Caret { text, at, whole })?;
        }
        match hint {
            Some(hint) => write!(out, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

fn place(row: &EventRow, line_inside: usize) -> String {
    match &row.source {
        Source::Builtin => format!("event {:?}", row.name),
        Source::Probe { .. } => "probe".to_owned(),
        Source::File { name, line } => {
            let line = if line_inside > 0 { line_inside } else { *line };
            format!("{name}:{line}: event {:?}", row.name)
        }
    }
}

/// The text of an expression and its line.
fn expression_of(row: &EventRow, site: &SiteRow, name: &str) -> (String, usize) {
    let fields = row
        .fields
        .iter()
        .map(|field| (&field.name, &field.fetch, field.line));
    let binds = row
        .bind
        .iter()
        .map(|bind| (&bind.name, &bind.fetch, bind.line));
    let own = fields.chain(binds).find(|(known, ..)| *known == name);
    let text = match (site.set.get(name), &own) {
        (Some(text), _) => Some(text.clone()),
        (None, Some((_, fetch, _))) => (*fetch).clone(),
        (None, None) => site.when.clone().or_else(|| row.when.clone()),
    };
    (text.unwrap_or_default(), own.map_or(0, |(.., line)| line))
}

/// The probe as written, and where in it the character of one of its expressions is.
fn in_probe(probe: &str, name: &str, expression: &str, at: usize) -> (String, usize) {
    let written = [format!("{name}={expression}"), expression.to_owned()];
    let found = written.iter().find_map(|written| {
        let start = probe.find(written.as_str())? + written.len() - expression.len();
        Some(probe.get(..start)?.chars().count() + at)
    });
    match found {
        Some(at) => (probe.to_owned(), at),
        None => (expression.to_owned(), at),
    }
}

/// Where a probe names its place, behind the event's own name.
fn place_in_probe(text: &str) -> usize {
    let skipped = text.len() - text.trim_start().len();
    let word = text.split_whitespace().next().unwrap_or("");
    skipped + word.find('=').map_or(0, |at| at + 1)
}

/// A line with a mark below what begins at a character.
pub(crate) struct Caret<'a> {
    pub(crate) text: &'a str,
    /// Counted from 0.
    pub(crate) at: usize,
    /// Whether the mark goes on to the next white space, rather than to the end of a name or number.
    pub(crate) whole: bool,
}

impl fmt::Display for Caret<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, in which every character is one column wide.
        let line: Vec<char> = self
            .text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let rest = line.get(self.at..).unwrap_or_default();
        let is_word = |c: &&char| match self.whole {
            true => !c.is_whitespace(),
            false => c.is_ascii_alphanumeric() || **c == '_',
        };
        let width = rest.iter().take_while(is_word).count().max(1);
        let text: String = line.iter().collect();
        writeln!(out, "{}", format!("  {text}").trim_end())?;
        write!(out, "  {:at$}{}", "", "^".repeat(width), at = self.at)
    }
}
