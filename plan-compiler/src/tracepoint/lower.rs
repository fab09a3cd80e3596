//! Writes a symbolic value as the steps of a fetch program.

use probe_plan::{Op, STACK_MAX};

use super::Unrecoverable;
use super::binary::Binary;
use super::expr::{Expr, Node, Pool};

/// Longest evaluation. Values are shared in the pool but written out in full, which could grow without bound; the jumps
/// of a selection reach 255 steps.
const OPS_MAX: usize = 96;

/// The evaluation of `expr`.
///
/// # Errors
/// The value depends on what is not known at the nop, or is too long or too deep to evaluate.
pub(super) fn lower(pool: &Pool, expr: Expr) -> Result<Vec<Op>, Unrecoverable> {
    let mut ops = Vec::new();
    append(pool, expr, 0, &mut ops)?;
    Ok(ops)
}

/// Appends the steps that push `expr` onto a stack that holds `depth` values.
fn append(pool: &Pool, expr: Expr, depth: usize, ops: &mut Vec<Op>) -> Result<(), Unrecoverable> {
    if depth >= STACK_MAX || ops.len() >= OPS_MAX {
        return Err(Unrecoverable::TooComplex);
    }
    match pool.node(expr) {
        Node::Const(value) => ops.push(Op::Const(value)),
        Node::Image(addr) => ops.push(Op::LinkAddr(addr)),
        Node::Register(register) => ops.push(Op::Register(register)),
        Node::CpuBase => ops.push(Op::CpuBase),
        Node::Load { addr, bytes } => {
            append(pool, addr, depth, ops)?;
            ops.push(Op::Load(bytes));
        }
        Node::Binary(op, a, b) => {
            append(pool, a, depth, ops)?;
            append(pool, b, depth + 1, ops)?;
            ops.push(step(op));
        }
        Node::SignExtend(bits, a) => {
            append(pool, a, depth, ops)?;
            ops.push(Op::SignExtend(bits));
        }
        Node::ZeroExtend(bits, a) => {
            append(pool, a, depth, ops)?;
            ops.push(Op::ZeroExtend(bits));
        }
        Node::IsZero(a) => {
            append(pool, a, depth, ops)?;
            ops.push(Op::IsZero);
        }
        Node::Select {
            condition,
            then,
            otherwise,
        } => {
            append(pool, condition, depth, ops)?;
            let (mut left, mut right) = (Vec::new(), Vec::new());
            append(pool, then, depth, &mut left)?;
            append(pool, otherwise, depth, &mut right)?;
            ops.push(Op::JumpIfZero(distance(left.len() + 1)?));
            ops.append(&mut left);
            ops.push(Op::Jump(distance(right.len())?));
            ops.append(&mut right);
        }
        Node::Unknown(reason) => return Err(pool.reason(reason)),
    }
    if ops.len() > OPS_MAX {
        Err(Unrecoverable::TooComplex)
    } else {
        Ok(())
    }
}

fn distance(steps: usize) -> Result<u8, Unrecoverable> {
    u8::try_from(steps).ok().ok_or(Unrecoverable::TooComplex)
}

fn step(op: Binary) -> Op {
    match op {
        Binary::Add => Op::Add,
        Binary::Sub => Op::Sub,
        Binary::Mul => Op::Mul,
        Binary::Div => Op::Div,
        Binary::Rem => Op::Rem,
        Binary::And => Op::And,
        Binary::Or => Op::Or,
        Binary::Xor => Op::Xor,
        Binary::Shl => Op::Shl,
        Binary::Shr => Op::Shr,
        Binary::Sar => Op::Sar,
        Binary::Equal => Op::Equal,
        Binary::Less => Op::Less,
        Binary::LessSigned => Op::LessSigned,
    }
}
