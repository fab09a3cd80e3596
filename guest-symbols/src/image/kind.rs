//! Naming a file that is not a kernel, so that the message says what was passed by mistake.

use std::fmt;

use super::Compression;
use crate::bytes::{slice, u16_at};

/// What a file that is not a kernel seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// No bytes at all.
    Empty,
    /// An ELF file for another machine (its `e_machine`).
    ForeignElf(u16),
    /// An ELF object file, such as a kernel module.
    ElfObject,
    /// An ELF program or library that is no kernel.
    ElfProgram,
    /// A compressed file that is no bzImage.
    Compressed(Compression),
    /// An arm64 `Image`.
    Arm64Image,
    /// A PE file without the setup header: an EFI program or a unified kernel image.
    EfiProgram,
    /// A Debian package or static library.
    ArArchive,
    /// An RPM package.
    Rpm,
    /// An initramfs or other cpio archive.
    Cpio,
    /// A QEMU disk image.
    Qcow2,
    /// An ext2, ext3 or ext4 file system.
    Ext4,
    /// Text, such as System.map or a configuration.
    Text,
    /// None of these.
    Unknown,
}

impl FileKind {
    /// Recognises a file by its first bytes.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        if file.is_empty() {
            return Self::Empty;
        }
        if file.starts_with(b"\x7fELF") {
            return Self::of_elf(file);
        }
        if let Some(method) = Compression::of(file) {
            return Self::Compressed(method);
        }
        let magics: [(usize, &[u8], Self); 7] = [
            (56, b"ARM\x64", Self::Arm64Image),
            (0, b"MZ", Self::EfiProgram),
            (0, b"!<arch>\n", Self::ArArchive),
            (0, &[0xed, 0xab, 0xee, 0xdb], Self::Rpm),
            (0, b"07070", Self::Cpio),
            (0, b"QFI\xfb", Self::Qcow2),
            (0x438, &[0x53, 0xef], Self::Ext4),
        ];
        let found = magics
            .iter()
            .find(|(at, magic, _)| slice(file, *at, magic.len()) == Some(magic));
        match found {
            Some((_, _, kind)) => *kind,
            None if is_text(file) => Self::Text,
            None => Self::Unknown,
        }
    }

    fn of_elf(file: &[u8]) -> Self {
        const EM_X86_64: u16 = 62;
        const ET_REL: u16 = 1;
        match (u16_at(file, 0x12), u16_at(file, 0x10)) {
            (Some(EM_X86_64), Some(ET_REL)) => Self::ElfObject,
            (Some(EM_X86_64), _) => Self::ElfProgram,
            (Some(machine), _) => Self::ForeignElf(machine),
            (None, _) => Self::Unknown,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Compressed(_) => "unpack it first",
            Self::ElfObject => "pass the kernel's vmlinuz or vmlinux, not a module",
            Self::EfiProgram => {
                "extract the .linux section of a unified kernel image and pass that"
            }
            Self::ArArchive | Self::Rpm => "unpack the package and pass the vmlinuz inside",
            Self::ElfProgram => "pass the kernel's vmlinuz or vmlinux, not a program",
            Self::Text => "System.map has no code or types: pass the vmlinuz",
            _ => "pass the bzImage (vmlinuz) or the vmlinux of an x86-64 kernel",
        }
    }
}

fn is_text(file: &[u8]) -> bool {
    file.iter()
        .take(512)
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::ForeignElf(machine) => {
                write!(f, "an ELF file for another machine (e_machine {machine})")
            }
            Self::ElfObject => f.write_str("an ELF object file, such as a kernel module"),
            Self::ElfProgram => f.write_str("an ELF program without a kernel's sections"),
            Self::Compressed(method) => write!(f, "a {method} file"),
            Self::Arm64Image => f.write_str("an arm64 kernel image"),
            Self::EfiProgram => f.write_str("an EFI program without the Linux setup header"),
            Self::ArArchive => f.write_str("an ar archive, such as a Debian package"),
            Self::Rpm => f.write_str("an RPM package"),
            Self::Cpio => f.write_str("a cpio archive, such as an initramfs"),
            Self::Qcow2 => f.write_str("a QEMU disk image"),
            Self::Ext4 => f.write_str("an ext4 file system"),
            Self::Text => f.write_str("text"),
            Self::Unknown => f.write_str("of no kind that is recognised"),
        }
    }
}
