//! Tests of the walk: on hand-written code, and on stock kernels.

mod asm;
mod kernels;

use probe_plan::Op;

/// An evaluation as a formula: `u32[rbp-0x48]` is a load of 4 bytes, `@` marks an address of the image.
fn formula(ops: &[Op]) -> String {
    let mut stack: Vec<String> = Vec::new();
    run(ops, &mut stack);
    assert_eq!(stack.len(), 1, "an evaluation leaves one value: {ops:?}");
    stack.pop().unwrap()
}

fn run(ops: &[Op], stack: &mut Vec<String>) {
    let mut at = 0;
    while let Some(op) = ops.get(at) {
        at += 1;
        let mut infix = |sign: &str| {
            let (b, a) = (stack.pop().unwrap(), stack.pop().unwrap());
            stack.push(format!("({a}{sign}{b})"));
        };
        match *op {
            Op::Const(value) if value > u64::MAX / 2 => {
                stack.push(format!("-{:#x}", value.wrapping_neg()))
            }
            Op::Const(value) => stack.push(format!("{value:#x}")),
            Op::LinkAddr(addr) => stack.push(format!("@{addr:#x}")),
            Op::Register(register) => stack.push(register.name().to_owned()),
            Op::CpuBase => stack.push("cpu".to_owned()),
            Op::Load(bytes) => {
                let addr = stack.pop().unwrap();
                let addr = addr
                    .strip_prefix('(')
                    .and_then(|addr| addr.strip_suffix(')'))
                    .unwrap_or(&addr);
                stack.push(format!(
                    "u{}[{}]",
                    u32::from(bytes) * 8,
                    addr.replace("+-", "-")
                ));
            }
            Op::ZeroExtend(bits) => {
                let value = stack.pop().unwrap();
                stack.push(format!("u{bits}({value})"));
            }
            Op::SignExtend(bits) => {
                let value = stack.pop().unwrap();
                stack.push(format!("s{bits}({value})"));
            }
            Op::IsZero => {
                let value = stack.pop().unwrap();
                stack.push(format!("!{value}"));
            }
            Op::Add => infix("+"),
            Op::Sub => infix("-"),
            Op::Mul => infix("*"),
            Op::Div => infix("/"),
            Op::Rem => infix("%"),
            Op::And => infix("&"),
            Op::Or => infix("|"),
            Op::Xor => infix("^"),
            Op::Shl => infix("<<"),
            Op::Shr => infix(">>"),
            Op::Sar => infix(">>>"),
            Op::Equal => infix("=="),
            Op::Less => infix("<"),
            Op::LessSigned => infix(" <s "),
            Op::JumpIfZero(by) => {
                let condition = stack.pop().unwrap();
                let otherwise = at + usize::from(by);
                let Op::Jump(skip) = ops[otherwise - 1] else {
                    panic!("a selection jumps over its other side")
                };
                let (mut left, mut right) = (Vec::new(), Vec::new());
                run(&ops[at..otherwise - 1], &mut left);
                run(&ops[otherwise..otherwise + usize::from(skip)], &mut right);
                stack.push(format!(
                    "({condition} ? {} : {})",
                    left.pop().unwrap(),
                    right.pop().unwrap()
                ));
                at = otherwise + usize::from(skip);
            }
            ref other => panic!("a walk makes no {other:?}"),
        }
    }
}
