//! Kernel images as verbs are given them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use guest_symbols::Kernel;

use crate::Usage;

/// The images of a kernel.
#[derive(Debug, Args)]
pub(crate) struct KernelArgs {
    /// Kernel: a stock bzImage, or a vmlinux
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Kernel image with DWARF, of the same build as --kernel
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,
}

impl KernelArgs {
    /// Whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.kernel.is_none() && self.vmlinux.is_none()
    }

    /// Reads them.
    pub(crate) fn load(&self) -> Result<Kernel> {
        if self.is_empty() {
            return Err(Usage::new("this needs a kernel")
                .hint("pass --kernel bzImage")
                .into());
        }
        let kernel = self.kernel.as_deref().map(read).transpose()?;
        let vmlinux = self.vmlinux.as_deref().map(read).transpose()?;
        let path = self.kernel.as_ref().or(self.vmlinux.as_ref());
        let path = path
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        Kernel::from_vecs(kernel, vmlinux).with_context(|| format!("cannot use {path}"))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Usage::new(format!("cannot read {}: {error}", path.display()))
            .hint("is the name right, and may you read it?")
            .into()
    })
}
