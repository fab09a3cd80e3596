//! Gives expressions their meaning: names and types of one kernel in, steps of a fetch program out.
//!
//! Invariant: a number on the stack is always the full 64-bit form of its type, sign- or zero-extended, so that no
//! later step has to know how wide it was.

mod call;
mod compile;
mod fetch;
mod member;
mod name;
mod operator;
mod scope;
mod stack;
mod ty;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use compile::Compiler;
pub(crate) use scope::{Argument, Local, Scope, entry_arguments, numbered_arguments, signature};
pub(crate) use ty::{Shape, Ty};
pub(crate) use value::Place;
