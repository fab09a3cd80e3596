//! The `guesttrace` program, which makes and reads traces.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// The program, and who may end what it does.
pub struct Tools<'a> {
    /// Its file.
    pub program: PathBuf,
    /// Makes a command one that ends with the thread that starts it.
    pub leash: &'a (dyn Fn(&Command) -> Command + Sync),
    /// What tells the program, its plugin and QEMU from other versions.
    pub identity: Vec<String>,
    /// Set when the user wants an end.
    pub interrupted: &'a AtomicBool,
}

impl std::fmt::Debug for Tools<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools")
            .field("program", &self.program)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Tools<'_> {
    /// Whether the user wants an end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// A command of the program.
    pub(crate) fn command(&self, words: impl IntoIterator<Item = OsString>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn ask(&self, words: impl IntoIterator<Item = OsString>) -> io::Result<Output> {
        self.command(words).output()
    }
}

/// What a command said was wrong, in one line.
pub(crate) fn complaint(talk: &[u8]) -> String {
    let talk = String::from_utf8_lossy(talk);
    let error = talk.lines().find_map(|line| line.strip_prefix("error: "));
    let told = error.or_else(|| talk.lines().last()).unwrap_or_default();
    told.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
