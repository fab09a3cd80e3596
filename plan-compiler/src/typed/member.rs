//! Members of structs and unions, those of anonymous ones inside included.

use guest_symbols::StructType;
use probe_plan::Op;

use super::compile::{Compiler, bad, fail};
use super::ty::{Shape, Ty};
use super::value::{Place, Value};
use crate::expression::{Expr, ExprError, ExprProblem, Name};
use crate::facts::Facts;
use crate::suggest::nearest;

/// Deepest nesting of anonymous structs and unions; damaged types could go on for ever.
const NESTING_MAX: usize = 16;

/// A member and where it is from the start of the outermost struct.
#[derive(Clone, Debug)]
pub(super) struct Found {
    ty: Ty,
    bit_offset: u64,
    bitfield_bits: Option<u8>,
}

fn find(facts: &dyn Facts, layout: &StructType, name: &str, depth: usize) -> Option<Found> {
    let named = layout
        .members
        .iter()
        .find(|member| member.name.as_deref() == Some(name));
    if let Some(member) = named {
        let (ty, bit_offset) = (Ty::Of(member.type_id), member.bit_offset);
        return Some(Found {
            ty,
            bit_offset,
            bitfield_bits: member.bitfield_bits,
        });
    }
    anonymous(facts, layout, depth).find_map(|(offset, inner)| {
        let mut found = find(facts, inner, name, depth + 1)?;
        found.bit_offset += offset;
        Some(found)
    })
}

fn anonymous<'a>(
    facts: &'a dyn Facts,
    layout: &'a StructType,
    depth: usize,
) -> impl Iterator<Item = (u64, &'a StructType)> {
    let members = if depth < NESTING_MAX {
        layout.members.as_slice()
    } else {
        &[]
    };
    members
        .iter()
        .filter(|member| member.name.is_none())
        .filter_map(move |member| match Ty::Of(member.type_id).shape(facts) {
            Shape::Struct(inner) => Some((member.bit_offset, inner)),
            _ => None,
        })
}

fn names<'a>(facts: &'a dyn Facts, layout: &'a StructType, depth: usize, into: &mut Vec<&'a str>) {
    into.extend(
        layout
            .members
            .iter()
            .filter_map(|member| member.name.as_deref()),
    );
    for (_, inner) in anonymous(facts, layout, depth) {
        names(facts, inner, depth + 1, into);
    }
}

impl Compiler<'_> {
    pub(super) fn member(
        &mut self,
        base: &Expr,
        name: &str,
        arrow: bool,
        at: usize,
    ) -> Result<Value, ExprError> {
        let operator = if arrow { "->" } else { "." };
        let base = if arrow {
            let pointer = self.scalar(base)?;
            self.deref(pointer, at, operator)?
        } else {
            self.value(base)?
        };
        if base.place != Place::Memory {
            let found = base.ty.name(self.facts);
            if !arrow && matches!(base.ty.shape(self.facts), Shape::Pointer(_)) {
                return fail(at, ExprProblem::NeedsArrow { found });
            }
            return bad(at, operator, "a struct", &found);
        }
        let found = self.find_member(&base.ty, name, at)?;
        let mut value = Value::memory(base.ops, found.ty);
        value.add(found.bit_offset / 8);
        if let Some(bits) = found.bitfield_bits {
            // Less than 8, and the width of a bit field at most 64.
            let shift = u8::try_from(found.bit_offset % 8).unwrap_or_default();
            value.place = Place::Bits { shift, bits };
        }
        Ok(value)
    }

    fn find_member(&self, ty: &Ty, name: &str, at: usize) -> Result<Found, ExprError> {
        let layout = match ty.shape(self.facts) {
            Shape::Struct(layout) => layout,
            Shape::Incomplete(name) => {
                return fail(
                    at,
                    ExprProblem::Incomplete {
                        name: name.to_owned(),
                    },
                );
            }
            _ => return bad(at, "a field", "a struct", &ty.name(self.facts)),
        };
        find(self.facts, layout, name, 0).ok_or_else(|| {
            let mut known = Vec::new();
            names(self.facts, layout, 0, &mut known);
            let of = ty.name(self.facts);
            let problem = ExprProblem::UnknownField {
                of,
                field: name.to_owned(),
                suggestion: nearest(name, known.iter().copied()),
                fields: known.into_iter().map(str::to_owned).collect(),
            };
            ExprError { at, problem }
        })
    }

    /// Offset of a member of a member ... in bytes.
    pub(super) fn offset_of(&self, of: &Ty, path: &[Name]) -> Result<u64, ExprError> {
        let mut ty = of.clone();
        let mut bit_offset = 0;
        for name in path {
            let found = self.find_member(&ty, &name.text, name.at)?;
            if found.bitfield_bits.is_some() {
                return bad(
                    name.at,
                    "offsetof",
                    "a member with an address",
                    "a bit field",
                );
            }
            bit_offset += found.bit_offset;
            ty = found.ty;
        }
        Ok(bit_offset / 8)
    }
}

/// Loads `bits` bits that begin `shift` bits above the address on the stack.
pub(super) fn load_bits(ops: &mut Vec<Op>, shift: u8, bits: u8, signed: bool) {
    let bytes = u16::from(shift).saturating_add(u16::from(bits)).div_ceil(8);
    let load = match bytes {
        0 | 1 => 1,
        2 => 2,
        3 | 4 => 4,
        _ => 8,
    };
    ops.push(Op::Load(load));
    if shift > 0 {
        ops.extend([Op::Const(shift.into()), Op::Shr]);
    }
    ops.push(if signed {
        Op::SignExtend(bits)
    } else {
        Op::ZeroExtend(bits)
    });
}
