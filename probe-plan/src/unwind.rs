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
    /// Bytes of the code from there on.
    pub bytes: u32,
    /// First bytes of runs of code, ascending, counted from `base`; each run ends where the next begins.
    pub starts: Vec<u32>,
    /// For each run, which of `rules` holds.
    pub rule_of: Vec<u16>,
    /// The rules.
    pub rules: Vec<FrameRule>,
    /// Where registers lie that were saved when code was interrupted.
    pub saved: SavedRegisters,
    /// Rules for code that is loaded later, as the guest keeps them.
    pub loaded: Option<LoadedRules>,
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

/// How rules are found that the guest keeps in its own memory, a table for each owner of code; owners are in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedRules {
    /// The list: its first word leads to the first owner, each owner's first word to the next, the last one's here.
    pub list: LinkAddr,
    /// Where an owner has the address and the size, of 4 bytes, of each run of its code.
    pub code: Vec<(i32, i32)>,
    /// Where it has the number of its rules, of 4 bytes,
    pub count: i32,
    /// the address of the ascending addresses they begin at, each of 4 bytes and relative to its own place,
    pub starts: i32,
    /// and the address of the rules.
    pub rules: i32,
    /// How a rule is written.
    pub encoding: RuleEncoding,
}

/// Rules as the guest writes them: two numbers of 16 bits, and a code for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEncoding {
    /// Bytes of a rule.
    pub bytes: u8,
    /// Bits before the number for [`StackTop`].
    pub top_bit: u8,
    /// Bits before the number for [`FramePointer`].
    pub frame_pointer_bit: u8,
    /// Bits before the code, which is the rest.
    pub code_bit: u8,
    /// Rules by their codes, ascending; where they have 1 for an offset the number belongs.
    pub rules: Vec<(u32, FrameRule)>,
}

impl RuleEncoding {
    /// The rule that is written as `word`.
    pub(crate) fn decode(&self, word: u64) -> FrameRule {
        let code = u32::try_from(word >> self.code_bit).unwrap_or(u32::MAX);
        let Ok(index) = self.rules.binary_search_by_key(&code, |(code, _)| *code) else {
            return FrameRule::Unknown;
        };
        let number = |bit: u8| {
            let bytes = (word >> bit).to_le_bytes();
            i16::from_le_bytes([bytes[0], bytes[1]])
        };
        let mut rule = self.rules[index].1;
        if let FrameRule::Inner {
            top, frame_pointer, ..
        } = &mut rule
        {
            let offset = number(self.top_bit);
            match &mut top.behind {
                Some(behind) if *behind == 1 => *behind = offset,
                _ if top.offset == 1 => top.offset = offset,
                _ => {}
            }
            if let FramePointer::FromTop(place) | FramePointer::FromItself(place) = frame_pointer {
                *place = number(self.frame_pointer_bit);
            }
        }
        rule
    }

    fn is_consistent(&self) -> bool {
        let are_within = [self.top_bit, self.frame_pointer_bit, self.code_bit];
        (1..=8).contains(&self.bytes)
            && are_within.iter().all(|bit| *bit < 64)
            && self.rules.is_sorted_by_key(|(code, _)| *code)
            && self.rules.iter().all(|(_, rule)| rule.is_known())
    }
}

impl FrameRule {
    /// Whether it starts from a register that is followed.
    fn is_known(&self) -> bool {
        match self {
            Self::Unknown | Self::Outermost => true,
            Self::Inner { top, .. } => Unwind::REGISTERS.contains(&top.register),
        }
    }
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

    /// The rule for an address; `None` outside the image.
    pub(crate) fn rule_at(&self, addr: LinkAddr) -> Option<FrameRule> {
        let offset = addr.0.checked_sub(self.base.0)?;
        let offset = u32::try_from(offset)
            .ok()
            .filter(|offset| *offset < self.bytes)?;
        let after = self.starts.partition_point(|start| *start <= offset);
        let rule = self.rule_of.get(after.checked_sub(1)?)?;
        self.rules.get(usize::from(*rule)).copied()
    }

    /// Whether every part refers to what is there.
    pub(crate) fn is_consistent(&self) -> bool {
        self.starts.len() == self.rule_of.len()
            && self.starts.is_sorted()
            && self
                .rule_of
                .iter()
                .all(|rule| usize::from(*rule) < self.rules.len())
            && self.rules.iter().all(FrameRule::is_known)
            && self
                .loaded
                .as_ref()
                .is_none_or(|loaded| loaded.encoding.is_consistent())
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
