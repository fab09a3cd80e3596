//! Applies a module's relocations: `apply_relocate_add` of `arch/x86/kernel/module.c`.

use crate::bytes::{index, u32_at, u64_at};

/// Bytes of an entry of `SHT_RELA`.
const ENTRY_BYTES: usize = 24;

/// What a relocation writes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relocation {
    /// Where, from the start of the section.
    pub(super) offset: u64,
    pub(super) symbol: usize,
    pub(super) addend: i64,
    pub(super) kind: RelocationKind,
}

/// The kinds that modules have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RelocationKind {
    /// Bytes that are written: 4 or 8.
    pub(super) bytes: u8,
    /// Whether the distance from the place is written.
    pub(super) is_relative: bool,
}

impl RelocationKind {
    /// `R_X86_64_64`, `PC32`, `PLT32`, `32`, `32S` and `PC64`.
    fn of(number: u64) -> Option<Self> {
        let (bytes, is_relative) = match number {
            1 => (8, false),
            2 | 4 => (4, true),
            10 | 11 => (4, false),
            24 => (8, true),
            _ => return None,
        };
        Some(Self { bytes, is_relative })
    }
}

/// The relocations of a section of kind `SHT_RELA`.
pub(super) fn relocations(section: &[u8]) -> impl Iterator<Item = Relocation> {
    section.chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let information = u64_at(entry, 8)?;
        Some(Relocation {
            offset: u64_at(entry, 0)?,
            symbol: index(u32_at(entry, 12)?),
            addend: u64_at(entry, 16)?.cast_signed(),
            kind: RelocationKind::of(information & 0xffff_ffff)?,
        })
    })
}

/// Writes what the loader would: `target` is the symbol's address, `place` that of the section.
pub(super) fn apply(bytes: &mut [u8], place: u64, relocation: Relocation, target: u64) {
    let value = target.wrapping_add_signed(relocation.addend);
    let value = if relocation.kind.is_relative {
        value.wrapping_sub(place.wrapping_add(relocation.offset))
    } else {
        value
    };
    let size = usize::from(relocation.kind.bytes);
    let at = usize::try_from(relocation.offset).unwrap_or(usize::MAX);
    let field = at.checked_add(size).and_then(|end| bytes.get_mut(at..end));
    if let (Some(field), Some(value)) = (field, value.to_le_bytes().get(..size)) {
        field.copy_from_slice(value);
    }
}
