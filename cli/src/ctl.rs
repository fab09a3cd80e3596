//! `guesttrace ctl`: commands to a recording that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Usage;
use crate::console::Console;
use crate::record::{Answer, Ask, ask};

/// Command a recording that runs
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guesttrace record --control ctl.sock ...\n  guesttrace ctl ctl.sock stop\n  \
guesttrace ctl ctl.sock mark 'before the upgrade'\n  guesttrace ctl ctl.sock start\n\n\
Commands take effect at the guest's next event; a run that is commanded is not reproducible."
)]
pub(crate) struct CtlArgs {
    /// Socket that `record --control` was given
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
    #[command(subcommand)]
    command: CtlCommand,
}

#[derive(Debug, Subcommand)]
enum CtlCommand {
    /// Start every trace that is stopped
    Start,
    /// Stop every trace; the guest runs on
    Stop,
    /// Say how the recording goes, as JSON
    Status,
    /// Write the flight recorder's memory
    Snapshot,
    /// Put a mark into the traces: a row recording_mark
    Mark {
        /// Text of the mark
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Complete the traces and end the guest
    Quit,
}

/// Runs the verb.
pub(crate) fn run(args: &CtlArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let question = match &args.command {
        CtlCommand::Start => Ask::Start,
        CtlCommand::Stop => Ask::Stop,
        CtlCommand::Status => Ask::Status,
        CtlCommand::Snapshot => Ask::Snapshot,
        CtlCommand::Mark { text } => Ask::Mark { text: text.clone() },
        CtlCommand::Quit => Ask::Quit,
    };
    let Answer { error, status } = ask(&args.socket, &question)?;
    if let Some(error) = error {
        let usage = Usage::new(error);
        return Err(usage
            .hint("`guesttrace ctl SOCKET status` says how the recording goes")
            .into());
    }
    if let (Ask::Status, Some(status)) = (&question, status) {
        writeln!(console.out, "{}", serde_json::to_string(&status)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
