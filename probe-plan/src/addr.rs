//! Addresses of the kernel image: as linked, and where the running guest has them.
//!
//! The only place that converts between the two.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Address in the kernel image as its linker placed it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinkAddr(pub u64);

impl LinkAddr {
    /// Whether it is in a program of user space: in the lower half.
    #[must_use]
    pub fn is_user(self) -> bool {
        self.0 >> 63 == 0
    }
}

/// Virtual address in the running guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuntimeAddr(pub u64);

/// How far address-space randomisation moved the kernel image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slide(pub u64);

impl Slide {
    /// Where the guest has what was linked at `addr`.
    #[must_use]
    pub fn to_runtime(self, addr: LinkAddr) -> RuntimeAddr {
        RuntimeAddr(addr.0.wrapping_add(self.0))
    }

    /// Where the linker placed what the guest has at `addr`.
    #[must_use]
    pub fn to_link(self, addr: RuntimeAddr) -> LinkAddr {
        LinkAddr(addr.0.wrapping_sub(self.0))
    }
}

impl fmt::Debug for LinkAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link:{:#x}", self.0)
    }
}

impl fmt::Debug for RuntimeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
