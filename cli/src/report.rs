//! `guesttrace report`: analyses of a trace.

use std::process::ExitCode;

use analyzer::model::{CpuId, Pid, Span};
use analyzer::report::{
    Glob, Options, REPORTS, Report, ReportError, ReportFormat, Selection, report_named,
};
use analyzer::sources::{Finding, Trace};
use anyhow::Result;
use clap::{Args, ValueEnum};
use guesttrace_filter::nearest;

use crate::console::Console;
use crate::time::{Moment, parse_moment, span_of};
use crate::traces::TracesArgs;
use crate::{Usage, failure, tell};

/// Analyse a trace
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guesttrace report processes out.bin --from 1.5s --to 2s\n  \
guesttrace report timehist out.bin --comm sh\n  \
guesttrace report sched ~/lttng-traces/session trace.dat --offset 0.2s\n\n\
`guesttrace list reports` names the reports. What was lost or is doubtful comes first; in those with a row for each\n\
of any number of things (timehist, schedmap, log) it comes last."
)]
pub(crate) struct ReportArgs {
    /// Report to make, such as `summary`
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    traces: TracesArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    part: PartArgs,
    /// Show at most so many rows where the largest come first [default: 10, and all of processes, threads and calls]
    #[arg(long, value_name = "N")]
    top: Option<usize>,
}

/// What part of a trace is looked at.
#[derive(Debug, Args)]
pub(crate) struct PartArgs {
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// Only this CPU; may be repeated
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Vec<u32>,
    /// Only this process; may be repeated
    #[arg(long, value_name = "N")]
    pub(crate) pid: Vec<u32>,
    /// Only threads of this name, which may have `*` and `?`; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) comm: Vec<String>,
}

/// Which times of a trace are looked at.
#[derive(Debug, Args)]
pub(crate) struct TimeArgs {
    /// Begin at this time since the start of the trace, such as 1.5s, 200ms or 15us; -1s is a second before its end
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    pub(crate) from: Option<Moment>,
    /// End before this time
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    pub(crate) to: Option<Moment>,
}

impl TimeArgs {
    pub(crate) fn span(&self, trace: &Trace) -> Result<Span> {
        span_of(self.from, self.to, trace)
    }
}

impl PartArgs {
    pub(crate) fn selection(&self, trace: &Trace) -> Result<Selection> {
        Ok(self.selection_within(self.time.span(trace)?))
    }

    /// The same in a known time.
    pub(crate) fn selection_within(&self, span: Span) -> Selection {
        Selection {
            span,
            cpus: self.cpu.iter().copied().map(CpuId).collect(),
            pids: self.pid.iter().copied().map(Pid).collect(),
            comms: self.comm.iter().map(|name| Glob::new(name)).collect(),
        }
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

impl Format {
    pub(crate) fn of_report(self, width: Option<u16>) -> ReportFormat {
        match self {
            Self::Text => ReportFormat::Text { width },
            Self::Json => ReportFormat::Json,
            Self::Csv => ReportFormat::Csv,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: &ReportArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let Some(kind) = report_named(&args.name) else {
        let names = REPORTS.iter().map(|report| report.name);
        let meant = nearest(&args.name, names).map(|name| format!("; did you mean {name:?}?"));
        let meant = meant.unwrap_or_default();
        let usage = Usage::new(format!("there is no report {:?}{meant}", args.name));
        return Err(usage.hint("`guesttrace list reports` names them").into());
    };
    let trace = args.traces.open()?;
    let options = Options {
        selection: args.part.selection(&trace)?,
        top: args.top.unwrap_or(Options::default().top),
        accounts_max: args.top.unwrap_or(usize::MAX),
    };
    let format = args.format.of_report(console.width);
    let findings = match kind.write(&trace, &options, format, console.out) {
        Ok(findings) => findings,
        // The causes say all, and how the command ends depends on them.
        Err(ReportError::Trace(error)) => return Err(error.into()),
        Err(ReportError::Output(error)) => return Err(error.into()),
        Err(error) => return Err(error.into()),
    };
    judge(&findings, args.format, console)
}

/// Writes a report; tells whether it can be relied on.
pub(crate) fn show(report: &Report, format: Format, console: &mut Console<'_>) -> Result<ExitCode> {
    report.write(format.of_report(console.width), console.out)?;
    judge(&report.findings, format, console)
}

/// How a report ends that was written; says why where the report is not for people.
fn judge(findings: &[Finding], format: Format, console: &mut Console<'_>) -> Result<ExitCode> {
    if format != Format::Text {
        tell::warn(findings, console.talk)?;
    }
    let unreliable = tell::is_unreliable(findings);
    Ok(if unreliable {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::SUCCESS
    })
}
