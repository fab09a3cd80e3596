//! Recordings that were made before, by key: a directory each, the least recently used go first when there are too many.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use guest_images::digest_of_file;
use serde::{Deserialize, Serialize};

/// Begins the name of what is not whole yet.
const NEW: &str = ".new-";
/// Nobody works for so long on an entry: whoever did was killed.
const STALE: Duration = Duration::from_secs(3600);
/// Files of an entry.
pub(crate) const TRACE: &str = "trace.bin";
pub(crate) const CONSOLE: &str = "console.txt";
pub(crate) const TALK: &str = "record.txt";
const ENTRY: &str = "entry.json";

/// The directory.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    max_bytes: u64,
}

/// What is known of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Exit status of `record`.
    pub status: i32,
    /// How long it took, the longest where there were several.
    pub wall_ms: u64,
    /// So many recordings were made, all of the same bytes.
    pub identical: u32,
    /// SHA-256 of the trace.
    pub digest: String,
}

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the cache {}: {source}\nhint: name another by --cache DIR, or pass --no-cache", dir.display())]
pub struct CacheError {
    dir: PathBuf,
    source: io::Error,
}

impl Cache {
    /// Opens or makes it; it is held to about so many bytes.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<Self, CacheError> {
        let failed = |source| CacheError {
            dir: dir.to_owned(),
            source,
        };
        fs::create_dir_all(dir).map_err(failed)?;
        Ok(Self {
            dir: dir.to_owned(),
            max_bytes,
        })
    }

    /// The recording of a key, if `identical` or more were made of it: its files are brought into `to`.
    #[must_use]
    pub fn take(&self, key: &str, identical: u32, to: &Path) -> Option<Entry> {
        let dir = self.dir.join(key);
        let entry: Entry = serde_json::from_slice(&fs::read(dir.join(ENTRY)).ok()?).ok()?;
        if entry.identical < identical {
            return None;
        }
        for name in [TRACE, CONSOLE, TALK] {
            link(&dir.join(name), &to.join(name)).ok()?;
        }
        // Somebody may have brought it here from another machine.
        if digest_of_file(&to.join(TRACE)).ok()? != entry.digest {
            return None;
        }
        // The time of an entry is that of its last use; whether that is known changes nothing else.
        let _ = File::open(dir.join(ENTRY)).and_then(|file| file.set_modified(SystemTime::now()));
        Some(entry)
    }

    /// Keeps the files in `from` under a key.
    ///
    /// # Errors
    /// When there is no room, for example; what was there before stays.
    pub fn put(
        &self,
        key: &str,
        status: i32,
        wall: Duration,
        identical: u32,
        from: &Path,
    ) -> Result<(), CacheError> {
        let put = || -> io::Result<()> {
            let new = tempfile::Builder::new().prefix(NEW).tempdir_in(&self.dir)?;
            let entry = Entry {
                status,
                wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
                identical,
                digest: digest_of_file(&from.join(TRACE))?,
            };
            for name in [TRACE, CONSOLE, TALK] {
                link(&from.join(name), &new.path().join(name))?;
            }
            fs::write(new.path().join(ENTRY), serde_json::to_vec(&entry)?)?;
            let place = self.dir.join(key);
            match fs::remove_dir_all(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::rename(new.path(), &place)
        };
        put().map_err(|source| CacheError {
            dir: self.dir.clone(),
            source,
        })
    }

    /// Removes what was used least recently, until the rest fits.
    ///
    /// # Errors
    /// When the directory cannot be read; what cannot be removed stays.
    pub fn shrink(&self) -> Result<(), CacheError> {
        let list = || -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
            let mut entries = Vec::new();
            for item in fs::read_dir(&self.dir)? {
                let path = item?.path();
                if is_unfinished(&path) {
                    let _ = fs::remove_dir_all(&path);
                } else if let Ok(data) = fs::metadata(path.join(ENTRY)) {
                    entries.push((data.modified()?, bytes_of(&path), path));
                }
            }
            Ok(entries)
        };
        let mut entries = list().map_err(|source| CacheError {
            dir: self.dir.clone(),
            source,
        })?;
        entries.sort();
        let mut bytes: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, of_entry, path) in entries {
            if bytes <= self.max_bytes {
                break;
            }
            let _ = fs::remove_dir_all(path);
            bytes -= of_entry;
        }
        Ok(())
    }
}

/// Whether it was begun by somebody who is not there any more.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let age = fs::metadata(path).and_then(|data| data.modified());
    let age = age.ok().and_then(|time| time.elapsed().ok());
    name.starts_with(NEW) && age.is_some_and(|age| age > STALE)
}

fn bytes_of(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let length = |file: fs::DirEntry| file.metadata().map_or(0, |data| data.len());
    files.map(length).sum()
}

/// The same file under another name; a copy where there can be none.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => fs::copy(from, to).map(drop),
    }
}
