//! How call stacks are climbed in a kernel: its ORC tables as the rules of a plan.

use std::collections::BTreeMap;

use guest_symbols::{Kernel, OrcKind, OrcRegister, OrcRule};
use probe_plan::{
    FramePointer, FrameRule, LinkAddr, Reached, Register, SavedRegisters, StackTop, Unwind,
};

/// `arch/x86/include/asm/ptrace.h`: names in `struct pt_regs` of the registers that rules start from.
const SAVED: [(Register, &str); 6] = [
    (Register::Rsp, "sp"),
    (Register::Rbp, "bp"),
    (Register::Rdx, "dx"),
    (Register::Rdi, "di"),
    (Register::R10, "r10"),
    (Register::R13, "r13"),
];

/// The rules for a kernel; `None` when it lacks the tables or the layout of what an interrupt leaves.
pub(crate) fn unwind(kernel: &Kernel) -> Option<Unwind> {
    let entries = kernel.orc().ok()?;
    let base = entries.first()?.addr;
    let mut unwind = Unwind {
        base: LinkAddr(base.0),
        saved: saved_registers(kernel)?,
        ..Unwind::default()
    };
    let mut known = BTreeMap::new();
    for entry in entries {
        let rule = frame_rule(entry.rule);
        let index = *known.entry(rule).or_insert_with(|| {
            unwind.rules.push(rule);
            unwind.rules.len() - 1
        });
        let index = u16::try_from(index).ok()?;
        if unwind.rule_of.last() != Some(&index) {
            unwind
                .starts
                .push(u32::try_from(entry.addr.0 - base.0).ok()?);
            unwind.rule_of.push(index);
        }
    }
    Some(unwind)
}

fn saved_registers(kernel: &Kernel) -> Option<SavedRegisters> {
    let types = kernel.types();
    let registers = types.struct_named("pt_regs")?;
    let offset = |name| {
        let place = types.member(registers, name)?;
        u16::try_from(place.byte_offset()?).ok()
    };
    Some(SavedRegisters {
        instruction: offset("ip")?,
        code_segment: offset("cs")?,
        registers: SAVED
            .iter()
            .map(|(register, name)| Some((*register, offset(name)?)))
            .collect::<Option<_>>()?,
    })
}

/// As `unwind_next_frame()` of `arch/x86/kernel/unwind_orc.c` reads an entry.
fn frame_rule(rule: OrcRule) -> FrameRule {
    let reached = match rule.kind {
        OrcKind::Undefined => return FrameRule::Unknown,
        OrcKind::EndOfStack => return FrameRule::Outermost,
        OrcKind::Call => Reached::Called,
        OrcKind::Registers => Reached::Interrupted,
        OrcKind::InterruptFrame => Reached::InterruptedBriefly,
    };
    let at = |register, offset, behind| StackTop {
        register,
        offset,
        behind,
    };
    let top = match rule.sp {
        OrcRegister::Undefined | OrcRegister::PreviousSp => return FrameRule::Unknown,
        OrcRegister::Sp => at(Register::Rsp, rule.sp_offset, None),
        OrcRegister::Bp => at(Register::Rbp, rule.sp_offset, None),
        OrcRegister::BpIndirect => at(Register::Rbp, rule.sp_offset, Some(0)),
        OrcRegister::SpIndirect => at(Register::Rsp, 0, Some(rule.sp_offset)),
        // The offset of these is not looked at.
        OrcRegister::Dx => at(Register::Rdx, 0, None),
        OrcRegister::Di => at(Register::Rdi, 0, None),
        OrcRegister::R10 => at(Register::R10, 0, None),
        OrcRegister::R13 => at(Register::R13, 0, None),
    };
    let frame_pointer = match rule.bp {
        OrcRegister::Undefined => FramePointer::Kept,
        OrcRegister::PreviousSp => FramePointer::FromTop(rule.bp_offset),
        OrcRegister::Bp => FramePointer::FromItself(rule.bp_offset),
        _ => return FrameRule::Unknown,
    };
    FrameRule::Inner {
        top,
        frame_pointer,
        reached,
    }
}
