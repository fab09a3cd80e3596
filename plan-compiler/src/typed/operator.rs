//! Operators of C on numbers in their full form.

use probe_plan::Op;

use super::compile::{bad, fail};
use super::ty::{Shape, Ty};
use super::value::Value;
use crate::expression::{BinaryOp, ExprError, ExprProblem, UnaryOp};
use crate::facts::Facts;

/// How a number takes part in a calculation.
enum Kind {
    Int {
        bytes: u8,
        signed: bool,
    },
    /// A pointer, and the size of what it points to.
    Pointer {
        step: u64,
    },
}

fn kind(
    facts: &dyn Facts,
    value: &Value,
    at: usize,
    operator: &'static str,
) -> Result<Kind, ExprError> {
    match value.ty.shape(facts) {
        Shape::Int { bytes, signed } if bytes < 4 => {
            // Everything that fits into an int becomes one.
            let _ = signed;
            Ok(Kind::Int {
                bytes: 4,
                signed: true,
            })
        }
        Shape::Int { bytes, signed } => Ok(Kind::Int { bytes, signed }),
        Shape::Pointer(target) => Ok(Kind::Pointer {
            step: target.bytes(facts).unwrap_or(1),
        }),
        _ => bad(at, operator, "a number", &value.ty.name(facts)),
    }
}

/// The number in the form of a type.
pub(super) fn cast(
    facts: &dyn Facts,
    mut value: Value,
    ty: Ty,
    at: usize,
) -> Result<Value, ExprError> {
    match ty.shape(facts) {
        Shape::Int { bytes, signed } => value.extend(bytes, signed),
        Shape::Pointer(_) => {}
        _ => return bad(at, "a cast", "the type of a number", &ty.name(facts)),
    }
    value.ty = ty;
    Ok(value)
}

fn convert(mut value: Value, from: (u8, bool), to: (u8, bool)) -> Value {
    if from != to {
        value.extend(to.0, to.1);
    }
    value.ty = Ty::Int {
        bytes: to.0,
        signed: to.1,
    };
    value
}

/// Both operands in the type in which C calculates with them; pointers count as u64.
fn balance(
    facts: &dyn Facts,
    pair: [Value; 2],
    at: usize,
    name: &'static str,
) -> Result<([Value; 2], u8, bool), ExprError> {
    let [left, right] = pair;
    let class = |value: &Value| {
        Ok(match kind(facts, value, at, name)? {
            Kind::Int { bytes, signed } => (bytes, signed),
            Kind::Pointer { .. } => (8, false),
        })
    };
    let (a, b) = (class(&left)?, class(&right)?);
    let bytes = a.0.max(b.0);
    // The wider type decides; of two equally wide ones, unsigned wins.
    let signed = [a, b]
        .iter()
        .filter(|(width, _)| *width == bytes)
        .all(|(_, signed)| *signed);
    let to = (bytes, signed);
    Ok(([convert(left, a, to), convert(right, b, to)], bytes, signed))
}

/// `!`, `~` and `-`.
pub(super) fn unary(
    facts: &dyn Facts,
    operator: UnaryOp,
    mut value: Value,
    at: usize,
) -> Result<Value, ExprError> {
    let (name, op) = match operator {
        UnaryOp::Invert => ("~", Op::Not),
        UnaryOp::Negate => ("-", Op::Neg),
        _ => {
            kind(facts, &value, at, "!")?;
            value.ops.push(Op::IsZero);
            value.ty = Ty::S32;
            return Ok(value);
        }
    };
    let Kind::Int { bytes, signed } = kind(facts, &value, at, name)? else {
        return bad(at, name, "an integer", &value.ty.name(facts));
    };
    if let Some(constant) = value.as_constant() {
        value = Value::constant(
            if op == Op::Not {
                !constant
            } else {
                constant.wrapping_neg()
            },
            Ty::U64,
        );
    } else {
        value.ops.push(op);
    }
    value.extend(bytes, signed);
    value.ty = Ty::Int { bytes, signed };
    Ok(value)
}

/// Every operator with two operands.
pub(super) fn binary(
    facts: &dyn Facts,
    operator: BinaryOp,
    left: Value,
    right: Value,
    at: usize,
) -> Result<Value, ExprError> {
    match operator {
        BinaryOp::LogicalAnd | BinaryOp::LogicalOr => logical(facts, operator, left, right, at),
        BinaryOp::Less
        | BinaryOp::LessEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterEqual
        | BinaryOp::Equal
        | BinaryOp::NotEqual => compare(facts, operator, left, right, at),
        BinaryOp::Add => add(facts, left, right, at),
        BinaryOp::Sub => subtract(facts, left, right, at),
        BinaryOp::Shl | BinaryOp::Shr => shift(facts, operator, left, right, at),
        BinaryOp::Mul => arithmetic(facts, ("*", Op::Mul), left, right, at),
        BinaryOp::And => arithmetic(facts, ("&", Op::And), left, right, at),
        BinaryOp::Or => arithmetic(facts, ("|", Op::Or), left, right, at),
        BinaryOp::Xor => arithmetic(facts, ("^", Op::Xor), left, right, at),
        BinaryOp::Div => divide(facts, ("/", Op::Div), left, right, at),
        BinaryOp::Rem => divide(facts, ("%", Op::Rem), left, right, at),
    }
}

/// Puts two evaluations one after the other.
fn join(left: Value, right: Value, ops: &[Op]) -> Vec<Op> {
    let mut joined = left.ops;
    joined.extend(right.ops);
    joined.extend_from_slice(ops);
    joined
}

fn arithmetic(
    facts: &dyn Facts,
    (name, op): (&'static str, Op),
    left: Value,
    right: Value,
    at: usize,
) -> Result<Value, ExprError> {
    let ([left, right], bytes, signed) = balance(facts, [left, right], at, name)?;
    let folded = match (left.as_constant(), right.as_constant()) {
        (Some(a), Some(b)) => fold(op, a, b),
        _ => None,
    };
    let ops = folded.map_or_else(|| join(left, right, &[op]), |value| vec![Op::Const(value)]);
    let mut value = Value::number(ops, Ty::Int { bytes, signed });
    // Operations on bits keep the full form of their operands.
    if !matches!(op, Op::And | Op::Or | Op::Xor | Op::Div | Op::Rem) {
        value.extend(bytes, signed);
    }
    Ok(value)
}

fn fold(op: Op, a: u64, b: u64) -> Option<u64> {
    Some(match op {
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Mul => a.wrapping_mul(b),
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        _ => return None,
    })
}

fn divide(
    facts: &dyn Facts,
    operator: (&'static str, Op),
    left: Value,
    right: Value,
    at: usize,
) -> Result<Value, ExprError> {
    if right.as_constant() == Some(0) {
        return fail(at, ExprProblem::DivisionByZero);
    }
    // What is a small type, or a mask, cannot be negative although C calls it an int.
    let never_negative = |value: &Value| {
        value
            .as_constant()
            .is_some_and(|constant| constant >> 63 == 0)
            || matches!(value.ty.shape(facts), Shape::Int { signed: false, .. })
    };
    let safe = never_negative(&left) && never_negative(&right);
    let value = arithmetic(facts, operator, left, right, at)?;
    match value.ty {
        Ty::Int { signed: true, .. } if !safe => fail(at, ExprProblem::SignedDivision),
        _ => Ok(value),
    }
}

/// `+`, which moves pointers by whole elements.
pub(super) fn add(
    facts: &dyn Facts,
    left: Value,
    right: Value,
    at: usize,
) -> Result<Value, ExprError> {
    match (kind(facts, &left, at, "+")?, kind(facts, &right, at, "+")?) {
        (Kind::Pointer { step }, Kind::Int { .. }) => Ok(offset(left, right, step, Op::Add)),
        (Kind::Int { .. }, Kind::Pointer { step }) => Ok(offset(right, left, step, Op::Add)),
        (Kind::Pointer { .. }, Kind::Pointer { .. }) => {
            bad(at, "+", "a number on one side", "two pointers")
        }
        _ => arithmetic(facts, ("+", Op::Add), left, right, at),
    }
}

fn subtract(facts: &dyn Facts, left: Value, right: Value, at: usize) -> Result<Value, ExprError> {
    match (kind(facts, &left, at, "-")?, kind(facts, &right, at, "-")?) {
        (Kind::Pointer { step }, Kind::Int { .. }) => Ok(offset(left, right, step, Op::Sub)),
        (Kind::Pointer { step }, Kind::Pointer { .. }) if step.is_power_of_two() => {
            let shift = Op::Const(u64::from(step.trailing_zeros()));
            let ops = join(left, right, &[Op::Sub, shift, Op::Sar]);
            Ok(Value::number(
                ops,
                Ty::Int {
                    bytes: 8,
                    signed: true,
                },
            ))
        }
        (_, Kind::Pointer { .. }) => bad(
            at,
            "-",
            "a number, or pointers to elements of 2^n bytes",
            "a pointer",
        ),
        _ => arithmetic(facts, ("-", Op::Sub), left, right, at),
    }
}

fn offset(mut pointer: Value, count: Value, step: u64, op: Op) -> Value {
    if let Some(count) = count.as_constant() {
        let bytes = count.wrapping_mul(step);
        pointer.add(if op == Op::Add {
            bytes
        } else {
            bytes.wrapping_neg()
        });
        return pointer;
    }
    pointer.ops.extend(count.ops);
    if step != 1 {
        pointer.ops.extend([Op::Const(step), Op::Mul]);
    }
    pointer.ops.push(op);
    pointer
}

fn shift(
    facts: &dyn Facts,
    operator: BinaryOp,
    left: Value,
    right: Value,
    at: usize,
) -> Result<Value, ExprError> {
    let name = if operator == BinaryOp::Shl {
        "<<"
    } else {
        ">>"
    };
    let (Kind::Int { bytes, signed }, Kind::Int { .. }) = (
        kind(facts, &left, at, name)?,
        kind(facts, &right, at, name)?,
    ) else {
        return bad(at, name, "integers", "a pointer");
    };
    let op = match operator {
        BinaryOp::Shl => Op::Shl,
        _ if signed => Op::Sar,
        _ => Op::Shr,
    };
    let folded = match (left.as_constant(), right.as_constant()) {
        (Some(a), Some(b @ 0..64)) if op == Op::Shl => Some(a << b),
        _ => None,
    };
    let ops = folded.map_or_else(|| join(left, right, &[op]), |value| vec![Op::Const(value)]);
    let mut value = Value::number(ops, Ty::Int { bytes, signed });
    if op == Op::Shl {
        value.extend(bytes, signed);
    }
    Ok(value)
}

fn compare(
    facts: &dyn Facts,
    operator: BinaryOp,
    left: Value,
    right: Value,
    at: usize,
) -> Result<Value, ExprError> {
    let ([left, right], _, signed) = balance(facts, [left, right], at, "a comparison")?;
    let less = if signed { Op::LessSigned } else { Op::Less };
    let ops = match operator {
        BinaryOp::Less => join(left, right, &[less]),
        BinaryOp::Greater => join(right, left, &[less]),
        BinaryOp::LessEqual => join(right, left, &[less, Op::IsZero]),
        BinaryOp::GreaterEqual => join(left, right, &[less, Op::IsZero]),
        BinaryOp::NotEqual => join(left, right, &[Op::Equal, Op::IsZero]),
        _ => join(left, right, &[Op::Equal]),
    };
    Ok(Value::number(ops, Ty::S32))
}

fn jump(steps: usize, at: usize) -> Result<u8, ExprError> {
    u8::try_from(steps).or(Err(ExprError {
        at,
        problem: ExprProblem::JumpTooFar { steps },
    }))
}

/// `&&` and `||`: the right side is evaluated only when it decides, so that it may rely on the left.
fn logical(
    facts: &dyn Facts,
    operator: BinaryOp,
    left: Value,
    right: Value,
    at: usize,
) -> Result<Value, ExprError> {
    kind(facts, &left, at, "&& or ||")?;
    kind(facts, &right, at, "&& or ||")?;
    let mut ops = left.ops;
    let truth = [Op::IsZero, Op::IsZero];
    if operator == BinaryOp::LogicalAnd {
        ops.push(Op::JumpIfZero(jump(right.ops.len() + 3, at)?));
        ops.extend(right.ops);
        ops.extend(truth);
        ops.extend([Op::Jump(1), Op::Const(0)]);
    } else {
        ops.push(Op::JumpIfZero(2));
        ops.extend([Op::Const(1), Op::Jump(jump(right.ops.len() + 2, at)?)]);
        ops.extend(right.ops);
        ops.extend(truth);
    }
    Ok(Value::number(ops, Ty::S32))
}

/// `condition ? then : otherwise`.
pub(super) fn select(
    facts: &dyn Facts,
    condition: Value,
    then: Value,
    otherwise: Value,
    at: usize,
) -> Result<Value, ExprError> {
    kind(facts, &condition, at, "?:")?;
    let pointer = [&then, &otherwise]
        .into_iter()
        .find(|value| matches!(value.ty.shape(facts), Shape::Pointer(_)));
    let pointer = pointer.map(|value| value.ty.clone());
    let ([then, otherwise], bytes, signed) = balance(facts, [then, otherwise], at, "?:")?;
    let mut ops = condition.ops;
    ops.push(Op::JumpIfZero(jump(then.ops.len() + 1, at)?));
    ops.extend(then.ops);
    ops.push(Op::Jump(jump(otherwise.ops.len(), at)?));
    ops.extend(otherwise.ops);
    Ok(Value::number(
        ops,
        pointer.unwrap_or(Ty::Int { bytes, signed }),
    ))
}
