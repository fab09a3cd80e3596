//! How a call stack is climbed, as data: for each run of code, where the calling frame is found.
//!
//! Made from what the kernel's own unwinder uses; nothing here knows in which form that was.

use serde::{Deserialize, Serialize};

use crate::addr::LinkAddr;
use crate::guest_view::Register;

/// Most frames of a stack that are recorded.
pub const FRAMES_MAX: u8 = 64;

/// Rules for all code of the kernel image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwind {
    /// What `starts` count from.
    pub base: LinkAddr,
    /// First bytes of runs of code, ascending, counted from `base`; each run ends where the next begins.
    pub starts: Vec<u32>,
    /// For each run, which of `rules` holds.
    pub rule_of: Vec<u16>,
    /// The rules.
    pub rules: Vec<FrameRule>,
    /// Where registers lie that were saved when code was interrupted.
    pub saved: SavedRegisters,
}

/// How a frame is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FrameRule {
    /// Nobody knows.
    Unknown,
    /// Nothing called it.
    Outermost,
    /// It was called or interrupted.
    Inner {
        /// Where the caller's stack pointer was before the call; of interrupted code, where its registers were saved.
        top: StackTop,
        /// Where the caller's frame pointer is.
        frame_pointer: FramePointer,
        /// How execution came here.
        reached: Reached,
    },
}

/// A place on the stack: a register and an offset, or what lies there and another offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StackTop {
    /// The register.
    pub register: Register,
    /// Added to it.
    pub offset: i16,
    /// The sum is the address of a place to which this is added.
    pub behind: Option<i16>,
}

/// Where the caller's frame pointer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FramePointer {
    /// Still in its register, or among the saved registers.
    Kept,
    /// In memory, so far from the top.
    FromTop(i16),
    /// In memory, so far from where the register points.
    FromItself(i16),
}

/// How execution came into a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reached {
    /// By a call: the return address lies just below the top.
    Called,
    /// What it interrupted left all its registers at the top.
    Interrupted,
    /// What it interrupted left at the top what the processor pushes: the last of the saved registers.
    InterruptedBriefly,
}

/// Layout of the registers that interrupted code left: offsets in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRegisters {
    /// The instruction; the first that the processor pushes.
    pub instruction: u16,
    /// The code segment, whose low two bits are not zero in user mode.
    pub code_segment: u16,
    /// Others.
    pub registers: Vec<(Register, u16)>,
}

impl Unwind {
    /// Registers that a rule may start from.
    pub const REGISTERS: [Register; 6] = [
        Register::Rsp,
        Register::Rbp,
        Register::Rdx,
        Register::Rdi,
        Register::R10,
        Register::R13,
    ];

    /// The rule for an address.
    pub(crate) fn rule_at(&self, addr: LinkAddr) -> FrameRule {
        let rule = || {
            let offset = u32::try_from(addr.0.checked_sub(self.base.0)?).ok()?;
            let after = self.starts.partition_point(|start| *start <= offset);
            let rule = self.rule_of.get(after.checked_sub(1)?)?;
            self.rules.get(usize::from(*rule)).copied()
        };
        rule().unwrap_or(FrameRule::Unknown)
    }

    /// Whether every part refers to what is there.
    pub(crate) fn is_consistent(&self) -> bool {
        let knows = |register: &Register| Self::REGISTERS.contains(register);
        let is_known = |rule: &FrameRule| match rule {
            FrameRule::Unknown | FrameRule::Outermost => true,
            FrameRule::Inner { top, .. } => knows(&top.register),
        };
        self.starts.len() == self.rule_of.len()
            && self.starts.is_sorted()
            && self
                .rule_of
                .iter()
                .all(|rule| usize::from(*rule) < self.rules.len())
            && self.rules.iter().all(is_known)
    }
}

impl SavedRegisters {
    /// Where a register lies.
    pub(crate) fn offset_of(&self, register: Register) -> Option<u64> {
        let mut registers = self.registers.iter();
        let (_, offset) = registers.find(|(known, _)| *known == register)?;
        Some(u64::from(*offset))
    }
}
