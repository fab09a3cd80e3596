//! The small initial ramdisk that loads a kernel's drivers for the disk, mounts it and hands over.
//!
//! `images/guest/init` is its program; the sets of modules that it loads by name are the table below.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::cpio;
use crate::error::{ImageError, Result};
use crate::ext4::{expect_success, run};
use crate::host::{self, find_program};
use crate::modules::ModuleStore;
use crate::path::GuestPath;
use crate::spool::Spool;
use crate::tree::{Content, Inode, Kind, Tree};

const INIT: &str = include_str!("../guest/init");
/// What that uses of busybox.
const APPLETS: [&str; 8] = [
    "insmod",
    "mkdir",
    "mount",
    "poweroff",
    "sh",
    "switch_root",
    "tr",
    "usleep",
];
/// An initial ramdisk of modules is a few MiB.
const BYTES_MAX: u64 = 256 << 20;

/// Names of sets, and their modules in the order of loading. A module that the kernel has built in is left out; "?" marks
/// one that not every kernel has.
const MODULE_SETS: &[(&str, &[&str])] = &[
    ("disk.mmcblk", &["sdhci_pci?", "mmc_block?"]),
    ("disk.nvme", &["nvme"]),
    ("disk.vd", &["virtio_pci", "virtio_blk"]),
    (
        "disk.sd",
        &["ahci?", "ata_piix?", "virtio_pci", "virtio_scsi", "sd_mod?"],
    ),
    ("disk.pmem", &["nfit?", "nd_pmem?"]),
    ("fs.ext4", &["crc32c_generic?", "ext4"]),
    ("fs.squashfs", &["squashfs"]),
    ("pci.8086.100e", &["e1000?"]),
    ("pci.8086.10d3", &["e1000e?"]),
    ("pci.1af4.1000", &["virtio_pci", "virtio_net"]),
    ("pci.1af4.1041", &["virtio_pci", "virtio_net"]),
];

/// Writes an initial ramdisk for a kernel with those modules, from this host's busybox; gives what it lacks, a sentence
/// each.
///
/// # Errors
/// When a module or busybox cannot be read, or the file not be written.
pub fn write_initramfs(store: &ModuleStore, out: &Path) -> Result<Vec<String>> {
    let work = tempfile::tempdir().map_err(ImageError::io("make", &std::env::temp_dir()))?;
    let mut spool = Spool::new(&work.path().join("files"), BYTES_MAX)?;
    let mut tree = busybox(&mut spool)?;
    let notes = lay(&mut tree, store, &mut spool, work.path())?;
    cpio::write(&tree, out)?;
    Ok(notes)
}

/// A tree of a shell and what `init` calls.
fn busybox(spool: &mut Spool) -> Result<Tree> {
    const LOADER: &[u8] = b"/lib64/ld-linux";
    let hint = "scripts/setup.sh installs the package busybox-static";
    let path = find_program("busybox").ok_or_else(|| ImageError::Unknown {
        what: "program",
        name: "busybox".to_owned(),
        hint,
    })?;
    let bytes = fs::read(&path).map_err(ImageError::io("read", &path))?;
    if bytes.windows(LOADER.len()).any(|text| text == LOADER) {
        return Err(ImageError::Unknown {
            what: "static program",
            name: path.display().to_string(),
            hint,
        });
    }
    let mut tree = Tree::new();
    let content = spool.put("busybox", &bytes)?;
    put(&mut tree, "bin/busybox", Kind::File(content), 0o755)?;
    for applet in APPLETS {
        let link = Kind::Symlink(b"busybox".to_vec());
        put(&mut tree, &format!("bin/{applet}"), link, 0o777)?;
    }
    Ok(tree)
}

/// Lays `init` and the modules over a tree that has busybox; gives what is lacking.
pub(crate) fn lay(
    tree: &mut Tree,
    store: &ModuleStore,
    spool: &mut Spool,
    work: &Path,
) -> Result<Vec<String>> {
    for dir in ["dev", "newroot", "proc", "sys", "modules"] {
        put(tree, dir, Kind::Directory, 0o755)?;
    }
    let init = spool.put("init", INIT.as_bytes())?;
    put(tree, "init", Kind::File(init), 0o755)?;
    let mut staging = Staging {
        store,
        work,
        staged: BTreeMap::new(),
    };
    let mut notes = Vec::new();
    for (set, names) in MODULE_SETS {
        let mut order = Vec::new();
        for name in *names {
            let wanted = name.trim_end_matches('?');
            let found = staging.add(wanted, &mut order, &mut BTreeSet::new())?;
            if !found && wanted == *name {
                let origin = store.origin();
                notes.push(format!(
                    "{origin} has no module {name}: no {set} in its initial ramdisk"
                ));
            }
        }
        let text: String = order.iter().map(|name| format!("{name}\n")).collect();
        let content = spool.put(set, text.as_bytes())?;
        put(
            tree,
            &format!("modules/{set}.order"),
            Kind::File(content),
            0o644,
        )?;
    }
    for (name, (content, _)) in staging.staged {
        put(
            tree,
            &format!("modules/{name}.ko"),
            Kind::File(content),
            0o644,
        )?;
    }
    Ok(notes)
}

/// Whether that initial ramdisk gives its kernel an SD card: the disk that is real and reproducible.
pub(crate) fn has_sd(store: &ModuleStore) -> bool {
    store.has("sdhci_pci") && store.has("mmc_block")
}

fn put(tree: &mut Tree, path: &str, kind: Kind, mode: u32) -> Result<()> {
    let refused = |reason| ImageError::refused("the initial ramdisk", reason);
    let path = GuestPath::parse(path.as_bytes()).map_err(refused)?;
    tree.add(&path, Inode::new(kind, mode)).map_err(refused)
}

struct Staging<'a> {
    store: &'a ModuleStore,
    work: &'a Path,
    /// Modules that were prepared, and what they depend on.
    staged: BTreeMap<String, (Content, Vec<String>)>,
}

impl Staging<'_> {
    /// Appends the module and, before it, all that it depends on; false when there is none of that name.
    fn add(
        &mut self,
        name: &str,
        order: &mut Vec<String>,
        above: &mut BTreeSet<String>,
    ) -> Result<bool> {
        if self.store.is_built_in(name) || order.iter().any(|there| there == name) {
            return Ok(true);
        }
        // Modules that depend on each other could not be loaded either.
        if !above.insert(name.to_owned()) {
            return Ok(true);
        }
        if !self.staged.contains_key(name) {
            let Some(staged) = self.stage(name)? else {
                return Ok(false);
            };
            self.staged.insert(name.to_owned(), staged);
        }
        let depends = self.staged.get(name).map(|(_, depends)| depends.clone());
        for dependency in depends.unwrap_or_default() {
            self.add(&dependency, order, above)?;
        }
        order.push(name.to_owned());
        Ok(true)
    }

    /// Prepares a module: without debug information, BTF and signature it loads faster, and its code is the same.
    fn stage(&self, name: &str) -> Result<Option<(Content, Vec<String>)>> {
        let Some(module) = self.store.read(name)? else {
            return Ok(None);
        };
        let path = self.work.join(format!("{name}.ko"));
        fs::write(&path, module.bytes()).map_err(ImageError::io("write", &path))?;
        let mut strip = host::command("strip");
        strip
            .args(["-g", "-R", ".BTF", "-R", ".BTF_ids"])
            .arg(&path);
        expect_success("strip", &run(strip)?)?;
        let data = fs::metadata(&path).map_err(ImageError::io("read", &path))?;
        let depends = module.dependencies().map(|name| name.replace('-', "_"));
        let content = Content {
            path,
            length: data.len(),
        };
        Ok(Some((content, depends.collect())))
    }
}
