//! From the file that a boot loader loads to the ELF image inside it.
//!
//! Relies on `Documentation/arch/x86/boot.rst` (payload fields since protocol 2.08, Linux 2.6.26) and on
//! `scripts/Makefile.lib` for how each compression ends: the last four bytes of the payload are the unpacked size
//! (gzip's own trailer, appended by the build for all others).

mod bytes;
mod kind;
mod setup_header;
mod unpack;

#[cfg(test)]
mod tests;

pub use bytes::ImageBytes;
pub use kind::FileKind;
pub use setup_header::release_of_bzimage;
pub use unpack::Compression;

use crate::SymbolError;

pub(crate) use setup_header::is_bzimage;

/// Turns a bzImage, or a vmlinux as it is, into the bytes of the ELF image.
pub(crate) fn elf_from(file: &[u8]) -> Result<Option<Vec<u8>>, SymbolError> {
    if file.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    if !is_bzimage(file) {
        return Err(SymbolError::NotAKernel {
            found: FileKind::of(file),
        });
    }
    let payload = setup_header::payload(file)?;
    let elf = unpack::payload(payload)?;
    if !elf.starts_with(b"\x7fELF") {
        return Err(SymbolError::NotAKernel {
            found: FileKind::of(&elf),
        });
    }
    Ok(Some(elf))
}
