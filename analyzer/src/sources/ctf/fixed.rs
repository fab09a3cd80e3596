//! Events whose fields lie at fixed places: found by the steps that would read them.

use super::class::{ByteOrder, Encoding};
use super::program::{Count, Step, To};
use crate::sources::foreign::{Layout, Place, PlaceKind};

/// Fields at fixed places.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    /// In bits.
    pub(super) align: u64,
    /// All but a text at the end.
    pub(super) bytes: u64,
    /// Whether a text follows.
    pub(super) has_text: bool,
    pub(super) layout: Layout,
}

impl Fixed {
    /// Where the fields are that steps read, if that does not depend on the event.
    pub(super) fn of(steps: &[Step], fields: usize) -> Option<Self> {
        let nothing = Place {
            offset: 0,
            size: 0,
            kind: PlaceKind::Bytes,
        };
        let mut fixed = Self {
            align: 1,
            ..Self::default()
        };
        fixed.layout.places = vec![nothing; fields];
        let (mut at, mut order) = (0u64, None);
        for (number, step) in steps.iter().enumerate() {
            if fixed.has_text {
                return None;
            }
            if let Step::Align(align) = step {
                if number == 0 {
                    fixed.align = *align;
                } else if *align > fixed.align {
                    return None;
                }
                at = at.checked_next_multiple_of(*align)?;
                continue;
            }
            let (bytes, kind, To::Field(index)) = place_of(step, &mut order)? else {
                return None;
            };
            if !at.is_multiple_of(8) || fixed.align < 8 {
                return None;
            }
            fixed.has_text = kind == PlaceKind::OpenText;
            *fixed.layout.places.get_mut(index)? = Place {
                offset: u32::try_from(at / 8).ok()?,
                size: u32::try_from(bytes).ok()?,
                kind,
            };
            at = at.checked_add(bytes.checked_mul(8)?)?;
        }
        fixed.bytes = at / 8;
        fixed.layout.is_big_endian = order == Some(ByteOrder::Big);
        u32::try_from(fixed.bytes).ok()?;
        Some(fixed)
    }
}

/// How many bytes a step reads, and what they are; all numbers have to have the same byte order.
fn place_of(step: &Step, order: &mut Option<ByteOrder>) -> Option<(u64, PlaceKind, To)> {
    Some(match step {
        Step::Number {
            bits: bits @ (8 | 16 | 32 | 64),
            order: own,
            shape,
            keep: None,
            to,
        } => {
            if *bits > 8 && *order.get_or_insert(*own) != *own {
                return None;
            }
            let signed = [PlaceKind::Unsigned, PlaceKind::Signed];
            (
                u64::from(*bits / 8),
                signed[usize::from(shape.is_signed)],
                *to,
            )
        }
        Step::Bytes {
            count: Count::Fixed(count),
            text,
            to,
        } => match text {
            None => (*count, PlaceKind::Bytes, *to),
            Some(Encoding::Utf8) => (*count, PlaceKind::Text, *to),
            Some(Encoding::Utf16(_) | Encoding::Utf32(_)) => return None,
        },
        Step::Text {
            encoding: Encoding::Utf8,
            to,
        } => (0, PlaceKind::OpenText, *to),
        _ => return None,
    })
}
