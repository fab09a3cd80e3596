//! Which module of a directory has which names: made once per directory, then taken from the cache.
//!
//! A distribution has 4,000 modules, and unpacking them takes seconds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use guest_symbols::{Kernel, ModuleFile};
use plan_compiler::{Offered, Wanted};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{no_modules, open, stamp};
use crate::Hint;
use crate::record::{cache_dir, sha256, write_whole};

/// Deeper than any tree of modules.
const DEPTH_MAX: usize = 16;
const TRACEPOINT: &str = "__tracepoint_";

/// The modules of a directory.
#[derive(Debug)]
pub(super) struct Index {
    modules: Vec<Entry>,
}

/// What a module has.
#[derive(Debug, Default)]
struct Entry {
    path: PathBuf,
    systems: Vec<String>,
    tracepoints: Vec<String>,
    foreign: Vec<String>,
    /// Hashes of the names that it defines, by ascending value. Two names may share one: then a module too many is read.
    names: Vec<u32>,
}

impl Index {
    /// The index of a directory, from the cache when nothing in the directory has changed.
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let files = module_files(dir)?;
        let mut key = format!("{}\n", env!("CARGO_PKG_VERSION"));
        for path in &files {
            key += &format!("{} {}\n", path.display(), stamp(path));
        }
        let cached = cache_dir()?.join(format!("modules-{}", sha256(key.as_bytes())));
        let known = fs::read(&cached).ok();
        if let Some(index) = known.and_then(|bytes| Self::from_json(&bytes)) {
            return Ok(index);
        }
        // One that cannot be read is none that could be loaded.
        let read = |path: &PathBuf| Some(Entry::of(path, &open(path).ok()?));
        let index = Self {
            modules: files.par_iter().filter_map(read).collect(),
        };
        // A cache that cannot be written costs time, nothing else.
        let _ = write_whole(&cached, index.to_json().to_string().as_bytes());
        Ok(index)
    }

    /// The modules that have what is wanted.
    pub(super) fn find(&self, kernel: &Kernel, wanted: &Wanted) -> Vec<PathBuf> {
        let functions = wanted.functions();
        let is_known = |name: &&String| self.modules.iter().any(|entry| entry.defines(name));
        let (known, slips): (Vec<_>, Vec<_>) = functions.iter().partition(is_known);
        let has = |entry: &&Entry| {
            let offered = Offered {
                systems: &entry.systems,
                tracepoints: &entry.tracepoints,
                foreign: &entry.foreign,
            };
            known.iter().any(|name| entry.defines(name))
                // So that the error can say what there is instead.
                || slips.iter().any(|name| Wanted::is_likely_in(entry.name(), name))
                || wanted.wants_tracepoints_of(kernel, offered)
        };
        let found = self.modules.iter().filter(has);
        found.map(|entry| entry.path.clone()).collect()
    }

    /// The modules that define tracepoints.
    pub(super) fn with_tracepoints(&self) -> Vec<PathBuf> {
        let have = self
            .modules
            .iter()
            .filter(|entry| !entry.tracepoints.is_empty());
        have.map(|entry| entry.path.clone()).collect()
    }

    fn to_json(&self) -> Value {
        let rows = self.modules.iter().map(|entry| {
            json!([
                entry.path.to_string_lossy(),
                entry.systems,
                entry.tracepoints,
                entry.foreign,
                entry.names
            ])
        });
        rows.collect()
    }

    fn from_json(bytes: &[u8]) -> Option<Self> {
        type Row = (PathBuf, Vec<String>, Vec<String>, Vec<String>, Vec<u32>);
        let rows: Vec<Row> = serde_json::from_slice(bytes).ok()?;
        let entry = |(path, systems, tracepoints, foreign, names): Row| Entry {
            path,
            systems,
            tracepoints,
            foreign,
            names,
        };
        Some(Self {
            modules: rows.into_iter().map(entry).collect(),
        })
    }
}

impl Entry {
    fn defines(&self, name: &str) -> bool {
        self.names.binary_search(&hash(name)).is_ok()
    }

    /// As the file has it, before the first dot.
    fn name(&self) -> &str {
        let name = self.path.file_name().and_then(|name| name.to_str());
        let stem = name.and_then(|name| name.split('.').next());
        stem.unwrap_or_default()
    }

    fn of(path: &Path, file: &ModuleFile) -> Self {
        let mut entry = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        for name in file.names() {
            // `include/trace/stages/init.h` leaves the name of each system behind in this form.
            let system = name
                .strip_prefix("str__")
                .and_then(|rest| rest.strip_suffix("__trace_system_name"));
            entry.systems.extend(system.map(str::to_owned));
            let tracepoint = name.strip_prefix(TRACEPOINT);
            entry.tracepoints.extend(tracepoint.map(str::to_owned));
            entry.names.push(hash(name));
        }
        let foreign = file
            .foreign_names()
            .filter_map(|name| name.strip_prefix(TRACEPOINT));
        entry.foreign = foreign.map(str::to_owned).collect();
        entry.names.sort_unstable();
        entry.names.dedup();
        entry
    }
}

/// FNV-1a.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// All modules below a directory, in the order of their paths.
pub(super) fn module_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![(dir.to_owned(), 0)];
    while let Some((dir, depth)) = dirs.pop() {
        let entries = fs::read_dir(&dir)
            .with_context(|| format!("cannot read the directory {}", dir.display()))
            .context(Hint("is the name right, and may you read it?"))?;
        for entry in entries.flatten() {
            let path = entry.path();
            // Links such as `build` and `source` lead to other trees.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => dirs.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && is_module(&path) => drop(found.insert(path)),
                _ => {}
            }
        }
    }
    if found.is_empty() {
        return Err(no_modules(dir));
    }
    Ok(found.into_iter().collect())
}

fn is_module(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        [".ko", ".ko.xz", ".ko.zst", ".ko.gz"]
            .iter()
            .any(|end| name.ends_with(end))
    })
}
