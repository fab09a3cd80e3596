//! The guesttrace-sql command: `guesttrace sql` and `guesttrace export --to parquet` start it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer::report::parse_time;
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use guesttrace_sql::{
    BAD_DATA, ExportOptions, Failure, Format, Limits, Opened, Session, Sink, USAGE, export, prompt,
    report, write,
};
use tokio::runtime::Runtime;

/// Query traces by SQL
#[derive(Debug, Parser)]
#[command(
    name = "guesttrace-sql",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Exit status: 0 well, 2 usage, 3 bad or incomplete data")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Sql(SqlArgs),
    Query(QueryArgs),
    Export(ExportArgs),
}

/// Query a trace, or open a prompt for queries
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace sql out.bin 'SELECT name, sum(duration_ns) FROM syscalls GROUP BY name ORDER BY 2 DESC LIMIT 10'\n  \
guesttrace sql out.bin 'SELECT * FROM sched_switch WHERE time_ns BETWEEN 6000000000 AND 6000100000' --format json\n  \
guesttrace sql out.bin 'SHOW TABLES'\n  \
guesttrace sql out.bin                  (a prompt; .help lists its commands)\n\n\
docs/sql.md has the tables, their columns, and ten questions with their queries.")]
struct SqlArgs {
    /// Traces, and at the end the query; without one there is a prompt
    #[arg(value_name = "TRACE|QUERY", required = true)]
    words: Vec<OsString>,
    /// How much later than the first trace the second starts, such as 1.5s or -20ms, where the traces do not tell
    /// themselves; once for each further trace
    #[arg(long, value_name = "TIME", value_parser = offset, allow_hyphen_values = true)]
    offset: Vec<i64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Query a directory of exported traces, or open a prompt for queries
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace-sql query fleet 'SELECT run, count(*) FROM syscalls WHERE error IS NOT NULL GROUP BY run ORDER BY run'\n\n\
docs/fleet.md tells how such a directory comes about, and how Spark queries it.")]
struct QueryArgs {
    /// Directory with files TABLE.parquet, or with directories run=NAME of such files
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The query; without one there is a prompt
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Write the tables of a trace as files of Parquet
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace-sql export out.bin -o tables\n  \
guesttrace-sql export out.bin -o fleet/run=0417 --label revision=1f3a9c2 --label image=mix\n\n\
Each table that has rows becomes TABLE.parquet, sorted by time.")]
struct ExportArgs {
    /// Trace to read
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Directory to write, which must not be there yet
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: PathBuf,
    /// Column of the table `trace` with that text in it; may be repeated
    #[arg(long, value_name = "NAME=TEXT", value_parser = label)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// File for the results, instead of standard output
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct LimitArgs {
    /// Memory for what a query has to keep; beyond it, sorting and grouping go to temporary files
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    memory: u32,
    /// Threads (default: as many as there are CPUs)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            memory_mib: usize::try_from(self.memory).unwrap_or(usize::MAX),
            threads: self.threads.map_or(usual.threads, usize::from),
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=TEXT".to_owned()),
    }
}

/// A time that may be negative, in nanoseconds.
fn offset(text: &str) -> Result<i64, String> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text),
    };
    let nanos = parse_time(length).ok_or("a time is a number with s, ms, us or ns")?;
    let nanos = i64::try_from(nanos.0).map_err(|error| error.to_string())?;
    Ok(sign * nanos)
}

/// Threads that plan queries need room: an expression may be nested deeply.
const STACK_BYTES: usize = 128 << 20;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, complaints to standard error. Nobody is left to hear that this failed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    // The main thread's stack is what the system gives; queries are planned where there is more.
    let work = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || run(&cli.verb));
    let result = match work.map(std::thread::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => return ExitCode::from(BAD_DATA),
        Err(error) => Err(error.into()),
    };
    ExitCode::from(match result {
        Ok(status) => status,
        Err(error) => report(&error, &mut io::stderr()),
    })
}

fn run(verb: &Verb) -> Result<u8> {
    let limits = match verb {
        Verb::Sql(args) => &args.limits,
        Verb::Query(args) => &args.limits,
        Verb::Export(args) => &args.limits,
    };
    let limits = limits.limits();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(limits.threads)
        .thread_stack_size(STACK_BYTES)
        .build()?;
    match verb {
        Verb::Sql(args) => {
            let (traces, query) = traces_and_query(&args.words)?;
            let opened = open(&traces, &args.offset)?;
            let session = Session::of_trace(opened, limits)?;
            answer(&session, &runtime, query.as_deref(), &args.output)?;
            finish(&session)
        }
        Verb::Query(args) => {
            let session = Session::of_dataset(&args.dir, limits)?;
            answer(&session, &runtime, args.query.as_deref(), &args.output)?;
            finish(&session)
        }
        Verb::Export(args) => {
            let opened = open(std::slice::from_ref(&args.trace), &[])?;
            let options = ExportOptions {
                dir: args.output.clone(),
                labels: args.label.clone(),
                limits,
            };
            let session = runtime.block_on(export(opened, &options, &mut io::stderr()))?;
            finish(&session)
        }
    }
}

/// Opens a trace and says what it lacks.
fn open(traces: &[PathBuf], offsets: &[i64]) -> Result<Opened> {
    let opened = Opened::open(traces, offsets)?;
    for finding in opened.losses() {
        writeln!(io::stderr(), "warning: {}", finding.text)?;
    }
    Ok(opened)
}

/// Which words are traces: all but the last, which is the query unless there is such a file.
fn traces_and_query(words: &[OsString]) -> Result<(Vec<PathBuf>, Option<String>)> {
    let Some((last, traces)) = words.split_last() else {
        return Err(
            Failure::usage("no trace is named", "guesttrace sql TRACE 'SELECT ...'").into(),
        );
    };
    let paths = |words: &[OsString]| words.iter().map(PathBuf::from).collect();
    if traces.is_empty() || Path::new(last).exists() || last == OsStr::new("-") {
        return Ok((paths(words), None));
    }
    let Some(query) = last.to_str() else {
        return Err(Failure::usage("the query is no valid text", "write it in UTF-8").into());
    };
    Ok((paths(traces), Some(query.to_owned())))
}

fn answer(
    session: &Session,
    runtime: &Runtime,
    query: Option<&str>,
    output: &OutputArgs,
) -> Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let Some(query) = query else {
        drop(out);
        return prompt(
            session,
            runtime,
            output.format,
            &mut io::stdout(),
            &mut io::stderr(),
        );
    };
    let sink = match &output.output {
        Some(path) => Sink::File(path.clone()),
        None => Sink::Stream(&mut out),
    };
    runtime.block_on(async {
        let results = session.query(query).await?;
        write(results, output.format, sink).await
    })?;
    out.flush()?;
    Ok(())
}

/// Tells the damage that was met, and with which status to end.
fn finish(session: &Session) -> Result<u8> {
    let Some(opened) = session.opened() else {
        return Ok(0);
    };
    let damage = opened.take_damage();
    for text in &damage {
        writeln!(io::stderr(), "warning: {text}")?;
    }
    let unreliable = opened.is_unreliable() || !damage.is_empty();
    Ok(if unreliable { BAD_DATA } else { 0 })
}
