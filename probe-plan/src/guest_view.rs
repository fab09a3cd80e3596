//! The guest as a fetch program sees it.

use serde::{Deserialize, Serialize};

/// A register of an x86-64 CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub enum Register {
    Rax,
    Rbx,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    Rbp,
    Rsp,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    GsBase,
    KernelGsBase,
    Cr2,
    Cr3,
    Cr4,
    /// In the middle of a block only its page is right.
    Rip,
}

impl Register {
    /// Every register, in the order of the enumeration.
    pub const ALL: [Self; 22] = [
        Self::Rax,
        Self::Rbx,
        Self::Rcx,
        Self::Rdx,
        Self::Rsi,
        Self::Rdi,
        Self::Rbp,
        Self::Rsp,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
        Self::GsBase,
        Self::KernelGsBase,
        Self::Cr2,
        Self::Cr3,
        Self::Cr4,
        Self::Rip,
    ];

    /// Name in lower case, as QEMU, gdb and the expression language write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rax => "rax",
            Self::Rbx => "rbx",
            Self::Rcx => "rcx",
            Self::Rdx => "rdx",
            Self::Rsi => "rsi",
            Self::Rdi => "rdi",
            Self::Rbp => "rbp",
            Self::Rsp => "rsp",
            Self::R8 => "r8",
            Self::R9 => "r9",
            Self::R10 => "r10",
            Self::R11 => "r11",
            Self::R12 => "r12",
            Self::R13 => "r13",
            Self::R14 => "r14",
            Self::R15 => "r15",
            Self::GsBase => "gs_base",
            Self::KernelGsBase => "k_gs_base",
            Self::Cr2 => "cr2",
            Self::Cr3 => "cr3",
            Self::Cr4 => "cr4",
            Self::Rip => "rip",
        }
    }
}

/// Read access to the CPU that runs into a probe, at that very instruction.
pub trait GuestView {
    /// Value of a register; `None` when the emulator does not offer it.
    fn register(&mut self, register: Register) -> Option<u64>;

    /// Fills `out` from guest virtual memory through the current page tables.
    ///
    /// Returns false, with `out` unspecified, when any byte is unmapped or is not ordinary memory.
    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool;
}
