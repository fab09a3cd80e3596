//! Expressions on a kernel and a guest of a few lines.

use std::collections::HashMap;

use expect_test::{Expect, expect};
use guest_symbols::{Member, StructType, Type, TypeId};
use guesttrace_events::FieldType;
use probe_plan::{
    FieldSink, GuestView, Interpreter, LinkAddr, Program, Register, RuntimeAddr, Slide,
};

use super::{Argument, Compiler, Scope, Ty, entry_arguments};
use crate::expression::parse;
use crate::facts::{Facts, PerCpuOffset, SymbolFact, Tag};

const SLIDE: u64 = 0x20_0000;
const TASK: u64 = 0xffff_8880_0000_1000;
const PER_CPU: u64 = 0xffff_8880_0001_0000;

/// Types by index: the first few by these names.
const INT: TypeId = TypeId(1);
const U8: TypeId = TypeId(2);
const CHAR: TypeId = TypeId(3);
const ULONG: TypeId = TypeId(4);
const TASK_PTR: TypeId = TypeId(6);
const CHAR_PTR: TypeId = TypeId(8);
const S16: TypeId = TypeId(13);

struct FakeKernel {
    types: Vec<Type>,
}

fn int(name: &str, bytes: u8, signed: bool) -> Type {
    Type::Int {
        name: name.to_owned(),
        bytes,
        signed,
    }
}

fn member(name: &str, type_id: TypeId, byte_offset: u64) -> Member {
    let name = (!name.is_empty()).then(|| name.to_owned());
    Member {
        name,
        type_id,
        bit_offset: byte_offset * 8,
        bitfield_bits: None,
    }
}

fn bits(name: &str, type_id: TypeId, bit_offset: u64, bits: u8) -> Member {
    Member {
        name: Some(name.to_owned()),
        type_id,
        bit_offset,
        bitfield_bits: Some(bits),
    }
}

fn structure(name: &str, bytes: u64, members: Vec<Member>) -> Type {
    let name = (!name.is_empty()).then(|| name.to_owned());
    Type::Struct(StructType {
        name,
        bytes,
        is_union: false,
        members,
    })
}

impl FakeKernel {
    fn new() -> Self {
        let task = structure(
            "task_struct",
            128,
            vec![
                member("pid", INT, 0),
                member("tgid", INT, 4),
                member("comm", TypeId(9), 8),
                member("parent", TASK_PTR, 24),
                member("", TypeId(10), 32),
                bits("low", TypeId(12), 320, 3),
                bits("mid", TypeId(12), 323, 7),
                bits("negative", INT, 330, 4),
                member("small", S16, 48),
                member("flag", U8, 50),
                member("node", TypeId(11), 56),
                member("numbers", TypeId(14), 80),
                member("mm", TypeId(17), 96),
            ],
        );
        let types = vec![
            Type::Void,
            int("int", 4, true),
            int("unsigned char", 1, false),
            int("char", 1, true),
            int("unsigned long", 8, false),
            task,
            Type::Pointer(TypeId(5)),
            Type::Typedef {
                name: "pid_t".to_owned(),
                target: INT,
            },
            Type::Pointer(CHAR),
            Type::Array {
                element: CHAR,
                count: 16,
            },
            structure("", 8, vec![member("utime", ULONG, 0)]),
            structure(
                "list_head",
                16,
                vec![member("next", TypeId(15), 0), member("prev", TypeId(15), 8)],
            ),
            int("unsigned int", 4, false),
            int("short", 2, true),
            Type::Array {
                element: INT,
                count: 4,
            },
            Type::Pointer(TypeId(11)),
            Type::Forward {
                name: "mm_struct".to_owned(),
                is_union: false,
            },
            Type::Pointer(TypeId(16)),
        ];
        Self { types }
    }
}

impl Facts for FakeKernel {
    fn ty(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    fn named(&self, tag: Tag, name: &str) -> Option<TypeId> {
        let index = self.types.iter().position(|ty| match ty {
            Type::Struct(layout) => tag == Tag::Struct && layout.name.as_deref() == Some(name),
            Type::Typedef { name: known, .. } => tag == Tag::Typedef && known == name,
            _ => false,
        })?;
        Some(TypeId(u32::try_from(index).unwrap()))
    }

    fn names(&self, _: Tag) -> Vec<&str> {
        vec!["task_struct", "list_head"]
    }

    fn variable_names(&self) -> Vec<&str> {
        vec!["current_task"]
    }

    fn points_to_const(&self, _: TypeId) -> bool {
        false
    }

    fn enum_value(&self, name: &str) -> Option<i64> {
        (name == "TASK_DEAD").then_some(-2)
    }

    fn variable(&self, name: &str) -> Option<TypeId> {
        (name == "cpu_number").then_some(INT)
    }

    fn symbol(&self, name: &str) -> Option<SymbolFact> {
        match name {
            "init_task" => Some(SymbolFact {
                addr: LinkAddr(TASK - SLIDE),
                is_function: false,
            }),
            "schedule" => Some(SymbolFact {
                addr: LinkAddr(0xffff_ffff_8100_0000),
                is_function: true,
            }),
            _ => None,
        }
    }

    fn per_cpu(&self, name: &str) -> Option<PerCpuOffset> {
        match name {
            "current_task" => Some(PerCpuOffset::Fixed(0x10)),
            "cpu_number" => Some(PerCpuOffset::Fixed(0x20)),
            _ => None,
        }
    }

    fn why_no_unwind(&self) -> Option<String> {
        None
    }

    fn is_program(&self) -> bool {
        false
    }
}

struct FakeGuest {
    memory: HashMap<u64, u8>,
}

impl FakeGuest {
    fn new() -> Self {
        let mut guest = Self {
            memory: HashMap::new(),
        };
        for page in [TASK, PER_CPU] {
            guest
                .memory
                .extend((page..page + 0x1000).map(|addr| (addr, 0)));
        }
        guest.put(TASK, &(-7_i32).to_le_bytes());
        guest.put(TASK + 4, &42_u32.to_le_bytes());
        guest.put(TASK + 8, b"swapper/0\0");
        guest.put(TASK + 24, &TASK.to_le_bytes());
        guest.put(TASK + 32, &u64::MAX.to_le_bytes());
        // low = 5, mid = 0x55, negative = -3
        let fields: u32 = 5 | 0x55 << 3 | (0b1101 << 10);
        guest.put(TASK + 40, &fields.to_le_bytes());
        guest.put(TASK + 48, &(-300_i16).to_le_bytes());
        guest.put(TASK + 50, &[200]);
        guest.put(TASK + 56, &(TASK + 56).to_le_bytes());
        for i in 0..4_u64 {
            guest.put(
                TASK + 80 + 4 * i,
                &(10 * u32::try_from(i).unwrap()).to_le_bytes(),
            );
        }
        guest.put(PER_CPU + 0x10, &TASK.to_le_bytes());
        guest.put(PER_CPU + 0x20, &3_u32.to_le_bytes());
        guest
    }

    fn put(&mut self, addr: u64, bytes: &[u8]) {
        self.memory.extend((addr..).zip(bytes.iter().copied()));
    }
}

impl GuestView for FakeGuest {
    fn register(&mut self, register: Register) -> Option<u64> {
        Some(match register {
            Register::GsBase => PER_CPU,
            Register::Rdi => TASK,
            // The upper half of an int argument is rubbish.
            Register::Rsi => 0xdead_beef_ffff_fffe,
            Register::Rsp => PER_CPU + 0x100,
            _ => 0x1234_5678_9abc_def0,
        })
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        for (addr, byte) in (addr..).zip(out) {
            match self.memory.get(&addr) {
                Some(value) => *byte = *value,
                None => return false,
            }
        }
        true
    }
}

#[derive(Default)]
struct Shown(String);

impl FieldSink for Shown {
    fn number(&mut self, value: Option<u64>) {
        self.0 = value.map_or("missing".to_owned(), |value| match value.cast_signed() {
            small @ -1_000_000..0 => small.to_string(),
            _ if value > 1_000_000 => format!("{value:#x}"),
            _ => value.to_string(),
        });
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        self.0 = value.map_or("missing".to_owned(), |value| {
            format!("{:?}", String::from_utf8_lossy(value))
        });
    }
}

/// Value of an expression at the entry of `f(struct task_struct *task, int flags, char *text)`.
fn evaluate(text: &str, field_type: &FieldType) -> String {
    let kernel = FakeKernel::new();
    let params = [("task", TASK_PTR), ("flags", INT), ("text", CHAR_PTR)];
    let params = params.map(|(name, ty)| (Some(name.to_owned()), ty));
    let scope = Scope {
        arguments: entry_arguments(&kernel, &params),
        ..Scope::default()
    };
    let bindings = [
        ("twice", "task->tgid * 2"),
        ("thrice", "twice + task->tgid"),
        ("task", "task->parent"),
    ]
    .map(|(name, text)| (name.to_owned(), parse(text).unwrap()));
    let mut compiler = Compiler::new(&kernel, &scope, &bindings);
    let field = match parse(text).and_then(|expr| compiler.field(&expr, field_type)) {
        Ok(field) => field,
        Err(error) => return format!("error {error}"),
    };
    let program = Program {
        bindings: compiler.into_slots(),
        condition: None,
        fields: vec![field],
    };
    if let Err(error) = program.validate() {
        return format!("invalid: {error}");
    }
    let (mut guest, mut shown) = (FakeGuest::new(), Shown::default());
    let mut interpreter = Interpreter::new(Slide(SLIDE));
    assert!(interpreter.begin(&program, RuntimeAddr(0x77), &mut guest));
    interpreter.fetch(&program, RuntimeAddr(0x77), &mut guest, &mut shown);
    shown.0
}

fn check(text: &str, expected: &str) {
    assert_eq!(evaluate(text, &FieldType::Signed), expected, "{text}");
}

fn check_text(text: &str, expected: &str) {
    assert_eq!(evaluate(text, &FieldType::Text), expected, "{text}");
}

fn check_error(text: &str, expected: &Expect) {
    expected.assert_eq(&evaluate(text, &FieldType::Signed));
}

#[test]
fn members_are_found_at_their_type_and_sign() {
    check("task->pid", "-7");
    check("(*task).tgid", "42");
    check("task->parent->parent->tgid", "42");
    check("task->utime", "-1");
    check("task->small", "-300");
    check("task->flag", "200");
    check("task->numbers[3]", "30");
    check("task->numbers[task->tgid - 40]", "20");
    check("*(task->numbers + 1)", "10");
    check("((struct task_struct *)%rdi)->tgid", "42");
    check(
        "container_of(&task->node, struct task_struct, node)->tgid",
        "42",
    );
    check(
        "container_of(task->node.next, struct task_struct, node)->tgid",
        "42",
    );
    check(
        "container_of(&task->node.prev, struct task_struct, node.prev)->tgid",
        "42",
    );
}

#[test]
fn bit_fields_are_cut_out() {
    check("task->low", "5");
    check("task->mid", "85");
    check("task->negative", "-3");
}

#[test]
fn arguments_have_their_type_whatever_the_register_holds() {
    check("flags", "-2");
    check("(u32)flags", "0xfffffffe");
    check("(u8)flags", "254");
    check("(s16)flags", "-2");
    check("arg1", "-2");
    check("%rsi", "0xdeadbeeffffffffe");
    check("%rip", "119");
}

#[test]
fn arithmetic_is_that_of_c() {
    check("1 + 2 * 3 - 4", "3");
    check("(1 + 2) * 3", "9");
    check("-1 >> 1", "-1");
    check("0xffffffff + 1", "0");
    check("0xffffffffffffffff >> 60", "15");
    check("1 << 31", "0xffffffff80000000");
    check("(u64)1 << 40", "0x10000000000");
    check("~0", "-1");
    check("~(u32)0", "0xffffffff");
    check("17u / 5u * 10 + 17 % 5", "32");
    check("task->flag / 7", "28");
    check("flags < 0", "1");
    check("(u32)flags < 0", "0");
    check("flags < (u32)1", "0");
    check("flags >= -2 && flags <= -2", "1");
    check("flags > -2 || flags != -2", "0");
    check("!task->tgid", "0");
    check("task->tgid & 0xf | 0x40 ^ 1", "75");
    check("'a' + 1", "98");
    check("0x10 + 010", "24");
    check("&task->numbers[3] - &task->numbers[1]", "2");
    check("task + 1 == (struct task_struct *)((u64)task + 128)", "1");
    check("2 - task->tgid", "-40");
}

#[test]
fn only_the_chosen_side_is_evaluated() {
    check("flags ? 1 : 2", "1");
    check("1 ? 0 ? 10 : 20 : 30", "20");
    check("task ? task->tgid : *(int *)0", "42");
    check("!task ? *(int *)0 : 6", "6");
    check("task && 5", "1");
    check("task || *(int *)0", "1");
    check("flags == 0 && *(int *)0", "0");
    check("*(int *)0", "missing");
    check("(task->tgid ? task : task + 1)->tgid", "42");
    check("(task->tgid ? task + 1 : task)->tgid", "0");
    check("(u8)(task->tgid ? 0x1ff : (u8)task->pid)", "255");
    check("(u16)(s32)flags", "65534");
}

#[test]
fn names_of_the_kernel() {
    check("current->tgid", "42");
    check("cpu", "3");
    check("percpu(cpu_number)", "3");
    check("TASK_DEAD", "-2");
    check("((struct task_struct *)&init_task)->tgid", "42");
    check("schedule", "0xffffffff81200000");
    check("&schedule == schedule", "1");
    check(
        "sizeof(struct task_struct) + sizeof(pid_t) + sizeof(task->numbers)",
        "148",
    );
    check("offsetof(struct task_struct, node.prev)", "64");
}

#[test]
fn bindings_see_those_before_them() {
    check("twice", "84");
    check("thrice + twice", "210");
}

#[test]
fn alternatives_take_the_first_that_exists() {
    check("either(task->nothing, task->tgid)", "42");
    check("either(nothing, missing)", "missing");
    check("either(task->tgid, nothing) + 1", "43");
    check_text(
        "either(string(kernel, nothing), task->comm)",
        "\"swapper/0\"",
    );
    check_text("either(string(kernel, nothing), missing)", "missing");
}

#[test]
fn strings_end_at_their_zero_or_their_limit() {
    check_text("string(kernel, task->comm)", "\"swapper/0\"");
    check_text("string(task->comm)", "\"swapper/0\"");
    check_text("task->comm", "\"swapper/0\"");
    check_text("string(kernel, &task->comm, 4)", "\"swap\"");
    check_text("string(user, &task->comm, 4)", "missing");
    check_text("bytes(kernel, task->comm, 3)", "\"swa\"");
    check_text("bytes(task->comm + 4, task->tgid - 39, 2)", "\"pe\"");
    check_text("text", "missing");
}

#[test]
fn truth_values_are_0_or_1() {
    assert_eq!(evaluate("task->tgid", &FieldType::Bool), "1");
    assert_eq!(evaluate("task->tgid == 1", &FieldType::Bool), "0");
}

#[test]
fn stack_arguments_follow_the_return_address() {
    let kernel = FakeKernel::new();
    let params: Vec<_> = (0..8).map(|i| (Some(format!("a{i}")), INT)).collect();
    let arguments = entry_arguments(&kernel, &params);
    let ops: Vec<_> = arguments
        .iter()
        .map(|argument: &Argument| format!("{:?}", argument.ops))
        .collect();
    assert_eq!(ops[5], "Ok([Register(R9)])");
    assert_eq!(ops[6], "Ok([Register(Rsp), Const(8), Add, Load(8)])");
    assert_eq!(ops[7], "Ok([Register(Rsp), Const(16), Add, Load(8)])");
}

#[test]
fn the_result_is_known_at_a_return_only() {
    let kernel = FakeKernel::new();
    let scope = Scope {
        returns: Some(Ty::Of(INT)),
        why_no_arguments: Some("gone".to_owned()),
        ..Scope::default()
    };
    let mut compiler = Compiler::new(&kernel, &scope, &[]);
    let field = compiler
        .field(&parse("ret").unwrap(), &FieldType::Signed)
        .unwrap();
    assert_eq!(
        format!("{:?}", field.ops),
        "[Register(Rax), SignExtend(32)]"
    );
    let error = compiler
        .field(&parse("task").unwrap(), &FieldType::Signed)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "at character 1: `task` has no value here: gone"
    );
    check_error(
        "ret",
        &expect!["error at character 1: `ret` has no value here: only a `return:` hook has it"],
    );
}

#[test]
fn errors_say_where_and_what_instead() {
    check_error(
        "task->pidd",
        &expect![
            "error at character 7: struct task_struct has no field `pidd`; did you mean `pid`?"
        ],
    );
    check_error(
        "taks->pid",
        &expect!["error at character 1: unknown name `taks`; did you mean `task`?"],
    );
    check_error(
        "task.pid",
        &expect!["error at character 6: struct task_struct * is a pointer: write -> instead of ."],
    );
    check_error(
        "task->pid->x",
        &expect!["error at character 12: -> needs a pointer, not int"],
    );
    check_error(
        "task->node",
        &expect!["error at character 7: struct list_head is no number; choose a field of it"],
    );
    check_error(
        "task->mm->pgd",
        &expect![
            "error at character 11: mm_struct is declared but not defined in this kernel's types"
        ],
    );
    check_error(
        "cpu_number",
        &expect![
            "error at character 1: `cpu_number` is a per-CPU variable; write percpu(cpu_number)"
        ],
    );
    check_error(
        "percpu(nothing)",
        &expect!["error at character 8: the kernel has no per-CPU variable `nothing`"],
    );
    check_error(
        "(struct nothing *)task",
        &expect!["error at character 9: unknown type `nothing`"],
    );
    check_error(
        "(nothing)5",
        &expect!["error at character 2: unknown type `nothing`"],
    );
}

#[test]
fn operators_refuse_what_they_cannot_do() {
    check_error(
        "flags / 2",
        &expect!["error at character 7: signed division is not possible; cast to an unsigned type"],
    );
    check_error(
        "5 / 0",
        &expect!["error at character 3: division by the constant 0"],
    );
    check_error(
        "&5",
        &expect!["error at character 1: & needs a place in memory, not a number"],
    );
    check_error(
        "&task->low",
        &expect!["error at character 1: & needs a place in memory, not a bit field"],
    );
    check_error(
        "*(void *)task",
        &expect!["error at character 1: * needs a typed pointer, not void *"],
    );
    check_error(
        "task + task",
        &expect!["error at character 6: + needs a number on one side, not two pointers"],
    );
    check_error(
        "~task",
        &expect!["error at character 1: ~ needs an integer, not struct task_struct *"],
    );
    check_error(
        "string(task->comm)",
        &expect!["error at character 1: the field needs a number"],
    );
    check_error(
        "string(task->comm) + 1",
        &expect![
            "error at character 1: string(), bytes() and stack() make a whole field and cannot be part of a calculation"
        ],
    );
    expect!["error at character 7: the field needs string(), bytes() or a value of characters"]
        .assert_eq(&evaluate("task->pid", &FieldType::Text));
}

#[test]
fn malformed_expressions_are_refused() {
    check_error(
        "",
        &expect!["error at character 1: a value expected, found the end"],
    );
    check_error(
        "1 +",
        &expect!["error at character 4: a value expected, found the end"],
    );
    check_error(
        "(1",
        &expect!["error at character 3: ) expected, found the end"],
    );
    check_error(
        "1 2",
        &expect!["error at character 3: an operator or the end expected, found 2"],
    );
    check_error(
        "task->5",
        &expect!["error at character 7: the name of a field expected, found 5"],
    );
    check_error(
        "%rxx",
        &expect!["error at character 2: `rxx` is not a register; did you mean `rax`?"],
    );
    check_error(
        "0x",
        &expect![[r#"error at character 1: "0x" is not a number"#]],
    );
    check_error(
        "99999999999999999999",
        &expect![[r#"error at character 1: "99999999999999999999" is not a number"#]],
    );
    check_error(
        "a # b",
        &expect!["error at character 3: '#' is not part of the language"],
    );
    check_error(
        "strlen(text)",
        &expect![
            "error at character 1: there is no function `strlen` in the language; it has container_of, offsetof, sizeof, percpu, string, bytes, stack, either"
        ],
    );
    check_error(
        "string(text, 5000)",
        &expect!["error at character 14: a string or run of bytes has at most 1024 bytes"],
    );
    check_error(
        &"(".repeat(1000),
        &expect!["error at character 65: the expression is nested too deeply"],
    );
    check_error(
        &"!".repeat(1000),
        &expect!["error at character 65: the expression is nested too deeply"],
    );
}
