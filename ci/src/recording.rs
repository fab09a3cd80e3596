//! One recording: a child process, from its start to its end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::cache::{CONSOLE, TALK, TRACE};
use crate::recipe::{Recipe, Word};
use crate::tools::Tools;

/// How often a child is looked at.
const INTERVAL: Duration = Duration::from_millis(20);
/// So long a recording may take to end after it was asked to; more than what it gives QEMU itself.
const GRACE: Duration = Duration::from_secs(30);

/// A recording that ended, and its files.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// Has the trace, the console and what `record` said.
    pub(crate) dir: PathBuf,
    pub(crate) ending: Ending,
    pub(crate) wall: Duration,
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Status(i32),
    Signal(i32),
}

impl Recording {
    /// Makes it in a directory that is there.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn make(
        recipe: &Recipe,
        timeout: Duration,
        suite_dir: &Path,
        dir: &Path,
        tools: &Tools<'_>,
    ) -> io::Result<Self> {
        let started = Instant::now();
        let words = words(recipe, timeout, dir)?;
        let mut command = (tools.leash)(&tools.command(words));
        command
            .current_dir(suite_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.join(TALK))?)
            // A terminal's Ctrl-C reaches it through us, once.
            .process_group(0);
        // A recording that never comes to start its guest has a console, too.
        File::create(dir.join(CONSOLE))?;
        let status = wait(command.spawn()?, tools)?;
        let ending = match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Status(code),
            (None, signal) => Ending::Signal(signal.unwrap_or(0)),
        };
        Ok(Self {
            dir: dir.to_owned(),
            ending,
            wall: started.elapsed(),
        })
    }

    /// The trace, whole or not; `None` when nothing was recorded.
    pub(crate) fn trace(&self) -> Option<PathBuf> {
        let whole = self.dir.join(TRACE);
        let partial = self.dir.join(format!("{TRACE}.partial"));
        [whole, partial].into_iter().find(|path| path.is_file())
    }

    /// What `record` said on standard error.
    pub(crate) fn talk(&self) -> Vec<u8> {
        fs::read(self.dir.join(TALK)).unwrap_or_default()
    }
}

fn words(recipe: &Recipe, timeout: Duration, dir: &Path) -> io::Result<Vec<OsString>> {
    let dir = std::path::absolute(dir)?;
    let mut words: Vec<OsString> = ["record", "--quiet", "--trace"].map(OsString::from).into();
    words.push(dir.join(TRACE).into());
    words.push("--serial".into());
    words.push(dir.join(CONSOLE).into());
    words.push("--timeout".into());
    words.push(timeout.as_secs().to_string().into());
    for word in &recipe.words {
        words.push(match word {
            Word::Text(text) => text.into(),
            Word::File(path) => std::path::absolute(path)?.into(),
        });
    }
    Ok(words)
}

/// Waits for the end, and sees to it when the user wants one.
fn wait(mut child: Child, tools: &Tools<'_>) -> io::Result<ExitStatus> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match (asked, pid) {
            (None, Some(pid)) if tools.is_interrupted() => {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::TERM);
                asked = Some(Instant::now());
            }
            (Some(since), Some(pid)) if since.elapsed() > GRACE => {
                let _ = kill_process_group(pid, Signal::KILL);
                return child.wait();
            }
            _ => {}
        }
        thread::sleep(INTERVAL);
    }
}
