//! What tests of several crates share: the kernels to test on, and the one way to skip a test.

use std::path::{Path, PathBuf};

/// A kernel that `images/fetch-kernel.sh` brought.
#[derive(Clone, Debug)]
pub struct KernelFiles {
    /// Short name, such as `6.1-amd64`.
    pub name: String,
    /// The bzImage.
    pub vmlinuz: PathBuf,
    /// The ELF image with DWARF, for kernels whose debug package was fetched.
    pub vmlinux: Option<PathBuf>,
    /// `uname -r`.
    pub release: String,
    /// The directory of its modules.
    pub modules: PathBuf,
}

/// Top of the project.
#[must_use]
pub fn project_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_owned()
}

/// The kernel with that short name, when it was fetched.
#[must_use]
pub fn kernel(name: &str) -> Option<KernelFiles> {
    let dir = project_dir().join("images/build/kernels").join(name);
    let release = std::fs::read_to_string(dir.join("release")).ok()?.trim().to_owned();
    let vmlinux = Some(dir.join("vmlinux")).filter(|path| path.exists());
    Some(KernelFiles { name: name.to_owned(), vmlinuz: dir.join("vmlinuz"), vmlinux, release, modules: dir.join("modules") })
}

/// Ends a test that cannot run here, saying why. `scripts/test.sh` counts the lines and fails on one it did not expect.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::announce_skip(module_path!(), &format!($($why)*));
        return;
    }};
}

/// Prints the line that [`skip!`] promises.
#[allow(clippy::print_stderr, reason = "the line is for the person who runs the tests")]
pub fn announce_skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
    // The test harness hides what passing tests print, so the count is kept in a file.
    if let Some(path) = std::env::var_os("GUESTTRACE_SKIP_LOG") {
        use std::io::Write as _;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Ok(mut log) = log {
            let _ = writeln!(log, "{test}: {why}");
        }
    }
}
