//! A directory to run the program in that shows what it leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::guest::guesttrace;

/// The directory, with a place for outputs and one for temporary files.
#[derive(Debug)]
pub struct Cage {
    dir: tempfile::TempDir,
}

/// How the program ended, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Exit status; -1 after a signal.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub talk: String,
}

impl End {
    /// Of a program that ended.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            talk: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit status, one error that holds `message`, one hint that holds `hint`, and no panic.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn assert_error(&self, status: i32, message: &str, hint: &str) {
        let talk = &self.talk;
        assert_eq!(self.status, status, "{talk}");
        for (start, part) in [("error: ", message), ("hint: ", hint)] {
            let lines: Vec<&str> = talk
                .lines()
                .filter(|line| line.starts_with(start))
                .collect();
            assert_eq!(lines.len(), 1, "lines with {start:?} in:\n{talk}");
            assert!(lines[0].contains(part), "no {part:?} in:\n{talk}");
        }
        self.assert_no_panic();
    }

    /// Asserts that nothing a user could take for a crash was printed.
    ///
    /// # Panics
    /// When it was.
    #[track_caller]
    pub fn assert_no_panic(&self) {
        for sign in ["panicked at", "stack backtrace", "RUST_BACKTRACE"] {
            assert!(!self.talk.contains(sign), "{}", self.talk);
        }
    }
}

impl Default for Cage {
    fn default() -> Self {
        Self::new()
    }
}

impl Cage {
    /// An empty one.
    ///
    /// # Panics
    /// When no directory can be made.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["out", "tmp"] {
            fs::create_dir(dir.path().join(name)).expect("a new directory is writable");
        }
        Self { dir }
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file in it.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a new directory is writable");
        path
    }

    /// Where the trace goes.
    #[must_use]
    pub fn trace(&self) -> PathBuf {
        self.path("out/trace.bin")
    }

    /// The program, with a verb.
    #[must_use]
    pub fn program(&self, verb: &str) -> Command {
        let mut command = Command::new(guesttrace());
        command
            .arg(verb)
            .current_dir(self.dir.path())
            .env("TMPDIR", self.path("tmp"))
            .env("RUST_BACKTRACE", "1");
        command
    }

    /// `guesttrace record`, which writes its trace here.
    #[must_use]
    pub fn record(&self) -> Command {
        let mut command = self.program("record");
        command
            .arg("--quiet")
            .arg("--trace")
            .arg(self.trace())
            .arg("--serial")
            .arg(self.path("console"));
        command
    }

    /// Runs a command and asserts that it left neither temporary files nor a QEMU.
    ///
    /// # Panics
    /// When it cannot be started or left something.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> End {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        self.assert_tidy();
        End::of(&output)
    }

    /// Asserts that there are neither temporary files nor a QEMU.
    ///
    /// # Panics
    /// When there are.
    #[track_caller]
    pub fn assert_tidy(&self) {
        assert_eq!(names(&self.path("tmp")), Vec::<String>::new());
        assert_eq!(self.emulators(), Vec::<u32>::new());
    }

    /// Names of the files beside the trace, and of the trace.
    #[must_use]
    pub fn outputs(&self) -> Vec<String> {
        names(&self.path("out"))
    }

    /// What the guest printed.
    #[must_use]
    pub fn console(&self) -> String {
        let bytes = fs::read(self.path("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Processes whose arguments name this directory and a plugin: the QEMUs that were started here.
    #[must_use]
    pub fn emulators(&self) -> Vec<u32> {
        let here = self.dir.path().to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter_map(|entry| {
                let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
                let arguments = fs::read(entry.path().join("cmdline")).ok()?;
                let arguments = String::from_utf8_lossy(&arguments);
                let is_ours = arguments.contains(&here) && arguments.contains("\0-nodefaults\0");
                is_ours.then_some(pid)
            })
            .collect()
    }
}

/// Sorted names of a directory's entries.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
