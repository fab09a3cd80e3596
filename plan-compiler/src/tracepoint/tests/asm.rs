//! Sites assembled here, each the shape of one that a compiler makes.

use std::collections::HashMap;

use expect_test::{Expect, expect};
use iced_x86::IcedError;
use iced_x86::code_asm::{
    CodeAssembler, al, byte_ptr, cl, dword_ptr, dx, eax, ebx, ecx, edx, esi, qword_ptr, r8, r8d,
    r9, r12, r13, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp,
};

use super::super::code::Code;
use super::super::{Parameter, recover};
use super::formula;

const BASE: u64 = 0xffff_ffff_8100_0000;
const HANDLERS: u64 = BASE + 0x10_0000;
const TRACEPOINT: u64 = BASE + 0x20_0000;
const CPU_MASK: u64 = BASE + 0x30_0000;
const OTHER: u64 = BASE + 0x40_0000;
const FENTRY: u64 = BASE + 0x40_1000;
const THUNK_RAX: u64 = BASE + 0x40_2000;
const END: u64 = BASE + 0x100_0000;

/// Code at [`BASE`], and the symbols that a walk asks for.
struct FakeKernel {
    code: Vec<u8>,
    symbols: HashMap<&'static str, u64>,
}

impl Code for FakeKernel {
    fn bytes(&self, addr: u64) -> Option<&[u8]> {
        self.code
            .get(usize::try_from(addr.checked_sub(BASE)?).ok()?..)
            .filter(|bytes| !bytes.is_empty())
    }

    fn symbol_at(&self, addr: u64) -> Option<&str> {
        self.symbols
            .iter()
            .find(|symbol| *symbol.1 == addr)
            .map(|symbol| *symbol.0)
    }

    fn address_of(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).copied()
    }

    fn tracepoint_bytes(&self) -> u64 {
        72
    }
}

/// How a kernel calls handlers.
#[derive(PartialEq)]
enum Handlers {
    StaticCall,
    Pointer,
}

/// Follows a site whose branch target is at [`BASE`] and whose nop lies before it, and shows all that is found.
fn check_with(
    handlers: Handlers,
    parameters: &[Parameter],
    assemble: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>,
    sites: &[(u64, u64)],
    expected: &Expect,
) {
    let mut assembler = CodeAssembler::new(64).unwrap();
    assemble(&mut assembler).unwrap();
    let mut symbols = HashMap::from([
        ("_text", BASE),
        ("_end", END),
        ("__tracepoint_x", TRACEPOINT),
        ("__cpu_online_mask", CPU_MASK),
        ("other", OTHER),
        ("__fentry__", FENTRY),
        ("__x86_indirect_thunk_rax", THUNK_RAX),
    ]);
    if handlers == Handlers::StaticCall {
        symbols.insert("__SCT__tp_func_x", HANDLERS);
    }
    let kernel = FakeKernel {
        code: assembler.assemble(BASE).unwrap(),
        symbols,
    };
    let nop = BASE - 0x1000;
    let mut all = vec![(nop, BASE)];
    all.extend(sites);
    let found = match recover(&kernel, "x", (nop, BASE), &all, parameters) {
        Err(why) => format!("{why}"),
        Ok(site) => {
            let show = |ops: &Result<Vec<_>, _>| match ops {
                Ok(ops) => formula(ops),
                Err(why) => format!("unknown: {why}"),
            };
            let mut lines: Vec<String> = site.arguments.iter().map(show).collect();
            lines.extend(site.condition.map(|ops| format!("if {}", formula(&ops))));
            lines.extend(site.nested.iter().map(|nop| format!("nested {nop:#x}")));
            lines.join("\n")
        }
    };
    expected.assert_eq(&found);
}

fn check(
    parameters: &[Parameter],
    assemble: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>,
    expected: &Expect,
) {
    check_with(Handlers::StaticCall, parameters, assemble, &[], expected);
}

const NUMBER: Parameter = Parameter::Number;
const POINTER: Parameter = Parameter::Pointer;
const TEXT: Parameter = Parameter::Text;

#[test]
fn usual_site_with_its_tests_and_its_preemption_count() {
    check(
        &[NUMBER, POINTER, POINTER, NUMBER],
        |a| {
            let mut off = a.create_label();
            let mut nobody = a.create_label();
            a.mov(eax, dword_ptr(0x19160).gs())?;
            a.mov(eax, eax)?;
            a.bt(qword_ptr(CPU_MASK), rax)?;
            a.jae(off)?;
            a.inc(dword_ptr(0x1fb40).gs())?;
            a.mov(rax, qword_ptr(TRACEPOINT + 0x40))?;
            a.test(rax, rax)?;
            a.je(nobody)?;
            a.mov(rdi, qword_ptr(rax + 8))?;
            a.mov(r8d, dword_ptr(rbp - 0x48))?;
            a.mov(rcx, r12)?;
            a.mov(rdx, r13)?;
            a.mov(esi, dword_ptr(rbp - 0x44))?;
            a.call(HANDLERS)?;
            a.set_label(&mut nobody)?;
            a.dec(dword_ptr(0x1fb40).gs())?;
            a.set_label(&mut off)?;
            a.ret()
        },
        &expect![[r#"
            u32[rbp-0x44]
            r13
            r12
            u32[rbp-0x48]"#]],
    );
}

#[test]
fn narrow_and_widened_values() {
    check(
        &[NUMBER; 5],
        |a| {
            a.movzx(esi, cl)?;
            a.movsx(rdx, dx)?;
            a.movsxd(rcx, dword_ptr(rbx + 4))?;
            a.mov(r8d, ebx)?;
            a.and(r8d, 0xff0)?;
            a.shr(r8d, 4)?;
            a.lea(r9, qword_ptr(rbx + rax * 8 + 0x10))?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            u8(rcx)
            s16(rdx)
            s32(u32[rbx+0x4])
            ((u32(rbx)&0xff0)>>0x4)
            ((rbx+(rax<<0x3))+0x10)"#]],
    );
}

#[test]
fn part_of_a_register_written() {
    check(
        &[NUMBER, NUMBER],
        |a| {
            a.test(eax, eax)?;
            a.mov(edx, 0)?;
            a.sete(al)?;
            a.movzx(esi, al)?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            !u32(rax)
            0x0"#]],
    );
}

#[test]
fn addresses_of_the_image_move_with_it() {
    check(
        &[POINTER, NUMBER],
        |a| {
            a.mov(rsi, 0xffff_ffff_8150_0000_u64.cast_signed())?;
            a.mov(rdx, -0x1000_i64)?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            @0xffffffff81500000
            -0x1000"#]],
    );
}

#[test]
fn arguments_on_the_stack() {
    check(
        &[NUMBER; 7],
        |a| {
            a.push(rbx)?;
            a.push(qword_ptr(rbp - 0x10))?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            rsi
            rdx
            rcx
            r8
            r9
            u64[rbp-0x10]
            rbx"#]],
    );
}

#[test]
fn jump_to_the_handlers_leaves_the_return_address() {
    check(
        &[NUMBER; 6],
        |a| {
            a.pop(rbx)?;
            a.jmp(HANDLERS)
        },
        &expect![[r#"
            rsi
            rdx
            rcx
            r8
            r9
            u64[rsp+0x10]"#]],
    );
}

#[test]
fn stack_slots_of_the_function_and_of_the_way() {
    check(
        &[NUMBER, NUMBER],
        |a| {
            a.push(r12)?;
            a.mov(qword_ptr(rsp + 0x18), rcx)?;
            a.mov(rsi, qword_ptr(rsp + 0x20))?;
            a.mov(rdx, qword_ptr(rsp + 0x18))?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            u64[rsp+0x18]
            rcx"#]],
    );
}

#[test]
fn value_that_one_way_computes_and_the_other_does_not() {
    check(
        &[NUMBER],
        |a| {
            let mut call = a.create_label();
            a.mov(esi, 0)?;
            a.test(rbx, rbx)?;
            a.je(call)?;
            a.mov(esi, dword_ptr(rbx + 0x10))?;
            a.set_label(&mut call)?;
            a.call(HANDLERS)
        },
        &expect!["(rbx ? u32[rbx+0x10] : 0x0)"],
    );
}

#[test]
fn condition_of_the_tracepoint() {
    check(
        &[POINTER],
        |a| {
            let mut off = a.create_label();
            a.cmp(dword_ptr(rbx + 4), 3)?;
            a.jle(off)?;
            a.mov(rsi, rbx)?;
            a.call(HANDLERS)?;
            a.set_label(&mut off)?;
            a.ret()
        },
        &expect![[r#"
            rbx
            if (0x3 <s s32(u32[rbx+0x4]))"#]],
    );
}

#[test]
fn called_function_computes_an_argument() {
    check(
        &[NUMBER, POINTER],
        |a| {
            a.call(FENTRY)?;
            a.mov(rdi, rbx)?;
            a.call(OTHER)?;
            a.mov(rsi, rax)?;
            a.mov(rdx, rbx)?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            unknown: it depends on the call of other at 0xffffffff81000008
            rbx"#]],
    );
}

#[test]
fn text_that_only_the_way_fills() {
    check(
        &[TEXT, TEXT, TEXT],
        |a| {
            a.sub(rsp, 0x100)?;
            a.lea(rsi, qword_ptr(rsp + 0x110))?;
            a.mov(rdi, 0xffff_ffff_8150_0000_u64.cast_signed())?;
            a.call(OTHER)?;
            a.mov(rsi, rsp)?;
            a.lea(rdx, qword_ptr(rsp + 0x110))?;
            a.mov(rcx, 0xffff_ffff_8150_0000_u64.cast_signed())?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            unknown: it points to a buffer that is filled only when the tracepoint is on
            unknown: it depends on the call of other at 0xffffffff81000019
            unknown: it depends on the call of other at 0xffffffff81000019"#]],
    );
}

#[test]
fn memory_that_the_way_may_have_written() {
    check(
        &[NUMBER, NUMBER],
        |a| {
            a.mov(dword_ptr(rbx + 8), 1)?;
            a.mov(esi, dword_ptr(rbx + 8))?;
            a.mov(edx, dword_ptr(r12 + 8))?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            0x1
            unknown: it depends on memory at 0xffffffff8100000a that is written on the way there"#]],
    );
}

#[test]
fn instruction_that_is_not_followed() {
    check(
        &[NUMBER, NUMBER],
        |a| {
            a.bswap(ebx)?;
            a.mov(esi, ebx)?;
            a.mov(edx, ecx)?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            unknown: it depends on the instruction "bswap ebx" at 0xffffffff81000000, which is not followed
            u32(rcx)"#]],
    );
}

#[test]
fn loop_around_the_call() {
    check(
        &[NUMBER],
        |a| {
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            a.mov(esi, ebx)?;
            a.call(HANDLERS)?;
            a.dec(ebx)?;
            a.jne(again)?;
            a.ret()
        },
        &expect![
            "it may fire several times at one run of the nop (the call at 0xffffffff81000002 is in a loop)"
        ],
    );
}

#[test]
fn loop_before_the_call() {
    check(
        &[NUMBER],
        |a| {
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            a.dec(ebx)?;
            a.jne(again)?;
            a.call(HANDLERS)
        },
        &expect!["the code before the call branches more than 32 times"],
    );
}

#[test]
fn site_that_only_asks_whether_the_tracepoint_is_on() {
    check(
        &[NUMBER],
        |a| a.ret(),
        &expect!["no call of its handlers is reached from the site"],
    );
}

#[test]
fn helper_with_a_site_of_its_own() {
    let helper = BASE + 0x100;
    check_with(
        Handlers::StaticCall,
        &[POINTER, NUMBER],
        |a| {
            a.mov(esi, 1)?;
            a.mov(rdi, r13)?;
            a.call(helper)?;
            a.ret()?;
            a.nops_with_size(0x100 - 14)?;
            // The helper: its nop, which falls through when off, and behind it what runs when on.
            a.push(rbx)?;
            a.mov(rbx, rdi)?;
            a.nops_with_size(2)?;
            a.pop(rbx)?;
            a.ret()?;
            a.mov(edx, esi)?;
            a.mov(rsi, rbx)?;
            a.call(HANDLERS)
        },
        &[(helper + 4, helper + 8)],
        &expect![[r#"
            r13
            0x1
            nested 0xffffffff81000104"#]],
    );
}

#[test]
fn handlers_called_through_the_tracepoint() {
    check_with(
        Handlers::Pointer,
        &[POINTER],
        |a| {
            let mut off = a.create_label();
            a.mov(rbx, qword_ptr(TRACEPOINT + 0x28))?;
            a.test(rbx, rbx)?;
            a.je(off)?;
            a.mov(rax, qword_ptr(rbx))?;
            a.mov(rdi, qword_ptr(rbx + 8))?;
            a.mov(rsi, rbp)?;
            a.call(THUNK_RAX)?;
            a.set_label(&mut off)?;
            a.ret()
        },
        &[],
        &expect!["rbp"],
    );
}

#[test]
fn bytes_of_registers_and_conditional_moves() {
    check(
        &[NUMBER, NUMBER],
        |a| {
            a.mov(byte_ptr(rsp + 0x10), cl)?;
            a.movzx(esi, byte_ptr(rsp + 0x10))?;
            a.cmp(rdi, r8)?;
            a.cmovb(rdx, r8)?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            u8(rcx)
            ((rdi<r8) ? r8 : rdx)"#]],
    );
}

#[test]
fn carry_and_division() {
    check(
        &[NUMBER, NUMBER, NUMBER],
        |a| {
            a.cmp(rdi, r8)?;
            a.adc(esi, 0)?;
            a.xor(edx, edx)?;
            a.mov(rax, rbx)?;
            a.div(rcx)?;
            a.mov(rcx, rax)?;
            a.call(HANDLERS)
        },
        &expect![[r#"
            u32((u32(rsi)+(rdi<r8)))
            (rbx%rcx)
            (rbx/rcx)"#]],
    );
}
