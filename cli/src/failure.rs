//! Errors as text and exit status: the one place.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use analyzer::sources::TraceError;
use guest_images::ImageError;
use guesttrace_events::EventError;
use guesttrace_filter::FilterError;
use plan_compiler::{CompileError, ProbeError, SpecError, UnknownEvent};
use trace_format::ReadError;

/// The command was not understood.
pub(crate) const USAGE: u8 = 2;
/// Data are bad or incomplete.
pub(crate) const BAD_DATA: u8 = 3;

/// What the user can do about an error; goes into its context and is printed below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hint(pub(crate) &'static str);

impl fmt::Display for Hint {
    /// Nothing: the hint has its own line.
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// What to do where a file cannot be written.
pub(crate) const WRITABLE_HINT: Hint =
    Hint("choose a file in a directory that exists, has room and can be written");

/// The command asks for what cannot be.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    message: String,
    hint: Option<String>,
}

impl Usage {
    /// With what is wrong.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// And with what to do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Usage {}

/// Prints an error and says with which status to end.
pub(crate) fn report(error: &anyhow::Error, talk: &mut dyn Write) -> ExitCode {
    let Some(status) = status(error) else {
        return ExitCode::SUCCESS;
    };
    print(error, talk);
    ExitCode::from(status)
}

/// Prints an error with its causes, and below it one hint, the most specific there is.
pub(crate) fn print(error: &anyhow::Error, talk: &mut dyn Write) {
    let mut messages: Vec<String> = Vec::new();
    let mut hint = error.downcast_ref::<Hint>().map(|hint| hint.0.to_owned());
    for cause in error.chain() {
        let text = cause.to_string();
        // Libraries write their hint into the message; a cause may follow it.
        let (message, own_hint) = match text.split_once("\nhint: ") {
            Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
            None => (text, None),
        };
        hint = hint.or(own_hint).or_else(|| usual_hint(cause));
        // Some errors tell their cause themselves.
        let told = messages.last().is_some_and(|last| last.ends_with(&message));
        if !message.is_empty() && !told {
            messages.push(message);
        }
    }
    let _ = writeln!(talk, "error: {}", messages.join(": "));
    if let Some(hint) = hint {
        let _ = writeln!(talk, "hint: {hint}");
    }
}

/// What helps against errors of this kind, wherever they come up.
fn usual_hint(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(usage) = cause.downcast_ref::<Usage>() {
        return usage.hint.clone();
    }
    let unreadable = match cause.downcast_ref::<TraceError>() {
        Some(TraceError::Own(error)) => Some(error),
        Some(_) | None => cause.downcast_ref::<ReadError>(),
    };
    let hint = match unreadable {
        Some(ReadError::Io { .. }) => {
            "is the name right? a recording that did not end well is in FILE.partial"
        }
        Some(ReadError::NotATrace) => {
            "pass a trace of guesttrace, LTTng (its directory), trace-cmd, perf or Perfetto"
        }
        Some(ReadError::Version { .. }) => "use the version of guesttrace that recorded it",
        Some(ReadError::Preamble | ReadError::Damaged(_)) => {
            "the file is damaged; record or copy it again"
        }
        Some(_) => return None,
        None if unknown_event(cause).is_some_and(|unknown| unknown.what == "tracepoint") => {
            "`guesttrace list tracepoints --kernel FILE` names them, with --modules DIR those of modules too"
        }
        None if unknown_event(cause).is_some() => {
            "`guesttrace list events` names the events and their categories"
        }
        None if cause.is::<FilterError>() => {
            "`guesttrace events FILE --limit 20` shows events with their fields"
        }
        None => return None,
    };
    Some(hint.to_owned())
}

fn unknown_event<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a UnknownEvent> {
    match cause.downcast_ref() {
        Some(CompileError::Selection(unknown)) => Some(unknown),
        Some(_) | None => cause.downcast_ref(),
    }
}

/// The exit status; `None` when the reader of our output has had enough, which is no failure.
fn status(error: &anyhow::Error) -> Option<u8> {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return None;
        }
        let is_usage = cause.is::<Usage>()
            || cause.is::<FilterError>()
            || cause.is::<CompileError>()
            || cause.is::<EventError>()
            || cause.is::<SpecError>()
            || cause.is::<ProbeError>()
            || cause
                .downcast_ref::<ImageError>()
                .is_some_and(ImageError::is_usage);
        if is_usage {
            return Some(USAGE);
        }
        let unreadable = match cause.downcast_ref::<TraceError>() {
            Some(TraceError::Own(error)) => Some(error),
            Some(_) | None => cause.downcast_ref::<ReadError>(),
        };
        if let Some(ReadError::Io { .. }) = unreadable {
            return Some(USAGE);
        }
    }
    Some(BAD_DATA)
}
