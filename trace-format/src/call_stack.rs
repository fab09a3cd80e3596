//! Fields of the kind [`FieldKind::Addresses`](crate::FieldKind::Addresses): call stacks.
//!
//! The first address is where the CPU was; each further one is where a function will return to, or where an interrupt
//! came in between.

/// The last address of a stack that could not be followed to its end.
pub const CUT: u64 = 0;

/// The addresses of a call stack, from the inside out.
#[inline]
pub fn addresses(run: &[u8]) -> impl ExactSizeIterator<Item = u64> + '_ {
    run.chunks_exact(8).map(|bytes| {
        bytes
            .first_chunk()
            .map_or(CUT, |bytes| u64::from_le_bytes(*bytes))
    })
}

/// The address by which the function of the address at `index` is found.
///
/// A return address lies behind its call, which may be the last instruction of a function: the byte before it is asked
/// for. Where an interrupt came before the first instruction of a function this names the function before it.
#[inline]
#[must_use]
pub fn within_function(index: usize, addr: u64) -> u64 {
    addr.wrapping_sub(u64::from(index != 0))
}
