//! Files of the kernel's own tracers, event by event against what their own tools print.
//!
//! Samples lie in the directory that `GUESTTRACE_SAMPLES` names, or beside the project; they are not part of it.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod fuzz;
mod lines;
mod made;
mod perf;
mod perfetto;
mod trace_cmd;
mod written;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A sample; `None` where it is not there.
fn sample(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("GUESTTRACE_SAMPLES").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = named.unwrap_or_else(beside).join(name);
    path.is_file().then_some(path)
}

/// What a command prints.
fn output_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
