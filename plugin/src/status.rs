//! Tells the process that started QEMU how the recording goes: one JSON line at a time, on a Unix socket.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use probe_plan::Status;

/// Where status lines go; nowhere when nobody asked.
#[derive(Debug, Default)]
pub(crate) struct StatusLine {
    out: Option<Mutex<UnixStream>>,
}

impl StatusLine {
    pub(crate) fn new(out: Option<UnixStream>) -> Self {
        Self {
            out: out.map(Mutex::new),
        }
    }

    /// Sends a line. A reader that went away is no reason to stop recording.
    pub(crate) fn send(&self, status: &Status) {
        let Some(out) = &self.out else { return };
        if let (Ok(mut out), Ok(mut line)) = (out.lock(), serde_json::to_vec(status)) {
            line.push(b'\n');
            let _ = out.write_all(&line);
        }
    }
}
