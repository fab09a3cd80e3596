//! What tests of several crates share: the kernels to test on, guests to run, and the one way to skip a test.

mod cage;
mod counters;
mod documents;
mod events;
mod ftrace;
mod fuzz;
mod guest;
mod kernels;
mod links;
mod strace;

pub use cage::{Cage, End};
pub use counters::{Counters, counters};
pub use documents::{Desk, DocumentCommand, document_commands};
pub use events::{Event, events};
pub use ftrace::{Ftrace, FtraceEvent, FtraceField, FtraceFormat, FtraceValue};
pub use fuzz::{Chance, fuzz, fuzz_usually, memory_bytes_most, mix};
pub use guest::{
    Run, guest_arguments, guest_arguments_on, guest_arguments_with, guests_wanted, guesttrace,
    record, record_guest,
};
pub use kernels::{KernelFiles, kernel, objdump, project_dir};
pub use links::{dead_links, documents};
pub use strace::{Strace, StracedCall, strace};

/// Ends a test that cannot run here, saying why. `scripts/test.sh` counts the lines and fails on one it did not expect.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::announce_skip(module_path!(), &format!($($why)*));
        return;
    }};
}

/// Prints the line that [`skip!`] promises.
#[allow(
    clippy::print_stderr,
    reason = "the line is for the person who runs the tests"
)]
pub fn announce_skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
    // The test harness hides what passing tests print, so the count is kept in a file.
    if let Some(path) = std::env::var_os("GUESTTRACE_SKIP_LOG") {
        use std::io::Write as _;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        if let Ok(mut log) = log {
            let _ = writeln!(log, "{test}: {why}");
        }
    }
}
