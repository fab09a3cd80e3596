//! What single instructions do to the state of a walk.
//!
//! An instruction that is not followed does not end the walk: whatever it writes becomes unknown.

use iced_x86::{
    ConditionCode, FastFormatter, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register as Iced,
};

use super::Unrecoverable;
use super::binary::Binary;
use super::expr::{Expr, Pool};
use super::state::{Flags, ImageRange, State, operand_bits};

impl State {
    /// Executes an instruction that continues with the next one.
    pub(super) fn step(&mut self, pool: &mut Pool, image: &ImageRange, instruction: &Instruction) {
        let followed =
            self.step_data(pool, image, instruction) || self.step_stack(pool, image, instruction);
        if !followed {
            self.poison(pool, image, instruction);
        }
    }

    /// Moves and arithmetic; false when the instruction is none, or has a form that is not followed.
    fn step_data(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
        match i.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx => self.unary(pool, image, i, |_, value, _| value),
            Mnemonic::Movsx | Mnemonic::Movsxd => self.unary(pool, image, i, Pool::sign_extend_of),
            Mnemonic::Lea => match self.address(pool, image, i) {
                Some(addr) => self.write(pool, image, i, addr),
                None => false,
            },
            Mnemonic::Add => self.arithmetic(pool, image, i, Binary::Add),
            Mnemonic::Sub => self.arithmetic(pool, image, i, Binary::Sub),
            Mnemonic::And => self.arithmetic(pool, image, i, Binary::And),
            Mnemonic::Or => self.arithmetic(pool, image, i, Binary::Or),
            Mnemonic::Xor => self.arithmetic(pool, image, i, Binary::Xor),
            Mnemonic::Shl => self.arithmetic(pool, image, i, Binary::Shl),
            Mnemonic::Shr => self.arithmetic(pool, image, i, Binary::Shr),
            Mnemonic::Sar => self.arithmetic(pool, image, i, Binary::Sar),
            Mnemonic::Imul if i.op_count() >= 2 => self.arithmetic(pool, image, i, Binary::Mul),
            Mnemonic::Inc => self.count(pool, image, i, 1),
            Mnemonic::Dec => self.count(pool, image, i, u64::MAX),
            Mnemonic::Neg => self.with_zero(pool, image, i),
            Mnemonic::Not => {
                let ones = pool.constant(u64::MAX);
                self.in_place(pool, image, i, |pool, value| {
                    pool.binary(Binary::Xor, value, ones)
                })
            }
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt => self.compare(pool, image, i),
            Mnemonic::Cdqe => self.convert(pool, Iced::EAX, Iced::RAX),
            Mnemonic::Cwde => self.convert(pool, Iced::AX, Iced::EAX),
            Mnemonic::Sbb
                if i.op0_kind() == OpKind::Register && i.op0_register() == i.op1_register() =>
            {
                let carry = self.condition(pool, ConditionCode::b);
                let zero = pool.constant(0);
                let value = pool.binary(Binary::Sub, zero, carry);
                self.write(pool, image, i, value)
            }
            _ if i.is_setcc_or_cmovcc() => self.conditional(pool, image, i),
            _ => false,
        }
    }

    /// Stack, exchanges and what has no effect; false when the instruction is none of these.
    fn step_stack(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
        match i.mnemonic() {
            Mnemonic::Nop
            | Mnemonic::Endbr64
            | Mnemonic::Lfence
            | Mnemonic::Pause
            | Mnemonic::Prefetcht0
            | Mnemonic::Prefetchw
            | Mnemonic::Prefetchnta
            | Mnemonic::Sti
            | Mnemonic::Cli => true,
            Mnemonic::Push => match self.operand(pool, image, i, 0) {
                Some(value) => {
                    self.push(pool, value);
                    true
                }
                None => false,
            },
            Mnemonic::Pop if i.op0_kind() == OpKind::Register => {
                let value = self.pop(pool, i.ip());
                self.set(pool, i.op0_register(), value);
                true
            }
            Mnemonic::Pushfq => {
                let flags = pool.unknown(Unrecoverable::FlagsUnknown);
                self.push(pool, flags);
                true
            }
            Mnemonic::Popfq => {
                self.pop(pool, i.ip());
                self.flags = Flags::Unknown(pool.unknown(Unrecoverable::FlagsUnknown));
                true
            }
            Mnemonic::Leave => {
                let frame = self.get(pool, Iced::RBP);
                self.set(pool, Iced::RSP, frame);
                let saved = self.pop(pool, i.ip());
                self.set(pool, Iced::RBP, saved);
                true
            }
            Mnemonic::Xchg
                if i.op0_kind() == OpKind::Register && i.op1_kind() == OpKind::Register =>
            {
                let (a, b) = (
                    self.get(pool, i.op0_register()),
                    self.get(pool, i.op1_register()),
                );
                self.set(pool, i.op0_register(), b);
                self.set(pool, i.op1_register(), a);
                true
            }
            _ => false,
        }
    }

    /// Writes to operand 0 what `compute` makes of operand 1 and its width.
    fn unary(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
        compute: impl Fn(&mut Pool, Expr, u8) -> Expr,
    ) -> bool {
        let Some(value) = self.operand(pool, image, i, 1) else {
            return false;
        };
        let value = compute(pool, value, operand_bits(i, 1));
        self.write(pool, image, i, value)
    }

    fn in_place(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
        compute: impl Fn(&mut Pool, Expr) -> Expr,
    ) -> bool {
        let Some(value) = self.operand(pool, image, i, 0) else {
            return false;
        };
        let bits = operand_bits(i, 0);
        let value = compute(pool, value);
        let value = pool.zero_extend(bits, value);
        self.write(pool, image, i, value)
    }

    /// `op0 = op0 op op1`, or `op0 = op1 op op2`, with the flags.
    fn arithmetic(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
        op: Binary,
    ) -> bool {
        let first = u32::from(i.op_count() == 3);
        let (Some(mut a), Some(mut b)) = (
            self.operand(pool, image, i, first),
            self.operand(pool, image, i, first + 1),
        ) else {
            return false;
        };
        let bits = operand_bits(i, 0);
        match op {
            // The processor shifts by the low bits only; a shift by zero leaves the flags, which is not followed.
            Binary::Shl | Binary::Shr | Binary::Sar => {
                let mask = pool.constant(if bits == 64 { 63 } else { 31 });
                b = pool.binary(Binary::And, b, mask);
                if op == Binary::Sar {
                    a = pool.sign_extend(bits, a);
                }
            }
            _ => {}
        }
        let value = pool.binary(op, a, b);
        let value = pool.zero_extend(bits, value);
        let zero = pool.constant(0);
        self.flags = match op {
            Binary::Sub => Flags::Compare { a, b, bits },
            Binary::And | Binary::Or | Binary::Xor => Flags::Compare {
                a: value,
                b: zero,
                bits,
            },
            _ => Flags::Result { value, bits },
        };
        self.write(pool, image, i, value)
    }

    /// `adc`: what the compiler makes of adding a comparison.
    fn add_with_carry(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
        let carry = self.condition(pool, ConditionCode::b);
        self.arithmetic(pool, image, i, Binary::Add)
            && self.in_place(pool, image, i, |pool, sum| {
                pool.binary(Binary::Add, sum, carry)
            })
    }

    /// `div` of a number that fits its low half, which it does where the compiler divides; false otherwise.
    fn divide(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
        let (low, high) = match operand_bits(i, 0) {
            64 => (Iced::RAX, Iced::RDX),
            32 => (Iced::EAX, Iced::EDX),
            _ => return false,
        };
        let (a, upper) = (self.get(pool, low), self.get(pool, high));
        let Some(b) = self
            .operand(pool, image, i, 0)
            .filter(|_| upper == pool.constant(0))
        else {
            return false;
        };
        let (quotient, rest) = (
            pool.binary(Binary::Div, a, b),
            pool.binary(Binary::Rem, a, b),
        );
        self.set(pool, low, quotient);
        self.set(pool, high, rest);
        self.flags = Flags::Unknown(pool.unknown(Unrecoverable::FlagsUnknown));
        true
    }

    /// `op0 += by`, as `inc` and `dec` do.
    fn count(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction, by: u64) -> bool {
        let Some(value) = self.operand(pool, image, i, 0) else {
            return false;
        };
        let bits = operand_bits(i, 0);
        let value = pool.add_const(value, by);
        let value = pool.zero_extend(bits, value);
        self.flags = Flags::Result { value, bits };
        self.write(pool, image, i, value)
    }

    /// `op0 = 0 - op0`.
    fn with_zero(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
        let Some(b) = self.operand(pool, image, i, 0) else {
            return false;
        };
        let (a, bits) = (pool.constant(0), operand_bits(i, 0));
        self.flags = Flags::Compare { a, b, bits };
        self.in_place(pool, image, i, |pool, value| {
            pool.binary(Binary::Sub, a, value)
        })
    }

    /// `cmp`, `test` and `bt`: flags only.
    fn compare(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
        let Some(b) = self.operand(pool, image, i, 1) else {
            return false;
        };
        let bits = operand_bits(i, 0);
        if i.mnemonic() == Mnemonic::Bt {
            return self.test_bit(pool, image, i, b);
        }
        let Some(a) = self.operand(pool, image, i, 0) else {
            return false;
        };
        self.flags = if i.mnemonic() == Mnemonic::Test {
            let zero = pool.constant(0);
            Flags::Compare {
                a: pool.binary(Binary::And, a, b),
                b: zero,
                bits,
            }
        } else {
            Flags::Compare { a, b, bits }
        };
        true
    }

    /// `bt`: in memory, a register's bit number reaches beyond the operand.
    fn test_bit(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
        bit: Expr,
    ) -> bool {
        let bits = operand_bits(i, 0);
        let mask = pool.constant(u64::from(bits) - 1);
        let within = pool.binary(Binary::And, bit, mask);
        let word = if i.op0_kind() == OpKind::Memory && i.op1_kind() == OpKind::Register {
            let Some(addr) = self.linear(pool, image, i) else {
                return false;
            };
            let (shift, bytes) = (u64::from(bits.trailing_zeros()), bits / 8);
            let signed = pool.sign_extend(bits, bit);
            let shift = pool.constant(shift);
            let index = pool.binary(Binary::Sar, signed, shift);
            let scale = pool.constant(u64::from(bytes));
            let offset = pool.binary(Binary::Mul, index, scale);
            let addr = pool.binary(Binary::Add, addr, offset);
            self.memory.load(pool, addr, bytes, i.ip())
        } else {
            let Some(word) = self.operand(pool, image, i, 0) else {
                return false;
            };
            word
        };
        let shifted = pool.binary(Binary::Shr, word, within);
        self.flags = Flags::Carry(pool.zero_extend(1, shifted));
        true
    }

    fn convert(&mut self, pool: &mut Pool, from: Iced, to: Iced) -> bool {
        let value = self.get(pool, from);
        let bits = if from == Iced::AX { 16 } else { 32 };
        let value = pool.sign_extend(bits, value);
        self.set(pool, to, value);
        true
    }

    /// `setcc` and `cmovcc`.
    fn conditional(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
        let condition = self.condition(pool, i.condition_code());
        if i.op_count() == 1 {
            return self.write(pool, image, i, condition);
        }
        let (Some(otherwise), Some(then)) = (
            self.operand(pool, image, i, 0),
            self.operand(pool, image, i, 1),
        ) else {
            return false;
        };
        let value = pool.select(condition, then, otherwise);
        self.write(pool, image, i, value)
    }

    /// Makes everything unknown that the instruction writes.
    fn poison(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) {
        let mut text = String::new();
        FastFormatter::new().format(i, &mut text);
        let why = Unrecoverable::UnknownInstruction {
            address: i.ip(),
            text,
        };
        let unknown = pool.unknown(why.clone());
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(i);
        for used in info
            .used_memory()
            .iter()
            .filter(|used| writes(used.access()))
        {
            let addr = match (used.base(), used.index()) {
                (base, Iced::None) if base.is_gpr64() && used.segment() != Iced::GS => {
                    let base = self.get(pool, base);
                    let offset = image.literal(pool, used.displacement());
                    Some(pool.binary(Binary::Add, base, offset))
                }
                _ => self.linear(pool, image, i),
            };
            match addr {
                // A repeated instruction writes an unknown number of bytes; the direction flag is clear in the kernel.
                Some(addr) if i.has_rep_prefix() || i.has_repne_prefix() => {
                    self.memory.spoil(pool, addr, u64::MAX / 2, why.clone());
                }
                Some(addr) => {
                    let bytes = u64::try_from(used.memory_size().size()).unwrap_or(u64::MAX / 2);
                    self.memory.spoil(pool, addr, bytes.max(1), why.clone());
                }
                None => self.memory.call(why.clone()),
            }
        }
        for used in info
            .used_registers()
            .iter()
            .filter(|used| writes(used.access()))
        {
            if used.register().is_gpr() {
                self.set(pool, used.register().full_register(), unknown);
            }
        }
        if i.rflags_modified() != 0 {
            self.flags = Flags::Unknown(unknown);
        }
    }
}

fn writes(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

impl Pool {
    /// Sign-extends from `bits` to 64: the shape that [`State::unary`] takes.
    fn sign_extend_of(&mut self, value: Expr, bits: u8) -> Expr {
        self.sign_extend(bits, value)
    }
}

/// Whether the instruction sets or moves depending on the flags.
trait Conditional {
    fn is_setcc_or_cmovcc(&self) -> bool;
}

impl Conditional for Instruction {
    fn is_setcc_or_cmovcc(&self) -> bool {
        self.condition_code() != ConditionCode::None && !self.is_jcc_short_or_near()
    }
}
