//! What a probe gives its expressions to work with.

use guest_symbols::{Type, TypeId};
use probe_plan::{Op, Register};

use super::ty::{Shape, Ty};
use super::value::Place;
use crate::facts::Facts;

/// An argument of the probed function or tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Its name, when the types tell it.
    pub(crate) name: Option<String>,
    pub(crate) ty: Ty,
    /// How its bits are got; or why they are not.
    pub(crate) ops: Result<Vec<Op>, String>,
}

/// A variable of the function at an address inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) ty: Ty,
    pub(crate) is_parameter: bool,
    /// What leaves its value or its address; or why neither is to be had.
    pub(crate) value: Result<(Vec<Op>, Place), String>,
}

/// Where an expression is evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) arguments: Vec<Argument>,
    /// Variables of the function, innermost first.
    pub(crate) locals: Vec<Local>,
    /// Type of `ret`, at the return of a function whose result is known.
    pub(crate) returns: Option<Ty>,
    /// Why there are no arguments, when that is worth saying.
    pub(crate) why_no_arguments: Option<String>,
    /// Whether the return address is on top of the stack, as at a function's first instruction and at its return.
    pub(crate) has_caller: bool,
    /// At a return that knows its entry: there are `retval` and `elapsed`, and arguments are those of the entry.
    pub(crate) is_paired: bool,
}

/// Registers of the System V ABI for numbers and pointers.
const ARGUMENT_REGISTERS: [Register; 6] = [
    Register::Rdi,
    Register::Rsi,
    Register::Rdx,
    Register::Rcx,
    Register::R8,
    Register::R9,
];

/// Arguments of a function before its first instruction, where the return address is on top of the stack.
pub(crate) fn entry_arguments(facts: &dyn Facts, params: &[Parameter]) -> Vec<Argument> {
    let mut registers = ARGUMENT_REGISTERS.iter();
    let mut stack_slots = (8_u64..).step_by(8);
    let mut lost = None;
    params
        .iter()
        .map(|(name, id)| {
            let ty = Ty::Of(*id);
            // It takes no register of the others; nor a place on the stack, as long as there are few.
            if matches!(ty.bytes_of_float(facts), Some(4 | 8)) {
                return Argument {
                    name: name.clone(),
                    ty,
                    ops: Err("it is a floating-point number".to_owned()),
                };
            }
            if !matches!(
                ty.shape(facts),
                Shape::Int { bytes: 1..=8, .. } | Shape::Pointer(_)
            ) {
                lost.get_or_insert_with(|| {
                    "it, or an argument before it, is passed in pieces".to_owned()
                });
            }
            let ops = match (&lost, registers.next()) {
                (Some(reason), _) => Err(reason.clone()),
                (None, Some(register)) => Ok(vec![Op::Register(*register)]),
                (None, None) => {
                    let offset = stack_slots.next().unwrap_or_default();
                    Ok(vec![
                        Op::Register(Register::Rsp),
                        Op::Const(offset),
                        Op::Add,
                        Op::Load(8),
                    ])
                }
            };
            Argument {
                name: name.clone(),
                ty,
                ops,
            }
        })
        .collect()
}

/// Arguments of a function that nobody knows anything of.
pub(crate) fn numbered_arguments() -> Vec<Argument> {
    let argument = |register| Argument {
        name: None,
        ty: Ty::U64,
        ops: Ok(vec![Op::Register(register)]),
    };
    ARGUMENT_REGISTERS.map(argument).to_vec()
}

/// A parameter in the kernel's types: its name, if told, and its type.
pub(crate) type Parameter = (Option<String>, TypeId);

/// Result and parameters of a function's type.
pub(crate) fn signature(ty: &Type) -> Option<(TypeId, &[Parameter])> {
    match ty {
        Type::Function { returns, params } => Some((*returns, params)),
        _ => None,
    }
}
