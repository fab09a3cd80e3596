//! `guesttrace check`: rules that a trace has to keep.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer::check::{CheckError, CheckFormat, CheckReport, Rules, Verdict, check};
use analyzer::sources::Trace;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use guesttrace_events::{EnumValues, EventTable};
use trace_format::{EnumSchema, Schema};

use crate::console::Console;
use crate::{Usage, failure, tell};

/// Judge a trace by rules: counts, latencies, order, states, numbers of reports
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace check out.bin rules.toml\n  \
guesttrace check out.bin rules.toml --golden good.bin --format junit >results.xml\n  \
guesttrace check out.bin rules.toml --answers answers.toml\n\n\
A file of rules has sections such as\n  \
[[count]]\n  \
events = 'event == \"sched_process_fork\"'\n  \
at_most = 20\n\
docs/check.md names them all. What the trace cannot tell is `unknown`, which is no pass.\n\
Exit status: 0 all rules pass and answers are right, 1 one fails or is about events that were not recorded, \
2 the rules are wrong, 3 none fails but data are damaged or missing")]
pub(crate) struct CheckArgs {
    /// Trace to judge
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// File of rules
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// Trace to measure tolerances from, instead of the one that the rules name
    #[arg(long, value_name = "TRACE")]
    golden: Option<PathBuf>,
    /// Answers to the questions of the rules, graded by the trace: lines such as programs = 12
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Tell the right answers, too
    #[arg(long, requires = "answers")]
    show_answers: bool,
    /// How to write verdicts
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How verdicts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For servers that run tests
    Junit,
    /// For tables over many traces
    Csv,
}

/// Runs the verb.
pub(crate) fn run(args: &CheckArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let mut rules = read_rules(&args.rules)?;
    match &args.answers {
        Some(path) => {
            let text = read(
                path,
                "answers are a text file, docs/check.md says what is in it",
            )?;
            let taken = rules.take_answers(&text);
            taken.map_err(|error| wrong(path, &error))?;
        }
        None if rules.question_count() > 0 => writeln!(
            console.talk,
            "{} questions are left out: --answers FILE has them graded",
            rules.question_count()
        )?,
        None => {}
    }
    let golden = golden(args, &rules)?;
    let trace = tell::open(&args.trace)?;
    let mut report = match check(&trace, &rules, golden.as_ref(), &known()) {
        Ok(report) => report,
        Err(CheckError::Rules(error)) => return Err(wrong(&args.rules, &error)),
        Err(error) => return Err(error.into()),
    };
    if !args.show_answers {
        report.hide_truths();
    }
    let format = match args.format {
        Format::Text => CheckFormat::Text,
        Format::Json => CheckFormat::Json,
        Format::Junit => CheckFormat::Junit,
        Format::Csv => CheckFormat::Csv,
    };
    report.write(format, &args.rules.display().to_string(), console.out)?;
    if args.format != Format::Text {
        tell::warn(&report.findings, console.talk)?;
    }
    Ok(exit_code(&report))
}

fn read_rules(path: &Path) -> Result<Rules> {
    let text = read(
        path,
        "rules are a text file, docs/check.md says what is in it",
    )?;
    Rules::parse(&text).map_err(|error| wrong(path, &error))
}

/// The text of a file that people write; `what` says what it is.
fn read(path: &Path, what: &str) -> Result<String> {
    /// What does not fit is no file of rules or answers.
    const BYTES_MAX: u64 = 1 << 21;
    let unreadable = |error: &dyn std::fmt::Display| {
        let usage = Usage::new(format!("cannot read {}: {error}", path.display()));
        usage.hint(format!("is the name right? {what}"))
    };
    let length = std::fs::metadata(path)
        .map_err(|error| unreadable(&error))?
        .len();
    if length > BYTES_MAX {
        return Err(unreadable(&"it is too long for what people write").into());
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(&error).into())
}

/// The golden trace, if rules measure from one.
fn golden(args: &CheckArgs, rules: &Rules) -> Result<Option<Trace>> {
    let Some(line) = rules.first_with_tolerance() else {
        return Ok(None);
    };
    let named = rules.golden().map(|golden| {
        let directory = args.rules.parent().unwrap_or(Path::new(""));
        directory.join(golden)
    });
    match args.golden.clone().or(named) {
        Some(path) => Ok(Some(tell::open(&path).context("the golden trace")?)),
        None => {
            let path = args.rules.display();
            let told = format!("{path}: line {line}: a tolerance is measured from a golden trace");
            let usage = Usage::new(told);
            let hint = "pass --golden TRACE, or begin the rules with golden = \"TRACE\"";
            Err(usage.hint(hint).into())
        }
    }
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    let text = error.to_string();
    let (message, hint) = match text.split_once("\nhint: ") {
        Some((message, hint)) => (message, Some(hint)),
        None => (text.as_str(), None),
    };
    let usage = Usage::new(format!("{}: {message}", path.display()));
    match hint {
        Some(hint) => usage.hint(hint).into(),
        None => usage.into(),
    }
}

/// The events that a trace could have: those of the built-in table.
fn known() -> Schema {
    let table = EventTable::builtin();
    let mut events: Vec<_> = table
        .events()
        .iter()
        .map(plan_compiler::event_schema)
        .collect();
    events.sort_by_key(|event| event.id);
    let enums = table.enums().iter().map(|item| EnumSchema {
        name: item.name.clone(),
        values: match &item.values {
            EnumValues::Fixed(values) => values
                .iter()
                .map(|(value, name)| (*value, name.clone()))
                .collect(),
            // Names of system calls are those of a kernel.
            EnumValues::SyscallsX64 | EnumValues::SyscallsIa32 => Vec::new(),
        },
    });
    Schema {
        events,
        enums: enums.collect(),
    }
}

fn exit_code(report: &CheckReport) -> ExitCode {
    let is_broken = |judgement: &analyzer::check::Judgement| match judgement.verdict {
        Verdict::Passed => false,
        Verdict::Failed => true,
        Verdict::Unknown => !judgement.is_loss,
    };
    if report.judgements.iter().any(is_broken) {
        return ExitCode::from(1);
    }
    if report.count(Verdict::Unknown) > 0 || tell::is_unreliable(&report.findings) {
        return ExitCode::from(failure::BAD_DATA);
    }
    ExitCode::SUCCESS
}
