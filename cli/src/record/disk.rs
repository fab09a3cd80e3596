//! The root file system's way into the guest: which device, how reproducible, under which name.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use guest_images::{DiskContent, installed_program};

use super::args::DiskChoice;
use super::kernel::BootKernel;
use crate::{Hint, Usage};

/// A device that can carry the root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Sd,
    Pmem,
    Nvme,
    Virtio,
    Initramfs,
}

/// Best device first: its drivers, each by a function that exists only where it is built in, and by its module.
const DRIVERS: [(Disk, &[(&str, &str)]); 4] = [
    (
        Disk::Sd,
        &[
            ("sdhci_pci_probe", "sdhci_pci"),
            ("mmc_blk_probe", "mmc_block"),
        ],
    ),
    (
        Disk::Pmem,
        &[("acpi_nfit_add", "nfit"), ("nd_pmem_probe", "nd_pmem")],
    ),
    (Disk::Nvme, &[("nvme_probe", "nvme")]),
    (
        Disk::Virtio,
        &[
            ("virtblk_probe", "virtio_blk"),
            ("virtio_pci_probe", "virtio_pci"),
        ],
    ),
];

impl Disk {
    /// Follows the user's choice, or finds the best device that the kernel or its initial ramdisk can drive.
    pub(crate) fn choose(
        choice: DiskChoice,
        kernel: &BootKernel,
        initrd: Option<&[u8]>,
    ) -> Result<Self> {
        if let Some(disk) = Self::named(choice) {
            return Ok(disk);
        }
        let loaded = |module: &str| initrd.is_some_and(|bytes| contains(bytes, module));
        let usable = Self::best(kernel, &loaded)?;
        match usable {
            Some(disk) => Ok(disk),
            None => Err(anyhow::anyhow!(
                "{} has no built-in driver for an SD card, persistent memory, NVMe or virtio disk, and no initial ramdisk that loads one",
                kernel.path.display()
            ))
            .context(Hint("pass --initrd with the driver's module (and --disk if the ramdisk is compressed), or --disk initramfs")),
        }
    }

    /// What the user chose; `None` leaves it to us.
    pub(crate) fn named(choice: DiskChoice) -> Option<Self> {
        match choice {
            DiskChoice::Sd => Some(Self::Sd),
            DiskChoice::Pmem => Some(Self::Pmem),
            DiskChoice::Nvme => Some(Self::Nvme),
            DiskChoice::Virtio => Some(Self::Virtio),
            DiskChoice::Initramfs => Some(Self::Initramfs),
            DiskChoice::Auto => None,
        }
    }

    /// The best device whose drivers are built into the kernel or are modules that can be loaded.
    pub(crate) fn best(kernel: &BootKernel, loaded: &dyn Fn(&str) -> bool) -> Result<Option<Self>> {
        for (disk, _) in DRIVERS {
            if disk.is_drivable(kernel, loaded)? {
                return Ok(Some(disk));
            }
        }
        Ok(None)
    }

    /// Whether each of its drivers is built into the kernel or is a module that can be loaded.
    pub(crate) fn is_drivable(
        self,
        kernel: &BootKernel,
        loaded: &dyn Fn(&str) -> bool,
    ) -> Result<bool> {
        let symbols = kernel.facts()?.symbols();
        let has = |(function, module): &(&str, &str)| {
            symbols.address(function).is_some() || loaded(module)
        };
        let drivers = DRIVERS.iter().find(|(disk, _)| *disk == self);
        Ok(drivers.is_none_or(|(_, drivers)| drivers.iter().all(has)))
    }

    /// Name of the device in the guest.
    pub(crate) fn guest_device(self) -> Option<&'static str> {
        match self {
            Self::Sd => Some("/dev/mmcblk0"),
            Self::Pmem => Some("/dev/pmem0"),
            Self::Nvme => Some("/dev/nvme0n1"),
            Self::Virtio => Some("/dev/vda"),
            Self::Initramfs => None,
        }
    }

    /// What a user calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Sd => "SD card",
            Self::Pmem => "persistent memory",
            Self::Nvme => "NVMe",
            Self::Virtio => "virtio-blk",
            Self::Initramfs => "none, initial ramdisk only",
        }
    }

    /// Why runs with it differ; measured for each device.
    pub(crate) fn obstacle(self) -> Option<String> {
        matches!(self, Self::Nvme | Self::Virtio).then(|| {
            format!(
                "disk: {} completes requests at moments that the host decides",
                self.label()
            )
        })
    }

    /// QEMU's arguments for it.
    pub(crate) fn qemu_arguments(self, overlay: &Overlay) -> Vec<String> {
        let file = escape(&overlay.path);
        let drive = |device: &str| {
            let drive = format!("if=none,id=disk0,format=qcow2,file={file}");
            vec![
                "-drive".to_owned(),
                drive,
                "-device".to_owned(),
                device.to_owned(),
            ]
        };
        match self {
            Self::Sd => {
                let mut arguments = vec!["-device".to_owned(), "sdhci-pci".to_owned()];
                arguments.extend(drive("sd-card,drive=disk0"));
                arguments
            }
            Self::Nvme => drive("nvme,serial=guesttrace,drive=disk0"),
            // Without that QEMU would stop the machine where the host has no room, and wait for somebody to make some.
            Self::Virtio => drive("virtio-blk-pci,drive=disk0,werror=report"),
            Self::Pmem => vec![
                "-object".to_owned(),
                format!(
                    "memory-backend-file,id=pmem0,share=off,mem-path={file},size={}",
                    overlay.bytes
                ),
                "-device".to_owned(),
                "nvdimm,id=nvdimm0,memdev=pmem0".to_owned(),
            ],
            Self::Initramfs => Vec::new(),
        }
    }
}

/// Where the guest's writes go.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

impl Overlay {
    /// Makes an overlay over the user's image. An SD card has to be a power of two in size.
    pub(crate) fn create(disk: Disk, rootfs: &Path, work_dir: &Path) -> Result<Self> {
        let bytes = image_bytes(rootfs)?;
        if disk == Disk::Pmem {
            // Persistent memory maps a file: a private copy takes the guest's writes.
            let path = work_dir.join("disk.raw");
            std::fs::copy(rootfs, &path)
                .with_context(|| format!("cannot copy {}", rootfs.display()))?;
            let aligned = bytes.next_multiple_of(2 << 20);
            File::options().write(true).open(&path)?.set_len(aligned)?;
            return Ok(Self {
                path,
                bytes: aligned,
            });
        }
        let bytes = if disk == Disk::Sd {
            bytes.next_power_of_two()
        } else {
            bytes.next_multiple_of(512)
        };
        let path = work_dir.join("disk.qcow2");
        let backing = std::path::absolute(rootfs)?;
        let output = Command::new(installed_program("qemu-img"))
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(&backing)
            .arg(&path)
            .arg(bytes.to_string())
            .output()
            .context("cannot run qemu-img")
            .context(Hint("scripts/setup.sh installs it (package qemu-utils)"))?;
        anyhow::ensure!(
            output.status.success(),
            "qemu-img: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self { path, bytes })
    }
}

/// The kernel command line's `root=` for an image: the whole device, or its first partition.
pub(crate) fn root_argument(disk: Disk, rootfs: &Path) -> Result<Option<String>> {
    let Some(device) = disk.guest_device() else {
        return Ok(None);
    };
    let content =
        DiskContent::of(rootfs).with_context(|| format!("cannot read {}", rootfs.display()))?;
    let partitioned = content == DiskContent::Partitions;
    let suffix = match (partitioned, disk) {
        (false, _) => "",
        (true, Disk::Virtio) => "1",
        (true, _) => "p1",
    };
    Ok(Some(format!("root={device}{suffix} rw")))
}

/// Size of a file system image; a directory or an empty file is none.
pub(crate) fn image_bytes(rootfs: &Path) -> Result<u64> {
    let data = File::open(rootfs)
        .and_then(|file| file.metadata())
        .with_context(|| format!("cannot read the root file system {}", rootfs.display()))
        .context(Hint("is the name right, and may you read it?"))?;
    if data.is_file() && data.len() > 0 {
        return Ok(data.len());
    }
    let usage = Usage::new(format!("{} is not a file system image", rootfs.display()));
    Err(usage
        .hint("pass an image such as `guesttrace image build` or `mke2fs -d DIRECTORY` makes")
        .into())
}

/// A file name within a QEMU option list: a comma is written twice.
pub(crate) fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Whether an uncompressed archive has the module: file names have - or _ where module names have _.
fn contains(bytes: &[u8], module: &str) -> bool {
    [module.to_owned(), module.replace('_', "-")]
        .iter()
        .any(|name| memchr::memmem::find(bytes, format!("/{name}.ko").as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpartitioned_image_is_the_whole_device() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.img");
        let mut image = vec![0; 4096];
        image[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
        std::fs::write(&path, &image).unwrap();
        assert_eq!(
            root_argument(Disk::Sd, &path).unwrap().unwrap(),
            "root=/dev/mmcblk0 rw"
        );
        let mut partitioned = vec![0; 4096];
        partitioned[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(&path, &partitioned).unwrap();
        assert_eq!(
            root_argument(Disk::Nvme, &path).unwrap().unwrap(),
            "root=/dev/nvme0n1p1 rw"
        );
        assert_eq!(root_argument(Disk::Initramfs, &path).unwrap(), None);
    }
}
