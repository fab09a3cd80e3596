//! Kernels that `images/fetch-kernel.sh` brought.

use std::path::{Path, PathBuf};

/// A kernel to test on.
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
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the project")
        .to_owned()
}

/// The kernel with that short name, when it was fetched.
#[must_use]
pub fn kernel(name: &str) -> Option<KernelFiles> {
    let dir = project_dir().join("images/build/kernels").join(name);
    let release = std::fs::read_to_string(dir.join("release"))
        .ok()?
        .trim()
        .to_owned();
    Some(KernelFiles {
        name: name.to_owned(),
        vmlinuz: dir.join("vmlinuz"),
        vmlinux: Some(dir.join("vmlinux")).filter(|path| path.exists()),
        release,
        modules: dir.join("modules"),
    })
}

/// A function of a kernel image as objdump lists it, without the bytes; `None` where objdump is not to be had.
#[must_use]
pub fn objdump(vmlinux: &Path, function: &str) -> Option<String> {
    let listing = std::process::Command::new("objdump")
        .args(["-d", "--no-show-raw-insn"])
        .arg(format!("--disassemble={function}"))
        .arg(vmlinux)
        .output()
        .ok()?;
    String::from_utf8(listing.stdout).ok()
}
