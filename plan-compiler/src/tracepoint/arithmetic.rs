//! Moves, arithmetic and comparisons on the state of a walk.
//!
//! Each gives false when the instruction has a form that is not followed.

use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind, Register as Iced};

use super::Unrecoverable;
use super::binary::Binary;
use super::expr::{Expr, Pool};
use super::state::{Flags, ImageRange, State, operand_bits};

impl State {
    /// Writes to operand 0 what `compute` makes of operand 1 and its width.
    pub(super) fn unary(
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

    pub(super) fn in_place(
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
    pub(super) fn arithmetic(
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
    pub(super) fn add_with_carry(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
    ) -> bool {
        let carry = self.condition(pool, ConditionCode::b);
        self.arithmetic(pool, image, i, Binary::Add)
            && self.in_place(pool, image, i, |pool, sum| {
                pool.binary(Binary::Add, sum, carry)
            })
    }

    /// `div` of a number that fits its low half, which it does where the compiler divides; false otherwise.
    pub(super) fn divide(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
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
    pub(super) fn count(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
        by: u64,
    ) -> bool {
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
    pub(super) fn with_zero(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
    ) -> bool {
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
    pub(super) fn compare(&mut self, pool: &mut Pool, image: &ImageRange, i: &Instruction) -> bool {
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
    pub(super) fn test_bit(
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

    pub(super) fn convert(&mut self, pool: &mut Pool, from: Iced, to: Iced) -> bool {
        let value = self.get(pool, from);
        let bits = if from == Iced::AX { 16 } else { 32 };
        let value = pool.sign_extend(bits, value);
        self.set(pool, to, value);
        true
    }

    /// `setcc` and `cmovcc`.
    pub(super) fn conditional(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        i: &Instruction,
    ) -> bool {
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
}

impl Pool {
    /// Sign-extends from `bits` to 64: the shape that [`State::unary`] takes.
    pub(super) fn sign_extend_of(&mut self, value: Expr, bits: u8) -> Expr {
        self.sign_extend(bits, value)
    }
}
