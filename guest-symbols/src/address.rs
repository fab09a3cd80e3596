//! Addresses as the linker gave them, before the kernel moves itself.

use std::fmt;

/// An address in the kernel's image as linked; the running kernel adds its KASLR slide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkAddr(pub u64);

impl LinkAddr {
    /// The address `bytes` further, or `None` past the end of the address space.
    #[must_use]
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }

    /// The address `distance` away, wrapping as the processor does.
    #[must_use]
    pub fn offset_by(self, distance: i64) -> Self {
        Self(self.0.wrapping_add_signed(distance))
    }
}

impl fmt::Display for LinkAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::LowerHex for LinkAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}
