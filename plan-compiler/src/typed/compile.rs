//! Compiles expressions of one probe.

use std::collections::BTreeMap;

use probe_plan::{Op, SLOTS_MAX};

use super::member;
use super::operator;
use super::scope::Scope;
use super::ty::{Shape, Ty};
use super::value::{Place, Value};
use crate::expression::{Expr, ExprError, ExprKind, ExprProblem, UnaryOp};
use crate::facts::Facts;

/// Compiles the expressions of one probe; those with a name are evaluated once, into slots.
pub(crate) struct Compiler<'a> {
    pub(super) facts: &'a dyn Facts,
    pub(super) scope: &'a Scope,
    /// Expressions with a name, in order; each sees those before it.
    bindings: &'a [(String, Expr)],
    /// How many of them the expression at hand sees.
    visible: usize,
    slots: BTreeMap<usize, (u8, Ty)>,
    slot_ops: Vec<Vec<Op>>,
    /// Whether something was asked for that only a return paired with its entry has.
    uses_entry: bool,
}

pub(super) fn fail<T>(at: usize, problem: ExprProblem) -> Result<T, ExprError> {
    Err(ExprError { at, problem })
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(
        facts: &'a dyn Facts,
        scope: &'a Scope,
        bindings: &'a [(String, Expr)],
    ) -> Self {
        Self {
            facts,
            scope,
            bindings,
            visible: bindings.len(),
            slots: BTreeMap::new(),
            slot_ops: Vec::new(),
            uses_entry: false,
        }
    }

    /// What the slots hold, for those bindings that are used.
    pub(crate) fn into_slots(self) -> Vec<Vec<Op>> {
        self.slot_ops
    }

    /// Whether something was asked for that only a return paired with its entry has.
    pub(crate) fn uses_entry(&self) -> bool {
        self.uses_entry
    }

    pub(super) fn note_entry(&mut self) {
        self.uses_entry |= self.scope.is_paired;
    }

    /// A number on the stack.
    pub(super) fn scalar(&mut self, expr: &Expr) -> Result<Value, ExprError> {
        let value = self.value(expr)?;
        self.load(value, expr.at)
    }

    /// Turns a place into what it holds; an array becomes the address of its first element.
    pub(super) fn load(&self, mut value: Value, at: usize) -> Result<Value, ExprError> {
        let bits = match value.place {
            Place::Stack => return Ok(value),
            Place::Memory => None,
            Place::Bits { shift, bits } => Some((shift, bits)),
        };
        value.place = Place::Stack;
        match value.ty.shape(self.facts) {
            Shape::Int {
                bytes: bytes @ (1 | 2 | 4 | 8),
                signed,
            } => match bits {
                None => {
                    value.ops.push(Op::Load(bytes));
                    value.extend(bytes, signed);
                }
                Some((shift, bits)) => member::load_bits(&mut value.ops, shift, bits, signed),
            },
            Shape::Pointer(_) => value.ops.push(Op::Load(8)),
            Shape::Array { element, .. } => value.ty = element.pointer_to(),
            Shape::Function => value.ty = value.ty.pointer_to(),
            Shape::Incomplete(name) => {
                return fail(
                    at,
                    ExprProblem::Incomplete {
                        name: name.to_owned(),
                    },
                );
            }
            _ => {
                return fail(
                    at,
                    ExprProblem::NotScalar {
                        found: value.ty.name(self.facts),
                    },
                );
            }
        }
        Ok(value)
    }

    /// A value or a place.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<Value, ExprError> {
        let at = expr.at;
        match &expr.kind {
            ExprKind::Number { value, hex } => {
                Ok(Value::constant(*value, literal_type(*value, *hex)))
            }
            ExprKind::Name(name) => self.name(name, at),
            ExprKind::Register(register) => {
                Ok(Value::number(vec![Op::Register(*register)], Ty::U64))
            }
            ExprKind::ProbeAddress => Ok(Value::number(vec![Op::ProbeAddress], Ty::U64)),
            ExprKind::Unary(UnaryOp::AddressOf, operand) => self.address_of(operand, at),
            ExprKind::Unary(UnaryOp::Deref, operand) => {
                let value = self.scalar(operand)?;
                self.deref(value, at, "*")
            }
            ExprKind::Unary(operator, operand) => {
                let value = self.scalar(operand)?;
                operator::unary(self.facts, *operator, value, at)
            }
            ExprKind::Binary(operator, left, right) => {
                let (left, right) = (self.scalar(left)?, self.scalar(right)?);
                operator::binary(self.facts, *operator, left, right, at)
            }
            ExprKind::Ternary {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.scalar(condition)?;
                let (then, otherwise) = (self.scalar(then)?, self.scalar(otherwise)?);
                operator::select(self.facts, condition, then, otherwise, at)
            }
            ExprKind::Member { base, name, arrow } => self.member(base, name, *arrow, at),
            ExprKind::Index { base, index } => {
                let (base, index) = (self.scalar(base)?, self.scalar(index)?);
                let sum = operator::add(self.facts, base, index, at)?;
                self.deref(sum, at, "[]")
            }
            ExprKind::Cast(to, operand) => {
                let ty = Ty::from_name(to, self.facts)?;
                let value = self.scalar(operand)?;
                operator::cast(self.facts, value, ty, at)
            }
            ExprKind::Text { .. } | ExprKind::Bytes { .. } | ExprKind::Stack { .. } => {
                fail(at, ExprProblem::TextInside)
            }
            _ => self.call(expr),
        }
    }

    fn address_of(&mut self, operand: &Expr, at: usize) -> Result<Value, ExprError> {
        let value = self.value(operand)?;
        match (value.place, value.ty.shape(self.facts)) {
            (Place::Memory, _) => Ok(Value::number(value.ops, value.ty.pointer_to())),
            // The name of a function is its address already.
            (Place::Stack, Shape::Pointer(_))
                if matches!(value.ops.as_slice(), [Op::LinkAddr(_)]) =>
            {
                Ok(value)
            }
            (Place::Bits { .. }, _) => bad(at, "&", "a place in memory", "a bit field"),
            (Place::Stack, _) => bad(at, "&", "a place in memory", "a number"),
        }
    }

    /// The place that an address on the stack points to.
    pub(super) fn deref(
        &self,
        value: Value,
        at: usize,
        operator: &'static str,
    ) -> Result<Value, ExprError> {
        match value.ty.shape(self.facts) {
            Shape::Pointer(target) if target.shape(self.facts).is_void() => {
                bad(at, operator, "a typed pointer", "void *")
            }
            Shape::Pointer(target) => Ok(Value::memory(value.ops, target)),
            _ => bad(at, operator, "a pointer", &value.ty.name(self.facts)),
        }
    }

    /// The slot of a binding, filled at its first use.
    pub(super) fn binding(&mut self, name: &str, at: usize) -> Option<Result<Value, ExprError>> {
        let index = self.bindings[..self.visible]
            .iter()
            .rposition(|(known, _)| known == name)?;
        if !self.slots.contains_key(&index)
            && let Err(error) = self.fill_slot(index, at)
        {
            return Some(Err(error));
        }
        let (slot, ty) = &self.slots[&index];
        Some(Ok(Value::number(vec![Op::Slot(*slot)], ty.clone())))
    }

    fn fill_slot(&mut self, index: usize, at: usize) -> Result<(), ExprError> {
        let (_, expr) = &self.bindings[index];
        let visible = std::mem::replace(&mut self.visible, index);
        let value = self.scalar(expr);
        self.visible = visible;
        let value = value?;
        let slot = u8::try_from(self.slot_ops.len()).unwrap_or(u8::MAX);
        if self.slot_ops.len() >= SLOTS_MAX {
            return fail(at, ExprProblem::TooManyBindings { max: SLOTS_MAX });
        }
        self.slot_ops.push(value.ops);
        self.slots.insert(index, (slot, value.ty));
        Ok(())
    }
}

impl Shape<'_> {
    fn is_void(&self) -> bool {
        matches!(self, Shape::Void)
    }
}

pub(super) fn bad<T>(
    at: usize,
    operator: &'static str,
    needs: &'static str,
    found: &str,
) -> Result<T, ExprError> {
    fail(
        at,
        ExprProblem::BadOperand {
            operator,
            needs,
            found: found.to_owned(),
        },
    )
}

/// The type of a literal, by the rules of C.
fn literal_type(value: u64, hex: bool) -> Ty {
    let (bytes, signed) = match value {
        0..=0x7fff_ffff => (4, true),
        0x8000_0000..=0xffff_ffff if hex => (4, false),
        0x8000_0000..=0x7fff_ffff_ffff_ffff => (8, true),
        _ => (8, false),
    };
    Ty::Int { bytes, signed }
}
