//! Places in user space: programs are recognised by what is in their pages, wherever and however often they are mapped.
//!
//! Addresses of programs in a plan are in the lower half, where nothing of a kernel is: those of the file, plus a base that
//! keeps the programs of one plan apart.

use serde::{Deserialize, Serialize};

use crate::addr::LinkAddr;
use crate::pairing::are_numbers;
use crate::program::Program;

/// A page of a program's code with places to watch.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPage {
    /// Where it is linked.
    pub addr: LinkAddr,
    /// What is in it when the guest has mapped it: [`UserPage::BYTES`].
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// A place that is reached when an instruction of user space could not complete: it will execute again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The kernel's instruction, before which the program runs.
    pub addr: LinkAddr,
    /// Two numbers: address of the instruction that did not complete, and the stack pointer there.
    pub program: Program,
}

impl UserPage {
    /// Bytes of a page.
    pub const BYTES: usize = 4096;
    /// Distance between the bases of two programs; no address of a program reaches it.
    pub const PROGRAM_BYTES: u64 = 1 << 47;

    /// Whether it is a page of user space.
    pub(crate) fn is_consistent(&self) -> bool {
        self.bytes.len() == Self::BYTES
            && self.addr.0.is_multiple_of(Self::BYTES as u64)
            && self.addr.is_user()
    }
}

impl std::fmt::Debug for UserPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "page {:?}", self.addr)
    }
}

impl Retry {
    /// Whether the program gives two numbers.
    pub(crate) fn is_consistent(&self) -> bool {
        are_numbers(&self.program, 2..=2)
    }
}
