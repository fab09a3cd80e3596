//! Traces that others have recorded: not part of the project, but in a directory beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of the samples, if there is one.
fn directory() -> Option<PathBuf> {
    let named = std::env::var_os("GUESTTRACE_SAMPLES").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    Some(named.unwrap_or_else(beside)).filter(|path| path.is_dir())
}

/// LTTng's trace of a 4.4 kernel, unpacked.
pub(crate) fn kernel() -> Option<tempfile::TempDir> {
    let archive = directory()?.join("lttng-2.10-kernel-4.4.tar.xz");
    if !archive.is_file() {
        return None;
    }
    let out = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("xf")
        .arg(&archive)
        .arg("-C")
        .arg(out.path())
        .status();
    assert!(
        status.unwrap().success(),
        "{} can be unpacked",
        archive.display()
    );
    Some(out)
}
