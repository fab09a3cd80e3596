//! A tree from a directory of the host.
//!
//! Modes, links, hard links and devices are kept. Owners are not: they are those of whoever keeps the directory, and root
//! owns all in the image.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::error::{ImageError, Result};
use crate::path::GuestPath;
use crate::spool::Spool;
use crate::tree::{Content, Inode, Kind, Tree};

/// Deeper than anybody's tree, and not too deep to go down.
const DEPTH_MAX: usize = 200;

/// Reads a directory; its sockets are left out.
pub(crate) fn read(dir: &Path, spool: &mut Spool) -> Result<Tree> {
    let mut walk = Walk {
        origin: dir.display().to_string(),
        tree: Tree::new(),
        first_names: HashMap::new(),
        spool,
    };
    let data = fs::metadata(dir).map_err(ImageError::io("read the directory", dir))?;
    if !data.is_dir() {
        return Err(ImageError::refused(&walk.origin, "it is no directory"));
    }
    walk.read(dir, &GuestPath::root(), 0)?;
    Ok(walk.tree)
}

struct Walk<'a> {
    origin: String,
    tree: Tree,
    /// The first name of each file that has several, by device and inode of the host.
    first_names: HashMap<(u64, u64), GuestPath>,
    spool: &'a mut Spool,
}

impl Walk<'_> {
    fn read(&mut self, dir: &Path, place: &GuestPath, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.refused(format!("{place} is nested too deep")));
        }
        let unreadable = || ImageError::io("read the directory", dir);
        let entries = fs::read_dir(dir).map_err(unreadable())?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(unreadable())?.path());
        }
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().as_bytes();
            let place = place.join(name).map_err(|reason| self.refused(reason))?;
            let data = fs::symlink_metadata(&path).map_err(ImageError::io("read", &path))?;
            self.add(&path, &place, &data)?;
            if data.is_dir() {
                self.read(&path, &place, depth + 1)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, place: &GuestPath, data: &Metadata) -> Result<()> {
        let key = (data.dev(), data.ino());
        let first = self.first_names.get(&key).cloned();
        let added = match (first, self.kind(path, data)?) {
            (Some(first), Some(_)) => self.tree.link(place, &first),
            (None, Some(kind)) => {
                if data.nlink() > 1 && !data.is_dir() {
                    self.first_names.insert(key, place.clone());
                }
                self.tree.add(place, Inode::new(kind, data.mode()))
            }
            (_, None) => Ok(()),
        };
        added.map_err(|reason| self.refused(reason))
    }

    fn kind(&mut self, path: &Path, data: &Metadata) -> Result<Option<Kind>> {
        let kind = data.file_type();
        Ok(Some(if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            self.spool.count(&self.origin, data.len())?;
            Kind::File(Content {
                path: std::path::absolute(path).map_err(ImageError::io("read", path))?,
                length: data.len(),
            })
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(ImageError::io("read the link", path))?;
            Kind::Symlink(target.as_os_str().as_bytes().to_vec())
        } else if kind.is_char_device() {
            let (major, minor) = numbers(data.rdev());
            Kind::CharDevice { major, minor }
        } else if kind.is_block_device() {
            let (major, minor) = numbers(data.rdev());
            Kind::BlockDevice { major, minor }
        } else if kind.is_fifo() {
            Kind::Fifo
        } else {
            return Ok(None);
        }))
    }

    fn refused(&self, reason: String) -> ImageError {
        ImageError::refused(&self.origin, reason)
    }
}

/// Major and minor number of a device, which glibc puts into 64 bits in two parts each.
fn numbers(device: u64) -> (u32, u32) {
    let part = |shift: u32, mask: u64| u32::try_from((device >> shift) & mask).unwrap_or(0);
    (
        part(8, 0xfff) | part(32, 0xffff_f000),
        part(0, 0xff) | part(12, 0xffff_ff00),
    )
}
