//! The processor as a walk sees it: registers, flags and memory.

use iced_x86::{Instruction, OpKind, Register as Iced};
use probe_plan::Register;

use super::Unrecoverable;
use super::binary::Binary;
use super::code::Place;
use super::expr::{Expr, Node, Pool};
use super::memory::{Memory, is_stack};

/// The general registers, by the processor's number.
const GENERAL: [Register; 16] = [
    Register::Rax,
    Register::Rcx,
    Register::Rdx,
    Register::Rbx,
    Register::Rsp,
    Register::Rbp,
    Register::Rsi,
    Register::Rdi,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// The registers that carry arguments, in order.
pub(super) const ARGUMENTS: [Iced; 6] = [
    Iced::RDI,
    Iced::RSI,
    Iced::RDX,
    Iced::RCX,
    Iced::R8,
    Iced::R9,
];

/// The registers that a called function need not preserve.
const CLOBBERED: [Iced; 9] = [
    Iced::RAX,
    Iced::RCX,
    Iced::RDX,
    Iced::RSI,
    Iced::RDI,
    Iced::R8,
    Iced::R9,
    Iced::R10,
    Iced::R11,
];

/// How much behind an address that it is given a called function is taken to fill: `trace_cgroup_path` has as much.
const BUFFER_BYTES: u64 = 1024;

/// What the last instruction that set the flags computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flags {
    /// The difference of two numbers of so many bits.
    Compare { a: Expr, b: Expr, bits: u8 },
    /// A result of so many bits: its zero and sign; carry and overflow are unknown.
    Result { value: Expr, bits: u8 },
    /// The carry flag alone.
    Carry(Expr),
    /// Nothing is known.
    Unknown(Expr),
}

/// Registers, flags and memory, in terms of those at the nop.
#[derive(Clone, Debug)]
pub(super) struct State {
    registers: [Expr; 16],
    pub(super) flags: Flags,
    pub(super) memory: Memory,
}

/// The part of the address space that moves with the kernel image.
#[derive(Clone, Debug)]
pub(super) struct ImageRange(pub(super) std::ops::Range<u64>);

impl State {
    /// The state at the nop itself.
    pub(super) fn at_nop(pool: &mut Pool, place: &Place<'_>) -> Self {
        let registers = GENERAL.map(|register| pool.register(register));
        let flags = Flags::Unknown(pool.unknown(Unrecoverable::FlagsUnknown));
        Self {
            registers,
            flags,
            memory: Memory::at_nop([place.tracepoint(), place.cpu_mask()]),
        }
    }

    /// The register's value, zero-extended.
    pub(super) fn get(&self, pool: &mut Pool, register: Iced) -> Expr {
        let Some(value) = self
            .registers
            .get(register.full_register().number())
            .copied()
        else {
            return pool.unknown(Unrecoverable::FlagsUnknown);
        };
        if is_high_byte(register) {
            let shift = pool.constant(8);
            let shifted = pool.binary(Binary::Shr, value, shift);
            return pool.zero_extend(8, shifted);
        }
        pool.zero_extend(bits_of(register.size()), value)
    }

    /// Writes a register as the processor does: 32 bits clear the upper half, 8 and 16 leave the rest.
    pub(super) fn set(&mut self, pool: &mut Pool, register: Iced, value: Expr) {
        let Some(slot) = self.registers.get_mut(register.full_register().number()) else {
            return;
        };
        let bits = bits_of(register.size());
        *slot = match bits {
            64 => value,
            32 => pool.zero_extend(32, value),
            _ => {
                let shift = if is_high_byte(register) { 8 } else { 0 };
                let mask = super::binary::low_mask(bits) << shift;
                let kept = pool.constant(!mask);
                let kept = pool.binary(Binary::And, *slot, kept);
                let shift = pool.constant(shift);
                let new = pool.zero_extend(bits, value);
                let new = pool.binary(Binary::Shl, new, shift);
                pool.binary(Binary::Or, kept, new)
            }
        };
    }

    /// The address that an instruction's memory operand names; `None` for forms the kernel's code does not use.
    pub(super) fn address(
        &self,
        pool: &mut Pool,
        image: &ImageRange,
        instruction: &Instruction,
    ) -> Option<Expr> {
        let offset = if instruction.is_ip_rel_memory_operand() {
            image.literal(pool, instruction.ip_rel_memory_address())
        } else {
            image.literal(pool, instruction.memory_displacement64())
        };
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let mut addr = if base == Iced::None || instruction.is_ip_rel_memory_operand() {
            None
        } else if base.is_gpr64() {
            Some(self.get(pool, base))
        } else {
            return None;
        };
        if index.is_gpr64() {
            let scale = pool.constant(u64::from(instruction.memory_index_scale()));
            let index = self.get(pool, index);
            let index = pool.binary(Binary::Mul, index, scale);
            addr = Some(addr.map_or(index, |base| pool.binary(Binary::Add, base, index)));
        } else if index != Iced::None {
            return None;
        }
        Some(addr.map_or(offset, |addr| pool.binary(Binary::Add, addr, offset)))
    }

    /// As [`State::address`], with the base of a segment added.
    pub(super) fn linear(
        &self,
        pool: &mut Pool,
        image: &ImageRange,
        instruction: &Instruction,
    ) -> Option<Expr> {
        let addr = self.address(pool, image, instruction)?;
        match instruction.memory_segment() {
            Iced::GS => {
                let base = pool.cpu_base();
                Some(pool.binary(Binary::Add, base, addr))
            }
            Iced::FS => None,
            _ => Some(addr),
        }
    }

    /// An operand as a number of its own size, zero-extended; `None` when its form is not followed.
    pub(super) fn operand(
        &self,
        pool: &mut Pool,
        image: &ImageRange,
        instruction: &Instruction,
        index: u32,
    ) -> Option<Expr> {
        match instruction.op_kind(index) {
            OpKind::Register => {
                let register = instruction.op_register(index);
                register.is_gpr().then(|| self.get(pool, register))
            }
            OpKind::Memory => {
                let addr = self.linear(pool, image, instruction)?;
                let bytes = u8::try_from(instruction.memory_size().size()).ok()?;
                matches!(bytes, 1 | 2 | 4 | 8)
                    .then(|| self.memory.load(pool, addr, bytes, instruction.ip()))
            }
            _ => {
                let value = instruction.try_immediate(index).ok()?;
                match operand_bits(instruction, 0) {
                    64 => Some(image.literal(pool, value)),
                    bits => Some(pool.constant(value & super::binary::low_mask(bits))),
                }
            }
        }
    }

    /// Writes an operand; false when its form is not followed.
    pub(super) fn write(
        &mut self,
        pool: &mut Pool,
        image: &ImageRange,
        instruction: &Instruction,
        value: Expr,
    ) -> bool {
        match instruction.op0_kind() {
            OpKind::Register if instruction.op0_register().is_gpr() => {
                self.set(pool, instruction.op0_register(), value);
                true
            }
            OpKind::Memory => {
                let bytes = u8::try_from(instruction.memory_size().size()).unwrap_or(0);
                let Some(addr) = self.linear(pool, image, instruction) else {
                    return false;
                };
                self.memory.store(pool, addr, bytes, value);
                true
            }
            _ => false,
        }
    }

    pub(super) fn push(&mut self, pool: &mut Pool, value: Expr) {
        let rsp = self.get(pool, Iced::RSP);
        let rsp = pool.add_const(rsp, 8_u64.wrapping_neg());
        self.set(pool, Iced::RSP, rsp);
        self.memory.store(pool, rsp, 8, value);
    }

    pub(super) fn pop(&mut self, pool: &mut Pool, at: u64) -> Expr {
        let rsp = self.get(pool, Iced::RSP);
        let value = self.memory.load(pool, rsp, 8, at);
        let rsp = pool.add_const(rsp, 8);
        self.set(pool, Iced::RSP, rsp);
        value
    }

    /// Calls a function that is not followed and may write anything.
    pub(super) fn call(&mut self, pool: &mut Pool, why: &Unrecoverable) {
        self.memory.call(why.clone());
        self.call_filling(pool, why);
    }

    /// Calls a function that writes nothing but objects of the stack and globals whose address it is given.
    pub(super) fn call_filling(&mut self, pool: &mut Pool, why: &Unrecoverable) {
        for register in ARGUMENTS {
            let argument = self.get(pool, register);
            let (base, offset) = pool.split(argument);
            if is_stack(pool, base, offset) || matches!(pool.node(argument), Node::Image(_)) {
                self.memory.fill(pool, argument, BUFFER_BYTES, why.clone());
            }
        }
        self.call_harmless(pool, why);
    }

    /// Calls a function that writes no memory of interest.
    pub(super) fn call_harmless(&mut self, pool: &mut Pool, why: &Unrecoverable) {
        let unknown = pool.unknown(why.clone());
        for register in CLOBBERED {
            self.set(pool, register, unknown);
        }
        self.flags = Flags::Unknown(unknown);
    }
}

impl ImageRange {
    /// A number in the code that may be an address of the image, which moves with it.
    pub(super) fn literal(&self, pool: &mut Pool, value: u64) -> Expr {
        if self.0.contains(&value) {
            pool.image(value)
        } else {
            pool.constant(value)
        }
    }
}

/// Size of an operand in bits.
pub(super) fn operand_bits(instruction: &Instruction, index: u32) -> u8 {
    match instruction.op_kind(index) {
        OpKind::Register => bits_of(instruction.op_register(index).size()),
        OpKind::Memory => bits_of(instruction.memory_size().size()),
        _ => 64,
    }
}

fn bits_of(bytes: usize) -> u8 {
    match bytes {
        1 => 8,
        2 => 16,
        4 => 32,
        _ => 64,
    }
}

fn is_high_byte(register: Iced) -> bool {
    matches!(register, Iced::AH | Iced::BH | Iced::CH | Iced::DH)
}
