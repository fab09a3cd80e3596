//! The setup header of a bzImage: where the packed kernel lies.

use crate::SymbolError;
use crate::bytes::{slice, text_at, u16_at, u32_at};

/// Offset of the number of 512-byte setup sectors.
const SETUP_SECTS: usize = 0x1f1;
/// Offset of the boot sector's signature.
const BOOT_FLAG: usize = 0x1fe;
/// Offset of the header's magic.
const HEADER_MAGIC: usize = 0x202;
/// Offset of where the version is, counted from the end of the boot sector.
const KERNEL_VERSION: usize = 0x20e;
/// Offset of the payload's place, counted from the protected-mode code.
const PAYLOAD_OFFSET: usize = 0x248;
/// Offset of the payload's length.
const PAYLOAD_LENGTH: usize = 0x24c;

/// Says whether the file has the setup header of a bzImage.
pub(crate) fn is_bzimage(file: &[u8]) -> bool {
    slice(file, HEADER_MAGIC, 4) == Some(b"HdrS") && u16_at(file, BOOT_FLAG) == Some(0xaa55)
}

/// What `uname -r` says in the kernel of a bzImage; `None` where the header does not tell, or this is none.
#[must_use]
pub fn release_of_bzimage(file: &[u8]) -> Option<&str> {
    const BOOT_SECTOR: usize = 0x200;
    if !is_bzimage(file) {
        return None;
    }
    let offset = usize::from(u16_at(file, KERNEL_VERSION).filter(|offset| *offset > 0)?);
    text_at(file, offset + BOOT_SECTOR)?.split(' ').next()
}

/// The packed kernel in a bzImage.
pub(super) fn payload(file: &[u8]) -> Result<&[u8], SymbolError> {
    let short = |end: u64| SymbolError::Truncated {
        what: "the setup header",
        start: 0,
        end,
        available: file.len() as u64,
    };
    let sectors = match file.get(SETUP_SECTS).copied().ok_or_else(|| short(0x250))? {
        // Zero means four, for boot loaders older than anything this reads.
        0 => 4,
        sectors => u64::from(sectors),
    };
    let offset = u32_at(file, PAYLOAD_OFFSET).ok_or_else(|| short(0x250))?;
    let length = u32_at(file, PAYLOAD_LENGTH).ok_or_else(|| short(0x250))?;
    let start = (sectors + 1) * 512 + u64::from(offset);
    let end = start + u64::from(length);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    range
        .and_then(|(start, end)| file.get(start..end))
        .ok_or(SymbolError::Truncated {
            what: "the packed kernel",
            start,
            end,
            available: file.len() as u64,
        })
}
