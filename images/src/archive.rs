//! A tree from a tar archive, packed or not, which anybody may have made.
//!
//! Every member is looked at before it is taken: its name must lie in the image, its length is counted before it is read,
//! and nothing is ever written under a name that it chose. Extended attributes are left out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use tar::{Archive, Entries, Entry, EntryType, Header, PaxExtensions};

use crate::error::{ImageError, Result};
use crate::path::{GuestPath, show};
use crate::spool::Spool;
use crate::tree::{Inode, Kind, Tree};

/// A long name, or the attributes of a member: the limit of a path several times over.
const EXTENSION_BYTES_MAX: u64 = 64 << 10;

/// Lays the members of an archive over a tree.
pub(crate) fn add_file(tree: &mut Tree, path: &Path, spool: &mut Spool) -> Result<()> {
    let unreadable = || ImageError::io("read the archive", path);
    let mut file = BufReader::new(File::open(path).map_err(unreadable())?);
    let start = file.fill_buf().map_err(unreadable())?;
    let method = Method::of(start);
    let reader: Box<dyn Read> = match method {
        Method::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Method::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        Method::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file)),
        Method::Zstd => Box::new(zstd::Decoder::with_buffer(file).map_err(unreadable())?),
        Method::None => Box::new(file),
    };
    add(tree, &path.display().to_string(), reader, spool)
}

/// How an archive is packed, by its first bytes.
#[derive(Clone, Copy)]
enum Method {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Method {
    fn of(start: &[u8]) -> Self {
        let magics: [(&[u8], Self); 4] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"BZh", Self::Bzip2),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
        ];
        let found = magics.iter().find(|(magic, _)| start.starts_with(magic));
        found.map_or(Self::None, |(_, method)| *method)
    }
}

/// Lays the members of an archive over a tree; `origin` is what messages call it.
pub(crate) fn add(
    tree: &mut Tree,
    origin: &str,
    reader: impl Read,
    spool: &mut Spool,
) -> Result<()> {
    let mut archive = Archive::new(reader);
    let entries = archive
        .entries()
        .map_err(|error| unreadable(origin, &error))?;
    let mut unpacking = Unpacking {
        origin,
        tree,
        spool,
        next: Extensions::default(),
    };
    // Raw: long names and attributes come as members of their own, and are bounded here.
    let entries: Entries<'_, _> = entries.raw(true);
    for entry in entries {
        unpacking.take(entry.map_err(|error| unreadable(origin, &error))?)?;
    }
    Ok(())
}

fn unreadable(origin: &str, error: &io::Error) -> ImageError {
    ImageError::refused(origin, format!("it is no whole tar archive: {error}"))
}

/// What members in front of a member say of it.
#[derive(Debug, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    has_size: bool,
}

struct Unpacking<'a> {
    origin: &'a str,
    tree: &'a mut Tree,
    spool: &'a mut Spool,
    next: Extensions,
}

impl Unpacking<'_> {
    fn take<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<()> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.next.path = Some(self.long_name(&mut entry)?),
            EntryType::GNULongLink => self.next.link = Some(self.long_name(&mut entry)?),
            EntryType::XHeader => self.take_attributes(&mut entry)?,
            // Comments, as of the commit that an archive was made from.
            EntryType::XGlobalHeader => {}
            _ => self.take_member(&mut entry)?,
        }
        Ok(())
    }

    fn long_name<R: Read>(&self, entry: &mut Entry<'_, R>) -> Result<Vec<u8>> {
        let mut name = self.extension(entry)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn extension<R: Read>(&self, entry: &mut Entry<'_, R>) -> Result<Vec<u8>> {
        if entry.size() > EXTENSION_BYTES_MAX {
            let reason = format!("a name or an attribute has {} bytes", entry.size());
            return Err(self.refused(reason));
        }
        let mut bytes = Vec::new();
        let read = entry.read_to_end(&mut bytes);
        read.map_err(|error| unreadable(self.origin, &error))?;
        Ok(bytes)
    }

    fn take_attributes<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<()> {
        let bytes = self.extension(entry)?;
        for attribute in PaxExtensions::new(&bytes) {
            let attribute = attribute.map_err(|error| unreadable(self.origin, &error))?;
            let value = attribute.value_bytes();
            let number = || std::str::from_utf8(value).ok()?.parse().ok();
            match attribute.key_bytes() {
                b"path" => self.next.path = Some(value.to_vec()),
                b"linkpath" => self.next.link = Some(value.to_vec()),
                b"uid" => self.next.uid = number(),
                b"gid" => self.next.gid = number(),
                b"size" => self.next.has_size = true,
                key if key.starts_with(b"GNU.sparse") => return Err(self.sparse()),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_member<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<()> {
        let next = std::mem::take(&mut self.next);
        if next.has_size {
            return Err(self.refused("a member has 8 GiB or more".to_owned()));
        }
        let name = next
            .path
            .unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = GuestPath::parse(&name).map_err(|reason| self.refused(reason))?;
        let link = next.link.or_else(|| {
            entry
                .header()
                .link_name_bytes()
                .map(|link| link.into_owned())
        });
        let link = link.unwrap_or_default();
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                let length = entry.size();
                Kind::File(self.spool.take(self.origin, entry, length)?)
            }
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink if link.is_empty() => {
                return Err(self.refused(format!("the link {path} leads nowhere")));
            }
            EntryType::Symlink => Kind::Symlink(link),
            EntryType::Link => {
                let target = GuestPath::parse(&link);
                let linked = target.and_then(|target| self.tree.link(&path, &target));
                return linked.map_err(|reason| self.refused(reason));
            }
            EntryType::Char => {
                let (major, minor) = self.device(entry.header())?;
                Kind::CharDevice { major, minor }
            }
            EntryType::Block => {
                let (major, minor) = self.device(entry.header())?;
                Kind::BlockDevice { major, minor }
            }
            EntryType::Fifo => Kind::Fifo,
            EntryType::GNUSparse => return Err(self.sparse()),
            other => {
                let kind = char::from(other.as_byte());
                return Err(self.refused(format!("{} is of the kind {kind:?}", show(&name))));
            }
        };
        let inode = self.inode(kind, entry.header(), next.uid, next.gid)?;
        let added = self.tree.add(&path, inode);
        added.map_err(|reason| self.refused(reason))
    }

    fn inode(
        &self,
        kind: Kind,
        header: &Header,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<Inode> {
        let bad = |error: io::Error| unreadable(self.origin, &error);
        let id = |id: u64| u32::try_from(id).ok();
        let owner = uid.or(id(header.uid().map_err(bad)?));
        let group = gid.or(id(header.gid().map_err(bad)?));
        let (Some(uid), Some(gid)) = (owner, group) else {
            return Err(self.refused("an owner's number has more than 32 bits".to_owned()));
        };
        let mode = header.mode().map_err(bad)?;
        Ok(Inode {
            uid,
            gid,
            ..Inode::new(kind, mode)
        })
    }

    fn device(&self, header: &Header) -> Result<(u32, u32)> {
        let bad = |error: io::Error| unreadable(self.origin, &error);
        let major = header.device_major().map_err(bad)?;
        let minor = header.device_minor().map_err(bad)?;
        Ok((major.unwrap_or(0), minor.unwrap_or(0)))
    }

    fn sparse(&self) -> ImageError {
        self.refused("it has sparse files (make it without --sparse)".to_owned())
    }

    fn refused(&self, reason: String) -> ImageError {
        ImageError::refused(self.origin, reason)
    }
}
