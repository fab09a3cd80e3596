//! What is in a file system image, as debugfs reads it: ext2, ext3, ext4, the whole file or its first partition.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::disk_content::DiskContent;
use crate::ext4;

/// Links behind each other.
const LINKS_MAX: usize = 8;
const SECTOR_BYTES: u64 = 512;

/// A file system image, opened to read only.
#[derive(Clone, Debug)]
pub struct Ext4Reader {
    /// As e2fsprogs takes it, with the offset of the partition.
    device: OsString,
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) is_directory: bool,
}

impl Ext4Reader {
    /// Of an image; one that is no ext file system has no files.
    #[must_use]
    pub fn new(image: &Path) -> Self {
        let mut device = image.as_os_str().to_owned();
        if let Some(sector) = first_partition(image) {
            device.push(format!("?offset={}", sector * SECTOR_BYTES));
        }
        Self { device }
    }

    /// The contents of a file, links followed; `None` where there is none or it is empty.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut path = PathBuf::from(name);
        for _ in 0..LINKS_MAX {
            let shown = self.ask(&format!("stat {}", quoted(path.to_str()?)?))?;
            let Some((_, target)) = shown.split_once("link dest: \"") else {
                break;
            };
            let target = target.split_once('"')?.0;
            path = path.parent()?.join(target);
        }
        self.dump(&[path.to_str()?])?.pop().flatten()
    }

    /// The contents of files, `None` for those that do not exist or are empty.
    pub(crate) fn dump(&self, paths: &[&str]) -> Option<Vec<Option<Vec<u8>>>> {
        let dir = tempfile::tempdir().ok()?;
        let copy = |index: usize| dir.path().join(index.to_string());
        let mut script = String::new();
        for (index, path) in paths.iter().enumerate() {
            let out = copy(index);
            script += &format!("dump {} {}\n", quoted(path)?, quoted(out.to_str()?)?);
        }
        self.ask_all(&script)?;
        // What does not exist is an empty file to debugfs.
        let contents = |index| fs::read(copy(index)).ok().filter(|bytes| !bytes.is_empty());
        Some((0..paths.len()).map(contents).collect())
    }

    /// What is in directories; nothing for what is none.
    pub(crate) fn list(&self, directories: &[String]) -> Option<Vec<Listed>> {
        let mut script = String::new();
        for directory in directories {
            script += &format!("ls -p {}\n", quoted(directory)?);
        }
        let shown = self.ask_all(&script)?;
        let mut found = Vec::new();
        let mut place = None;
        for line in shown.lines() {
            if let Some(command) = line.strip_prefix("debugfs: ls -p ") {
                place = Some(command.trim_matches('"'));
                continue;
            }
            // /INODE/MODE/UID/GID/NAME/SIZE/
            let mut words = line.split('/').skip(2);
            let (Some(mode), Some(name)) = (words.next(), words.nth(2)) else {
                continue;
            };
            if let Some(place) = place
                && !matches!(name, "" | "." | "..")
            {
                found.push(Listed {
                    path: format!("{place}/{name}"),
                    is_directory: mode.starts_with("04"),
                });
            }
        }
        Some(found)
    }

    fn ask(&self, request: &str) -> Option<String> {
        let mut command = ext4::program("debugfs");
        command.args(["-R", request]).arg(&self.device);
        let output = ext4::run(command).ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn ask_all(&self, script: &str) -> Option<String> {
        let dir = tempfile::tempdir().ok()?;
        let path = dir.path().join("requests");
        fs::write(&path, script).ok()?;
        let mut command = ext4::program("debugfs");
        command.arg("-f").arg(&path).arg(&self.device);
        let output = ext4::run(command).ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn quoted(word: &str) -> Option<String> {
    let is_plain = !word.contains(|c: char| c == '"' || c.is_control());
    is_plain.then(|| format!("\"{word}\""))
}

/// Where the first partition of an image begins, in sectors; `None` for an image without any.
///
/// A table of the older kind is in the first sector, which also protects one of the newer kind in the second.
fn first_partition(image: &Path) -> Option<u64> {
    const PROTECTIVE: u8 = 0xee;
    if DiskContent::of(image).ok()? != DiskContent::Partitions {
        return None;
    }
    let mut file = File::open(image).ok()?;
    let mut start = vec![0; 1024];
    file.read_exact(&mut start).ok()?;
    let number = |bytes: Option<&[u8]>| {
        let bytes = bytes?.iter().rev();
        Some(bytes.fold(0u64, |number, byte| (number << 8) | u64::from(*byte)))
    };
    if start.get(450) != Some(&PROTECTIVE) || start.get(512..520) != Some(b"EFI PART") {
        return number(start.get(454..458)).filter(|sector| *sector > 0);
    }
    let table = number(start.get(584..592))?;
    let mut entry = vec![0; 128];
    let place = table.checked_mul(SECTOR_BYTES)?;
    file.seek(SeekFrom::Start(place)).ok()?;
    file.read_exact(&mut entry).ok()?;
    number(entry.get(32..40)).filter(|sector| *sector > 0 && *sector < 1 << 40)
}
