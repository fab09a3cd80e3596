//! Operations on two values, as a fetch program computes them.

/// Operations on two values; comparisons give 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    /// Unsigned; 0 when divided by 0, where the processor would trap.
    Div,
    /// The rest of [`Binary::Div`].
    Rem,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
    Equal,
    Less,
    LessSigned,
}

impl Binary {
    pub(super) fn commutes(self) -> bool {
        matches!(
            self,
            Self::Add | Self::Mul | Self::And | Self::Or | Self::Xor | Self::Equal
        )
    }

    /// What the interpreter would compute.
    pub(super) fn apply(self, a: u64, b: u64) -> u64 {
        let shift = u32::try_from(b).unwrap_or(u32::MAX);
        match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::Div => a.checked_div(b).unwrap_or(0),
            Self::Rem => a.checked_rem(b).unwrap_or(0),
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
            Self::Shl => a.checked_shl(shift).unwrap_or(0),
            Self::Shr => a.checked_shr(shift).unwrap_or(0),
            Self::Sar => (a.cast_signed() >> shift.min(63)).cast_unsigned(),
            Self::Equal => u64::from(a == b),
            Self::Less => u64::from(a < b),
            Self::LessSigned => u64::from(a.cast_signed() < b.cast_signed()),
        }
    }
}

/// The lowest `bits` set.
pub(super) fn low_mask(bits: u8) -> u64 {
    if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}
