//! A file that grows: locked as long as somebody writes it, so that readers know that more is to come.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// Creates a file that is known to be written as long as the handle is open.
///
/// What an earlier recording left there is removed rather than emptied, since somebody may be reading it.
///
/// # Errors
/// When the file cannot be created.
pub fn create_growing(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = File::create(path)?;
    // Not every file system can; the recording does without.
    let _ = file.try_lock();
    Ok(file)
}

/// Whether somebody still writes a file. Where locks cannot be had, they may.
#[must_use]
pub fn is_growing(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
    }
}
