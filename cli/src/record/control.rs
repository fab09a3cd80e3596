//! Commands while the guest runs: `record --control SOCKET` listens, `guesttrace ctl SOCKET` asks.
//!
//! One line of JSON asks, one line answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use probe_plan::Command;
use serde::{Deserialize, Serialize};

use super::process::Report;
use crate::{Hint, Usage};

/// A caller that says nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    Start,
    Stop,
    Status,
    Snapshot,
    Mark { text: String },
    Quit,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// How the recording goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<SharedStatus>,
}

/// How the recording goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SharedStatus {
    /// Whether the guest's kernel runs.
    pub(crate) armed: bool,
    /// Guest time, ticks of its TSC.
    pub(crate) tsc: u64,
    /// Each trace.
    pub(crate) traces: Vec<TraceStatus>,
}

/// How one trace goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TraceStatus {
    /// The file.
    pub(crate) trace: PathBuf,
    /// Whether events are recorded now.
    pub(crate) recording: bool,
    /// Whether only the newest are remembered until a snapshot.
    pub(crate) flight_recorder: bool,
    /// Records so far.
    pub(crate) records: u64,
    /// Bytes written so far.
    pub(crate) bytes: u64,
}

/// What the listener shares with the rest of `record`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// The way to the recorder, once it runs.
    recorder: Arc<Mutex<Option<UnixStream>>>,
    status: Arc<Mutex<SharedStatus>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// The recorder runs.
    pub(crate) fn connect(&self, stream: &UnixStream) {
        *lock(&self.recorder) = stream.try_clone().ok();
    }

    /// Notes how the recording goes.
    pub(crate) fn note(&self, change: impl FnOnce(&mut SharedStatus)) {
        change(&mut lock(&self.status));
    }

    /// Writes what flight recorders remember.
    pub(crate) fn snapshot(&self) -> Result<(), String> {
        if !lock(&self.status)
            .traces
            .iter()
            .any(|trace| trace.flight_recorder)
        {
            return Err("there is no flight recorder whose memory could be written: record with --mode overwrite".to_owned());
        }
        self.send(&Command::Snapshot)
    }

    fn send(&self, command: &Command) -> Result<(), String> {
        let mut recorder = lock(&self.recorder);
        let stream = recorder.as_mut().ok_or("the guest has not started yet")?;
        let mut line = serde_json::to_vec(command).map_err(|error| error.to_string())?;
        line.push(b'\n');
        stream
            .write_all(&line)
            .map_err(|error| format!("the recorder is gone: {error}"))
    }
}

/// The socket, which goes away with this.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Control {
    /// Listens.
    pub(crate) fn listen(path: &Path, link: Link, reports: Sender<Report>) -> Result<Self> {
        let listener = UnixListener::bind(path)
            .with_context(|| format!("cannot listen on {}", path.display()))
            .context(Hint("choose another name: nothing may be there yet, and names of sockets have at most 107 bytes"))?;
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                serve(&caller, &link, &reports);
            }
        });
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

fn serve(caller: &UnixStream, link: &Link, reports: &Sender<Report>) {
    let _ = caller.set_read_timeout(Some(PATIENCE));
    let _ = caller.set_write_timeout(Some(PATIENCE));
    let mut line = String::new();
    if BufReader::new(caller).read_line(&mut line).is_err() {
        return;
    }
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => answer(&ask, link, reports),
        Err(error) => Answer {
            error: Some(format!("not understood: {error}")),
            ..Answer::default()
        },
    };
    if let Ok(mut line) = serde_json::to_vec(&answer) {
        line.push(b'\n');
        let mut caller = caller;
        let _ = caller.write_all(&line);
    }
}

fn answer(ask: &Ask, link: &Link, reports: &Sender<Report>) -> Answer {
    let done = match ask {
        Ask::Start => link.send(&Command::Start),
        Ask::Stop => link.send(&Command::Stop),
        Ask::Mark { text } => link.send(&Command::Mark { text: text.clone() }),
        Ask::Status => Ok(()),
        Ask::Snapshot => link.snapshot(),
        Ask::Quit => {
            // The guest is ended even when it never comes to another event.
            let _ = link.send(&Command::End);
            let _ = reports.send(Report::Quit);
            Ok(())
        }
    };
    Answer {
        error: done.err(),
        status: Some(lock(&link.status).clone()),
    }
}

/// Asks a recording that runs.
pub(crate) fn ask(path: &Path, ask: &Ask) -> Result<Answer> {
    let mut stream = UnixStream::connect(path).map_err(|error| {
        Usage::new(format!(
            "no recording listens on {}: {error}",
            path.display()
        ))
        .hint("name the socket that `guesttrace record --control SOCKET` was given")
    })?;
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream)
        .read_line(&mut reply)
        .context("the recording does not answer")?;
    serde_json::from_str(&reply).context("the recording's answer is not understood")
}
