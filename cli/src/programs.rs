//! Programs that probes of user space are in: a file of this machine or, where that does not exist, of the guest's root
//! file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use guest_symbols::{ImageBytes, Kernel, Program};

use crate::Usage;
use crate::record::file_stamp;

/// Links behind each other.
const LINKS_MAX: usize = 8;
/// Debian keeps it where only root looks.
const DEBUGFS: [&str; 2] = ["debugfs", "/usr/sbin/debugfs"];

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
            && let Some(bytes) = read_in_guest(rootfs, name)
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

/// The contents of a file in an ext file system; `None` where it has no such file or is none.
fn read_in_guest(rootfs: &Path, name: &str) -> Option<Vec<u8>> {
    let mut path = PathBuf::from(name);
    for _ in 0..LINKS_MAX {
        let shown = debugfs(rootfs, "stat", &path, None)?;
        let Some((_, target)) = shown.split_once("link dest: \"") else {
            break;
        };
        let target = target.split_once('"')?.0;
        path = path.parent()?.join(target);
    }
    let dir = tempfile::tempdir().ok()?;
    let copy = dir.path().join("program");
    debugfs(rootfs, "dump", &path, Some(&copy))?;
    let bytes = std::fs::read(&copy).ok()?;
    // What does not exist is an empty file to it.
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

/// What debugfs says, which opens the file system to read only.
fn debugfs(rootfs: &Path, request: &str, path: &Path, out: Option<&Path>) -> Option<String> {
    let path = path.to_str().filter(|path| !path.contains(['"', '\n']))?;
    let mut request = format!("{request} \"{path}\"");
    if let Some(out) = out {
        request += &format!(" \"{}\"", out.to_str()?);
    }
    let run = |program: &&str| {
        let command = Command::new(program)
            .arg("-R")
            .arg(&request)
            .arg(rootfs)
            .output();
        command.ok()
    };
    let output = DEBUGFS.iter().find_map(run)?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
