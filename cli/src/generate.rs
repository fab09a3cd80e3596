//! `guesttrace generate`: manual pages and completions for shells, which packages hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
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
    clap_mangen::generate_to(crate::Cli::command(), &man)
        .and_then(|()| let_break(&man))
        .context("cannot write manual pages")?;
    Ok(ExitCode::SUCCESS)
}

/// Words that are longer fit in no line of a narrow terminal.
const WORD_CHARS_MAX: usize = 40;

/// Says where the long words of manual pages, such as lists of events, can be broken.
///
/// Lines that such a word fills have no blanks to widen, so none is.
fn let_break(man: &Path) -> io::Result<()> {
    for entry in fs::read_dir(man)? {
        let path = entry?.path();
        let page = fs::read_to_string(&path)?;
        let words = page.split_inclusive([' ', '\n']);
        let words = words.map(|word| match word.len() > WORD_CHARS_MAX {
            true => word.replace(',', ",\\:").replace("[,\\:", "\\:[,"),
            false => word.to_owned(),
        });
        let page: String = words.collect();
        let (head, text) = page.split_once("\n.SH NAME").unwrap_or(("", &page));
        fs::write(path, format!("{head}\n.ad l\n.SH NAME{text}"))?;
    }
    Ok(())
}
