//! Takes traces that do not go to a file from the recorder, and sends them on.
//!
//! The recorder writes to a socket of this program's own, which the writer of a trace waits for like for a slow disk.
//! Invariant: a trace is sent whole, or the recording says that it is not.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use probe_plan::SessionSpec;

use super::process::Report;
use super::sessions::Wanted;
use crate::collect::COMPLETE;
use crate::endpoint::{Connection, Endpoint};

/// The traces that are sent on.
#[derive(Debug)]
pub(crate) struct Relays {
    relays: Vec<Relay>,
}

#[derive(Debug)]
struct Relay {
    endpoint: Endpoint,
    connection: Connection,
    /// Where the recorder connects.
    socket: PathBuf,
    listener: UnixListener,
}

/// Relays at work.
#[derive(Debug)]
pub(crate) struct Working {
    threads: Vec<(PathBuf, JoinHandle<()>)>,
}

/// Name of the socket on which the recorder hands over the trace at `index`.
pub(crate) fn socket_path(work_dir: &Path, index: usize) -> PathBuf {
    work_dir.join(format!("trace-{index}"))
}

/// Tells the recorder where to write the traces that are sent on.
pub(crate) fn aim(sessions: &mut [SessionSpec], traces: &[Wanted], work_dir: &Path) {
    for (index, (session, wanted)) in sessions.iter_mut().zip(traces).enumerate() {
        if Endpoint::parse(&wanted.trace).is_some() {
            session.out = socket_path(work_dir, index);
            session.is_stream = true;
        }
    }
}

impl Relays {
    /// Connects to everybody who is to get a trace.
    pub(crate) fn connect<'w>(
        traces: impl Iterator<Item = &'w Wanted>,
        work_dir: &Path,
    ) -> Result<Self> {
        let mut relays = Vec::new();
        for (index, wanted) in traces.enumerate() {
            let Some(endpoint) = Endpoint::parse(&wanted.trace) else {
                continue;
            };
            let socket = socket_path(work_dir, index);
            relays.push(Relay {
                connection: endpoint.connect()?,
                listener: UnixListener::bind(&socket)
                    .with_context(|| format!("cannot listen on {}", socket.display()))?,
                endpoint,
                socket,
            });
        }
        Ok(Self { relays })
    }

    /// Starts to send.
    pub(crate) fn start(self, reports: &Sender<Report>) -> Working {
        let start = |relay: Relay| {
            let reports = reports.clone();
            let socket = relay.socket.clone();
            let thread = thread::spawn(move || {
                if let Err(message) = relay.run(&reports) {
                    let _ = reports.send(Report::Unconfirmed(message));
                }
            });
            (socket, thread)
        };
        Working {
            threads: self.relays.into_iter().map(start).collect(),
        }
    }
}

impl Working {
    /// After QEMU's end: waits until everything is sent and confirmed.
    pub(crate) fn finish(self) {
        for (socket, thread) in self.threads {
            // A recorder that never came leaves the listener waiting.
            let _ = UnixStream::connect(socket);
            let _ = thread.join();
        }
    }
}

impl Relay {
    /// Sends a trace; `Err` says in words why that is not whole.
    fn run(mut self, reports: &Sender<Report>) -> Result<(), String> {
        let endpoint = &self.endpoint;
        let Ok((mut recorder, _)) = self.listener.accept() else {
            return Ok(());
        };
        let mut bytes = vec![0; 1 << 16];
        let mut is_empty = true;
        loop {
            let count = match recorder.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            is_empty = false;
            if self.connection.write_all(&bytes[..count]).is_err() {
                // First the reason, then what the recorder makes of its closed socket.
                let _ = reports.send(Report::TraceLost(went_away(endpoint)));
                return Ok(());
            }
        }
        if is_empty {
            return Ok(());
        }
        match self.connection.finish() {
            Ok(None) => Ok(()),
            Ok(Some(answer)) if answer == COMPLETE => Ok(()),
            Ok(Some(_)) | Err(_) => Err(format!(
                "whoever took the trace at {endpoint} did not say that it is complete\n\
                 hint: `guesttrace collect` says at its end what it lacks"
            )),
        }
    }
}

fn went_away(endpoint: &Endpoint) -> String {
    format!(
        "whoever read the trace from {endpoint} went away before its end\n\
         hint: what was sent up to there can be used, if it was kept"
    )
}
