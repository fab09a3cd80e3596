//! Programs made by chance: what validation accepts runs within its bounds, what it refuses is refused in peace.

use std::sync::Arc;

use guesttrace_tests::{Chance, fuzz, mix};
use probe_plan::{
    AddressSpace, Entry, FRAMES_MAX, Field, FieldSink, FramePointer, FrameRule, GuestView,
    Interpreter, LinkAddr, LoadedRules, Op, Output, Plan, Program, Reached, Register, RuleEncoding,
    RuntimeAddr, SAVED_MAX, SavedRegisters, Site, Slide, StackTop, Unwind,
};
use trace_format::{EventId, EventSchema, FieldKind, FieldSchema};

/// Longest text of a program; the interpreter's own limit.
const TEXT_BYTES_MAX: u16 = 1024;

const SLIDE: u64 = 0x20_0000;
const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// Words that a frame of a call stack takes, the search for its rule included, and what a word takes at most.
const FRAME_BYTES_MAX: usize = 40 * 256;
/// The same for all owners of rules that one stack looks at.
const OWNERS_BYTES_MAX: usize = 1024 * 5 * 256;

/// Every second page is mapped and holds what follows from its address.
struct Guest {
    bytes_read: usize,
}

impl GuestView for Guest {
    fn register(&mut self, register: Register) -> Option<u64> {
        (register != Register::Cr2).then(|| mix(register as u64))
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        self.bytes_read += out.len();
        // No NUL, so that strings are as long as they may be.
        out.fill(mix(addr).to_le_bytes()[0] | 1);
        // Half of them as in a stack: addresses of code.
        if mix(addr) >> 63 == 1 {
            for (at, word) in (addr..).zip(out.chunks_exact_mut(8)) {
                let code = IMAGE | mix(at) >> 42 | 0x0001_0101;
                word.copy_from_slice(&code.to_le_bytes());
            }
        }
        (addr >> 12).is_multiple_of(2)
    }
}

/// Holds each field against its output.
struct Sink<'a> {
    outputs: std::slice::Iter<'a, Field>,
}

impl FieldSink for Sink<'_> {
    fn number(&mut self, _: Option<u64>) {
        let field = self.outputs.next().expect("a field for each value");
        assert_eq!(field.output, Output::Number);
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        let field = self.outputs.next().expect("a field for each value");
        let max = match field.output {
            Output::String { max, .. } | Output::Bytes { max, .. } => usize::from(max),
            Output::CallStack { max } | Output::FramePointers { max, .. } => {
                assert!(value.is_none_or(|bytes| bytes.len() >= 8 && bytes.len() % 8 == 0));
                (usize::from(max) + 1) * 8
            }
            Output::Number => panic!("bytes for {field:?}"),
        };
        assert!(value.is_none_or(|bytes| bytes.len() <= max));
    }
}

fn wild_op(chance: &mut Chance) -> Op {
    match chance.below(12) {
        0 => Op::Const(chance.number() >> chance.below(64)),
        1 => Op::LinkAddr(chance.number()),
        2 => Op::Register(*chance.pick(&Register::ALL)),
        3 => Op::Slot(chance.byte()),
        4 => Op::Load(chance.byte() % 10),
        5 => Op::SignExtend(chance.byte() % 70),
        6 => Op::ZeroExtend(chance.byte() % 70),
        7 => Op::Jump(chance.byte() % 8),
        8 => Op::Saved(chance.byte()),
        9 => Op::Elapsed,
        10 => Op::Missing,
        _ => Op::JumpIfZero(chance.byte() % 8),
    }
}

/// Steps that leave so many values, most of the time.
fn ops(chance: &mut Chance, slots: usize, results: usize) -> Vec<Op> {
    use Op::{Add, And, Div, Equal, Less, LessSigned, Mul, Or, Rem, Sar, Shl, Shr, Sub, Xor};
    let binary = [
        Add, Sub, Mul, Div, Rem, And, Or, Xor, Shl, Shr, Sar, Equal, Less, LessSigned,
    ];
    let unary = [
        Op::Not,
        Op::Neg,
        Op::IsZero,
        Op::SignExtend(32),
        Op::ZeroExtend(1),
        Op::Load(8),
        Op::Load(2),
    ];
    let mut ops = Vec::new();
    let mut depth = 0;
    for _ in 0..chance.below(30) {
        match chance.below(4) {
            0 if depth >= 2 => {
                ops.push(*chance.pick(&binary));
                depth -= 1;
            }
            1 if depth >= 1 => ops.push(*chance.pick(&unary)),
            // The value chooses which of two takes its place.
            2 if depth >= 1 => {
                let branches = [
                    Op::JumpIfZero(2),
                    Op::CpuBase,
                    Op::Jump(1),
                    Op::ProbeAddress,
                ];
                ops.extend(branches);
            }
            _ => {
                let slot = u8::try_from(chance.below(slots)).unwrap_or(0);
                let saved = u8::try_from(chance.below(SAVED_MAX)).expect("a few");
                ops.push(match chance.below(8) {
                    0 => Op::Elapsed,
                    1 => Op::Saved(saved),
                    _ if slots > 0 => Op::Slot(slot),
                    _ => Op::Const(chance.number()),
                });
                depth += 1;
            }
        }
    }
    while depth > results {
        ops.push(*chance.pick(&binary));
        depth -= 1;
    }
    while depth < results {
        ops.push(Op::Register(*chance.pick(&Register::ALL)));
        depth += 1;
    }
    if chance.once_in(6) {
        let at = chance.below(ops.len());
        ops.insert(at, wild_op(chance));
    }
    ops
}

fn program(chance: &mut Chance) -> Program {
    let binding_count = chance.below(6);
    let space = *chance.pick(&[AddressSpace::Kernel, AddressSpace::User]);
    let max = *chance.pick(&[
        0,
        1,
        127,
        128,
        129,
        TEXT_BYTES_MAX,
        TEXT_BYTES_MAX + 1,
        u16::MAX,
    ]);
    let frames = *chance.pick(&[0, 1, 2, FRAMES_MAX, FRAMES_MAX, FRAMES_MAX, FRAMES_MAX + 1]);
    let outputs = [
        (Output::Number, 1),
        (Output::String { space, max }, 1),
        (Output::Bytes { space, max }, 2),
        (Output::CallStack { max: frames }, 0),
        (Output::FramePointers { space, max: frames }, 2),
    ];
    let field = |chance: &mut Chance| {
        let (output, results) = *chance.pick(&outputs);
        Field {
            ops: match results {
                0 => Vec::new(),
                _ => ops(chance, binding_count, results),
            },
            output,
        }
    };
    Program {
        bindings: (0..binding_count)
            .map(|slot| ops(chance, slot, 1))
            .collect(),
        condition: chance.once_in(3).then(|| ops(chance, binding_count, 1)),
        fields: (0..chance.below(5)).map(|_| field(chance)).collect(),
    }
}

/// Rules that lead somewhere, for code at chance.
fn unwind(chance: &mut Chance) -> Unwind {
    let offset = |chance: &mut Chance| {
        let any = i16::from_le_bytes([chance.byte(), chance.byte()]);
        *chance.pick(&[0, 8, -16, 40, i16::MIN, i16::MAX, any])
    };
    let register = |chance: &mut Chance| {
        if chance.once_in(200) {
            return Register::Cr3;
        }
        *chance.pick(&Unwind::REGISTERS)
    };
    let rule = |chance: &mut Chance| match chance.below(12) {
        0 => FrameRule::Unknown,
        1 => FrameRule::Outermost,
        _ => FrameRule::Inner {
            top: StackTop {
                register: register(chance),
                offset: offset(chance),
                behind: chance.once_in(4).then(|| offset(chance)),
            },
            frame_pointer: match chance.below(3) {
                0 => FramePointer::Kept,
                1 => FramePointer::FromTop(offset(chance)),
                _ => FramePointer::FromItself(offset(chance)),
            },
            reached: *chance.pick(&[
                Reached::Called,
                Reached::Called,
                Reached::Interrupted,
                Reached::InterruptedBriefly,
            ]),
        },
    };
    let rules: Vec<_> = (0..8).map(|_| rule(chance)).collect();
    let mut starts: Vec<u32> = (0..chance.below(200))
        .map(|_| u32::try_from(chance.number() >> 42).expect("22 bits"))
        .collect();
    if !chance.once_in(20) {
        starts.sort_unstable();
    }
    let rule_max = if chance.once_in(20) { 9 } else { 8 };
    let rule_of: Vec<u16> = starts
        .iter()
        .map(|_| u16::try_from(chance.below(rule_max)).expect("a few"))
        .collect();
    Unwind {
        base: LinkAddr(IMAGE - SLIDE),
        bytes: *chance.pick(&[0, 1 << 20, u32::MAX]),
        loaded: chance.once_in(2).then(|| loaded_rules(chance, &rules)),
        rule_of,
        starts,
        rules,
        saved: SavedRegisters {
            instruction: 128,
            code_segment: 136,
            registers: (0..)
                .step_by(8)
                .zip(Register::ALL)
                .map(|(offset, register)| (register, offset))
                .collect(),
        },
    }
}

/// Rules that the guest keeps, in a list that leads anywhere.
fn loaded_rules(chance: &mut Chance, rules: &[FrameRule]) -> LoadedRules {
    let offset = |chance: &mut Chance| *chance.pick(&[0, 8, 16, -8, i32::MIN, i32::MAX]);
    LoadedRules {
        list: LinkAddr(*chance.pick(&[IMAGE, IMAGE - SLIDE, 0, u64::MAX])),
        code: (0..chance.below(3))
            .map(|_| (offset(chance), offset(chance)))
            .collect(),
        count: offset(chance),
        starts: offset(chance),
        rules: offset(chance),
        encoding: RuleEncoding {
            bytes: *chance.pick(&[6, 6, 6, 8, 1, 9]),
            top_bit: *chance.pick(&[0, 0, 63]),
            frame_pointer_bit: 16,
            code_bit: *chance.pick(&[32, 56, 62]),
            rules: (0..).zip(rules.iter().copied()).collect(),
        },
    }
}

/// Whether a plan may have such rules.
fn is_accepted(unwind: &Unwind) -> bool {
    let plan = Plan {
        unwind: Some(Arc::new(unwind.clone())),
        ..Plan::default()
    };
    plan.validate().is_ok()
}

/// An interpreter that finds some of what a function's entry keeps.
fn interpreter(chance: &mut Chance, unwind: Option<Arc<Unwind>>) -> Interpreter {
    let mut interpreter = Interpreter::new(Slide(SLIDE)).with_unwind(unwind);
    interpreter.set_entry(Entry {
        saved: std::array::from_fn(|_| (!chance.once_in(3)).then(|| chance.number())),
        elapsed_nanos: chance.once_in(2).then(|| chance.number()),
    });
    interpreter
}

fn run(program: &Program, interpreter: &mut Interpreter) {
    let mut guest = Guest { bytes_read: 0 };
    let probe = RuntimeAddr(0xffff_ffff_8100_0000);
    if interpreter.begin(program, probe, &mut guest) {
        let mut sink = Sink {
            outputs: program.fields.iter(),
        };
        interpreter.fetch(program, probe, &mut guest, &mut sink);
        assert_eq!(sink.outputs.len(), 0, "a value for each field");
    }
    let evaluations = program.bindings.len() + program.fields.len() + 1;
    let step_count: usize = { program.bindings.iter().chain(&program.condition) }
        .chain(program.fields.iter().map(|field| &field.ops))
        .map(Vec::len)
        .sum();
    // A load reads two lines at most; a text its own length and the rest of two lines.
    let frames: usize = { program.fields.iter() }
        .map(|field| match field.output {
            Output::CallStack { max } => usize::from(max) * FRAME_BYTES_MAX + OWNERS_BYTES_MAX,
            Output::FramePointers { max, .. } => usize::from(max) * FRAME_BYTES_MAX,
            _ => 0,
        })
        .sum();
    let bytes_max = step_count * 256 + evaluations * (usize::from(TEXT_BYTES_MAX) + 256) + frames;
    assert!(
        guest.bytes_read <= bytes_max,
        "{} of {bytes_max} bytes",
        guest.bytes_read
    );
}

#[test]
fn fuzz_programs() {
    let mut accepted = [0, 0];
    let mut unwinds = [0, 0];
    fuzz(|chance| {
        let unwind = unwind(chance);
        let is_accepted = is_accepted(&unwind);
        unwinds[usize::from(is_accepted)] += 1;
        let unwind = is_accepted.then(|| Arc::new(unwind));
        let mut interpreter = interpreter(chance, unwind);
        for _ in 0..20 {
            let program = program(chance);
            let is_valid = program.validate().is_ok();
            accepted[usize::from(is_valid)] += 1;
            if is_valid {
                run(&program, &mut interpreter);
            }
        }
    });
    assert!(accepted[0] > 100 && accepted[1] > 100, "{accepted:?}");
    assert!(unwinds[0] > 10 && unwinds[1] > 100, "{unwinds:?}");
}

/// A plan of such programs, with a schema that fits.
fn plan(chance: &mut Chance) -> Plan {
    let unwind = unwind(chance);
    let mut plan = Plan {
        unwind: is_accepted(&unwind).then(|| Arc::new(unwind)),
        ..Plan::default()
    };
    for index in 0..1 + chance.below(6) {
        let program = program(chance);
        let climbs = |field: &Field| matches!(field.output, Output::CallStack { .. });
        let can_climb = plan.unwind.is_some() || !program.fields.iter().any(climbs);
        if program.validate().is_err() || !can_climb {
            continue;
        }
        let id = EventId(u16::try_from(index + 1).expect("a few"));
        let kind = |field: &Field| match field.output {
            Output::Number => FieldKind::Unsigned,
            Output::String { .. } | Output::Bytes { .. } => FieldKind::Text,
            Output::CallStack { .. } | Output::FramePointers { .. } => FieldKind::Addresses,
        };
        let fields = program
            .fields
            .iter()
            .enumerate()
            .map(|(index, field)| FieldSchema {
                name: format!("f{index}"),
                kind: kind(field),
                unit: None,
                doc: String::new(),
            });
        plan.schema.events.push(EventSchema {
            id,
            name: format!("e{index}"),
            category: "test".to_owned(),
            ltt: None,
            doc: String::new(),
            sticky: false,
            fields: fields.collect(),
        });
        plan.sites.push(Site {
            pairing: None,
            addr: LinkAddr(0xffff_ffff_8100_0000),
            event: id,
            program: u32::try_from(plan.programs.len()).expect("a few"),
            hook: 0,
            end: None,
        });
        plan.programs.push(program);
    }
    plan.hooks.push(probe_plan::Hook {
        event: "e".to_owned(),
        hook: "entry:f".to_owned(),
    });
    plan
}

#[test]
fn fuzz_plan_bytes() {
    let schema_is_sound = |plan: &Plan| {
        plan.sites.iter().all(|site| {
            plan.schema
                .events
                .iter()
                .any(|event: &EventSchema| event.id == site.event)
        })
    };
    let mut accepted = 0;
    fuzz(|chance| {
        let plan = plan(chance);
        let mut bytes = plan.to_bytes().expect("a plan");
        assert!(Plan::from_bytes(&bytes).expect("a whole plan") == plan);
        chance.damage(&mut bytes);
        if let Ok(plan) = Plan::from_bytes(&bytes) {
            accepted += 1;
            assert!(schema_is_sound(&plan));
            let mut interpreter = interpreter(chance, plan.unwind.clone());
            plan.programs
                .iter()
                .for_each(|program| run(program, &mut interpreter));
        }
    });
    assert!(accepted > 0);
}
