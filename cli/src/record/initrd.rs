//! The initial ramdisk that loads a kernel's drivers for the disk, made where the user gave none.
//!
//! Distributions build the drivers of the reproducible disks as modules, and a root file system of theirs has these.

use std::path::{Path, PathBuf};

use anyhow::Result;
use guest_images::{DiskContent, ModuleStore, Project, write_initramfs};

use super::args::RecordArgs;
use super::disk::Disk;
use super::kernel::BootKernel;

/// Modules of which an initial ramdisk has to be made.
#[derive(Debug)]
pub(crate) struct Drivers {
    store: ModuleStore,
}

impl Drivers {
    /// The modules, where the kernel needs them for the best disk that it can have, or for the one that was named.
    ///
    /// They are those of `--modules`, those of the root file system, or those of the same release that were fetched or are
    /// installed here.
    pub(crate) fn find(args: &RecordArgs, kernel: &BootKernel) -> Result<Option<Self>> {
        let Some(rootfs) = args.rootfs.as_deref().filter(|_| args.initrd.is_none()) else {
            return Ok(None);
        };
        let named = Disk::named(args.disk);
        let built_in = |_: &str| false;
        let is_enough = match named {
            Some(disk) => disk.is_drivable(kernel, &built_in)?,
            None => Disk::best(kernel, &built_in)? == Some(Disk::Sd),
        };
        if is_enough || !is_mountable(rootfs) {
            return Ok(None);
        }
        let release = &kernel.facts()?.identity().release;
        let store = match args.events.modules.dir() {
            // One that was laid for events alone may have no list of what is built in.
            Some(dir) => ModuleStore::in_directory(dir).ok(),
            None => ModuleStore::in_image(rootfs, release).or_else(|| {
                let dir = Project::find().modules_of(release)?;
                ModuleStore::in_directory(&dir).ok()
            }),
        };
        let Some(store) = store else {
            return Ok(None);
        };
        let module = |name: &str| store.has(name);
        let is_better = match named {
            Some(disk) => disk.is_drivable(kernel, &module)?,
            None => Disk::best(kernel, &module)? != Disk::best(kernel, &built_in)?,
        };
        Ok(is_better.then_some(Self { store }))
    }

    /// Where the modules lie on this host, if they do.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.store.directory()
    }

    /// Where they come from, for people.
    pub(crate) fn origin(&self) -> &str {
        self.store.origin()
    }

    /// Writes the initial ramdisk.
    pub(crate) fn write(&self, work_dir: &Path) -> Result<PathBuf> {
        let path = work_dir.join("initrd.cpio");
        // What it lacks is of no use to this disk, or the guest says so.
        write_initramfs(&self.store, &path)?;
        Ok(path)
    }
}

/// Whether the initial ramdisk of ours would know the file system: ext4 or squashfs, or there are partitions.
fn is_mountable(rootfs: &Path) -> bool {
    DiskContent::of(rootfs).is_ok_and(|content| content != DiskContent::Other)
}
