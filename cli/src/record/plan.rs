//! The probe plan of a recording: compiled once per kernel and choice of events, then taken from the cache.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use probe_plan::Plan;
use trace_format::{AbsentEvent, KernelInfo, Schema};

use super::kernel::{BootKernel, file_stamp, sha256};
use crate::Hint;
use crate::event_choice::EventArgs;

/// Name of the plan in the directory that QEMU is given.
pub(crate) const FILE_NAME: &str = "plan";

/// A plan that QEMU can be given.
#[derive(Debug)]
pub(crate) struct PreparedPlan {
    bytes: Vec<u8>,
    /// SHA-256 in hexadecimal.
    pub(crate) digest: String,
    pub(crate) kernel: KernelInfo,
    pub(crate) schema: Schema,
    /// Events that were asked for and that the kernel has no place for.
    pub(crate) absent: Vec<AbsentEvent>,
    /// What can be asked of the running thread, by the names after `current.` of a filter.
    pub(crate) contexts: Vec<String>,
}

impl PreparedPlan {
    /// Puts it where QEMU finds it.
    pub(crate) fn write(&self, work_dir: &Path) -> std::io::Result<()> {
        fs::write(work_dir.join(FILE_NAME), &self.bytes)
    }
}

/// Finds or compiles the plan.
pub(crate) fn prepare(events: &EventArgs, kernel: &mut BootKernel) -> Result<PreparedPlan> {
    let program = std::env::current_exe()
        .map(|path| file_stamp(&path))
        .unwrap_or_default();
    let choice = events.cache_key()?;
    let key = sha256(format!("{program}\n{}\n{choice}", kernel.cache_key()).as_bytes());
    let cached = cache_dir()?.join(format!("plan-{key}"));
    let known = fs::read(&cached).ok().and_then(|bytes| {
        let plan = Plan::from_bytes(&bytes).ok()?;
        Some((bytes, plan))
    });
    let (bytes, plan) = match known {
        Some(known) => known,
        None => {
            let plan = events.compile(kernel.facts_mut()?)?.plan;
            let bytes = plan.to_bytes()?;
            // A cache that cannot be written costs time, nothing else.
            let _ = write_whole(&cached, &bytes);
            (bytes, plan)
        }
    };
    Ok(PreparedPlan {
        digest: sha256(&bytes),
        bytes,
        kernel: plan.kernel,
        schema: plan.schema,
        absent: plan.absent,
        contexts: plan
            .contexts
            .into_iter()
            .map(|context| context.name)
            .collect(),
    })
}

/// Writes a file of the cache; it has its name only when all of it is there, and nothing stays when it fails.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write()
        .with_context(|| format!("cannot write {}", path.display()))
        .context(Hint(
            "set XDG_CACHE_HOME to a directory that has room and can be written",
        ))
}

/// Where unpacked kernels and plans are kept.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let dir = guest_images::cache_dir();
    fs::create_dir_all(&dir)
        .with_context(|| format!("cannot make {}", dir.display()))
        .context(Hint(
            "set XDG_CACHE_HOME to a directory that can be written",
        ))?;
    Ok(dir)
}
