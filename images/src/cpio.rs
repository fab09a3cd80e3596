//! A tree as the archive that the kernel takes as initial ramdisk: cpio, "newc".
//!
//! Relies on `Documentation/driver-api/early-userspace/buffer-format.rst`. It is not packed, since unpacking in the guest
//! costs more than the bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::EPOCH_SECONDS;
use crate::error::{ImageError, Result};
use crate::tree::{Inode, InodeIndex, Kind, Tree};

const END: &[u8] = b"TRAILER!!!";

/// Writes the archive.
pub(crate) fn write(tree: &Tree, out: &Path) -> Result<()> {
    let unwritable = || ImageError::io("write", out);
    let mut writer = BufWriter::new(File::create(out).map_err(unwritable())?);
    let link_counts = tree.link_counts();
    let mut written: BTreeMap<InodeIndex, u32> = BTreeMap::new();
    for (number, (path, index, inode)) in tree.iter().enumerate() {
        if path.as_bytes().is_empty() {
            continue;
        }
        let links = link_counts.get(&index).copied().unwrap_or(1);
        let names = written.entry(index).or_insert(0);
        *names += 1;
        let mut entry = Entry {
            // Only hard links share one; the order of names numbers all.
            number: if links > 1 { index } else { number },
            links,
            inode: Some(inode),
            name: path.as_bytes(),
            length: 0,
        };
        match &inode.kind {
            // The last name brings the contents.
            Kind::File(content) if *names == links => {
                entry.length = content.length;
                let unreadable = ImageError::io("read", &content.path);
                let mut file = File::open(&content.path).map_err(unreadable)?;
                entry.write(&mut writer).map_err(unwritable())?;
                let copied = io::copy(&mut file, &mut writer).map_err(unwritable())?;
                if copied != content.length {
                    let path = content.path.display().to_string();
                    return Err(ImageError::refused(&path, "it changed while it was read"));
                }
                pad(&mut writer, copied).map_err(unwritable())?;
            }
            Kind::Symlink(target) => {
                entry.length = target.len() as u64;
                entry.write(&mut writer).map_err(unwritable())?;
                writer.write_all(target).map_err(unwritable())?;
                pad(&mut writer, entry.length).map_err(unwritable())?;
            }
            _ => entry.write(&mut writer).map_err(unwritable())?,
        }
    }
    let end = Entry {
        number: 0,
        links: 1,
        inode: None,
        name: END,
        length: 0,
    };
    end.write(&mut writer).map_err(unwritable())?;
    writer.flush().map_err(unwritable())
}

struct Entry<'a> {
    number: usize,
    links: u32,
    inode: Option<&'a Inode>,
    name: &'a [u8],
    length: u64,
}

impl Entry<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (major, minor) = match self.inode.map(|inode| &inode.kind) {
            Some(Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }) => {
                (*major, *minor)
            }
            _ => (0, 0),
        };
        let length = u32::try_from(self.length).map_err(|_too_long| {
            io::Error::other("a file of 4 GiB does not fit into an initial ramdisk")
        })?;
        let seconds = if self.inode.is_some() {
            EPOCH_SECONDS
        } else {
            0
        };
        write!(
            out,
            "070701{:08x}{:08x}{:08x}{:08x}{:08x}{seconds:08x}{length:08x}{:08x}{:08x}{major:08x}{minor:08x}{:08x}{:08x}",
            self.number,
            self.inode.map_or(0, Inode::mode_with_kind),
            self.inode.map_or(0, |inode| inode.uid),
            self.inode.map_or(0, |inode| inode.gid),
            self.links,
            0,
            0,
            self.name.len() + 1,
            0,
        )?;
        out.write_all(self.name)?;
        out.write_all(&[0])?;
        // The header has 110 bytes.
        pad(out, 110 + self.name.len() as u64 + 1)
    }
}

/// Fills up to a multiple of four.
fn pad(out: &mut impl Write, length: u64) -> io::Result<()> {
    let rest = length.next_multiple_of(4) - length;
    out.write_all(
        [0; 3]
            .get(..usize::try_from(rest).unwrap_or(0))
            .unwrap_or_default(),
    )
}
