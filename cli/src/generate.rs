//! `guesttrace generate`: manual pages and completions for shells, which packages hold.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::failure::WRITABLE_HINT;

/// Write manual pages and completions for shells
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Where they go: man/*.1 and completions/*
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(args: &GenerateArgs) -> Result<ExitCode> {
    let (man, completions) = (args.dir.join("man"), args.dir.join("completions"));
    for dir in [&man, &completions] {
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make {}", dir.display()))
            .context(WRITABLE_HINT)?;
    }
    let mut command = crate::Cli::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "guesttrace", &completions)
            .context("cannot write completions")?;
    }
    clap_mangen::generate_to(crate::Cli::command(), &man).context("cannot write manual pages")?;
    Ok(ExitCode::SUCCESS)
}
