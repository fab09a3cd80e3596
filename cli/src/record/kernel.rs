//! The kernel to boot: its bytes, its digest, and on demand what is inside.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use guest_symbols::Kernel;
use sha2::{Digest as _, Sha256};

use super::args::RecordArgs;
use crate::Hint;

/// The kernel to boot.
#[derive(Debug)]
pub(crate) struct BootKernel {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of the file, in hexadecimal.
    pub(crate) digest: String,
    vmlinux: Option<PathBuf>,
    facts: OnceCell<Kernel>,
}

impl BootKernel {
    pub(crate) fn load(args: &RecordArgs) -> Result<Self> {
        let path = args
            .kernel
            .clone()
            .or_else(|| args.vmlinux.clone())
            .context("no kernel to boot")
            .context(Hint(
                "pass --kernel bzImage; scripts/run-qemu.sh without one fetches Debian's",
            ))?;
        let bytes = read_input("kernel", &path)?;
        let digest = sha256(&bytes);
        Ok(Self {
            path,
            bytes,
            digest,
            vmlinux: args.vmlinux.clone(),
            facts: OnceCell::new(),
        })
    }

    /// Symbols and types; parsed at the first call, which takes a second or more.
    pub(crate) fn facts(&self) -> Result<&Kernel> {
        if let Some(kernel) = self.facts.get() {
            return Ok(kernel);
        }
        let vmlinux = match &self.vmlinux {
            Some(path) => Some(read_input("vmlinux", path)?),
            None => None,
        };
        let kernel = Kernel::from_bytes(Some(&self.bytes), vmlinux.as_deref())
            .with_context(|| format!("cannot use {} as a kernel", self.path.display()))?;
        Ok(self.facts.get_or_init(|| kernel))
    }

    /// Symbols and types, to which modules can be added.
    pub(crate) fn facts_mut(&mut self) -> Result<&mut Kernel> {
        self.facts()?;
        self.facts.get_mut().context("the kernel was read")
    }

    /// What tells this kernel, with its debugging file, from others: for caches.
    pub(crate) fn cache_key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.digest);
        if let Some(path) = &self.vmlinux {
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update(file_stamp(path));
        }
        format!("{:x}", hash.finalize())
    }
}

/// Reads a file that the user named.
pub(crate) fn read_input(what: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path)
        .with_context(|| format!("cannot read the {what} {}", path.display()))
        .context(Hint("is the name right, and may you read it?"))
}

/// Length and time of change of a file that is too large to read for its digest.
pub(crate) fn file_stamp(path: &Path) -> String {
    fs::metadata(path).map_or_else(
        |_| String::new(),
        |data| format!("{} {:?}", data.len(), data.modified().ok()),
    )
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
