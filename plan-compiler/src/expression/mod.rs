//! The language of the event table: C expressions over a probe's arguments, registers and the kernel's own types.
//!
//! Parsing only: what names mean is decided by [`crate::typed`].

mod ast;
mod error;
mod function;
mod parser;
mod token;
mod type_name;

pub use error::{ExprError, ExprProblem};

pub(crate) use ast::{BaseType, BinaryOp, Expr, ExprKind, Name, TypeName, UnaryOp};
pub(crate) use parser::parse;
