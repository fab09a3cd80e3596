//! The directory of files that only one recording needs, and what is left of those of recordings that were killed.
//!
//! Once the guest's kernel runs, QEMU has opened all that is in there, and it goes: a kill leaves nothing behind from then
//! on. What an earlier kill left is known by its lock, which nobody holds any longer, and goes when the next one starts.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "guesttrace-";
/// Held by the process whose directory it is.
const LOCK: &str = "lock";

/// Removed with all it holds when it is dropped, if not before.
#[derive(Debug)]
pub(crate) struct WorkDir {
    dir: TempDir,
    _lock: File,
}

impl WorkDir {
    /// Makes one, and removes what killed recordings left.
    ///
    /// # Errors
    /// When the directory for temporary files cannot be written.
    pub(crate) fn new() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        remove_leftovers(&parent);
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&parent)?;
        // Whoever sees the lock by its name sees it held.
        let unnamed = dir.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        fs::rename(&unnamed, dir.path().join(LOCK))?;
        Ok(Self { dir, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Removes it early: whoever needs its files has opened them.
    pub(crate) fn remove(&self) {
        // What cannot be removed now is tried again in the end.
        let _ = fs::remove_dir_all(self.path());
    }
}

/// Removes the directories whose processes are gone.
fn remove_leftovers(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_dir && entry.file_name().to_string_lossy().starts_with(PREFIX)
    });
    for entry in ours {
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        let free = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        if free.is_ok() {
            // Where that is not permitted, it is somebody else's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_is_left_over_goes() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            File::create(dir.join(LOCK)).unwrap()
        };
        drop(make("guesttrace-killed"));
        drop(make("of-another-program"));
        let held = make("guesttrace-running");
        rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
        fs::create_dir(parent.path().join("guesttrace-starting")).unwrap();
        remove_leftovers(parent.path());
        let mut left: Vec<_> = fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = [
            "guesttrace-running",
            "guesttrace-starting",
            "of-another-program",
        ];
        assert_eq!(left, expected);
    }
}
