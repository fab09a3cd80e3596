//! Programs that probes of user space are in: a file of this machine or, where that does not exist, of the guest's root
//! file system.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use guest_images::Ext4Reader;
use guest_symbols::{ImageBytes, Kernel, Program};

use crate::Usage;
use crate::record::file_stamp;

/// Where programs are looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgramFiles {
    /// The guest's root file system: ext2, ext3 or ext4.
    pub(crate) rootfs: Option<PathBuf>,
}

impl ProgramFiles {
    /// Reads the programs of those names for a kernel to run.
    pub(crate) fn add_to(&self, kernel: &mut Kernel, names: &[String]) -> Result<()> {
        for name in names {
            if kernel.program_view(name).is_none() {
                let bytes = self.read(name)?;
                let program = Program::read(ImageBytes::new(bytes))
                    .with_context(|| format!("cannot watch {name}"))?;
                kernel.add_program(name, program);
            }
        }
        Ok(())
    }

    /// What tells a program from another one of that name: for caches.
    pub(crate) fn stamp(&self, name: &str) -> String {
        let path = Path::new(name);
        match &self.rootfs {
            Some(rootfs) if !path.exists() => format!("in {}", file_stamp(rootfs)),
            _ => file_stamp(path),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = Path::new(name);
        if !path.exists()
            && let Some(rootfs) = &self.rootfs
            && let Some(bytes) = Ext4Reader::new(rootfs).read(name)
        {
            return Ok(bytes);
        }
        std::fs::read(path).map_err(|error| {
            let hint = match self.rootfs {
                Some(_) => "it is neither a file here nor one of the guest's root file system (ext4)",
                None => "name a file of this machine, or give the guest's root file system with --rootfs",
            };
            let usage = Usage::new(format!("cannot read the program {name}: {error}"));
            usage.hint(hint).into()
        })
    }
}
