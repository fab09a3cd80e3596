//! Runs guests the way a user does: through the `guesttrace` program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::kernels::{kernel, project_dir};

/// A recording that ended.
#[derive(Debug)]
pub struct Run {
    /// Exit status of `guesttrace record`.
    pub status: i32,
    /// What the guest printed.
    pub console: String,
    /// What `record` said on standard error.
    pub complaints: String,
    /// The trace.
    pub trace: PathBuf,
    // Keeps the files until the run is dropped.
    _dir: tempfile::TempDir,
}

/// Whether tests that run guests were asked for; `scripts/test.sh` does.
#[must_use]
pub fn guests_wanted() -> bool {
    std::env::var_os("GUESTTRACE_E2E").is_some()
}

/// The program under test: the release build, as users have it.
#[must_use]
pub fn guesttrace() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| project_dir().join("target"), PathBuf::from);
    target.join("release/guesttrace")
}

/// Arguments that boot our image on a kernel; `None` when one of the two is missing.
///
/// Kernels of the cloud flavour have no driver for an SD card: their guest lives in the initial ramdisk.
#[must_use]
pub fn guest_arguments(kernel_name: &str, workload: &str) -> Option<Vec<String>> {
    let tool = if workload == "compile" {
        "+compiler"
    } else {
        ""
    };
    guest_arguments_with(kernel_name, tool, workload)
}

/// Arguments that boot our image with a tool, such as `+trace-cmd`, on a kernel; `None` when one of the two is missing.
#[must_use]
pub fn guest_arguments_with(kernel_name: &str, tool: &str, workload: &str) -> Option<Vec<String>> {
    let files = kernel(kernel_name)?;
    let image = project_dir()
        .join("images/build/guest")
        .join(format!("{kernel_name}{tool}"));
    let initrd = image.join("initrd.cpio");
    let rootfs = image.join("rootfs.img");
    if !initrd.exists() || !rootfs.exists() {
        return None;
    }
    let mut arguments = vec![
        "--kernel".to_owned(),
        text(&files.vmlinuz),
        "--initrd".to_owned(),
        text(&initrd),
    ];
    if kernel_name.contains("cloud") {
        arguments.extend(["--append".to_owned(), "root=initramfs".to_owned()]);
    } else {
        arguments.extend(["--rootfs".to_owned(), text(&rootfs)]);
    }
    arguments.extend(["--boot", "pvh", "--workload", workload].map(str::to_owned));
    Some(arguments)
}

/// Arguments that boot our image from that disk, whichever is usual for the kernel.
#[must_use]
pub fn guest_arguments_on(kernel_name: &str, disk: &str, workload: &str) -> Option<Vec<String>> {
    let rootfs = project_dir()
        .join("images/build/guest")
        .join(kernel_name)
        .join("rootfs.img");
    let mut arguments = guest_arguments(kernel_name, workload)?;
    arguments.retain(|argument| argument != "--append" && argument != "root=initramfs");
    if !arguments.iter().any(|argument| argument == "--rootfs") {
        arguments.extend(["--rootfs".to_owned(), text(&rootfs)]);
    }
    arguments.extend(["--disk", disk].map(str::to_owned));
    Some(arguments)
}

/// Records our image on a kernel, entered through its PVH note unless `more` says otherwise.
///
/// # Panics
/// When the kernel or the image is missing or the program cannot be started.
#[must_use]
pub fn record(kernel_name: &str, workload: &str, more: &[&str]) -> Run {
    let mut arguments = guest_arguments(kernel_name, workload)
        .expect("scripts/test.sh fetches kernels and builds images");
    if more.contains(&"--boot") {
        let own = arguments.iter().position(|argument| argument == "--boot");
        arguments.drain(own.map_or(0..0, |at| at..at + 2));
    }
    record_guest(&arguments, &[&["--quiet"], more].concat())
}

/// Records a guest with arguments such as [`guest_arguments`] gives; what `record` says at its end is kept too.
///
/// # Panics
/// When the program cannot be started.
#[must_use]
pub fn record_guest(arguments: &[String], more: &[&str]) -> Run {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let trace = dir.path().join("out.bin");
    let serial = dir.path().join("console");
    let output = run(Command::new(guesttrace())
        .arg("record")
        .arg("--trace")
        .arg(&trace)
        .arg("--serial")
        .arg(&serial)
        .args(arguments)
        .args(more));
    Run {
        status: output.status.code().unwrap_or(-1),
        console: std::fs::read(&serial)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default(),
        complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
        trace,
        _dir: dir,
    }
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; cargo build --release comes first"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
