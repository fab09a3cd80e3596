//! The functions of the language that yield a number or a place.

use super::compile::{Compiler, bad, fail};
use super::ty::Ty;
use super::value::Value;
use crate::expression::{Expr, ExprError, ExprKind, ExprProblem};
use crate::facts::Tag;

impl Compiler<'_> {
    pub(super) fn call(&mut self, expr: &Expr) -> Result<Value, ExprError> {
        let at = expr.at;
        match &expr.kind {
            ExprKind::SizeOfType(name) => {
                let ty = Ty::from_name(name, self.facts)?;
                self.size(&ty, at)
            }
            ExprKind::SizeOf(operand) => {
                // A lone word may be the name of a type.
                if let ExprKind::Name(name) = &operand.kind
                    && let Some(id) = self.facts.named(Tag::Typedef, name)
                {
                    return self.size(&Ty::Of(id), at);
                }
                let ty = self.value(operand)?.ty;
                self.size(&ty, at)
            }
            ExprKind::OffsetOf { of, member } => {
                let of = Ty::from_name(of, self.facts)?;
                Ok(Value::constant(self.offset_of(&of, member)?, Ty::U64))
            }
            ExprKind::ContainerOf { base, of, member } => {
                let of = Ty::from_name(of, self.facts)?;
                let offset = self.offset_of(&of, member)?;
                let mut value = self.scalar(base)?;
                value.add(offset.wrapping_neg());
                value.ty = of.pointer_to();
                Ok(value)
            }
            ExprKind::PerCpu(name) => self.per_cpu(&name.text, name.at),
            ExprKind::Either(alternatives) => self.first(alternatives, Self::value),
            _ => fail(at, ExprProblem::TextInside),
        }
    }

    /// The first alternative that compiles; the error of the first when none does.
    pub(super) fn first<T>(
        &mut self,
        alternatives: &[Expr],
        mut compile: impl FnMut(&mut Self, &Expr) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        let mut first_error = None;
        for alternative in alternatives {
            match compile(self, alternative) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(ExprError {
            at: 0,
            problem: ExprProblem::TooDeep,
        }))
    }

    fn size(&self, ty: &Ty, at: usize) -> Result<Value, ExprError> {
        match ty.bytes(self.facts) {
            Some(bytes) => Ok(Value::constant(bytes, Ty::U64)),
            None => bad(at, "sizeof", "a complete type", &ty.name(self.facts)),
        }
    }
}
