//! Errors as text and exit status: the one place.

use std::fmt;
use std::io::{self, Write};

use analyzer::sources::TraceError;
use datafusion::error::DataFusionError;
use trace_format::ReadError;

/// The command or the query was not understood.
pub const USAGE: u8 = 2;
/// Data are bad or incomplete.
pub const BAD_DATA: u8 = 3;

/// Longest message of the query engine that is shown: those about plans go on for pages.
const MESSAGE_CHARS_MAX: usize = 400;

/// Something that the user can mend, with how.
#[derive(Clone, Debug)]
pub struct Failure {
    text: String,
    hint: String,
    status: u8,
}

impl Failure {
    /// The command asks for what cannot be.
    #[must_use]
    pub fn usage(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: hint.into(),
            status: USAGE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Prints an error with a hint below it, and says with which status to end.
pub fn report(error: &anyhow::Error, talk: &mut dyn Write) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // The reader of our output has had enough, which is no failure.
            return 0;
        }
    }
    let (text, hint, status) = describe(error);
    let _ = writeln!(talk, "error: {text}");
    if !hint.is_empty() {
        let _ = writeln!(talk, "hint: {hint}");
    }
    status
}

fn describe(error: &anyhow::Error) -> (String, String, u8) {
    let root = error.root_cause();
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return (failure.text.clone(), failure.hint.clone(), failure.status);
    }
    let mut causes = error.chain();
    if let Some(error) = causes.find_map(|cause| cause.downcast_ref::<DataFusionError>()) {
        return describe_query(error);
    }
    let text: Vec<String> = error.chain().map(ToString::to_string).collect();
    let (hint, status) = match root.downcast_ref::<TraceError>() {
        Some(error) => hint_of_trace(error),
        None => match error.downcast_ref::<TraceError>() {
            Some(error) => hint_of_trace(error),
            None => ("", BAD_DATA),
        },
    };
    (distinct(&text).join(": "), hint.to_owned(), status)
}

/// Messages without those that the one before says already.
fn distinct(texts: &[String]) -> Vec<&str> {
    let mut told: Vec<&str> = Vec::new();
    for text in texts {
        if !told.last().is_some_and(|last| last.ends_with(text)) {
            told.push(text);
        }
    }
    told
}

fn hint_of_trace(error: &TraceError) -> (&'static str, u8) {
    match error {
        TraceError::Own(ReadError::Io { .. }) => (
            "is the name right? a recording that did not end well is in FILE.partial",
            USAGE,
        ),
        TraceError::Own(ReadError::NotATrace) => (
            "pass a file that `guesttrace record --trace FILE` has written",
            BAD_DATA,
        ),
        TraceError::Own(ReadError::Version { .. }) => {
            ("use the version of guesttrace that recorded it", BAD_DATA)
        }
        _ => (
            "`guesttrace verify FILE` says what is wrong with it",
            BAD_DATA,
        ),
    }
}

/// The query engine's message in one line, and what to do.
fn describe_query(error: &DataFusionError) -> (String, String, u8) {
    let root = error.find_root();
    if let DataFusionError::External(inner) = root {
        return (shortened(&inner.to_string()), String::new(), BAD_DATA);
    }
    let text = shortened(&root.strip_backtrace());
    let lower = text.to_lowercase();
    let (hint, status) = if matches!(root, DataFusionError::ResourcesExhausted(_)) {
        (
            "allow more with --memory MIB, or let the query keep fewer rows",
            USAGE,
        )
    } else if lower.contains("table '") && lower.contains("not found") {
        (
            "`SHOW TABLES` (.tables at the prompt) lists the tables; names with capitals or signs go in \"quotes\"",
            USAGE,
        )
    } else if lower.contains("no field named") {
        (
            "`DESCRIBE table` (.schema table at the prompt) lists the columns; names with capitals go in \"quotes\"",
            USAGE,
        )
    } else if matches!(root, DataFusionError::SQL(..)) {
        (
            "texts go in 'single quotes', names in \"double quotes\"; docs/sql.md has examples",
            USAGE,
        )
    } else if lower.contains("function") {
        ("`SHOW FUNCTIONS` lists the functions", USAGE)
    } else {
        ("", USAGE)
    };
    (text, hint.to_owned(), status)
}

/// The first line of a message, without the words by which the engine sorts its errors.
fn shortened(message: &str) -> String {
    let mut text = message.lines().next().unwrap_or_default().trim();
    for prefix in [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Execution error: ",
        "External error: ",
        "This feature is not implemented: ",
        "Resources exhausted: ",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let mut text = text.replace("guesttrace.public.", "");
    if let Some(inner) = text.strip_prefix("ParserError(\"")
        && let Some(inner) = inner.strip_suffix("\")")
    {
        text = inner.to_owned();
    }
    // It may quote names out of the trace.
    let mut shown = String::new();
    for character in text.chars().take(MESSAGE_CHARS_MAX) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(MESSAGE_CHARS_MAX).is_some() {
        shown.push_str(" ...");
    }
    shown
}
