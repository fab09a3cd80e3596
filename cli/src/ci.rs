//! `guesttrace ci`: suites of guests, for continuous integration. The work is done in the crate `guesttrace-ci`.

use std::fs::File;
use std::io::{self, BufRead as _, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use guesttrace_ci::{
    Artifacts, Cache, News, Prepared, RunOutcome, Settings, Suite, Sums, Tools, Verdict, Workshop,
    execute, prepare, renewals, write_golden, write_junit, write_list, write_text,
};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::console::Console;
use crate::failure::WRITABLE_HINT;
use crate::leash::{Leash, own_program};
use crate::record::{Emulator, cache_dir, file_stamp, is_match};
use crate::{Usage, failure};

/// What ends a suite early, and as which number.
const SIGNALS: [(i32, usize); 3] = [(SIGHUP, 1), (SIGINT, 2), (SIGTERM, 15)];

/// Boot the guests of a suite and judge their traces, for continuous integration
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace ci run suite.toml\n  \
guesttrace ci accept suite.toml\n\n\
docs/ci.md says what is in a suite.")]
pub(crate) struct CiArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Run(RunArgs),
    Accept(AcceptArgs),
}

/// Make all runs of a suite and say what holds
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace ci run suite.toml\n  \
guesttrace ci run suite.toml --only 'boot*' --junit results.xml --artifacts out/\n  \
guesttrace ci run suite.toml --list\n\n\
docs/ci.md says what is in a suite. Of a run that does not hold, the trace, the console, the first difference and\n\
a page for the browser are kept. The same inputs are recorded once, wherever they lie; rules are judged each time.\n\
Exit status: 0 all runs hold, 1 one does not, 2 the suite is wrong, 3 none fails but one could not be made or judged,\n\
130 interrupted by Ctrl-C: the same command goes on, recordings that were made are not made again")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    suite: SuiteArgs,
    /// Say which runs there are, and make none
    #[arg(long)]
    list: bool,
    /// Keep what there is of runs that hold, too
    #[arg(long)]
    keep: bool,
    /// Verdicts for servers that collect test results
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Verdicts for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Renew the golden traces of a suite, after a look at what changes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace ci accept suite.toml\n  \
guesttrace ci accept suite.toml --only 'boot*' --yes\n\n\
A run that does not end as it has to renews nothing.\n\
Exit status: 0 golden traces are those of the runs, 1 they are not and stay, 2 the suite is wrong, 3 a run could not be made")]
pub(crate) struct AcceptArgs {
    #[command(flatten)]
    suite: SuiteArgs,
    /// Ask nobody
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct SuiteArgs {
    /// Suite
    #[arg(value_name = "SUITE")]
    suite: PathBuf,
    /// Only runs of this name, which may have `*` and `?`; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Recordings at a time [default: one for each CPU of the host]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Where recordings are kept for the next time [default: guesttrace/ci in the user's cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Make every recording anew and keep none
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
    /// Remove what was used least recently when there is more
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    cache_size: u32,
    /// Where artifacts go, a directory for each run
    #[arg(long, value_name = "DIR", default_value = "ci-artifacts")]
    artifacts: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(args: &CiArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    match &args.what {
        What::Run(args) => run_suite(args, console),
        What::Accept(args) => accept(args, console),
    }
}

fn run_suite(args: &RunArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let suite = args.suite.read()?;
    if args.list {
        write_list(&suite.runs, console.out)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Refused before guests boot for nothing.
    let junit = create(args.junit.as_deref())?;
    let json = create(args.json.as_deref())?;
    let work = work_dir()?;
    let made = args.suite.make(&suite, args.keep, work.path(), console)?;
    write_text(&made.outcomes, console.out)?;
    let path = &suite.path;
    let outcomes = &made.outcomes;
    write(junit, |out| write_junit(path, outcomes, out))?;
    write(json, |out| guesttrace_ci::write_json(path, outcomes, out))?;
    Ok(made.interrupted.unwrap_or_else(|| exit_code(outcomes)))
}

fn exit_code(outcomes: &[RunOutcome]) -> ExitCode {
    let sums = Sums::of(outcomes);
    match (sums.failed, sums.unmade) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(failure::BAD_DATA),
        _ => ExitCode::from(1),
    }
}

fn accept(args: &AcceptArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let mut suite = args.suite.read()?;
    suite.runs.retain(|run| run.holds.golden.is_some());
    if suite.runs.is_empty() {
        writeln!(console.out, "no run of these has a golden trace")?;
        return Ok(ExitCode::SUCCESS);
    }
    let work = work_dir()?;
    let made = args.suite.make(&suite, false, work.path(), console)?;
    if let Some(status) = made.interrupted {
        return Ok(status);
    }
    for outcome in &made.outcomes {
        for check in &outcome.checks {
            if check.verdict != Verdict::Passed {
                let (verdict, name) = (check.verdict.name(), &check.name);
                writeln!(console.out, "{}: {verdict}: {name}", outcome.name)?;
            }
        }
    }
    let renewals = made.with_tools(|tools| renewals(&made.prepared, &made.outcomes, tools))?;
    let renewals = renewals.context("cannot read a golden trace")?;
    for renewal in &renewals {
        let golden = renewal.golden.display();
        writeln!(console.out, "\n{golden}, by {}:", renewal.run)?;
        for line in &renewal.changes {
            writeln!(console.out, "  {line}")?;
        }
    }
    let rest = state_of_recordings(&made.outcomes);
    if renewals.is_empty() {
        writeln!(console.out, "no golden trace changes")?;
        return Ok(rest);
    }
    if !args.yes && !agrees(renewals.len(), console)? {
        writeln!(console.talk, "nothing was changed; --yes accepts it")?;
        return Ok(ExitCode::from(1));
    }
    for renewal in &renewals {
        let golden = renewal.golden.display();
        write_golden(renewal)
            .with_context(|| format!("cannot write {golden}"))
            .context(WRITABLE_HINT)?;
        writeln!(console.out, "wrote {golden}")?;
    }
    Ok(rest)
}

/// Whether all recordings are what they have to be, whatever their traces say.
fn state_of_recordings(outcomes: &[RunOutcome]) -> ExitCode {
    let verdict = |outcome: &RunOutcome| outcome.checks.first().map(|check| check.verdict);
    let worst = outcomes.iter().filter_map(verdict).max();
    match worst {
        Some(Verdict::Failed) => ExitCode::from(1),
        Some(Verdict::Unmade) => ExitCode::from(failure::BAD_DATA),
        Some(Verdict::Passed) | None => ExitCode::SUCCESS,
    }
}

/// Asks at a terminal; nobody else agrees.
fn agrees(count: usize, console: &mut Console<'_>) -> Result<bool> {
    console.out.flush()?;
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    write!(console.talk, "renew {count} golden traces? [y/N] ")?;
    console.talk.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn work_dir() -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix("guesttrace-ci-")
        .tempdir()
        .context("cannot make a temporary directory")
        .context(crate::Hint(
            "set TMPDIR to a directory that has room and can be written",
        ))
}

fn create(path: Option<&Path>) -> Result<Option<BufWriter<File>>> {
    let create = |path: &Path| {
        let file = File::create(path).map_err(|error| {
            let usage = Usage::new(format!("cannot write {}: {error}", path.display()));
            usage.hint(WRITABLE_HINT.0)
        })?;
        Ok(BufWriter::new(file))
    };
    path.map(create).transpose()
}

fn write(
    file: Option<BufWriter<File>>,
    results: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    if let Some(mut file) = file {
        results(&mut file)
            .and_then(|()| file.flush())
            .context("cannot write the verdicts")?;
    }
    Ok(())
}

/// What became of a suite.
struct MadeSuite {
    prepared: Vec<Prepared>,
    outcomes: Vec<RunOutcome>,
    /// The exit status that tells by which signal.
    interrupted: Option<ExitCode>,
}

impl MadeSuite {
    fn with_tools<T>(&self, ask: impl FnOnce(&Tools<'_>) -> T) -> Result<T> {
        let interrupted = AtomicBool::new(false);
        let program = own_program()?;
        let leash = leash(&program);
        let tools = Tools {
            program: program.clone(),
            leash: &leash,
            identity: Vec::new(),
            interrupted: &interrupted,
        };
        Ok(ask(&tools))
    }
}

impl SuiteArgs {
    fn read(&self) -> Result<Suite> {
        let mut suite = Suite::read(&self.suite).map_err(|error| wrong(&error))?;
        let is_meant =
            |name: &str| self.only.is_empty() || self.only.iter().any(|glob| is_match(glob, name));
        suite.runs.retain(|run| is_meant(&run.name));
        if suite.runs.is_empty() {
            let usage = Usage::new(format!("no run is called {}", self.only.join(" or ")));
            let hint = format!("guesttrace ci run {} --list", self.suite.display());
            return Err(usage.hint(hint).into());
        }
        Ok(suite)
    }

    fn make(
        &self,
        suite: &Suite,
        of_all: bool,
        work: &Path,
        console: &mut Console<'_>,
    ) -> Result<MadeSuite> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let signal_seen = Arc::new(AtomicUsize::new(0));
        for (signal, number) in SIGNALS {
            signal_hook::flag::register_usize(signal, Arc::clone(&signal_seen), number)
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)))
                .context("cannot watch for signals")?;
        }
        let program = own_program()?;
        let leash = leash(&program);
        let tools = Tools {
            program: program.clone(),
            leash: &leash,
            identity: identity()?,
            interrupted: &interrupted,
        };
        let jobs = match self.jobs {
            Some(jobs) => usize::from(jobs),
            None => thread::available_parallelism().map_or(1, usize::from),
        };
        let settings = Settings {
            suite: suite.path.clone(),
            jobs,
            cache: self.open_cache()?,
            artifacts: Artifacts {
                dir: self.artifacts.clone(),
                of_all,
            },
            work: work.to_owned(),
        };
        let mut workshop = Workshop::find(suite.images.as_deref(), suite.dir(), &tools.program);
        let prepared = prepare(suite, &mut workshop, &tools);
        let progress = Progress::new(suite.runs.len());
        let outcomes = execute(&prepared, &settings, &tools, &|news| progress.tell(&news))
            .context("cannot use the temporary directory")?;
        for line in progress.finish() {
            writeln!(console.talk, "{line}")?;
        }
        let signal = signal_seen.load(Ordering::Relaxed);
        let is_interrupted = signal != 0;
        if is_interrupted {
            writeln!(console.talk, "error: interrupted: not all runs were made")?;
            writeln!(
                console.talk,
                "hint: the same command goes on where this one ended"
            )?;
        }
        // As a shell tells it of a program that a signal ended.
        let status = u8::try_from(128 + signal).unwrap_or(failure::BAD_DATA);
        Ok(MadeSuite {
            prepared,
            outcomes,
            interrupted: is_interrupted.then(|| ExitCode::from(status)),
        })
    }

    fn open_cache(&self) -> Result<Option<Cache>> {
        if self.no_cache {
            return Ok(None);
        }
        let dir = match &self.cache {
            Some(dir) => dir.clone(),
            None => cache_dir()?.join("ci"),
        };
        let cache = Cache::open(&dir, u64::from(self.cache_size) << 20);
        Ok(Some(cache.map_err(|error| wrong(&error))?))
    }
}

/// An error whose message has its hint behind it, as one of usage.
fn wrong(error: &dyn std::error::Error) -> anyhow::Error {
    let text = error.to_string();
    match text.split_once("\nhint: ") {
        Some((message, hint)) => Usage::new(message).hint(hint).into(),
        None => Usage::new(text).into(),
    }
}

/// Puts commands on a leash, by which they end with the thread that starts them.
fn leash(own: &Path) -> impl Fn(&Command) -> Command + Sync {
    let leash = Leash {
        ends_with_us: true,
        ..Leash::default()
    };
    move |command| leash.on(own, command)
}

/// What a trace depends on besides the guest's files.
fn identity() -> Result<Vec<String>> {
    let emulator = Emulator::find()?;
    let mut digests = guesttrace_ci::Digests::default();
    let mut identity = vec![format!("QEMU {}", emulator.version)];
    for path in [own_program()?, emulator.plugin()?] {
        let digest = digests.of_file(&path);
        identity.push(digest.unwrap_or_else(|_| file_stamp(&path)));
    }
    Ok(identity)
}

/// Says how far it is: a line that changes at a terminal, lines elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    runs: usize,
    judged: Mutex<usize>,
    troubles: Mutex<Vec<String>>,
}

/// Runs of many recordings say where they are after so many.
const TOLD_EACH: u32 = 100;

impl Progress {
    fn new(runs: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {pos} of {len} runs  {elapsed}  {msg}");
            let bar = ProgressBar::new(runs as u64);
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            runs,
            judged: Mutex::new(0),
            troubles: Mutex::default(),
        }
    }

    fn tell(&self, news: &News<'_>) {
        match news {
            News::Begun { run } => {
                if let Some(bar) = &self.bar {
                    bar.set_message((*run).to_owned());
                }
            }
            News::Recorded { run, done, of } => {
                let is_due = done % TOLD_EACH == 0 || self.bar.is_some();
                if *of > 1 && is_due {
                    self.say(&format!("{run}: {done} of {of} recordings"), true);
                }
            }
            News::Judged(outcome) => {
                let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
                *judged += 1;
                let (count, runs) = (*judged, self.runs);
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
                let verdict = outcome.verdict().name();
                let how = match (outcome.is_cached, outcome.wall) {
                    (true, _) => ", cached".to_owned(),
                    (false, Some(wall)) => format!(", {:.1} s", wall.as_secs_f64()),
                    (false, None) => String::new(),
                };
                self.say(
                    &format!("[{count}/{runs}] {} {verdict}{how}", outcome.name),
                    false,
                );
            }
            News::Trouble(told) => {
                let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
                troubles.push(format!("warning: {}", told.replace('\n', "; ")));
            }
            _ => {}
        }
    }

    fn say(&self, line: &str, passing: bool) {
        match &self.bar {
            Some(bar) if passing => bar.set_message(line.to_owned()),
            Some(bar) => bar.println(line),
            None => {
                let _ = writeln!(io::stderr(), "guesttrace: {line}");
            }
        }
    }

    /// What went wrong beside the runs.
    fn finish(self) -> Vec<String> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.troubles
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
