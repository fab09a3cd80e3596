//! Fetch programs run on a guest made of literals.

use std::collections::BTreeMap;

use probe_plan::{
    AddressSpace, Field, FieldSink, GuestView, Interpreter, Op, Output, Program, ProgramError,
    Register, RuntimeAddr, Slide,
};
use proptest::prelude::*;

/// Registers and a few runs of memory; everything else is unmapped.
#[derive(Default)]
struct FakeGuest {
    registers: BTreeMap<Register, u64>,
    memory: Vec<(u64, Vec<u8>)>,
    reads: usize,
}

impl FakeGuest {
    fn byte(&self, addr: u64) -> Option<u8> {
        self.memory.iter().find_map(|(start, bytes)| {
            usize::try_from(addr.checked_sub(*start)?)
                .ok()
                .and_then(|offset| bytes.get(offset).copied())
        })
    }
}

impl GuestView for FakeGuest {
    fn register(&mut self, register: Register) -> Option<u64> {
        self.registers.get(&register).copied()
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        self.reads += 1;
        out.iter_mut().enumerate().all(|(index, byte)| {
            match self.byte(addr.wrapping_add(index as u64)) {
                Some(value) => {
                    *byte = value;
                    true
                }
                None => false,
            }
        })
    }
}

#[derive(Default)]
struct Values(Vec<String>);

impl FieldSink for Values {
    fn number(&mut self, value: Option<u64>) {
        self.0
            .push(value.map_or_else(|| "missing".to_owned(), |value| format!("{value:#x}")));
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        self.0.push(value.map_or_else(
            || "missing".to_owned(),
            |value| String::from_utf8_lossy(value).into_owned(),
        ));
    }
}

const BASE: u64 = 0xffff_8880_0000_0000;
const SLIDE: Slide = Slide(0x0200_0000);

fn guest() -> FakeGuest {
    let mut page = vec![0; 4096];
    page[0..8].copy_from_slice(&(BASE + 0x100).to_le_bytes());
    page[0x100..0x104].copy_from_slice(&(-5_i32).to_le_bytes());
    page[0x17c..0x184].copy_from_slice(b"spanning");
    page[4092..4096].copy_from_slice(b"tail");
    FakeGuest {
        registers: BTreeMap::from([
            (Register::Rdi, BASE),
            (Register::GsBase, 0x7f00_0000_0000),
            (Register::KernelGsBase, BASE + 0x100),
        ]),
        memory: vec![(BASE, page)],
        reads: 0,
    }
}

/// Evaluates one number.
fn check(ops: &[Op], expected: &str) {
    let program = Program {
        fields: vec![Field {
            ops: ops.to_vec(),
            output: Output::Number,
        }],
        ..Program::default()
    };
    check_program(&program, &[expected]);
}

fn check_program(program: &Program, expected: &[&str]) {
    program.validate().expect("a valid program");
    let mut guest = guest();
    let mut interpreter = Interpreter::new(SLIDE);
    let mut values = Values::default();
    let probe = RuntimeAddr(0xffff_ffff_8300_0000);
    if interpreter.begin(program, probe, &mut guest) {
        interpreter.fetch(program, probe, &mut guest, &mut values);
    }
    assert_eq!(values.0, expected);
}

#[test]
fn operations_compute_as_the_processor_would() {
    check(&[Op::Const(7), Op::Const(9), Op::Sub], "0xfffffffffffffffe");
    check(&[Op::Const(7), Op::Const(0), Op::Div], "0x0");
    check(&[Op::Const(1), Op::Const(64), Op::Shl], "0x0");
    check(&[Op::Const(0x80), Op::SignExtend(8)], "0xffffffffffffff80");
    check(&[Op::Const(0x1ff), Op::ZeroExtend(8)], "0xff");
    check(&[Op::Const(u64::MAX), Op::Const(1), Op::LessSigned], "0x1");
    check(&[Op::Const(u64::MAX), Op::Const(1), Op::Less], "0x0");
    check(
        &[Op::Const(u64::MAX), Op::Const(200), Op::Sar],
        "0xffffffffffffffff",
    );
}

#[test]
fn addresses_follow_the_slide_and_the_probe() {
    check(&[Op::LinkAddr(0xffff_ffff_8100_0000)], "0xffffffff83000000");
    check(&[Op::ProbeAddress], "0xffffffff83000000");
    check(&[Op::FromProbe(0x20)], "0xffffffff83000020");
    check(
        &[Op::FromProbe(0_u64.wrapping_sub(8))],
        "0xffffffff82fffff8",
    );
}

#[test]
fn the_per_cpu_base_is_the_kernels_before_swapgs_too() {
    check(
        &[Op::CpuBase, Op::Load(4), Op::SignExtend(32)],
        "0xfffffffffffffffb",
    );
}

#[test]
fn pointers_are_followed_and_a_failed_load_is_one_missing_field() {
    let follow = vec![
        Op::Register(Register::Rdi),
        Op::Load(8),
        Op::Load(4),
        Op::SignExtend(32),
    ];
    let wild = vec![Op::Const(8), Op::Load(8)];
    let number = |ops: Vec<Op>| Field {
        ops,
        output: Output::Number,
    };
    let program = Program {
        fields: vec![number(wild), number(follow)],
        ..Program::default()
    };
    check_program(&program, &["missing", "0xfffffffffffffffb"]);
}

#[test]
fn what_has_no_value_is_not_what_could_not_be_read() {
    let number = |ops: &[Op]| Field {
        ops: ops.to_vec(),
        output: Output::Number,
    };
    let text = |ops: &[Op]| Field {
        ops: ops.to_vec(),
        output: Output::String {
            space: AddressSpace::Any,
            max: 8,
        },
    };
    let nowhere = BASE + 0x9000;
    let program = Program {
        // None, and one that cannot be read.
        bindings: vec![vec![Op::Missing], vec![Op::Const(nowhere), Op::Load(8)]],
        condition: None,
        fields: vec![
            number(&[Op::Missing]),
            number(&[Op::Const(8), Op::Load(8)]),
            number(&[Op::Slot(0), Op::Load(2)]),
            text(&[Op::Slot(0)]),
            text(&[Op::Const(0)]),
            number(&[Op::Const(nowhere), Op::Load(8)]),
            number(&[Op::Slot(1), Op::Load(2)]),
            text(&[Op::Const(nowhere)]),
            number(&[Op::Const(1)]),
        ],
    };
    program.validate().expect("a valid program");
    let (mut guest, mut values) = (guest(), Values::default());
    let mut interpreter = Interpreter::new(SLIDE);
    let probe = RuntimeAddr(BASE);
    assert!(interpreter.begin(&program, probe, &mut guest));
    interpreter.fetch(&program, probe, &mut guest, &mut values);
    let missing = values.0.iter().filter(|value| *value == "missing");
    assert_eq!(missing.count(), 8);
    assert_eq!(interpreter.unread(), 0b1110_0000);
}

#[test]
fn a_branch_does_not_touch_what_it_avoids() {
    // rdi ? rdi[0] : *8
    let ops = [
        Op::Register(Register::Rdi),
        Op::JumpIfZero(3),
        Op::Const(1),
        Op::Const(1),
        Op::Jump(2),
        Op::Const(8),
        Op::Load(8),
    ];
    assert!(matches!(
        Program {
            fields: vec![Field {
                ops: ops.to_vec(),
                output: Output::Number
            }],
            ..Program::default()
        }
        .validate(),
        Err(ProgramError::BadResult { .. })
    ));
    check(
        &[
            Op::Register(Register::Rdi),
            Op::JumpIfZero(2),
            Op::Const(1),
            Op::Jump(2),
            Op::Const(8),
            Op::Load(8),
        ],
        "0x1",
    );
}

#[test]
fn strings_span_lines_end_at_nul_or_limit_and_are_missing_when_they_run_out_of_memory() {
    let string = |addr: u64, max: u16| Field {
        ops: vec![Op::Const(BASE + addr)],
        output: Output::String {
            space: AddressSpace::Kernel,
            max,
        },
    };
    let program = Program {
        fields: vec![
            string(0x17c, 64),
            string(0x17c, 4),
            string(4092, 64),
            string(4092, 4),
        ],
        ..Program::default()
    };
    check_program(&program, &["spanning", "span", "missing", "tail"]);
}

#[test]
fn a_string_of_the_other_half_of_memory_is_missing() {
    let string = |space| Program {
        fields: vec![Field {
            ops: vec![Op::Const(BASE + 0x17c)],
            output: Output::String { space, max: 64 },
        }],
        ..Program::default()
    };
    check_program(&string(AddressSpace::Kernel), &["spanning"]);
    check_program(&string(AddressSpace::User), &["missing"]);
}

#[test]
fn bytes_are_cut_at_their_limit() {
    let field = |length: u64| Field {
        ops: vec![Op::Const(BASE + 0x17c), Op::Const(length)],
        output: Output::Bytes {
            space: AddressSpace::Kernel,
            max: 6,
        },
    };
    let program = Program {
        fields: vec![field(3), field(u64::MAX)],
        ..Program::default()
    };
    check_program(&program, &["spa", "spanni"]);
}

#[test]
fn conditions_and_bindings_are_shared_by_the_fields() {
    let program = |wanted: u64| Program {
        bindings: vec![
            vec![Op::Register(Register::Rdi), Op::Load(8)],
            vec![Op::Slot(0), Op::Load(4)],
        ],
        condition: Some(vec![Op::Slot(1), Op::Const(wanted), Op::Equal]),
        fields: vec![Field {
            ops: vec![Op::Slot(1), Op::SignExtend(32)],
            output: Output::Number,
        }],
    };
    check_program(&program(0xffff_fffb), &["0xfffffffffffffffb"]);
    check_program(&program(1), &[]);
}

#[test]
fn fields_of_one_line_cost_one_read() {
    let load = |offset: u64| Field {
        ops: vec![Op::Const(BASE + offset), Op::Load(4)],
        output: Output::Number,
    };
    let program = Program {
        fields: vec![load(0), load(8), load(0x7c)],
        ..Program::default()
    };
    let mut guest = guest();
    let mut interpreter = Interpreter::new(SLIDE);
    assert!(interpreter.begin(&program, RuntimeAddr(0), &mut guest));
    interpreter.fetch(&program, RuntimeAddr(0), &mut guest, &mut Values::default());
    assert_eq!(guest.reads, 1);
}

#[test]
fn programs_that_break_a_rule_are_refused() {
    let program = |ops: &[Op]| Program {
        fields: vec![Field {
            ops: ops.to_vec(),
            output: Output::Number,
        }],
        ..Program::default()
    };
    assert_eq!(
        program(&[Op::Add]).validate(),
        Err(ProgramError::StackUnderflow { step: 0 })
    );
    assert_eq!(
        program(&[Op::Const(0); 17]).validate(),
        Err(ProgramError::StackOverflow { step: 16 })
    );
    assert_eq!(
        program(&[Op::Slot(0)]).validate(),
        Err(ProgramError::SlotUnset { step: 0, slot: 0 })
    );
    assert_eq!(
        program(&[Op::Const(0), Op::Load(3)]).validate(),
        Err(ProgramError::BadOperand { step: 1 })
    );
    assert_eq!(
        program(&[Op::Jump(9)]).validate(),
        Err(ProgramError::BadOperand { step: 0 })
    );
    assert_eq!(
        program(&[]).validate(),
        Err(ProgramError::BadResult {
            expected: 1,
            found: 0
        })
    );
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        any::<u64>().prop_map(Op::Const),
        Just(Op::Register(Register::Rdi)),
        any::<u8>().prop_map(Op::Slot),
        any::<u8>().prop_map(Op::Load),
        any::<u8>().prop_map(Op::SignExtend),
        any::<u8>().prop_map(Op::ZeroExtend),
        Just(Op::Add),
        Just(Op::Rem),
        Just(Op::Sar),
        Just(Op::IsZero),
        (0_u8..6).prop_map(Op::Jump),
        (0_u8..6).prop_map(Op::JumpIfZero),
    ]
}

proptest! {
    #[test]
    fn whatever_validation_accepts_runs(
        bindings in prop::collection::vec(prop::collection::vec(any_op(), 0..12), 0..4),
        fields in prop::collection::vec(prop::collection::vec(any_op(), 0..12), 0..4),
    ) {
        let fields = fields.into_iter().map(|ops| Field { ops, output: Output::Number }).collect();
        let program = Program { bindings, condition: None, fields };
        if program.validate().is_ok() {
            let mut guest = guest();
            let mut interpreter = Interpreter::new(SLIDE);
            if interpreter.begin(&program, RuntimeAddr(0), &mut guest) {
                interpreter.fetch(&program, RuntimeAddr(0), &mut guest, &mut Values::default());
            }
        }
    }
}
