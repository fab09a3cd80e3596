//! A part of an expression once it has a meaning.

use probe_plan::Op;

use super::ty::Ty;

/// Steps, and what they leave on the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) ops: Vec<Op>,
    pub(crate) ty: Ty,
    pub(crate) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The number itself.
    Stack,
    /// The address of the value.
    Memory,
    /// The address of the first byte that holds a part of a bit field.
    Bits {
        /// Bits below it in that byte.
        shift: u8,
        bits: u8,
    },
}

impl Value {
    pub(crate) fn number(ops: Vec<Op>, ty: Ty) -> Self {
        Self {
            ops,
            ty,
            place: Place::Stack,
        }
    }

    pub(crate) fn constant(value: u64, ty: Ty) -> Self {
        Self::number(vec![Op::Const(value)], ty)
    }

    pub(crate) fn memory(ops: Vec<Op>, ty: Ty) -> Self {
        Self {
            ops,
            ty,
            place: Place::Memory,
        }
    }

    /// A value that is never there.
    pub(crate) fn missing() -> Self {
        Self::number(vec![Op::Missing], Ty::U64)
    }

    /// The number, when it is known already.
    pub(crate) fn as_constant(&self) -> Option<u64> {
        match (self.place, self.ops.as_slice()) {
            (Place::Stack, [Op::Const(value)]) => Some(*value),
            _ => None,
        }
    }

    /// Adds a constant to the address or number on the stack.
    pub(crate) fn add(&mut self, offset: u64) {
        let joined = self.ends_at_join();
        match self.ops.as_mut_slice() {
            _ if offset == 0 => {}
            [Op::Const(value)] | [Op::LinkAddr(value)] => *value = value.wrapping_add(offset),
            [.., Op::Const(value), Op::Add] if !joined => *value = value.wrapping_add(offset),
            _ => self.ops.extend([Op::Const(offset), Op::Add]),
        }
    }

    /// Makes the top of the stack the full form of a number of that many bytes.
    pub(crate) fn extend(&mut self, bytes: u8, signed: bool) {
        if bytes >= 8 {
            return;
        }
        let bits = bytes * 8;
        if let [Op::Const(value)] = self.ops.as_mut_slice() {
            let unused = 64 - u32::from(bits);
            let high = *value << unused;
            *value = if signed {
                (high.cast_signed() >> unused).cast_unsigned()
            } else {
                high >> unused
            };
            return;
        }
        if !self.ends_at_join() {
            match self.ops.last() {
                // A load leaves the upper bits zero.
                Some(Op::Load(loaded)) if !signed && *loaded <= bytes => return,
                // What a wider form put above is cut off again.
                Some(Op::SignExtend(wider) | Op::ZeroExtend(wider)) if *wider >= bits => {
                    self.ops.pop();
                }
                _ => {}
            }
        }
        self.ops.push(if signed {
            Op::SignExtend(bits)
        } else {
            Op::ZeroExtend(bits)
        });
    }

    /// Whether a jump leads to the end: then the last step is not the last on every way, and must stay what it is.
    fn ends_at_join(&self) -> bool {
        self.ops.iter().enumerate().any(|(index, op)| match op {
            Op::Jump(by) | Op::JumpIfZero(by) => index + 1 + usize::from(*by) == self.ops.len(),
            _ => false,
        })
    }
}
