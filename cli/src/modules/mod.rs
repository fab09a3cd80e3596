//! Modules as verbs are given them: files, and a directory of which those are read that have what is named.

mod index;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use guest_symbols::{ImageBytes, Kernel, ModuleFile};
use plan_compiler::Wanted;

use crate::{Hint, Usage};
use index::Index;

/// The modules of a kernel.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ModuleArgs {
    /// Module of the kernel (.ko, .ko.xz, .ko.zst, .ko.gz) whose functions and tracepoints can be named; repeatable
    #[arg(long = "module", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Directory with the kernel's modules, as /lib/modules/RELEASE: those with what is named are read
    #[arg(long = "modules", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl ModuleArgs {
    /// Whether none were given.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dir.is_none()
    }

    /// The directory.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Takes a directory where none was given.
    pub(crate) fn or_dir(&mut self, dir: Option<&Path>) {
        if self.dir.is_none() {
            self.dir = dir.map(Path::to_owned);
        }
    }

    /// What tells these modules from others: for caches.
    pub(crate) fn cache_key(&self) -> String {
        let mut key = String::new();
        for file in &self.files {
            key += &format!("{} {}\n", file.display(), stamp(file));
        }
        if let Some(dir) = &self.dir {
            let order = dir.join("modules.order");
            key += &format!("{} {}\n", dir.display(), stamp(&order));
        }
        key
    }

    /// Adds the modules given as files, and those of the directory that have what is wanted.
    pub(crate) fn add_wanted(&self, kernel: &mut Kernel, wanted: &Wanted) -> Result<()> {
        let mut paths = self.files.clone();
        if let Some(dir) = &self.dir
            && !wanted.is_empty()
        {
            paths.extend(Index::of(dir)?.find(kernel, wanted));
        }
        add(kernel, &paths)
    }

    /// Adds the modules given as files, and those of the directory that have tracepoints.
    pub(crate) fn add_with_tracepoints(&self, kernel: &mut Kernel) -> Result<()> {
        let mut paths = self.files.clone();
        if let Some(dir) = &self.dir {
            paths.extend(Index::of(dir)?.with_tracepoints());
        }
        add(kernel, &paths)
    }

    /// Every module.
    pub(crate) fn all(&self) -> Result<Vec<PathBuf>> {
        let mut paths = self.files.clone();
        if let Some(dir) = &self.dir {
            paths.extend(index::module_files(dir)?);
        }
        Ok(paths)
    }
}

fn add(kernel: &mut Kernel, paths: &[PathBuf]) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for path in paths {
        let file = open(path)?;
        // The same one may be named as a file and be in the directory.
        if !names.iter().any(|name| name == file.name()) {
            names.push(file.name().to_owned());
            kernel
                .add_modules(&[file])
                .with_context(|| format!("cannot use {}", path.display()))?;
        }
    }
    Ok(())
}

/// Reads a module.
pub(crate) fn open(path: &Path) -> Result<ModuleFile> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read the module {}", path.display()))
        .context(Hint("is the name right, and may you read it?"))?;
    ModuleFile::parse(ImageBytes::new(bytes))
        .with_context(|| format!("cannot use {}", path.display()))
}

/// Length and time of change.
fn stamp(path: &Path) -> String {
    let data = File::open(path).and_then(|file| file.metadata());
    data.map_or_else(
        |_| String::new(),
        |data| format!("{} {:?}", data.len(), data.modified().ok()),
    )
}

/// A directory that is none of modules.
fn no_modules(dir: &Path) -> anyhow::Error {
    Usage::new(format!("there are no modules (*.ko) in {}", dir.display()))
        .hint("pass the directory of the guest's kernel release, as /lib/modules/RELEASE")
        .into()
}
