//! Call stacks of a guest made of literals: calls, interrupts, code that was loaded later, and stacks that lead nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use probe_plan::{
    AddressSpace, Field, FieldSink, FramePointer, FrameRule, GuestView, Interpreter, LinkAddr,
    LoadedRules, Op, Output, Program, Reached, Register, RuleEncoding, RuntimeAddr, SavedRegisters,
    Slide, StackTop, Unwind,
};

const SLIDE: u64 = 0x0200_0000;
const IMAGE: u64 = 0xffff_ffff_8100_0000;
/// Where the image is in the guest, and the stack.
const CODE: u64 = IMAGE + SLIDE;
const STACK: u64 = 0xffff_c900_0000_0000;
const MODULE: u64 = 0xffff_ffff_c000_0000;
const OWNER: u64 = 0xffff_8880_0000_1000;

/// Words by their addresses.
#[derive(Default)]
struct Guest {
    words: BTreeMap<u64, u64>,
}

impl GuestView for Guest {
    fn register(&mut self, register: Register) -> Option<u64> {
        Some(match register {
            Register::Rsp => STACK,
            Register::Rbp => 0xb0,
            Register::R10 => STACK + 0x20,
            _ => 0,
        })
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        for (at, word) in (addr..).step_by(8).zip(out.chunks_mut(8)) {
            let value = self.words.get(&at).copied().unwrap_or(0x4444);
            word.copy_from_slice(&value.to_le_bytes());
        }
        addr >= 0x1000
    }
}

#[derive(Default)]
struct Shown(String);

impl FieldSink for Shown {
    fn number(&mut self, _: Option<u64>) {}

    fn bytes(&mut self, value: Option<&[u8]>) {
        let addresses = value.unwrap_or_default();
        let shown: Vec<String> = trace_format::addresses(addresses)
            .map(|addr| match addr {
                0 => "?".to_owned(),
                CODE..MODULE => format!("code+{:#x}", addr - CODE),
                MODULE.. => format!("module+{:#x}", addr - MODULE),
                user => format!("{user:#x}"),
            })
            .collect();
        self.0 = shown.join(" ");
    }
}

fn inner(
    register: Register,
    offset: i16,
    frame_pointer: FramePointer,
    reached: Reached,
) -> FrameRule {
    FrameRule::Inner {
        top: StackTop {
            register,
            offset,
            behind: None,
        },
        frame_pointer,
        reached,
    }
}

/// Runs of 0x100 bytes, each with its rule; the ninth is the end.
fn unwind() -> Unwind {
    use FramePointer::{FromTop, Kept};
    use Reached::{Called, Interrupted};
    Unwind {
        base: LinkAddr(IMAGE),
        bytes: 0x900,
        starts: (0..9).map(|index| index * 0x100).collect(),
        rule_of: (0..9).collect(),
        rules: vec![
            inner(Register::Rsp, 8, Kept, Called),
            inner(Register::Rsp, 24, FromTop(-16), Called),
            inner(Register::Rbp, 16, FromTop(-16), Called),
            inner(Register::Rsp, 0, Kept, Interrupted),
            inner(Register::R10, 0, Kept, Called),
            FrameRule::Outermost,
            FrameRule::Unknown,
            inner(Register::Rsp, 0, Kept, Called),
            FrameRule::Unknown,
        ],
        saved: SavedRegisters {
            instruction: 0x10,
            code_segment: 0x18,
            registers: vec![
                (Register::Rbp, 0),
                (Register::R10, 8),
                (Register::Rsp, 0x20),
            ],
        },
        loaded: Some(LoadedRules {
            list: LinkAddr(IMAGE + 0x10_0000),
            code: vec![(8, 16)],
            count: 24,
            starts: 32,
            rules: 40,
            encoding: RuleEncoding {
                bytes: 8,
                top_bit: 0,
                frame_pointer_bit: 16,
                code_bit: 32,
                rules: vec![(7, inner(Register::Rsp, 1, FromTop(1), Called))],
            },
        }),
    }
}

/// The stack at an instruction of the image, with those words on the stack.
fn check(instruction: u64, max: u8, stack: &[(u64, u64)], expected: &Expect) {
    let output = Output::CallStack { max };
    let ops = Vec::new();
    check_output(Field { ops, output }, instruction, stack, expected);
}

fn check_output(field: Field, instruction: u64, words: &[(u64, u64)], expected: &Expect) {
    let mut guest = Guest::default();
    guest.words.extend(words.iter().copied());
    // One owner of code: two rules, at 0 and 0x80.
    let start = |at: u64, code: u64| code.wrapping_sub(at) & 0xffff_ffff;
    // Near the code, so that 32 bits reach it.
    let (starts, rules) = (MODULE + 0x10_0000, MODULE + 0x10_0100);
    let first = start(starts, MODULE) | start(starts + 4, MODULE + 0x80) << 32;
    guest.words.extend([
        (CODE + 0x10_0000, OWNER),
        (OWNER, CODE + 0x10_0000),
        (OWNER + 8, MODULE),
        (OWNER + 16, 0x1000),
        (OWNER + 24, 2),
        (OWNER + 32, starts),
        (OWNER + 40, rules),
        (starts, first),
        (rules, 7 << 32 | 0xfff0 << 16 | 32),
        (rules + 8, 9 << 32),
    ]);
    let program = Program {
        fields: vec![field],
        ..Program::default()
    };
    program.validate().expect("a valid program");
    let unwind = Some(Arc::new(unwind()));
    let mut interpreter = Interpreter::new(Slide(SLIDE)).with_unwind(unwind);
    let (probe, mut shown) = (RuntimeAddr(CODE + instruction), Shown::default());
    assert!(interpreter.begin(&program, probe, &mut guest));
    interpreter.fetch(&program, probe, &mut guest, &mut shown);
    expected.assert_eq(&shown.0);
}

#[test]
fn calls_are_followed_to_the_outermost() {
    check(0x510, 64, &[], &expect!["code+0x510"]);
    // A return address right behind a run is still in it.
    let stack = [(STACK, CODE + 0x200), (STACK + 8 + 16, CODE + 0x510)];
    check(
        0x10,
        64,
        &stack,
        &expect!["code+0x10 code+0x200 code+0x510"],
    );
    check(0x10, 3, &stack, &expect!["code+0x10 code+0x200 code+0x510"]);
    check(0x10, 2, &stack, &expect!["code+0x10 code+0x200 ?"]);
}

#[test]
fn the_frame_pointer_is_kept_or_found_again() {
    let stack = [
        (STACK + 16, CODE + 0x280),
        (STACK + 8, STACK + 0x100),
        (STACK + 0x108, CODE + 0x510),
    ];
    check(
        0x110,
        64,
        &stack,
        &expect!["code+0x110 code+0x280 code+0x510"],
    );
}

#[test]
fn interrupted_code_goes_on_with_its_registers() {
    let stack = [
        (STACK + 8, STACK + 0x80),
        (STACK + 0x10, CODE + 0x400),
        (STACK + 0x18, 0x10),
        (STACK + 0x20, STACK + 0x40),
        (STACK + 0x78, CODE + 0x510),
    ];
    check(
        0x310,
        64,
        &stack,
        &expect!["code+0x310 code+0x400 code+0x510"],
    );
    let user = [(STACK + 0x10, 0x40_0000), (STACK + 0x18, 0x33)];
    check(0x310, 64, &user, &expect!["code+0x310"]);
    // After a call, r10 is no longer what it was.
    let lost = [(STACK, CODE + 0x480)];
    check(0x10, 64, &lost, &expect!["code+0x10 code+0x480 ?"]);
}

#[test]
fn code_that_was_loaded_has_its_rules_in_the_guest() {
    let stack = [(STACK, MODULE + 0x10), (STACK + 8 + 24, CODE + 0x510)];
    check(
        0x10,
        64,
        &stack,
        &expect!["code+0x10 module+0x10 code+0x510"],
    );
    // A rule of a code that does not exist, and code of nobody.
    let unknown = [(STACK, MODULE + 0x90)];
    check(0x10, 64, &unknown, &expect!["code+0x10 module+0x90 ?"]);
    let nobody = [(STACK, MODULE + 0x2000)];
    check(0x10, 64, &nobody, &expect!["code+0x10 module+0x2000 ?"]);
}

#[test]
fn what_leads_nowhere_ends_and_says_so() {
    check(0x610, 64, &[], &expect!["code+0x610 ?"]);
    check(0x10, 64, &[(STACK, 0x40_0000)], &expect!["code+0x10 ?"]);
    // A frame that is its own caller.
    let own = [(STACK - 8, CODE + 0x710)];
    check(
        0x710,
        4,
        &own,
        &expect!["code+0x710 code+0x710 code+0x710 code+0x710 ?"],
    );
}

#[test]
fn frame_pointers_lead_upwards_until_zero() {
    let field = |frame_pointer, max| Field {
        ops: vec![Op::Const(0x40_1000), Op::Const(frame_pointer)],
        output: Output::FramePointers {
            space: AddressSpace::User,
            max,
        },
    };
    let words = [
        (0x7000, 0x7100),
        (0x7008, 0x40_2000),
        (0x7100, 0),
        (0x7108, 0x40_3000),
        (0x7200, 0x7000),
        (0x7208, 0x40_4000),
        (0x7308, STACK),
    ];
    let check = |frame_pointer, max, expected: Expect| {
        check_output(field(frame_pointer, max), 0, &words, &expected);
    };
    check(0x7000, 64, expect!["0x401000 0x402000 0x403000"]);
    check(0x7000, 3, expect!["0x401000 0x402000 0x403000"]);
    check(0x7000, 2, expect!["0x401000 0x402000 ?"]);
    check(0, 64, expect!["0x401000"]);
    // Downwards, unaligned, not mapped, the kernel's, and leading to the kernel.
    check(0x7200, 64, expect!["0x401000 0x404000 ?"]);
    check(0x7001, 64, expect!["0x401000 ?"]);
    check(0x100, 64, expect!["0x401000 ?"]);
    check(STACK, 64, expect!["0x401000 ?"]);
    check(0x7300, 64, expect!["0x401000 ?"]);
}
