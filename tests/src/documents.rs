//! The commands of documents, run as their readers would type them.
//!
//! A block that begins with ```` ```sh ```` is to be typed, line by line, and every line of it is run; what cannot be
//! run by a test (a second machine, a browser, minutes of building) stands in a ```` ```text ```` block.
//! ```` ```sh exit=1 ```` says that each command of the block ends with that status.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::guest::guesttrace;
use crate::kernels::project_dir;

/// One command of a document.
#[derive(Clone, Debug)]
pub struct DocumentCommand {
    /// The document, relative to the top of the project.
    pub document: String,
    /// The line that it begins on, from 1.
    pub line: usize,
    /// What a shell runs; lines that end with a backslash are joined with the next.
    pub text: String,
    /// The status that it ends with.
    pub status: i32,
}

impl DocumentCommand {
    /// The traces that it records, as they are named: none where it records nothing.
    #[must_use]
    pub fn recordings(&self) -> Vec<String> {
        if !self.text.starts_with("scripts/run-qemu.sh ")
            && !self.text.starts_with("guesttrace record ")
        {
            return Vec::new();
        }
        let words = self
            .text
            .split([' ', ',', '\'', '='])
            .collect::<Vec<&str>>();
        let named = words
            .windows(2)
            .filter(|pair| matches!(pair[0], "--trace" | "trace"))
            .map(|pair| pair[1].to_owned());
        named.collect()
    }

    fn speaks_of(&self, name: &str) -> bool {
        self.text
            .split([' ', ',', '\'', '"', '=', ';', '<'])
            .any(|word| word == name)
    }
}

/// The commands of the `sh` blocks of a document, which is named relative to the top of the project.
///
/// # Panics
/// When the document cannot be read, or the first line of a block says what nobody understands.
#[must_use]
pub fn document_commands(document: &str) -> Vec<DocumentCommand> {
    let text = std::fs::read_to_string(project_dir().join(document))
        .unwrap_or_else(|error| panic!("{document}: {error}"));
    commands_of(document, &text)
}

fn commands_of(document: &str, text: &str) -> Vec<DocumentCommand> {
    let mut commands: Vec<DocumentCommand> = Vec::new();
    // The status that commands of the block end with, and whether the last line goes on in the next.
    let mut block: Option<i32> = None;
    let mut is_in_other_block = false;
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            match (block.take(), is_in_other_block) {
                (Some(_), _) => {}
                (None, true) => is_in_other_block = false,
                (None, false) => {
                    block = status_of(fence, document, index + 1);
                    is_in_other_block = block.is_none();
                }
            }
            continue;
        }
        let line = line.trim();
        let Some(status) = block.filter(|_| !line.is_empty() && !line.starts_with('#')) else {
            continue;
        };
        let text = line.trim_end_matches('\\').trim_end();
        match commands.last_mut().filter(|_| goes_on) {
            Some(last) => last.text = format!("{} {text}", last.text),
            None => commands.push(DocumentCommand {
                document: document.to_owned(),
                line: index + 1,
                text: text.to_owned(),
                status,
            }),
        }
        goes_on = line.ends_with('\\');
    }
    commands
}

/// The status that a block's first line promises; `None` for a block that nobody is to type.
fn status_of(fence: &str, document: &str, line: usize) -> Option<i32> {
    let mut words = fence.split_whitespace();
    if words.next() != Some("sh") {
        return None;
    }
    let status = words.next().map_or(Some(0), |word| {
        word.strip_prefix("exit=")
            .and_then(|number| number.parse().ok())
    });
    Some(status.unwrap_or_else(|| panic!("{document}:{line}: what is ```{fence}?")))
}

/// A directory that to its user is the project's, with recordings in it, where commands of documents are run.
///
/// What commands write stays there and goes with it.
#[derive(Debug)]
pub struct Desk {
    dir: tempfile::TempDir,
    /// How each recording that a document made was made.
    recorded: BTreeMap<String, String>,
    path: OsString,
}

impl Desk {
    /// A desk with one recording, `out.bin`.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    pub fn new(trace: &Path) -> Desk {
        let desk = Desk {
            dir: tempfile::tempdir().expect("a temporary directory"),
            recorded: BTreeMap::new(),
            path: path_with_program(),
        };
        desk.lay_project()
            .and_then(|()| desk.lay("out.bin", trace))
            .expect("a temporary directory can be written");
        desk
    }

    /// Lays a recording there, under a name.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn lay(&self, name: &str, trace: &Path) -> std::io::Result<()> {
        std::os::unix::fs::symlink(trace, self.dir.path().join(name))
    }

    /// Where commands are run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    // A script finds its project by its own path, so each is called by a file of that name.
    fn lay_project(&self) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let project = project_dir();
        for entry in std::fs::read_dir(&project)?.map_while(Result::ok) {
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            if !hidden && name != "scripts" && name != "target" {
                std::os::unix::fs::symlink(entry.path(), self.dir.path().join(name))?;
            }
        }
        let scripts = self.dir.path().join("scripts");
        std::fs::create_dir(&scripts)?;
        for entry in std::fs::read_dir(project.join("scripts"))?.map_while(Result::ok) {
            let caller = scripts.join(entry.file_name());
            let text = format!("#!/bin/sh\nexec '{}' \"$@\"\n", entry.path().display());
            std::fs::write(&caller, text)?;
            std::fs::set_permissions(&caller, PermissionsExt::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Runs the commands of several documents, in their order, and returns how many.
    ///
    /// A command that several documents have is run once, and a recording that lies there already is not made again.
    /// One that no other command reads is only prepared (`--dry-run`), which finds whatever is wrong in its options.
    ///
    /// # Panics
    /// When a command ends otherwise than its document says, or shows nothing.
    pub fn work_through(&mut self, documents: &[&str]) -> usize {
        let commands: Vec<DocumentCommand> = documents
            .iter()
            .flat_map(|document| document_commands(document))
            .collect();
        let mut done = BTreeSet::new();
        for command in &commands {
            if !done.insert(command.text.as_str()) {
                continue;
            }
            let recordings = command.recordings();
            let others = || commands.iter().filter(|other| other.text != command.text);
            let is_read = recordings
                .iter()
                .any(|name| others().any(|other| other.speaks_of(name)));
            if recordings.is_empty() {
                self.run(command);
            } else if recordings.iter().all(|name| self.dir().join(name).exists()) {
                self.is_the_same(command, &recordings);
            } else if is_read {
                self.run(command);
                let made = recordings
                    .into_iter()
                    .map(|name| (name, command.text.clone()));
                self.recorded.extend(made);
            } else {
                self.run(&prepared_only(command));
            }
        }
        commands.len()
    }

    /// Runs one command and holds its status and output against what its document says.
    ///
    /// # Panics
    /// When it ends otherwise, or shows nothing.
    pub fn run(&self, command: &DocumentCommand) -> Output {
        let started = std::time::Instant::now();
        let output = Command::new("sh")
            .args(["-c", &command.text])
            .env("PATH", &self.path)
            .current_dir(self.dir())
            .output()
            .expect("there is a shell");
        let DocumentCommand {
            document,
            line,
            text,
            status,
        } = command;
        announce(&format!(
            "{:6.2} s  {document}:{line}: {text}",
            started.elapsed().as_secs_f64()
        ));
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(*status),
            "{document}:{line}: {text}\nends with {}\n{complaints}",
            output.status
        );
        let complains = *status != 0 && !complaints.is_empty();
        assert!(
            !output.stdout.is_empty() || complains || self.wrote_what_it_names(command),
            "{document}:{line}: {text}\nshows nothing\n{complaints}"
        );
        output
    }

    /// Whether a command that prints nothing has written one of the files that it names.
    fn wrote_what_it_names(&self, command: &DocumentCommand) -> bool {
        let is_written = |name: &str| {
            let path: PathBuf = self.dir().join(name.trim_matches('\''));
            std::fs::metadata(path).is_ok_and(|file| file.is_dir() || file.len() > 0)
        };
        let words: Vec<&str> = command.text.split_whitespace().collect();
        words.windows(2).any(|pair| {
            matches!(pair[0], "-o" | "--output" | ">" | "--trace") && is_written(pair[1])
        })
    }

    /// A name stands for one recording in all documents, or readers of two would be misled.
    fn is_the_same(&self, command: &DocumentCommand, names: &[String]) {
        for made in names.iter().filter_map(|name| self.recorded.get(name)) {
            assert!(
                *made == command.text,
                "{}:{}: {}\nthe same name was recorded by\n{made}",
                command.document,
                command.line,
                command.text
            );
        }
    }
}

/// The command with `--dry-run`.
fn prepared_only(command: &DocumentCommand) -> DocumentCommand {
    let text = command.text.replacen(" --", " --dry-run --", 1);
    DocumentCommand {
        text,
        status: 0,
        ..command.clone()
    }
}

/// `PATH` with the program under test first.
fn path_with_program() -> OsString {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let program = guesttrace();
    let dirs = program.parent().map(PathBuf::from).into_iter();
    std::env::join_paths(dirs.chain(std::env::split_paths(&usual)))
        .expect("the project's path has no colon")
}

#[allow(
    clippy::print_stderr,
    reason = "which command takes how long, for the person who runs the tests with --nocapture"
)]
fn announce(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::commands_of;

    #[test]
    fn commands_are_those_of_sh_blocks_with_their_status() {
        let text = "```sh\na 1\n\n# no\nb \\\n  2\n```\n```text\nno\n```\n```\nno\n```\n```sh exit=1\nc\n```\n";
        let commands: Vec<(usize, String, i32)> = commands_of("x.md", text)
            .into_iter()
            .map(|command| (command.line, command.text, command.status))
            .collect();
        let expected = [(2, "a 1", 0), (5, "b 2", 0), (15, "c", 1)];
        assert_eq!(
            commands,
            expected.map(|(line, text, status)| (line, text.to_owned(), status))
        );
    }

    #[test]
    fn recordings_are_known_by_their_names() {
        let text = "```sh\nscripts/run-qemu.sh --trace a.bin --session 'trace=b.bin,events=irq'\nguesttrace info c.bin\n```\n";
        let commands = commands_of("x.md", text);
        assert_eq!(commands[0].recordings(), ["a.bin", "b.bin"]);
        assert!(commands[1].recordings().is_empty());
    }
}
