//! How the kernel's own unwinder finds one stack frame from another: its ORC tables.
//!
//! Relies on `arch/x86/include/asm/orc_types.h` and `arch/x86/kernel/unwind_orc.c` (CONFIG_UNWINDER_ORC, since 4.14). Which
//! bits of an entry mean what changed in 6.3 and in 6.4 and went to older series too, so places and widths come from the
//! kernel's own type `struct orc_entry`; an entry with a member `end` is of the older kind, to 6.3. The registers have
//! other numbers since 7.0 or so: the number of the stack pointer, by far the most frequent, tells which are in use.
//! Addresses are relative to their own places, sorted when the kernel was built (since 5.6).

use crate::bytes::i32_at;
use crate::tracepoints::between_marks;
use crate::{Kernel, LinkAddr, SymbolError};

/// From which register an entry finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrcRegister {
    /// Not to be found.
    Undefined,
    /// The stack pointer of the calling frame.
    PreviousSp,
    /// `rdx`
    Dx,
    /// `rdi`
    Di,
    /// `rbp`
    Bp,
    /// `rsp`
    Sp,
    /// `r10`
    R10,
    /// `r13`
    R13,
    /// What lies in memory at `rbp` and the offset.
    BpIndirect,
    /// What lies in memory at `rsp`, and the offset.
    SpIndirect,
}

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrcKind {
    /// It cannot be left.
    Undefined,
    /// There is no frame above.
    EndOfStack,
    /// A function that was called: its return address lies below the calling frame.
    Call,
    /// An interrupted place: `struct pt_regs` lies there.
    Registers,
    /// As before, of which only what the processor pushed is there.
    InterruptFrame,
}

/// How a frame is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrcRule {
    /// Where the calling frame's stack pointer is found,
    pub sp: OrcRegister,
    /// and what to add.
    pub sp_offset: i16,
    /// Where the calling frame's `rbp` is found; [`OrcRegister::Undefined`] when it has not changed,
    pub bp: OrcRegister,
    /// and what to add.
    pub bp_offset: i16,
    /// The kind of frame.
    pub kind: OrcKind,
}

/// From an address to the next entry's, frames are left by one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrcEntry {
    /// The first instruction.
    pub addr: LinkAddr,
    /// The rule.
    pub rule: OrcRule,
}

const PURPOSE: &str = "stacks of the kernel (CONFIG_UNWINDER_ORC)";

/// The table of a kernel, and how its modules' are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orc {
    /// By address.
    pub entries: Vec<OrcEntry>,
    /// How a rule is written.
    pub encoding: OrcEncoding,
}

/// How a kernel writes rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrcEncoding {
    layout: Layout,
    registers: &'static [OrcRegister],
}

impl OrcEncoding {
    /// Bytes of a rule, at most 8.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.layout.bytes
    }

    /// Whether the two offsets are the lowest 32 bits of an entry, that of the stack pointer first, with the rest above.
    #[must_use]
    pub fn begins_with_offsets(self) -> bool {
        let is_at = |bits: Bits, first| bits.first == first && bits.count == 16;
        let Layout {
            sp_offset,
            bp_offset,
            ..
        } = self.layout;
        is_at(sp_offset, 0) && is_at(bp_offset, 16)
    }

    /// The rule in the bytes of an entry, as a little-endian number.
    #[must_use]
    pub fn rule(self, word: u64) -> OrcRule {
        self.layout.rule(word, self.registers)
    }
}

/// Reads the table.
pub(crate) fn read(kernel: &Kernel) -> Result<Orc, SymbolError> {
    let layout = Layout::of(kernel).ok_or(SymbolError::MissingSymbol {
        name: "orc_entry",
        purpose: PURPOSE,
    })?;
    let (start, addrs) = between_marks(
        kernel,
        "__start_orc_unwind_ip",
        "__stop_orc_unwind_ip",
        PURPOSE,
    )?;
    let (_, rules) = between_marks(kernel, "__start_orc_unwind", "__stop_orc_unwind", PURPOSE)?;
    let rules = rules.chunks_exact(layout.bytes).map(word);
    let registers = layout.registers(rules.clone())?;
    let places = (0..).step_by(4).map(|offset| start.offset_by(offset));
    let addrs = places
        .zip(addrs.chunks_exact(4))
        .filter_map(|(place, bytes)| Some(place.offset_by(i32_at(bytes, 0)?.into())));
    let entries = addrs.zip(rules).map(|(addr, word)| OrcEntry {
        addr,
        rule: layout.rule(word, registers),
    });
    let mut entries: Vec<_> = entries.collect();
    // As the kernel does at boot where its build did not. Of several for one address the last counts, and the end of
    // what stood before must not hide what begins there.
    entries.sort_by_key(|entry| (entry.addr, entry.rule.kind != OrcKind::Undefined));
    let encoding = OrcEncoding { layout, registers };
    Ok(Orc { entries, encoding })
}

/// Where the bits of `struct orc_entry` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    bytes: usize,
    sp_offset: Bits,
    bp_offset: Bits,
    sp_reg: Bits,
    bp_reg: Bits,
    kind: Bits,
    /// To 6.3.
    end: Option<Bits>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bits {
    first: u32,
    count: u32,
}

impl Bits {
    fn of(self, word: u64) -> u64 {
        word >> self.first & ((1 << self.count) - 1)
    }

    fn signed(self, word: u64) -> i16 {
        let unused = 64 - self.count;
        let value = (self.of(word) << unused).cast_signed() >> unused;
        i16::try_from(value).unwrap_or(0)
    }
}

impl Layout {
    fn of(kernel: &Kernel) -> Option<Self> {
        let types = kernel.types();
        let entry = types.struct_named("orc_entry")?;
        let bits = |name| {
            let place = types.member(entry, name)?;
            let count = match place.bitfield_bits {
                Some(bits) => u32::from(bits),
                None => u32::try_from(types.byte_size(place.type_id)?).ok()? * 8,
            };
            let first = u32::try_from(place.bit_offset).ok()?;
            (count <= 16 && first + count <= 64).then_some(Bits { first, count })
        };
        let bytes = usize::try_from(types.byte_size(entry)?).ok()?;
        (1..=8).contains(&bytes).then_some(())?;
        Some(Self {
            bytes,
            sp_offset: bits("sp_offset")?,
            bp_offset: bits("bp_offset")?,
            sp_reg: bits("sp_reg")?,
            bp_reg: bits("bp_reg")?,
            kind: bits("type")?,
            end: bits("end"),
        })
    }

    /// The numbering by which `rules` are written.
    fn registers(
        self,
        rules: impl Iterator<Item = u64>,
    ) -> Result<&'static [OrcRegister], SymbolError> {
        let mut counts = [0_usize; 16];
        for number in rules
            .map(|rule| self.sp_reg.of(rule))
            .filter(|number| *number != 0)
        {
            // A register has four bits; what a damaged type makes of it is no register.
            if let Some(count) = usize::try_from(number)
                .ok()
                .and_then(|at| counts.get_mut(at))
            {
                *count += 1;
            }
        }
        let most = (0..counts.len()).max_by_key(|number| counts[*number]);
        let is_stack_pointer = |known: &&[OrcRegister]| {
            most.and_then(|number| known.get(number)) == Some(&OrcRegister::Sp)
        };
        let known = [REGISTERS_TO_6, REGISTERS_FROM_7];
        known
            .into_iter()
            .find(is_stack_pointer)
            .ok_or(SymbolError::UnknownOrc {
                stack_pointer: most.unwrap_or(0),
            })
    }

    fn rule(self, word: u64, registers: &[OrcRegister]) -> OrcRule {
        let register = |bits: Bits| {
            let number = usize::try_from(bits.of(word)).unwrap_or(0);
            registers
                .get(number)
                .copied()
                .unwrap_or(OrcRegister::Undefined)
        };
        let sp = register(self.sp_reg);
        let kind = match (self.end, self.kind.of(word)) {
            (Some(end), _) if sp == OrcRegister::Undefined => match end.of(word) {
                0 => OrcKind::Undefined,
                _ => OrcKind::EndOfStack,
            },
            (Some(_), 0) | (None, 2) => OrcKind::Call,
            (Some(_), 1) | (None, 3) => OrcKind::Registers,
            (Some(_), 2) | (None, 4) => OrcKind::InterruptFrame,
            (None, 1) => OrcKind::EndOfStack,
            _ => OrcKind::Undefined,
        };
        OrcRule {
            sp,
            sp_offset: self.sp_offset.signed(word),
            bp: register(self.bp_reg),
            bp_offset: self.bp_offset.signed(word),
            kind,
        }
    }
}

/// The bytes of an entry, as a number.
fn word(entry: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..entry.len()].copy_from_slice(entry);
    u64::from_le_bytes(word)
}

/// Registers by their numbers, from the first version.
const REGISTERS_TO_6: &[OrcRegister] = {
    use OrcRegister::{Bp, BpIndirect, Di, Dx, PreviousSp, R10, R13, Sp, SpIndirect, Undefined};
    &[
        Undefined, PreviousSp, Dx, Di, Bp, Sp, R10, R13, BpIndirect, SpIndirect,
    ]
};

/// The same as the kernels of 7.x number them. What no kernel of the matrix uses is left out rather than guessed.
const REGISTERS_FROM_7: &[OrcRegister] = {
    use OrcRegister::{Bp, BpIndirect, Dx, PreviousSp, R10, R13, Sp, SpIndirect, Undefined};
    &[
        Undefined, Undefined, Dx, Sp, Bp, Undefined, R10, R13, PreviousSp, SpIndirect, BpIndirect,
    ]
};
