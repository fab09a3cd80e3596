//! What tells a recording from others by content: the same inputs have the same key, wherever they lie.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use guest_images::digest_of_file;
use sha2::{Digest as _, Sha256};

use crate::recipe::{Recipe, Word};
use crate::workshop::WorkshopError;

/// Part of each key: another number for another way to make them, or to record.
const VERSION: &str = "guesttrace ci 1";
/// Files of a directory that an option names; the modules of a kernel are some 4,000.
const DIR_FILES_MAX: usize = 100_000;

/// Digests of files, each read once.
#[derive(Debug, Default)]
pub struct Digests {
    known: BTreeMap<PathBuf, String>,
}

impl Digests {
    /// SHA-256 of a file, in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(&mut self, path: &Path) -> io::Result<String> {
        if let Some(digest) = self.known.get(path) {
            return Ok(digest.clone());
        }
        let digest = digest_of_file(path)?;
        self.known.insert(path.to_owned(), digest.clone());
        Ok(digest)
    }
}

/// The key of a recording: `identity` is that of the programs that make it, `dir` that of the suite.
///
/// # Errors
/// When a file of the guest cannot be read.
pub fn key(
    recipe: &Recipe,
    identity: &[String],
    dir: &Path,
    digests: &mut Digests,
) -> Result<String, WorkshopError> {
    let mut hash = Sha256::new();
    // Lengths go first, so that no two lists of words are the same bytes.
    let mut add = |kind: &str, text: &str| {
        hash.update(format!("{kind} {}\n", text.len()));
        hash.update(text);
    };
    add("version", VERSION);
    for text in identity {
        add("by", text);
    }
    for word in &recipe.words {
        match word {
            Word::File(path) => {
                let digest = digests.of_file(path).map_err(unreadable(path))?;
                add("file", &digest);
            }
            Word::Text(text) => {
                add("text", text);
                for path in named_files(text, dir) {
                    let content = content(&path, digests).map_err(unreadable(&path))?;
                    add("named", &content);
                }
            }
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> WorkshopError {
    let path = path.to_owned();
    |source| WorkshopError::Unreadable { path, source }
}

/// Files and directories that the value of an option names: rows of events, modules, programs.
fn named_files(text: &str, dir: &Path) -> Vec<PathBuf> {
    let parts = text.split([',', '=', ':', ' ']);
    let paths = parts.filter(|part| !part.is_empty() && *part != ".");
    let paths = paths.map(|part| dir.join(part));
    paths.filter(|path| path.exists()).collect()
}

/// What a path holds: of a directory, which may be large, names, lengths and times.
fn content(path: &Path, digests: &mut Digests) -> io::Result<String> {
    if !path.is_dir() {
        return digests.of_file(path);
    }
    let mut hash = Sha256::new();
    let mut open = vec![path.to_owned()];
    let mut count = 0;
    while let Some(dir) = open.pop() {
        let mut entries: Vec<_> = fs::read_dir(&dir)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            count += 1;
            if count > DIR_FILES_MAX {
                let told = format!("it has more than {DIR_FILES_MAX} files");
                return Err(io::Error::other(told));
            }
            let data = entry.metadata()?;
            let path = entry.path();
            hash.update(path.as_os_str().as_encoded_bytes());
            if data.is_dir() {
                open.push(path);
            } else {
                let stamp = format!("\0{} {:?}\n", data.len(), data.modified()?);
                hash.update(stamp);
            }
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}
