//! How call stacks are climbed in a kernel: its ORC tables as the rules of a plan.

use std::collections::BTreeMap;

use guest_symbols::{Kernel, OrcEncoding, OrcKind, OrcRegister, OrcRule, Type, TypeId};
use probe_plan::{
    FramePointer, FrameRule, LinkAddr, LoadedRules, Reached, Register, RuleEncoding,
    SavedRegisters, StackTop, Unwind,
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
    let orc = kernel.orc().ok()?;
    let entries = &orc.entries;
    let base = entries.first()?.addr;
    let code = kernel
        .code()
        .map(|(addr, bytes)| addr.0 + bytes.len() as u64);
    let mut unwind = Unwind {
        base: LinkAddr(base.0),
        bytes: u32::try_from(code.max()?.checked_sub(base.0)?).ok()?,
        saved: saved_registers(kernel)?,
        loaded: loaded_rules(kernel, orc.encoding),
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

/// `include/linux/module.h` and `arch/x86/include/asm/module.h`: each module of the kernel has its own tables.
fn loaded_rules(kernel: &Kernel, encoding: OrcEncoding) -> Option<LoadedRules> {
    let types = kernel.types();
    let module = types.struct_named("module")?;
    let offset = |of: TypeId, name| types.member(of, name)?.byte_offset();
    let list = offset(module, "list")?;
    let from_list = |offset: u64| i32::try_from(offset.wrapping_sub(list).cast_signed()).ok();
    let run = |area: u64, of: TypeId, size| {
        let code = from_list(area + offset(of, "base")?)?;
        Some((code, from_list(area + offset(of, size)?)?))
    };
    // Since 6.4 an array by what the memory is for.
    let by_use = || {
        let areas = types.member(module, "mem")?;
        let Type::Array { element, .. } = types.get(areas.type_id) else {
            return None;
        };
        let bytes = types.byte_size(*element)?;
        let area = |name| {
            let index = u64::try_from(types.enum_value(name)?).ok()?;
            run(areas.byte_offset()? + index * bytes, *element, "size")
        };
        Some(vec![area("MOD_TEXT")?, area("MOD_INIT_TEXT")?])
    };
    let by_phase = || {
        let area = |name| {
            let place = types.member(module, name)?;
            run(place.byte_offset()?, place.type_id, "text_size")
        };
        Some(vec![area("core_layout")?, area("init_layout")?])
    };
    let arch = types.member(module, "arch")?;
    let table = |name| from_list(arch.byte_offset()? + offset(arch.type_id, name)?);
    Some(LoadedRules {
        list: LinkAddr(kernel.symbols().address("modules")?.0),
        code: by_use().or_else(by_phase)?,
        count: table("num_orcs")?,
        starts: table("orc_unwind_ip")?,
        rules: table("orc_unwind")?,
        encoding: rule_encoding(encoding)?,
    })
}

/// The rules behind all codes; where an offset belongs they have 1.
fn rule_encoding(encoding: OrcEncoding) -> Option<RuleEncoding> {
    const OFFSETS: u64 = 0x0001_0001;
    /// Of the 16 bits that follow the offsets no version has used more than 12.
    const CODES: u32 = 1 << 12;
    encoding.begins_with_offsets().then_some(())?;
    let rules = (0..CODES).map(|code| {
        let word = u64::from(code) << 32 | OFFSETS;
        (code, frame_rule(encoding.rule(word)))
    });
    Some(RuleEncoding {
        bytes: u8::try_from(encoding.bytes()).ok()?,
        top_bit: 0,
        frame_pointer_bit: 16,
        code_bit: 32,
        rules: rules
            .filter(|(_, rule)| *rule != FrameRule::Unknown)
            .collect(),
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
