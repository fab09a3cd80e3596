//! What a whole field or condition fetches.

use guesttrace_events::FieldType;
use probe_plan::{AddressSpace, Field, Op, Output, STRING_BYTES_MAX};

use super::compile::{Compiler, fail};
use super::ty::{Shape, Ty};
use super::value::{Place, Value};
use crate::expression::{BinaryOp, Expr, ExprError, ExprKind, ExprProblem, UnaryOp};
use crate::own::{is_char, scalar_field};

/// Longest string where nothing else is said: most paths, and not a page of rubbish behind a wild pointer.
const STRING_BYTES_DEFAULT: u16 = 256;

/// The result of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetch {
    Number { ops: Vec<Op> },
    Run { ops: Vec<Op>, output: Output },
}

impl Compiler<'_> {
    /// Compiles the expression of a field.
    pub(crate) fn field(
        &mut self,
        expr: &Expr,
        field_type: &FieldType,
    ) -> Result<Field, ExprError> {
        if *field_type == FieldType::Stack {
            return self.stack_field(expr);
        }
        let wants_run = matches!(field_type, FieldType::Text | FieldType::Bytes);
        let fetch = if wants_run {
            self.run(expr)?
        } else {
            self.number(expr)?
        };
        match fetch {
            Fetch::Run { ops, output } => Ok(Field { ops, output }),
            Fetch::Number { mut ops } => {
                if *field_type == FieldType::Bool && !is_truth_value(expr) {
                    ops.extend([Op::IsZero, Op::IsZero]);
                }
                Ok(Field {
                    ops,
                    output: Output::Number,
                })
            }
        }
    }

    /// The type of field that an expression makes when nobody says.
    pub(crate) fn infer(&mut self, expr: &Expr, name: &str) -> Result<FieldType, ExprError> {
        match &expr.kind {
            ExprKind::Text { .. } => {
                self.run(expr)?;
                return Ok(FieldType::Text);
            }
            ExprKind::Bytes { .. } => {
                self.run(expr)?;
                return Ok(FieldType::Bytes);
            }
            ExprKind::Stack { .. } => {
                self.stack_field(expr)?;
                return Ok(FieldType::Stack);
            }
            ExprKind::Either(alternatives) => {
                return self.first(alternatives, |compiler, expr| compiler.infer(expr, name));
            }
            _ if is_truth_value(expr) => {
                self.number(expr)?;
                return Ok(FieldType::Bool);
            }
            _ => {}
        }
        let value = self.value(expr)?;
        if self.is_text(&value) && self.is_of_characters(&value.ty) {
            return Ok(FieldType::Text);
        }
        let value = self.load(value, expr.at)?;
        Ok(scalar_field(self.facts, &value.ty, name).unwrap_or(FieldType::Hex))
    }

    /// Whether it points to or holds characters: bytes that are called so.
    fn is_of_characters(&self, ty: &Ty) -> bool {
        match ty.shape(self.facts) {
            Shape::Pointer(element) | Shape::Array { element, .. } => is_char(self.facts, &element),
            _ => false,
        }
    }

    /// Compiles a condition.
    pub(crate) fn condition(&mut self, expr: &Expr) -> Result<Vec<Op>, ExprError> {
        Ok(self.scalar(expr)?.ops)
    }

    fn number(&mut self, expr: &Expr) -> Result<Fetch, ExprError> {
        if matches!(
            expr.kind,
            ExprKind::Text { .. } | ExprKind::Bytes { .. } | ExprKind::Stack { .. }
        ) {
            return fail(
                expr.at,
                ExprProblem::WrongOutput {
                    expected: "a number",
                },
            );
        }
        Ok(Fetch::Number {
            ops: self.scalar(expr)?.ops,
        })
    }

    fn run(&mut self, expr: &Expr) -> Result<Fetch, ExprError> {
        match &expr.kind {
            ExprKind::Either(alternatives) => self.first(alternatives, Self::run),
            ExprKind::Text { space, addr, max } => {
                let value = self.value(addr)?;
                self.text(value, *space, *max, addr.at)
            }
            ExprKind::Bytes {
                space,
                addr,
                length,
                max,
            } => {
                let addr = self.scalar(addr)?;
                let length = self.scalar(length)?;
                let mut ops = addr.ops;
                ops.extend(length.ops);
                let max = max.unwrap_or(STRING_BYTES_MAX);
                Ok(Fetch::Run {
                    ops,
                    output: Output::Bytes { space: *space, max },
                })
            }
            ExprKind::Name(name) if name == "missing" => {
                let output = Output::String {
                    space: AddressSpace::Kernel,
                    max: 1,
                };
                Ok(Fetch::Run {
                    ops: Value::missing().ops,
                    output,
                })
            }
            // Characters need no string() around them.
            _ => {
                let value = self.value(expr)?;
                if self.is_text(&value) {
                    return self.text(value, AddressSpace::Any, None, expr.at);
                }
                fail(
                    expr.at,
                    ExprProblem::WrongOutput {
                        expected: "string(), bytes() or a value of characters",
                    },
                )
            }
        }
    }

    fn is_text(&self, value: &Value) -> bool {
        let element = match value.ty.shape(self.facts) {
            Shape::Pointer(target) => target,
            Shape::Array { element, .. } if value.place == Place::Memory => element,
            _ => return false,
        };
        matches!(element.shape(self.facts), Shape::Int { bytes: 1, .. })
    }

    fn text(
        &self,
        value: Value,
        space: AddressSpace,
        max: Option<u16>,
        at: usize,
    ) -> Result<Fetch, ExprError> {
        let array = match value.ty.shape(self.facts) {
            Shape::Array { count, .. } => u16::try_from(count).ok().filter(|count| *count > 0),
            _ => None,
        };
        let max = max
            .or(array)
            .unwrap_or(STRING_BYTES_DEFAULT)
            .min(STRING_BYTES_MAX);
        let ops = self.load(value, at)?.ops;
        Ok(Fetch::Run {
            ops,
            output: Output::String { space, max },
        })
    }
}

/// Whether an expression is 0 or 1 by itself.
fn is_truth_value(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Unary(operator, _) => *operator == UnaryOp::Not,
        ExprKind::Binary(operator, ..) => matches!(
            operator,
            BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
                | BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::LogicalAnd
                | BinaryOp::LogicalOr
        ),
        _ => false,
    }
}
