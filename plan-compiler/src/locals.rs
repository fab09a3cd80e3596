//! Variables of a function at an address, as DWARF has them, for expressions to use.

use guest_symbols::{
    Kernel, LinkAddr, LocalVariable, PlaceStep, SymbolError, TypeName, VariablePlace,
};
use probe_plan::{Op, Register};

use crate::facts::{Facts, Tag};
use crate::typed::{Local, Place, Shape, Ty};

/// Registers by the number that the ABI gives them in DWARF (System V ABI, AMD64 supplement, figure 3.36).
const REGISTERS: [Register; 16] = [
    Register::Rax,
    Register::Rdx,
    Register::Rcx,
    Register::Rbx,
    Register::Rsi,
    Register::Rdi,
    Register::Rbp,
    Register::Rsp,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// Variables in scope at an address, innermost first.
pub(crate) fn locals(kernel: &Kernel, addr: LinkAddr) -> Result<Vec<Local>, SymbolError> {
    let mut found = kernel.variables_at(addr)?;
    found.reverse();
    Ok(found
        .into_iter()
        .map(|variable| local(kernel, variable))
        .collect())
}

fn local(facts: &dyn Facts, variable: LocalVariable) -> Local {
    let named = ty(facts, &variable.type_name);
    let place = variable.place.map_err(|reason| reason.to_string());
    let value = place.and_then(|place| {
        let (steps, place) = match place {
            VariablePlace::Value(steps) => (steps, Place::Stack),
            VariablePlace::Memory(steps) => (steps, Place::Memory),
        };
        let ops = ops(&steps).ok_or("its place is computed in a way that is not followed")?;
        if place == Place::Stack && matches!(named.shape(facts), Shape::Struct(_)) {
            return Err("the compiler keeps it in a register".to_owned());
        }
        Ok((ops, place))
    });
    Local {
        // An array in memory is used by its address, like everywhere in C.
        value: match (&variable.type_name, value) {
            (TypeName::Array(_), Ok((ops, Place::Memory))) => Ok((ops, Place::Stack)),
            (_, value) => value,
        },
        name: variable.name,
        ty: named,
        is_parameter: variable.is_parameter && !variable.is_inlined,
    }
}

/// The kernel's type of that name; a number of 64 bits where it has none.
fn ty(facts: &dyn Facts, name: &TypeName) -> Ty {
    let find = |tag, name: &str| facts.named(tag, name).map_or(Ty::U64, Ty::Of);
    match name {
        TypeName::Void => Ty::Void,
        TypeName::Int { bytes, signed } => Ty::Int {
            bytes: *bytes,
            signed: *signed,
        },
        TypeName::Struct(name) => find(Tag::Struct, name),
        TypeName::Union(name) => find(Tag::Union, name),
        TypeName::Enum(name) => find(Tag::Enum, name),
        TypeName::Typedef(name) => find(Tag::Typedef, name),
        TypeName::Pointer(target) => match target.as_ref() {
            TypeName::Nameless => Ty::Void.pointer_to(),
            target => ty(facts, target).pointer_to(),
        },
        TypeName::Array(element) => ty(facts, element).pointer_to(),
        TypeName::Nameless => Ty::U64,
    }
}

fn ops(steps: &[PlaceStep]) -> Option<Vec<Op>> {
    steps
        .iter()
        .map(|step| {
            Some(match *step {
                PlaceStep::Register(number) => Op::Register(*REGISTERS.get(usize::from(number))?),
                PlaceStep::Const(value) => Op::Const(value),
                PlaceStep::Address(addr) => Op::LinkAddr(addr),
                PlaceStep::Load(bytes @ (1 | 2 | 4 | 8)) => Op::Load(bytes),
                PlaceStep::Load(_) => return None,
                PlaceStep::Add => Op::Add,
                PlaceStep::Sub => Op::Sub,
                PlaceStep::Mul => Op::Mul,
                PlaceStep::And => Op::And,
                PlaceStep::Or => Op::Or,
                PlaceStep::Xor => Op::Xor,
                PlaceStep::Shl => Op::Shl,
                PlaceStep::Shr => Op::Shr,
                PlaceStep::Sar => Op::Sar,
                PlaceStep::Neg => Op::Neg,
                PlaceStep::Not => Op::Not,
            })
        })
        .collect()
}
