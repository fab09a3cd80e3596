//! The guesttrace command: one file for each verb.
//!
//! Results go to standard output, talk to standard error. Errors become text and an exit status in one place, `failure`.

mod chain;
mod check;
mod ci;
mod collect;
mod compare;
mod console;
mod count;
mod critical_path;
mod ctl;
mod cut;
mod diff;
mod doctor;
mod endpoint;
mod event_choice;
mod events;
mod export;
mod failure;
mod flame;
mod generate;
mod goto;
mod html;
mod image;
mod info;
mod kernel_image;
mod leash;
mod list;
mod merge;
mod modules;
mod new_trace;
mod periods;
mod plan;
mod programs;
mod record;
mod repair;
mod report;
mod serve;
mod sql;
mod tell;
mod time;
mod traces;
mod verify;
mod wait;

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use console::{Console, Results};
pub(crate) use failure::Hint;
pub(crate) use failure::Usage;

/// Trace what a Linux guest does, from outside
#[derive(Debug, Parser)]
#[command(
    name = "guesttrace",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit status: 0 well, 1 a check found something, 2 usage, 3 bad or incomplete data"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Record(Box<record::RecordArgs>),
    Goto(Box<goto::GotoArgs>),
    Ctl(ctl::CtlArgs),
    Collect(collect::CollectArgs),
    Image(image::ImageArgs),
    List(list::ListArgs),
    Plan(plan::PlanArgs),
    Info(info::InfoArgs),
    Events(events::EventsArgs),
    Report(report::ReportArgs),
    Wait(wait::WaitArgs),
    Serve(serve::ServeArgs),
    Html(html::HtmlArgs),
    Chain(chain::ChainArgs),
    Flame(flame::FlameArgs),
    Count(count::CountArgs),
    Periods(periods::PeriodsArgs),
    CriticalPath(critical_path::CriticalPathArgs),
    Verify(verify::VerifyArgs),
    Repair(repair::RepairArgs),
    Cut(cut::CutArgs),
    Merge(merge::MergeArgs),
    Sql(sql::SqlArgs),
    Diff(diff::DiffArgs),
    Compare(compare::CompareArgs),
    Check(check::CheckArgs),
    Ci(ci::CiArgs),
    Export(export::ExportArgs),
    Doctor(doctor::DoctorArgs),
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
    #[command(hide = true)]
    ExecOnLeash(leash::LeashArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, complaints to standard error. Nobody is left to hear that this failed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let stdout = io::stdout();
    let width = stdout.is_terminal().then(terminal_width);
    let mut out = BufWriter::with_capacity(1 << 16, Results(stdout.lock()));
    let mut talk = io::stderr();
    let mut console = Console {
        out: &mut out,
        talk: &mut talk,
        width,
    };
    let result = run(&cli.verb, &mut console);
    let flushed = match out.flush() {
        // A reader that went away changes nothing of how the verb ended.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        flushed => flushed.map_err(anyhow::Error::from),
    };
    match result.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(error) => failure::report(&error, &mut io::stderr()),
    }
}

fn run(verb: &Verb, console: &mut Console<'_>) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Record(args) => record::run(args, console),
        Verb::Goto(args) => goto::run(args, console),
        Verb::Ctl(args) => ctl::run(args, console),
        Verb::Collect(args) => collect::run(args, console),
        Verb::Image(args) => image::run(args, console),
        Verb::List(args) => list::run(args, console),
        Verb::Plan(args) => plan::run(args, console),
        Verb::Info(args) => info::run(args, console),
        Verb::Events(args) => events::run(args, console),
        Verb::Report(args) => report::run(args, console),
        Verb::Serve(args) => serve::run(args, console),
        Verb::Html(args) => html::run(args, console),
        Verb::Flame(args) => flame::run(args, console),
        Verb::Count(args) => count::run(args, console),
        Verb::Periods(args) => periods::run(args, console),
        Verb::CriticalPath(args) => critical_path::run(args, console),
        Verb::Chain(args) => chain::run(args, console),
        Verb::Wait(args) => wait::run(args, console),
        Verb::Verify(args) => verify::run(args, console),
        Verb::Repair(args) => repair::run(args, console),
        Verb::Cut(args) => cut::run(args, console),
        Verb::Merge(args) => merge::run(args, console),
        Verb::Sql(args) => sql::run(args),
        Verb::Compare(args) => compare::run(args, console),
        Verb::Diff(args) => diff::run(args, console),
        Verb::Check(args) => check::run(args, console),
        Verb::Ci(args) => ci::run(args, console),
        Verb::Export(args) => export::run(args, console),
        Verb::Doctor(args) => doctor::run(args, console),
        Verb::Generate(args) => generate::run(args),
        Verb::ExecOnLeash(args) => leash::run(args),
    }
}

fn terminal_width() -> u16 {
    const USUAL: u16 = 80;
    terminal_size::terminal_size().map_or(USUAL, |(width, _)| width.0)
}
