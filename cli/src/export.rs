//! `guesttrace export`: a trace in the formats of other tools.

use std::fs;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer::export::{
    CtfVersion, ExportError, Exported, Job, LineFormat, Wanted, chrome, ctf, firefox, folded, ltt,
    pcap, perfetto, rows,
};
use analyzer::model::{CpuId, GuestNanos, Pid};
use analyzer::report::{Glob, Selection};
use analyzer::sources::Trace;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum as _};
use guesttrace_filter::nearest;
use indicatif::{ProgressBar, ProgressStyle};
use trace_format::partial_path;

use crate::console::Console;
use crate::events::{condition, events_named};
use crate::failure::WRITABLE_HINT;
use crate::time::{Moment, parse_moment, span_of};
use crate::traces::TracesArgs;
use crate::{Usage, failure, new_trace, sql, tell};

/// Write a trace in the format of another tool
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace export out.bin --to ctf -o out.ctf\n  \
guesttrace export out.bin --to perfetto -o out.pftrace --from 1s --to 2s\n  \
guesttrace export out.bin --to csv --event sched_switch > switches.csv\n\n\
Formats:\n  \
ctf       directory for babeltrace2 and Trace Compass: Common Trace Format 1.8 with LTTng's names\n  \
ctf2      the same as Common Trace Format 2\n  \
perfetto  protocol buffers for ui.perfetto.dev\n  \
chrome    JSON for chrome://tracing, Perfetto and Speedscope\n  \
firefox   JSON for profiler.firefox.com\n  \
folded    folded stacks for flame graphs\n  \
pcap      packets for tcpdump and Wireshark, if their bytes were recorded\n  \
csv json  a line for each event\n  \
ltt       table of events as the Linux Trace Toolkit printed it\n  \
parquet   directory of tables for DuckDB, Spark, pandas (needs guesttrace-sql, docs/sql.md)\n\n\
Where --event or --filter choose events, chrome and firefox show these as marks; folded has no events.")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    traces: TracesArgs,
    /// Format to write; once more with a time: end before it
    #[arg(long, value_name = "FORMAT|TIME", required = true, value_parser = parse_to, allow_hyphen_values = true)]
    to: Vec<To>,
    /// File to write, for ctf and ctf2 a new directory; standard output if none is named
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Begin at this time since the start of the trace, such as 1.5s, 200ms or 15us; -1s is a second before its end
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    from: Option<Moment>,
    /// Only events for which this holds, such as 'prev_state == S && prev_pid != 0'
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Only events of this name, which may have `*` and `?`; may be repeated, or several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    event: Vec<String>,
    /// Only this CPU; may be repeated
    #[arg(long, value_name = "N")]
    cpu: Vec<u32>,
    /// Only this process; may be repeated
    #[arg(long, value_name = "N")]
    pid: Vec<u32>,
    /// Only threads of this name, which may have `*` and `?`; may be repeated
    #[arg(long, value_name = "NAME")]
    comm: Vec<String>,
}

/// A format of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Ctf,
    Ctf2,
    Perfetto,
    Chrome,
    Firefox,
    Folded,
    Pcap,
    Csv,
    Json,
    Ltt,
    Parquet,
}

/// What `--to` can say: other verbs have it for the end of the time that they look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Format(Format),
    Time(Moment),
}

fn parse_to(text: &str) -> Result<To, String> {
    if let Ok(format) = Format::from_str(text, false) {
        return Ok(To::Format(format));
    }
    if let Ok(time) = parse_moment(text) {
        return Ok(To::Time(time));
    }
    let formats = Format::value_variants().iter();
    let names: Vec<String> = formats
        .filter_map(|format| Some(format.to_possible_value()?.get_name().to_owned()))
        .collect();
    let meant = nearest(text, names.iter().map(String::as_str));
    let meant = meant.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
    Err(format!(
        "there is no format {text:?}{meant} (formats: {})",
        names.join(", ")
    ))
}

/// Runs the verb.
pub(crate) fn run(args: &ExportArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let format = format(args)?;
    if format == Format::Parquet {
        return parquet(args);
    }
    let trace = args.traces.open()?;
    let wanted = wanted(args, format, &trace)?;
    let bar = progress_bar(args, &trace);
    let progress = |at: GuestNanos| bar.set_position(at.0);
    let job = Job {
        trace: &trace,
        wanted: &wanted,
        progress: &progress,
    };
    let done = match (format, args.output.as_deref()) {
        (Format::Ctf, Some(output)) => directory(job, CtfVersion::V1, output),
        (Format::Ctf2, Some(output)) => directory(job, CtfVersion::V2, output),
        (_, Some(output)) => new_trace::write(&args.traces.paths(), output, |mut out| {
            let done = write(job, format, &mut out)?;
            Ok((out, done))
        }),
        (Format::Perfetto | Format::Pcap, None) if std::io::stdout().is_terminal() => {
            let usage = Usage::new("this format is not for a terminal");
            return Err(usage.hint("name a file with -o").into());
        }
        (_, None) => write(job, format, console.out),
    };
    bar.finish_and_clear();
    let done = done?;
    tell::warn(&done.findings, console.talk)?;
    if let Some(output) = &args.output {
        let (count, what) = (done.events, unit(format));
        writeln!(console.talk, "{count} {what} in {}", output.display())?;
    }
    Ok(if tell::is_unreliable(&done.findings) {
        ExitCode::from(failure::BAD_DATA)
    } else {
        ExitCode::SUCCESS
    })
}

/// Hands over to the program that writes tables, which is built apart.
fn parquet(args: &ExportArgs) -> Result<ExitCode> {
    let chooses_threads = !(args.cpu.is_empty() && args.pid.is_empty() && args.comm.is_empty());
    let chooses_events = !args.event.is_empty() || args.filter.is_some();
    let chooses_times = args.from.is_some() || args.to.len() > 1;
    if chooses_threads || chooses_events || chooses_times {
        let usage = Usage::new("tables are written whole");
        let hint = "choose by a query: guesttrace sql TRACE 'SELECT ... WHERE ...' --format parquet -o FILE";
        return Err(usage.hint(hint).into());
    }
    let (Some(output), [trace]) = (&args.output, &args.traces.paths()[..]) else {
        let usage = Usage::new("one trace becomes a directory of tables, which has to be named");
        return Err(usage
            .hint("guesttrace export TRACE --to parquet -o DIR")
            .into());
    };
    sql::hand_over("export", &[trace.into(), "-o".into(), output.into()])
}

/// What is counted.
fn unit(format: Format) -> &'static str {
    match format {
        Format::Ctf
        | Format::Ctf2
        | Format::Perfetto
        | Format::Csv
        | Format::Json
        | Format::Ltt => "events",
        Format::Chrome | Format::Firefox => "slices and marks",
        Format::Folded => "stacks",
        Format::Pcap => "packets",
        Format::Parquet => "rows",
    }
}

fn format(args: &ExportArgs) -> Result<Format> {
    let formats: Vec<Format> = args
        .to
        .iter()
        .filter_map(|to| match to {
            To::Format(format) => Some(*format),
            To::Time(_) => None,
        })
        .collect();
    match formats[..] {
        [format] => Ok(format),
        [] => {
            let usage = Usage::new("--to says until when, and not which format");
            Err(usage
                .hint("say --to once more, with a format: --to ctf")
                .into())
        }
        _ => {
            let usage = Usage::new("only one format can be written at a time");
            Err(usage.hint("run the command once for each").into())
        }
    }
}

fn wanted(args: &ExportArgs, format: Format, trace: &Trace) -> Result<Wanted> {
    let chooses_events = !args.event.is_empty() || args.filter.is_some();
    if format == Format::Folded && chooses_events {
        let usage = Usage::new("folded stacks are made of time, and not of events");
        return Err(usage.hint("leave out --event and --filter").into());
    }
    let times = args.to.iter().filter_map(|to| match to {
        To::Format(_) => None,
        To::Time(time) => Some(*time),
    });
    let mut span = span_of(args.from, None, trace)?;
    for to in times {
        span.end = span.end.min(span_of(args.from, Some(to), trace)?.end);
    }
    let filter = match &args.filter {
        Some(text) => Some(condition("--filter", text, trace.schema())?),
        None => None,
    };
    Ok(Wanted {
        selection: Selection {
            span,
            cpus: args.cpu.iter().copied().map(CpuId).collect(),
            pids: args.pid.iter().copied().map(Pid).collect(),
            comms: args.comm.iter().map(|name| Glob::new(name)).collect(),
        },
        events: events_named(&args.event, trace.schema())?,
        filter,
    })
}

/// Writes a format that is one file.
fn write(job: Job<'_>, format: Format, out: &mut dyn Write) -> Result<Exported> {
    let done = match format {
        Format::Perfetto => perfetto(job, out),
        Format::Chrome => chrome(job, out),
        Format::Firefox => firefox(job, out),
        Format::Folded => folded(job, out),
        Format::Pcap => pcap(job, out),
        Format::Csv => rows(job, LineFormat::Csv, out),
        Format::Json => rows(job, LineFormat::Json, out),
        Format::Ltt => ltt(job, out),
        Format::Ctf | Format::Ctf2 | Format::Parquet => {
            let usage = Usage::new("a trace in this format is a directory, which has to be named");
            return Err(usage.hint("name one that does not exist with -o").into());
        }
    };
    done.map_err(explained)
}

/// Writes a format that is a directory: under another name until it is complete.
fn directory(job: Job<'_>, version: CtfVersion, output: &Path) -> Result<Exported> {
    if output.exists() {
        let usage = Usage::new(format!("{} exists already", output.display()));
        return Err(usage.hint("name a directory that does not exist").into());
    }
    let partial = partial_path(output);
    let create = || -> Result<Exported> {
        fs::create_dir(&partial).context(WRITABLE_HINT)?;
        let done = ctf(job, version, &partial).map_err(explained)?;
        fs::rename(&partial, output)?;
        Ok(done)
    };
    let in_context = || format!("cannot write {}", output.display());
    create()
        .inspect_err(|_| {
            // What is wrong was said; a rest that cannot be removed is no further fault.
            let _ = fs::remove_dir_all(&partial);
        })
        .with_context(in_context)
}

/// What can be done, where that is known; errors of reading and writing say all themselves.
fn explained(error: ExportError) -> anyhow::Error {
    match error {
        ExportError::Trace(error) => error.into(),
        ExportError::Output(error) => error.into(),
        ExportError::NoPackets => {
            let hint = "record them: `guesttrace record --events core,docs/rows/packets.toml`";
            Usage::new(error.to_string()).hint(hint).into()
        }
        error => error.into(),
    }
}

/// Shown on a terminal, unless the result goes there.
fn progress_bar(args: &ExportArgs, trace: &Trace) -> ProgressBar {
    let is_shown = std::io::stderr().is_terminal()
        && (args.output.is_some() || !std::io::stdout().is_terminal());
    if !is_shown {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent} % {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(trace.duration().0).with_style(style)
}
