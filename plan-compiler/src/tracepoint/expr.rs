//! Symbolic values: what a register holds, in terms of registers and memory at the nop.
//!
//! Values are shared nodes of a [`Pool`]: the same computation is always the same [`Expr`], so that equality is that of
//! the handle. The constructors simplify; they never change what a value is, only how it is written.
//! Numbers are 64-bit and wrap, as in a fetch program.

use std::collections::HashMap;

use probe_plan::Register;

use super::Unrecoverable;
use super::binary::{Binary, low_mask};

/// Handle of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Expr(u32);

/// How a value comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Const(u64),
    /// Where the running kernel has what was linked there.
    Image(u64),
    Register(Register),
    /// Base of the CPU's per-CPU area.
    CpuBase,
    /// Number of so many bytes in memory, zero-extended.
    Load {
        addr: Expr,
        bytes: u8,
    },
    Binary(Binary, Expr, Expr),
    SignExtend(u8, Expr),
    ZeroExtend(u8, Expr),
    IsZero(Expr),
    Select {
        condition: Expr,
        then: Expr,
        otherwise: Expr,
    },
    /// Cannot be told at the nop; the number is that of the reason.
    Unknown(usize),
}

/// Owns the values of one walk.
#[derive(Debug, Default)]
pub(super) struct Pool {
    nodes: Vec<Node>,
    known: HashMap<Node, Expr>,
    reasons: Vec<Unrecoverable>,
}

impl Pool {
    pub(super) fn node(&self, expr: Expr) -> Node {
        // Handles come from this pool alone; the fallback keeps a stray one from ending the program.
        usize::try_from(expr.0)
            .ok()
            .and_then(|at| self.nodes.get(at))
            .copied()
            .unwrap_or(Node::Const(0))
    }

    pub(super) fn reason(&self, index: usize) -> Unrecoverable {
        self.reasons
            .get(index)
            .cloned()
            .unwrap_or(Unrecoverable::NoCallReached)
    }

    pub(super) fn unknown(&mut self, reason: Unrecoverable) -> Expr {
        let index = self
            .reasons
            .iter()
            .position(|known| *known == reason)
            .unwrap_or_else(|| {
                self.reasons.push(reason);
                self.reasons.len() - 1
            });
        self.intern(Node::Unknown(index))
    }

    pub(super) fn constant(&mut self, value: u64) -> Expr {
        self.intern(Node::Const(value))
    }

    pub(super) fn image(&mut self, addr: u64) -> Expr {
        self.intern(Node::Image(addr))
    }

    pub(super) fn register(&mut self, register: Register) -> Expr {
        self.intern(Node::Register(register))
    }

    pub(super) fn cpu_base(&mut self) -> Expr {
        self.intern(Node::CpuBase)
    }

    pub(super) fn load(&mut self, addr: Expr, bytes: u8) -> Expr {
        self.intern(Node::Load { addr, bytes })
    }

    pub(super) fn add_const(&mut self, a: Expr, value: u64) -> Expr {
        let value = self.constant(value);
        self.binary(Binary::Add, a, value)
    }

    pub(super) fn binary(&mut self, op: Binary, a: Expr, b: Expr) -> Expr {
        match (self.node(a), self.node(b)) {
            (Node::Const(x), Node::Const(y)) => {
                let value = op.apply(x, y);
                self.constant(value)
            }
            (Node::Const(_), _) if op.commutes() => self.binary(op, b, a),
            (Node::Image(x), Node::Image(y)) if op == Binary::Sub => {
                self.constant(x.wrapping_sub(y))
            }
            (_, Node::Const(_)) => self.binary_const(op, a, b),
            _ if a == b && matches!(op, Binary::Sub | Binary::Xor) => self.constant(0),
            _ if a == b && matches!(op, Binary::And | Binary::Or) => a,
            _ if a == b && op == Binary::Add => {
                let one = self.constant(1);
                self.binary(Binary::Shl, a, one)
            }
            _ => self.intern(Node::Binary(op, a, b)),
        }
    }

    /// `a op b` where `b` is a constant and `a` is not.
    fn binary_const(&mut self, op: Binary, a: Expr, b: Expr) -> Expr {
        let Node::Const(value) = self.node(b) else {
            return self.intern(Node::Binary(op, a, b));
        };
        match (op, value) {
            (Binary::And | Binary::Mul, 0) => return self.constant(0),
            (
                Binary::Add
                | Binary::Sub
                | Binary::Or
                | Binary::Xor
                | Binary::Shl
                | Binary::Shr
                | Binary::Sar,
                0,
            )
            | (Binary::Mul, 1) => return a,
            (Binary::Equal, 0) => return self.is_zero(a),
            (Binary::Sub, _) => return self.add_const(a, value.wrapping_neg()),
            (Binary::Mul, _) if value.is_power_of_two() => {
                let shift = self.constant(u64::from(value.trailing_zeros()));
                return self.binary(Binary::Shl, a, shift);
            }
            (Binary::And, _) if value & low_mask(self.bits(a)) == low_mask(self.bits(a)) => {
                return a;
            }
            (Binary::And, _)
                if value.count_ones() == value.trailing_ones() && value != u64::MAX =>
            {
                let bits = u8::try_from(value.trailing_ones()).unwrap_or(64);
                return self.zero_extend(bits, a);
            }
            _ => {}
        }
        match (op, self.node(a)) {
            (Binary::Add, Node::Image(addr)) => self.image(addr.wrapping_add(value)),
            (Binary::Add, Node::Binary(Binary::Add, base, offset)) => {
                if let Node::Const(offset) = self.node(offset) {
                    self.add_const(base, offset.wrapping_add(value))
                } else {
                    self.intern(Node::Binary(op, a, b))
                }
            }
            (Binary::And, Node::Binary(Binary::Or, left, right)) => {
                // Writes to a part of a register are written as (old & high) | new; reading the part undoes that.
                let left = self.binary(Binary::And, left, b);
                let right = self.binary(Binary::And, right, b);
                self.binary(Binary::Or, left, right)
            }
            (Binary::And, Node::Binary(Binary::And, inner, mask)) => {
                if let Node::Const(mask) = self.node(mask) {
                    let mask = self.constant(mask & value);
                    self.binary(Binary::And, inner, mask)
                } else {
                    self.intern(Node::Binary(op, a, b))
                }
            }
            _ => self.intern(Node::Binary(op, a, b)),
        }
    }

    /// The low `bits` of `a`, 1 to 64.
    pub(super) fn zero_extend(&mut self, bits: u8, a: Expr) -> Expr {
        if self.bits(a) <= bits {
            return a;
        }
        match self.node(a) {
            Node::Const(value) => self.constant(value & low_mask(bits)),
            Node::ZeroExtend(_, inner) => self.zero_extend(bits, inner),
            Node::SignExtend(from, inner) if bits <= from => self.zero_extend(bits, inner),
            Node::Load { addr, .. } if matches!(bits, 8 | 16 | 32) => self.load(addr, bits / 8),
            Node::Binary(Binary::And, inner, mask) => match self.node(mask) {
                Node::Const(mask) => {
                    let mask = self.constant(mask & low_mask(bits));
                    self.binary(Binary::And, inner, mask)
                }
                _ => self.intern(Node::ZeroExtend(bits, a)),
            },
            Node::Binary(op @ (Binary::Or | Binary::Xor), left, right) => {
                let left = self.zero_extend(bits, left);
                let right = self.zero_extend(bits, right);
                self.binary(op, left, right)
            }
            Node::Select {
                condition,
                then,
                otherwise,
            } => {
                let then = self.zero_extend(bits, then);
                let otherwise = self.zero_extend(bits, otherwise);
                self.select(condition, then, otherwise)
            }
            _ => self.intern(Node::ZeroExtend(bits, a)),
        }
    }

    /// The low `bits` of `a` as a signed number, 1 to 64.
    pub(super) fn sign_extend(&mut self, bits: u8, a: Expr) -> Expr {
        if bits >= 64 || self.bits(a) < bits {
            return a;
        }
        match self.node(a) {
            Node::Const(value) => {
                let unused = u32::from(64 - bits);
                self.constant((value.wrapping_shl(unused).cast_signed() >> unused).cast_unsigned())
            }
            Node::ZeroExtend(from, inner) if from >= bits => self.sign_extend(bits, inner),
            _ => self.intern(Node::SignExtend(bits, a)),
        }
    }

    pub(super) fn is_zero(&mut self, a: Expr) -> Expr {
        match self.node(a) {
            Node::Const(value) => self.constant(u64::from(value == 0)),
            Node::Image(_) => self.constant(0),
            Node::IsZero(inner) if self.bits(inner) == 1 => inner,
            _ => self.intern(Node::IsZero(a)),
        }
    }

    pub(super) fn select(&mut self, condition: Expr, then: Expr, otherwise: Expr) -> Expr {
        match (self.node(condition), self.node(then), self.node(otherwise)) {
            _ if then == otherwise => then,
            (Node::Const(0), ..) => otherwise,
            (Node::Const(_), ..) => then,
            (Node::IsZero(inner), ..) => self.select(inner, otherwise, then),
            (_, Node::Const(1), Node::Const(0)) if self.bits(condition) == 1 => condition,
            (_, Node::Const(0), Node::Const(1)) => self.is_zero(condition),
            _ => self.intern(Node::Select {
                condition,
                then,
                otherwise,
            }),
        }
    }

    /// Splits an address into what it is relative to and a constant offset; a global is relative to nothing (`None`).
    pub(super) fn split(&self, addr: Expr) -> (Option<Expr>, u64) {
        match self.node(addr) {
            Node::Const(value) | Node::Image(value) => (None, value),
            Node::Binary(Binary::Add, base, offset) => match self.node(offset) {
                Node::Const(offset) => (Some(base), offset),
                _ => (Some(addr), 0),
            },
            _ => (Some(addr), 0),
        }
    }

    /// Whether any part of `expr` satisfies `wanted`.
    pub(super) fn contains(&self, expr: Expr, wanted: &dyn Fn(Node) -> bool) -> bool {
        let mut pending = vec![expr];
        let mut seen = std::collections::HashSet::new();
        while let Some(expr) = pending.pop() {
            if !seen.insert(expr) {
                continue;
            }
            let node = self.node(expr);
            if wanted(node) {
                return true;
            }
            match node {
                Node::Const(_)
                | Node::Image(_)
                | Node::Register(_)
                | Node::CpuBase
                | Node::Unknown(_) => {}
                Node::Load { addr, .. } => pending.push(addr),
                Node::Binary(_, a, b) => pending.extend([a, b]),
                Node::SignExtend(_, a) | Node::ZeroExtend(_, a) | Node::IsZero(a) => {
                    pending.push(a)
                }
                Node::Select {
                    condition,
                    then,
                    otherwise,
                } => pending.extend([condition, then, otherwise]),
            }
        }
        false
    }

    /// Upper bound of the significant bits, at least 1.
    fn bits(&self, expr: Expr) -> u8 {
        match self.node(expr) {
            Node::Const(value) => u8::try_from(64 - value.leading_zeros())
                .unwrap_or(64)
                .max(1),
            Node::Load { bytes, .. } => bytes.saturating_mul(8),
            Node::ZeroExtend(bits, _) => bits,
            Node::IsZero(_)
            | Node::Binary(Binary::Equal | Binary::Less | Binary::LessSigned, ..) => 1,
            Node::Binary(Binary::And, a, b) => self.bits(a).min(self.bits(b)),
            Node::Binary(Binary::Or | Binary::Xor, a, b) => self.bits(a).max(self.bits(b)),
            Node::Binary(Binary::Shr, a, b) => match self.node(b) {
                Node::Const(by) => self
                    .bits(a)
                    .saturating_sub(u8::try_from(by).unwrap_or(64))
                    .max(1),
                _ => self.bits(a),
            },
            Node::Select {
                then, otherwise, ..
            } => self.bits(then).max(self.bits(otherwise)),
            Node::Image(_)
            | Node::Register(_)
            | Node::CpuBase
            | Node::Binary(..)
            | Node::SignExtend(..)
            | Node::Unknown(_) => 64,
        }
    }

    fn intern(&mut self, node: Node) -> Expr {
        if let Some(known) = self.known.get(&node) {
            return *known;
        }
        // A walk is bounded to far fewer values than this.
        let expr = Expr(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        self.known.insert(node, expr);
        expr
    }
}
