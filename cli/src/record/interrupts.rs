//! Ctrl-C and its like: noted instead of obeyed, so that QEMU completes the trace and nothing stays behind. SIGUSR2, as
//! with perf, asks for a snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};

/// Requests by signals, from now on.
#[derive(Debug)]
pub(crate) struct Interrupts {
    end: Arc<AtomicBool>,
    snapshot: Arc<AtomicBool>,
}

impl Interrupts {
    /// Starts to note them.
    pub(crate) fn watch() -> Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let snapshot = Arc::new(AtomicBool::new(false));
        for (signal, seen) in [
            (SIGHUP, &end),
            (SIGINT, &end),
            (SIGTERM, &end),
            (SIGUSR2, &snapshot),
        ] {
            signal_hook::flag::register(signal, Arc::clone(seen))
                .context("cannot watch for signals")?;
        }
        Ok(Self { end, snapshot })
    }

    /// Whether there was a request to end since the last call.
    pub(crate) fn take(&self) -> bool {
        self.end.swap(false, Ordering::Relaxed)
    }

    /// Whether there was a request for a snapshot since the last call.
    pub(crate) fn take_snapshot(&self) -> bool {
        self.snapshot.swap(false, Ordering::Relaxed)
    }
}
