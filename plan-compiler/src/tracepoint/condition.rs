//! Conditions of jumps, `setcc` and `cmovcc` as values of 0 or 1.

use iced_x86::ConditionCode;

use super::Unrecoverable;
use super::binary::Binary;
use super::expr::{Expr, Pool};
use super::state::{Flags, State};

impl State {
    /// Whether `code` holds.
    pub(super) fn condition(&self, pool: &mut Pool, code: ConditionCode) -> Expr {
        let (positive, inverted) = match code {
            ConditionCode::ne => (ConditionCode::e, true),
            ConditionCode::ae => (ConditionCode::b, true),
            ConditionCode::a => (ConditionCode::be, true),
            ConditionCode::ns => (ConditionCode::s, true),
            ConditionCode::ge => (ConditionCode::l, true),
            ConditionCode::g => (ConditionCode::le, true),
            other => (other, false),
        };
        let value = self.positive(pool, positive);
        if inverted { pool.is_zero(value) } else { value }
    }

    fn positive(&self, pool: &mut Pool, code: ConditionCode) -> Expr {
        match self.flags {
            Flags::Compare { a, b, bits } => compare(pool, code, a, b, bits),
            Flags::Result { value, bits }
                if matches!(code, ConditionCode::e | ConditionCode::s) =>
            {
                let zero = pool.constant(0);
                compare(pool, code, value, zero, bits)
            }
            Flags::Carry(carry) if code == ConditionCode::b => carry,
            Flags::Unknown(unknown) => unknown,
            Flags::Result { .. } | Flags::Carry(_) => pool.unknown(Unrecoverable::FlagsUnknown),
        }
    }
}

/// Whether `code` holds after the processor compared `a` with `b`.
fn compare(pool: &mut Pool, code: ConditionCode, a: Expr, b: Expr, bits: u8) -> Expr {
    match code {
        ConditionCode::e => {
            let (a, b) = (pool.zero_extend(bits, a), pool.zero_extend(bits, b));
            pool.binary(Binary::Equal, a, b)
        }
        ConditionCode::b => {
            let (a, b) = (pool.zero_extend(bits, a), pool.zero_extend(bits, b));
            pool.binary(Binary::Less, a, b)
        }
        ConditionCode::be => {
            let above = compare(pool, ConditionCode::b, b, a, bits);
            pool.is_zero(above)
        }
        ConditionCode::l => {
            let (a, b) = (pool.sign_extend(bits, a), pool.sign_extend(bits, b));
            pool.binary(Binary::LessSigned, a, b)
        }
        ConditionCode::le => {
            let greater = compare(pool, ConditionCode::l, b, a, bits);
            pool.is_zero(greater)
        }
        ConditionCode::s => {
            let difference = pool.binary(Binary::Sub, a, b);
            let difference = pool.sign_extend(bits, difference);
            let zero = pool.constant(0);
            pool.binary(Binary::LessSigned, difference, zero)
        }
        _ => pool.unknown(Unrecoverable::FlagsUnknown),
    }
}
