//! Fetch programs: how the fields of an event are computed from registers and memory.
//!
//! A program first evaluates its bindings into slots, then its condition, then each field; every evaluation is a small
//! stack program without loops. A load that fails makes the binding or field missing and nothing else.
//!
//! Invariant: [`Program::validate`] accepted every program that runs, so that the interpreter needs no checks of its own
//! beyond memory: operands exist, slots are set before use, jumps go forward, the result is what the output needs.

use serde::{Deserialize, Serialize};

use crate::guest_view::Register;
use crate::unwind::FRAMES_MAX;

/// Deepest stack of an evaluation.
pub const STACK_MAX: usize = 16;
/// Most bindings of a program.
pub const SLOTS_MAX: usize = 16;
/// Most values that are kept from a function's entry to its return.
pub const SAVED_MAX: usize = 8;
/// Longest string or byte run that a program fetches.
pub const STRING_BYTES_MAX: u16 = 1024;

/// One step of an evaluation. Numbers are 64-bit and wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Pushes a number.
    Const(u64),
    /// Pushes the run-time address of what was linked there.
    LinkAddr(u64),
    /// Pushes a register.
    Register(Register),
    /// Pushes the base of the running CPU's per-CPU area: gs_base when it is a kernel address, else k_gs_base.
    CpuBase,
    /// Pushes the run-time address of the probe (the emulator's rip is not right in mid-block).
    ProbeAddress,
    /// Pushes the run-time address of what is linked so far behind the probe, in the same program.
    FromProbe(u64),
    /// Pushes a slot.
    Slot(u8),
    /// Pushes a value that was saved when the function was entered, at the return of a paired function.
    Saved(u8),
    /// Pushes the guest's nanoseconds since the function was entered, at the return of a paired function.
    Elapsed,
    /// Ends the evaluation: there is no such value, as of the offset of a call that has none.
    Missing,
    /// Pops an address, pushes the little-endian number of 1, 2, 4 or 8 bytes there.
    Load(u8),
    /// Extends the sign of the low bits of the top: 1 to 64.
    SignExtend(u8),
    /// Keeps the low bits of the top: 1 to 64.
    ZeroExtend(u8),
    /// Pops b, a; pushes a + b.
    Add,
    /// Pops b, a; pushes a - b.
    Sub,
    /// Pops b, a; pushes a * b.
    Mul,
    /// Pops b, a; pushes a / b, unsigned; 0 when b is 0.
    Div,
    /// Pops b, a; pushes a % b, unsigned; 0 when b is 0.
    Rem,
    /// Pops b, a; pushes a & b.
    And,
    /// Pops b, a; pushes a | b.
    Or,
    /// Pops b, a; pushes a ^ b.
    Xor,
    /// Pops b, a; pushes a << b; 0 when b > 63.
    Shl,
    /// Pops b, a; pushes a >> b, unsigned; 0 when b > 63.
    Shr,
    /// Pops b, a; pushes a >> b, signed; b is cut to 63.
    Sar,
    /// Inverts the bits of the top.
    Not,
    /// Negates the top.
    Neg,
    /// Pops b, a; pushes whether a == b.
    Equal,
    /// Pops b, a; pushes whether a < b, unsigned.
    Less,
    /// Pops b, a; pushes whether a < b, signed.
    LessSigned,
    /// Replaces the top by whether it is zero.
    IsZero,
    /// Continues that many steps further on.
    Jump(u8),
    /// Pops; when zero, continues that many steps further on.
    JumpIfZero(u8),
}

/// In which address space a string lies, which decides how it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressSpace {
    /// Kernel memory.
    Kernel,
    /// Memory of the current process.
    User,
    /// Whichever of the two the address is in.
    Any,
}

/// What becomes of an evaluation's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// One number on the stack.
    Number,
    /// An address on the stack: the bytes up to the NUL there, at most `max`.
    String {
        /// Where it lies.
        space: AddressSpace,
        /// At most so many bytes.
        max: u16,
    },
    /// An address and a length on the stack: so many bytes, at most `max`.
    Bytes {
        /// Where they lie.
        space: AddressSpace,
        /// At most so many bytes.
        max: u16,
    },
    /// Nothing on the stack: the call stack at the probe, by the rules of the plan.
    CallStack {
        /// At most so many frames.
        max: u8,
    },
    /// The address of an instruction and a frame pointer on the stack: the call stack there.
    FramePointers {
        /// Where it lies.
        space: AddressSpace,
        /// At most so many frames.
        max: u8,
    },
}

impl Output {
    /// Whether it is a run of addresses.
    #[must_use]
    pub fn is_stack(self) -> bool {
        matches!(self, Self::CallStack { .. } | Self::FramePointers { .. })
    }
}

/// How one field is computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The evaluation.
    pub ops: Vec<Op>,
    /// What becomes of its result.
    pub output: Output,
}

/// How one record is computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Evaluations shared by the fields: the i-th fills slot i and may use the slots before it.
    pub bindings: Vec<Vec<Op>>,
    /// Records only when this is not zero; a condition that cannot be evaluated counts as zero.
    pub condition: Option<Vec<Op>>,
    /// The fields, in the order of the event's schema.
    pub fields: Vec<Field>,
}

/// Why a program cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// An operand is missing.
    #[error("step {step} takes an operand from an empty stack")]
    StackUnderflow {
        /// Index of the step.
        step: usize,
    },
    /// Too many operands.
    #[error("step {step} exceeds the stack of {STACK_MAX}")]
    StackOverflow {
        /// Index of the step.
        step: usize,
    },
    /// A slot that no earlier binding fills.
    #[error("step {step} reads slot {slot}, which is not set there")]
    SlotUnset {
        /// Index of the step.
        step: usize,
        /// The slot.
        slot: u8,
    },
    /// A size or width that does not exist, or a jump out of the program.
    #[error("step {step} has an operand out of range")]
    BadOperand {
        /// Index of the step.
        step: usize,
    },
    /// Two ways to a step with different stacks, or a wrong number of results.
    #[error("{found} results where {expected} are needed")]
    BadResult {
        /// Values needed.
        expected: usize,
        /// Values there.
        found: usize,
    },
    /// Too many bindings or fields.
    #[error("more than {max} bindings or fields")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

impl Program {
    /// Checks everything that the interpreter relies on.
    ///
    /// # Errors
    /// The first fault found.
    pub fn validate(&self) -> Result<(), ProgramError> {
        if self.bindings.len() > SLOTS_MAX {
            return Err(ProgramError::TooMany { max: SLOTS_MAX });
        }
        if self.fields.len() > trace_format::FIELDS_MAX {
            return Err(ProgramError::TooMany {
                max: trace_format::FIELDS_MAX,
            });
        }
        for (index, ops) in self.bindings.iter().enumerate() {
            check(ops, index, 1)?;
        }
        if let Some(ops) = &self.condition {
            check(ops, self.bindings.len(), 1)?;
        }
        for field in &self.fields {
            let (results, is_in_range) = match field.output {
                Output::Number => (1, true),
                Output::String { max, .. } => (1, max <= STRING_BYTES_MAX),
                Output::Bytes { max, .. } => (2, max <= STRING_BYTES_MAX),
                Output::CallStack { max } => (0, (1..=FRAMES_MAX).contains(&max)),
                Output::FramePointers { max, .. } => (2, (1..=FRAMES_MAX).contains(&max)),
            };
            if !is_in_range {
                return Err(ProgramError::BadOperand {
                    step: field.ops.len(),
                });
            }
            check(&field.ops, self.bindings.len(), results)?;
        }
        Ok(())
    }
}

/// Follows every way through `ops`: since jumps go forward, one pass in order sees each step's depth before the step.
fn check(ops: &[Op], slots_set: usize, results: usize) -> Result<(), ProgramError> {
    let mut depth_at = vec![None; ops.len() + 1];
    depth_at[0] = Some(0_usize);
    for (step, op) in ops.iter().enumerate() {
        let Some(depth) = depth_at[step] else {
            continue;
        };
        let (pops, pushes) = op.effect();
        let left = depth
            .checked_sub(pops)
            .ok_or(ProgramError::StackUnderflow { step })?;
        let depth = left + pushes;
        if depth > STACK_MAX {
            return Err(ProgramError::StackOverflow { step });
        }
        let in_range = match *op {
            Op::Load(bytes) => matches!(bytes, 1 | 2 | 4 | 8),
            Op::SignExtend(bits) | Op::ZeroExtend(bits) => (1..=64).contains(&bits),
            Op::Slot(slot) if usize::from(slot) >= slots_set => {
                return Err(ProgramError::SlotUnset { step, slot });
            }
            Op::Saved(index) => usize::from(index) < SAVED_MAX,
            _ => true,
        };
        if !in_range {
            return Err(ProgramError::BadOperand { step });
        }
        let mut reach = |target: usize| -> Result<(), ProgramError> {
            let seen = depth_at
                .get_mut(target)
                .ok_or(ProgramError::BadOperand { step })?;
            match *seen {
                Some(found) if found != depth => Err(ProgramError::BadResult {
                    expected: depth,
                    found,
                }),
                _ => {
                    *seen = Some(depth);
                    Ok(())
                }
            }
        };
        match *op {
            Op::Jump(by) => reach(step + 1 + usize::from(by))?,
            Op::JumpIfZero(by) => {
                reach(step + 1)?;
                reach(step + 1 + usize::from(by))?;
            }
            _ => reach(step + 1)?,
        }
    }
    match depth_at[ops.len()] {
        Some(found) if found == results => Ok(()),
        found => Err(ProgramError::BadResult {
            expected: results,
            found: found.unwrap_or(0),
        }),
    }
}

impl Op {
    /// Values taken from and put on the stack.
    fn effect(self) -> (usize, usize) {
        match self {
            Self::Const(_)
            | Self::LinkAddr(_)
            | Self::Register(_)
            | Self::CpuBase
            | Self::ProbeAddress
            | Self::FromProbe(_)
            | Self::Saved(_)
            | Self::Elapsed
            | Self::Missing
            | Self::Slot(_) => (0, 1),
            Self::Load(_)
            | Self::SignExtend(_)
            | Self::ZeroExtend(_)
            | Self::Not
            | Self::Neg
            | Self::IsZero => (1, 1),
            Self::Add
            | Self::Sub
            | Self::Mul
            | Self::Div
            | Self::Rem
            | Self::And
            | Self::Or
            | Self::Xor
            | Self::Shl
            | Self::Shr
            | Self::Sar
            | Self::Equal
            | Self::Less
            | Self::LessSigned => (2, 1),
            Self::Jump(_) => (0, 0),
            Self::JumpIfZero(_) => (1, 0),
        }
    }
}
