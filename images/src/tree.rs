//! The files of an image before it is written: names, and the inodes that they lead to.
//!
//! Links are followed here as in the guest: an absolute one begins at the guest's root, and none leads out of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::path::{GuestPath, PATH_BYTES_MAX};

/// As the kernel counts them before it says ELOOP.
const LINKS_MAX: usize = 40;
/// Names in an image: many times a distribution's.
const NAMES_MAX: usize = 1_000_000;

/// What a name leads to.
#[derive(Clone, Debug)]
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    /// Permissions with setuid, setgid and sticky: the twelve lower bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Kinds of files; sockets are made by those who listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File(Content),
    Symlink(Vec<u8>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// A file's bytes: a file of the host that stays as it is until the image is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) path: PathBuf,
    pub(crate) length: u64,
}

impl Inode {
    /// Root's.
    pub(crate) fn new(kind: Kind, mode: u32) -> Self {
        Self {
            kind,
            mode: mode & 0o7777,
            uid: 0,
            gid: 0,
        }
    }

    /// The kind as it is in the upper bits of `st_mode`.
    pub(crate) fn mode_with_kind(&self) -> u32 {
        let kind = match self.kind {
            Kind::Directory => 0o040_000,
            Kind::File(_) => 0o100_000,
            Kind::Symlink(_) => 0o120_000,
            Kind::CharDevice { .. } => 0o020_000,
            Kind::BlockDevice { .. } => 0o060_000,
            Kind::Fifo => 0o010_000,
        };
        kind | self.mode
    }
}

/// Where an inode is in its tree; two names with the same are hard links.
pub(crate) type InodeIndex = usize;

/// The files of an image.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    names: BTreeMap<GuestPath, InodeIndex>,
    inodes: Vec<Inode>,
}

impl Tree {
    /// With nothing but a root.
    pub(crate) fn new() -> Self {
        Self {
            names: BTreeMap::from([(GuestPath::root(), 0)]),
            inodes: vec![Inode::new(Kind::Directory, 0o755)],
        }
    }

    /// Lays something at a path, over what is there: a directory only over a directory or a link to one.
    ///
    /// The error is the reason why it is refused.
    pub(crate) fn add(&mut self, path: &GuestPath, inode: Inode) -> Result<(), String> {
        let path = self.resolve_parent(path)?;
        if inode.kind == Kind::Directory {
            return self.add_directory(&path, inode);
        }
        if let Kind::Symlink(target) = &inode.kind {
            check_target(&path, target)?;
        }
        self.check_replaceable(&path)?;
        self.inodes.push(inode);
        self.names.insert(path, self.inodes.len() - 1);
        Ok(())
    }

    fn add_directory(&mut self, path: &GuestPath, inode: Inode) -> Result<(), String> {
        match self
            .names
            .get(path)
            .and_then(|index| self.inodes.get(*index))
        {
            Some(there) if matches!(there.kind, Kind::Symlink(_)) => {
                // As dpkg does it: a link to a directory stays, and what comes goes where it leads.
                let target = self.resolve(path)?;
                match self.get(&target) {
                    Some(there) if there.kind == Kind::Directory => return Ok(()),
                    Some(_) => return Err(format!("{path} is a link to a file and a directory")),
                    None => {}
                }
                self.make_directories(&target)
            }
            Some(there) if there.kind != Kind::Directory => {
                Err(format!("{path} is a file and a directory"))
            }
            _ => {
                self.inodes.push(inode);
                self.names.insert(path.clone(), self.inodes.len() - 1);
                Ok(())
            }
        }
    }

    /// Gives a file that is there another name.
    pub(crate) fn link(&mut self, path: &GuestPath, target: &GuestPath) -> Result<(), String> {
        let path = self.resolve_parent(path)?;
        let target = self.resolve_parent(target)?;
        let Some(index) = self.names.get(&target).copied() else {
            return Err(format!(
                "{path} is a hard link to {target}, which is not there"
            ));
        };
        if self
            .inodes
            .get(index)
            .is_some_and(|inode| inode.kind == Kind::Directory)
        {
            return Err(format!("{path} is a hard link to the directory {target}"));
        }
        self.check_replaceable(&path)?;
        self.names.insert(path, index);
        Ok(())
    }

    /// Lays another tree over this one, whose directories stay as they are.
    pub(crate) fn overlay(&mut self, other: &Self) -> Result<(), String> {
        let mut first_names: BTreeMap<InodeIndex, &GuestPath> = BTreeMap::new();
        for (path, index, inode) in other.iter() {
            match first_names.get(&index) {
                Some(first) => self.link(path, first)?,
                None => {
                    let is_there = |inode: &Inode| inode.kind == Kind::Directory;
                    if inode.kind != Kind::Directory || !self.lookup(path).is_some_and(is_there) {
                        self.add(path, inode.clone())?;
                    }
                    first_names.insert(index, path);
                }
            }
        }
        Ok(())
    }

    /// The same tree below a directory.
    pub(crate) fn below_prefix(&self, prefix: &GuestPath) -> Result<Self, String> {
        let mut moved = Self::new();
        moved.make_directories(prefix)?;
        let base = moved.inodes.len();
        moved.inodes.extend(self.inodes.iter().cloned());
        for (path, index) in &self.names {
            let mut place = prefix.clone();
            for name in path.names() {
                place = place.join(name)?;
            }
            moved.names.insert(place, base + index);
        }
        Ok(moved)
    }

    /// Removes what is unwanted, directories with all that they have.
    pub(crate) fn remove(&mut self, is_unwanted: impl Fn(&GuestPath) -> bool) {
        self.names.retain(|path, _| {
            let mut place = path.clone();
            while !place.as_bytes().is_empty() {
                if is_unwanted(&place) {
                    return false;
                }
                place = place.parent();
            }
            true
        });
    }

    /// What is at that very path; links are not followed.
    pub(crate) fn get(&self, path: &GuestPath) -> Option<&Inode> {
        self.inodes.get(*self.names.get(path)?)
    }

    /// What a path of the guest leads to, through links.
    pub(crate) fn lookup(&self, path: &GuestPath) -> Option<&Inode> {
        self.get(&self.resolve(path).ok()?)
    }

    /// Every name in order, parents before what is in them, with the inode and where it is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GuestPath, InodeIndex, &Inode)> {
        self.names
            .iter()
            .filter_map(|(path, index)| Some((path, *index, self.inodes.get(*index)?)))
    }

    /// Names below a directory, and what they lead to.
    pub(crate) fn below(
        &self,
        directory: &GuestPath,
    ) -> impl Iterator<Item = (&GuestPath, &Inode)> {
        let all = self.names.range(directory.clone()..);
        let inside = all.filter(move |(path, _)| path.is_below(directory));
        inside.filter_map(|(path, index)| Some((path, self.inodes.get(*index)?)))
    }

    /// How many names each inode has.
    pub(crate) fn link_counts(&self) -> BTreeMap<InodeIndex, u32> {
        let mut counts = BTreeMap::new();
        for index in self.names.values() {
            *counts.entry(*index).or_insert(0) += 1;
        }
        counts
    }

    /// Where a path leads when every link on the way and at its end is followed.
    pub(crate) fn resolve(&self, path: &GuestPath) -> Result<GuestPath, String> {
        let mut ahead: Vec<Vec<u8>> = path.names().map(<[u8]>::to_vec).collect();
        ahead.reverse();
        let mut place = GuestPath::root();
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    place = place.parent();
                    continue;
                }
                _ => {}
            }
            let next = place.join(&name)?;
            match self.get(&next).map(|inode| &inode.kind) {
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(format!("{path} leads through links without end"));
                    }
                    if target.first() == Some(&b'/') {
                        place = GuestPath::root();
                    }
                    ahead.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                }
                Some(_) | None => place = next,
            }
        }
        Ok(place)
    }

    /// The path with all links on the way to its last name followed, and the directories made that are not there.
    fn resolve_parent(&mut self, path: &GuestPath) -> Result<GuestPath, String> {
        if path.as_bytes().is_empty() {
            return Ok(path.clone());
        }
        if self.names.len() >= NAMES_MAX {
            return Err(format!("it has more than {NAMES_MAX} files"));
        }
        let parent = self.resolve(&path.parent())?;
        self.make_directories(&parent)?;
        parent.join(path.name())
    }

    fn make_directories(&mut self, path: &GuestPath) -> Result<(), String> {
        let mut place = GuestPath::root();
        for name in path.names() {
            place = place.join(name)?;
            match self.get(&place) {
                Some(inode) if inode.kind == Kind::Directory => {}
                Some(_) => return Err(format!("{place} is a file and a directory")),
                None => {
                    self.inodes.push(Inode::new(Kind::Directory, 0o755));
                    self.names.insert(place.clone(), self.inodes.len() - 1);
                }
            }
        }
        Ok(())
    }

    fn check_replaceable(&self, path: &GuestPath) -> Result<(), String> {
        match self.get(path) {
            Some(inode) if inode.kind == Kind::Directory => {
                Err(format!("{path} is a directory and a file"))
            }
            _ => Ok(()),
        }
    }
}

/// Where a link leads: anywhere, but as text.
fn check_target(path: &GuestPath, target: &[u8]) -> Result<(), String> {
    if target.is_empty() || target.len() > PATH_BYTES_MAX {
        return Err(format!(
            "the link {path} has a target of {} bytes",
            target.len()
        ));
    }
    if target.iter().any(|byte| byte.is_ascii_control()) {
        return Err(format!(
            "the link {path} has control characters in its target"
        ));
    }
    Ok(())
}
