//! The system calls of a kernel.

use crate::{Kernel, LinkAddr, SymbolError};

/// Whose numbers a system call belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 64-bit programs: the `syscall` instruction.
    X64,
    /// 32-bit programs: `int 0x80` and 32-bit `sysenter`.
    Ia32,
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Whose number it is.
    pub abi: Abi,
    /// Its number.
    pub number: u32,
    /// As user space calls it, such as `openat`.
    pub name: String,
    /// The function that serves it, which takes `struct pt_regs *`.
    pub function: Option<LinkAddr>,
    /// Names and types of its arguments as the source declares them; empty when it has none or they are not known.
    pub arguments: Vec<(String, String)>,
}

pub(crate) fn read(_kernel: &Kernel) -> Result<Vec<Syscall>, SymbolError> {
    Ok(Vec::new())
}
