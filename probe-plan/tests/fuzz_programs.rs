//! Programs made by chance: what validation accepts runs within its bounds, what it refuses is refused in peace.

use guesttrace_tests::{Chance, fuzz, mix};
use probe_plan::{
    AddressSpace, Field, FieldSink, GuestView, Interpreter, LinkAddr, Op, Output, Plan, Program,
    Register, RuntimeAddr, Site, Slide,
};
use trace_format::{EventId, EventSchema, FieldKind, FieldSchema};

/// Longest text of a program; the interpreter's own limit.
const TEXT_BYTES_MAX: u16 = 1024;

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
        let (Output::String { max, .. } | Output::Bytes { max, .. }) = field.output else {
            panic!("bytes for {field:?}")
        };
        assert!(value.is_none_or(|bytes| bytes.len() <= usize::from(max)));
    }
}

fn wild_op(chance: &mut Chance) -> Op {
    match chance.below(9) {
        0 => Op::Const(chance.number() >> chance.below(64)),
        1 => Op::LinkAddr(chance.number()),
        2 => Op::Register(*chance.pick(&Register::ALL)),
        3 => Op::Slot(chance.byte()),
        4 => Op::Load(chance.byte() % 10),
        5 => Op::SignExtend(chance.byte() % 70),
        6 => Op::ZeroExtend(chance.byte() % 70),
        7 => Op::Jump(chance.byte() % 8),
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
                ops.push(if slots > 0 {
                    Op::Slot(slot)
                } else {
                    Op::Const(chance.number())
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
    let outputs = [
        (Output::Number, 1),
        (Output::String { space, max }, 1),
        (Output::Bytes { space, max }, 2),
    ];
    let field = |chance: &mut Chance| {
        let (output, results) = *chance.pick(&outputs);
        Field {
            ops: ops(chance, binding_count, results),
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
    let bytes_max = step_count * 256 + evaluations * (usize::from(TEXT_BYTES_MAX) + 256);
    assert!(
        guest.bytes_read <= bytes_max,
        "{} of {bytes_max} bytes",
        guest.bytes_read
    );
}

#[test]
fn fuzz_programs() {
    let mut interpreter = Interpreter::new(Slide(0x20_0000));
    let mut accepted = [0, 0];
    fuzz(|chance| {
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
}

/// A plan of such programs, with a schema that fits.
fn plan(chance: &mut Chance) -> Plan {
    let mut plan = Plan::default();
    for index in 0..1 + chance.below(6) {
        let program = program(chance);
        if program.validate().is_err() {
            continue;
        }
        let id = EventId(u16::try_from(index + 1).expect("a few"));
        let kind = |field: &Field| match field.output {
            Output::Number => FieldKind::Unsigned,
            Output::String { .. } | Output::Bytes { .. } => FieldKind::Text,
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
    let mut interpreter = Interpreter::new(Slide(0));
    let mut accepted = 0;
    fuzz(|chance| {
        let plan = plan(chance);
        let mut bytes = plan.to_bytes().expect("a plan");
        assert!(Plan::from_bytes(&bytes).expect("a whole plan") == plan);
        chance.damage(&mut bytes);
        if let Ok(plan) = Plan::from_bytes(&bytes) {
            accepted += 1;
            assert!(schema_is_sound(&plan));
            plan.programs
                .iter()
                .for_each(|program| run(program, &mut interpreter));
        }
    });
    assert!(accepted > 0);
}
