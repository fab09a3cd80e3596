//! The modules of a kernel, wherever they are: in a directory, a tree, or a file system image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use guest_symbols::{ImageBytes, ModuleFile};

use crate::error::{ImageError, Result};
use crate::ext4_reader::Ext4Reader;
use crate::path::GuestPath;
use crate::tree::{Kind, Tree};

/// Deeper than any tree of modules.
const DEPTH_MAX: usize = 16;
/// A distribution has 4,000.
const MODULES_MAX: usize = 100_000;
const BUILT_IN: &str = "modules.builtin";

/// The modules of a kernel by their names, which have _ where file names may have -.
#[derive(Debug)]
pub struct ModuleStore {
    place: Place,
    directory: Option<PathBuf>,
    /// Where people find them.
    origin: String,
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

#[derive(Debug)]
enum Place {
    Host,
    Image(Ext4Reader),
}

impl ModuleStore {
    /// Those of a directory such as `/lib/modules/RELEASE`.
    ///
    /// # Errors
    /// When it is none.
    pub fn in_directory(dir: &Path) -> Result<Self> {
        let list = dir.join(BUILT_IN);
        let built_in = fs::read_to_string(&list).map_err(ImageError::io("read", &list))?;
        let mut files = Vec::new();
        collect(&dir.join("kernel"), 0, &mut files)?;
        Ok(Self {
            directory: Some(dir.to_owned()),
            ..Self::new(Place::Host, dir.display().to_string(), files, &built_in)
        })
    }

    /// Those of that release in a file system image; `None` when it has none.
    #[must_use]
    pub fn in_image(image: &Path, release: &str) -> Option<Self> {
        if release.is_empty() || release.contains('/') {
            return None;
        }
        let reader = Ext4Reader::new(image);
        let places = ["/lib/modules", "/usr/lib/modules"];
        places.iter().find_map(|place| {
            let dir = format!("{place}/{release}");
            let built_in = reader.dump(&[&format!("{dir}/{BUILT_IN}")])?.pop()??;
            let mut files = Vec::new();
            let mut directories = vec![format!("{dir}/kernel")];
            for _ in 0..DEPTH_MAX {
                let found = reader.list(&directories)?;
                directories.clear();
                for entry in found {
                    if entry.is_directory {
                        directories.push(entry.path);
                    } else {
                        files.push(PathBuf::from(entry.path));
                    }
                }
                if directories.is_empty() || files.len() > MODULES_MAX {
                    break;
                }
            }
            let origin = format!("{} ({dir})", image.display());
            let built_in = String::from_utf8_lossy(&built_in);
            Some(Self::new(
                Place::Image(reader.clone()),
                origin,
                files,
                &built_in,
            ))
        })
    }

    /// Those of that release in a tree; `None` when it has none.
    pub(crate) fn in_tree(tree: &Tree, release: &str) -> Option<Self> {
        let path = format!("lib/modules/{release}");
        let dir = tree
            .resolve(&GuestPath::parse(path.as_bytes()).ok()?)
            .ok()?;
        let Kind::File(list) = &tree.get(&dir.join(BUILT_IN.as_bytes()).ok()?)?.kind else {
            return None;
        };
        let built_in = fs::read_to_string(&list.path).ok()?;
        let modules = tree.below(&dir).filter_map(|(path, inode)| {
            let name = stem(&String::from_utf8_lossy(path.name()))?;
            match &inode.kind {
                Kind::File(content) => Some((name, content.path.clone())),
                _ => None,
            }
        });
        Some(Self {
            place: Place::Host,
            directory: None,
            origin: format!("the image ({dir})"),
            files: modules.collect(),
            built_in: built_in.lines().filter_map(stem).collect(),
        })
    }

    fn new(place: Place, origin: String, files: Vec<PathBuf>, built_in: &str) -> Self {
        let named = |path: PathBuf| Some((stem(path.to_str()?)?, path));
        Self {
            place,
            directory: None,
            origin,
            files: files.into_iter().filter_map(named).collect(),
            built_in: built_in.lines().filter_map(stem).collect(),
        }
    }

    /// Where they are, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Their directory, for those in one of the host.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Whether the kernel can have that driver, built in or as a module.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.is_built_in(name) || self.files.contains_key(name)
    }

    pub(crate) fn is_built_in(&self, name: &str) -> bool {
        self.built_in.contains(name)
    }

    /// A module, unpacked; `None` when there is no such.
    pub(crate) fn read(&self, name: &str) -> Result<Option<ModuleFile>> {
        let Some(path) = self.files.get(name) else {
            return Ok(None);
        };
        let bytes = match &self.place {
            Place::Host => fs::read(path).map_err(ImageError::io("read the module", path))?,
            Place::Image(reader) => {
                let dumped = path.to_str().and_then(|path| reader.dump(&[path])?.pop()?);
                dumped.ok_or_else(|| {
                    ImageError::refused(&self.origin, format!("{} cannot be read", path.display()))
                })?
            }
        };
        let parsed = ModuleFile::parse(ImageBytes::new(bytes));
        parsed.map(Some).map_err(|source| ImageError::Kernel {
            path: path.clone(),
            source: Box::new(source),
        })
    }
}

/// The name of the module in a file; `None` for another file.
fn stem(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let (stem, packing) = name.split_once(".ko")?;
    matches!(packing, "" | ".xz" | ".zst" | ".gz").then(|| stem.replace('-', "_"))
}

fn collect(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || ImageError::io("read the directory", dir);
    for entry in fs::read_dir(dir).map_err(unreadable())? {
        let entry = entry.map_err(unreadable())?;
        let kind = entry.file_type().map_err(unreadable())?;
        if kind.is_dir() && depth < DEPTH_MAX {
            collect(&entry.path(), depth + 1, files)?;
        } else if !kind.is_dir() && files.len() < MODULES_MAX {
            files.push(entry.path());
        }
    }
    Ok(())
}
