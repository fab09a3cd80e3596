//! Reading little-endian numbers out of foreign bytes, with every bound checked.

use crate::LinkAddr;

/// `len` bytes at `offset`, when they are all there.
pub(crate) fn slice(bytes: &[u8], offset: usize, len: usize) -> Option<&[u8]> {
    bytes.get(offset..offset.checked_add(len)?)
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    slice(bytes, offset, N)?.try_into().ok()
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

pub(crate) fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    array(bytes, offset).map(i32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array(bytes, offset).map(u64::from_le_bytes)
}

pub(crate) fn i64_at(bytes: &[u8], offset: usize) -> Option<i64> {
    array(bytes, offset).map(i64::from_le_bytes)
}

/// A `u32` of a file as an index; lossless on every host this builds for.
pub(crate) fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Longer than any name or path; in a file without a NUL every look-up would search to its end.
const TEXT_BYTES_MAX: usize = 1 << 16;

/// The text up to the next NUL at `offset`.
pub(crate) fn text_at(bytes: &[u8], offset: usize) -> Option<&str> {
    let rest = bytes.get(offset..)?;
    let rest = rest.get(..TEXT_BYTES_MAX).unwrap_or(rest);
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// The distance from `from` to `to`, when `to` is not below and fits.
pub(crate) fn distance(from: LinkAddr, to: LinkAddr) -> Option<usize> {
    usize::try_from(to.0.checked_sub(from.0)?).ok()
}

/// `value` rounded up to a multiple of `step`, a power of two.
pub(crate) fn align_up(value: usize, step: usize) -> Option<usize> {
    Some(value.checked_add(step - 1)? & !(step - 1))
}

/// Where `needle` first lies in `hay`.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let rest = hay.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if hay.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
