//! What single instructions do to the state of a walk.
//!
//! An instruction that is not followed does not end the walk: whatever it writes becomes unknown.

use iced_x86::{
    ConditionCode, FastFormatter, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register as Iced,
};

use super::Unrecoverable;
use super::binary::Binary;
use super::expr::Pool;
use super::state::{Flags, ImageRange, State};

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
            Mnemonic::Adc => self.add_with_carry(pool, image, i),
            Mnemonic::Div => self.divide(pool, image, i),
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

/// Whether the instruction sets or moves depending on the flags.
trait Conditional {
    fn is_setcc_or_cmovcc(&self) -> bool;
}

impl Conditional for Instruction {
    fn is_setcc_or_cmovcc(&self) -> bool {
        self.condition_code() != ConditionCode::None && !self.is_jcc_short_or_near()
    }
}
