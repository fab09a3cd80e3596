//! What a disk image begins with.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What a disk image begins with, as far as a root file system's is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskContent {
    /// An ext2, ext3 or ext4 file system.
    Ext4,
    /// A squashfs file system.
    Squashfs,
    /// A table of partitions.
    Partitions,
    /// None of these.
    Other,
}

/// Where an ext superblock has its magic number, behind which nothing is asked for here.
const EXT_MAGIC_AT: usize = 0x438;

impl DiskContent {
    /// Looks at the first bytes of an image.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(image: &Path) -> io::Result<Self> {
        let mut start = Vec::new();
        let wanted = EXT_MAGIC_AT as u64 + 2;
        File::open(image)?.take(wanted).read_to_end(&mut start)?;
        let has = |at: usize, magic: &[u8]| start.get(at..at + magic.len()) == Some(magic);
        // The code that boots from an ext file system's first sector may end as a partition table does.
        Ok(if has(EXT_MAGIC_AT, &[0x53, 0xef]) {
            Self::Ext4
        } else if has(0, b"hsqs") {
            Self::Squashfs
        } else if has(510, &[0x55, 0xaa]) {
            Self::Partitions
        } else {
            Self::Other
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_told_by_its_first_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        let of = |parts: &[(usize, &[u8])], len: usize| {
            let mut image = vec![0; len];
            for (at, bytes) in parts {
                image[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            std::fs::write(&path, image).unwrap();
            DiskContent::of(&path).unwrap()
        };
        let ends: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        assert_eq!(of(&[ends, (0x438, &[0x53, 0xef])], 4096), DiskContent::Ext4);
        assert_eq!(of(&[ends], 512), DiskContent::Partitions);
        assert_eq!(of(&[(0, b"hsqs")], 96), DiskContent::Squashfs);
        assert_eq!(of(&[], 4096), DiskContent::Other);
        assert_eq!(of(&[], 0), DiskContent::Other);
    }
}
