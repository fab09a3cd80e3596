//! Tracepoints of a kernel image: what a walk needs, taken from its symbols and types.

use guest_symbols::{Kernel, LinkAddr, Tracepoint, TracepointSite, Type, TypeId, Types};
use probe_plan::Op;

use super::code::Code;
use super::{Parameter, RecoveredSite, Unrecoverable, recover};

/// More parameters than this are damaged types: `TRACE_EVENT` takes 12 at most where BPF programs can attach.
const PARAMETERS_MAX: usize = 24;

/// Size of `struct tracepoint` in 6.12, for kernels without its type.
const TRACEPOINT_BYTES: u64 = 80;

/// An argument of a tracepoint as its handlers take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointArgument {
    /// Its name in the kernel's source; `arg0`, `arg1` ... where the kernel does not tell.
    pub name: String,
    /// Its type.
    pub type_id: TypeId,
}

/// Names and types of a tracepoint's arguments, without `data`; `None` when the kernel's types do not tell.
#[must_use]
pub fn tracepoint_arguments(
    kernel: &Kernel,
    tracepoint: &Tracepoint,
) -> Option<Vec<TracepointArgument>> {
    let types = kernel.types();
    let params = parameters(types, tracepoint.prototype?)?;
    // The prototype proper has no names; the function that calls all handlers has the same parameters, with names.
    let named = types
        .function(&format!("__traceiter_{}", tracepoint.name))
        .and_then(|function| parameters(types, function))
        .filter(|named| named.len() == params.len());
    let arguments = params
        .iter()
        .enumerate()
        .skip(1)
        .map(|(index, (name, type_id))| {
            let better = named
                .and_then(|named| named.get(index))
                .and_then(|(name, _)| name.clone());
            let name = name.clone().or(better).filter(|name| !name.is_empty());
            TracepointArgument {
                name: name.unwrap_or_else(|| format!("arg{}", index - 1)),
                type_id: *type_id,
            }
        });
    Some(arguments.collect())
}

/// Finds out where each argument of a tracepoint is at the nop of `site`.
///
/// # Errors
/// Why nothing is known of the site; a single argument's reason is in the result.
pub fn recover_site(
    kernel: &Kernel,
    tracepoint: &Tracepoint,
    site: &TracepointSite,
) -> Result<RecoveredSite, Unrecoverable> {
    let arguments = tracepoint_arguments(kernel, tracepoint).ok_or(Unrecoverable::NoPrototype)?;
    if arguments.len() > PARAMETERS_MAX {
        return Err(Unrecoverable::TooManyArguments {
            count: arguments.len(),
        });
    }
    let kinds = arguments
        .iter()
        .map(|argument| kind(kernel.types(), argument.type_id));
    let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
    let sites: Vec<_> = tracepoint
        .sites
        .iter()
        .map(|site| (site.code.0, site.target.0))
        .collect();
    recover(
        &Image(kernel),
        &tracepoint.name,
        (site.code.0, site.target.0),
        &sites,
        &kinds,
    )
}

/// One evaluation per argument, without `data`, over the registers at the nop of `site`.
///
/// Does not tell on what condition the tracepoint fires: see [`recover_site`].
///
/// # Errors
/// Why the first argument that is not known is not.
pub fn recover_arguments(
    kernel: &Kernel,
    tracepoint: &Tracepoint,
    site: &TracepointSite,
) -> Result<Vec<Vec<Op>>, Unrecoverable> {
    let arguments = recover_site(kernel, tracepoint, site)?
        .arguments
        .into_iter()
        .enumerate();
    arguments
        .map(|(index, ops)| {
            ops.map_err(|reason| Unrecoverable::Argument {
                index,
                reason: Box::new(reason),
            })
        })
        .collect()
}

/// Parameters of a function type.
fn parameters(types: &Types, function: TypeId) -> Option<&[(Option<String>, TypeId)]> {
    match types.get(function) {
        Type::Function { params, .. } => Some(params),
        Type::Pointer(target) => match types.get(*target) {
            Type::Function { params, .. } => Some(params),
            _ => None,
        },
        _ => None,
    }
}

/// What kind of argument has that type.
fn kind(types: &Types, type_id: TypeId) -> Result<Parameter, Unrecoverable> {
    match types.get(types.resolve_typedefs(type_id)) {
        Type::Pointer(target) => match types.get(types.resolve_typedefs(*target)) {
            Type::Int { bytes: 1, .. } => Ok(Parameter::Text),
            _ => Ok(Parameter::Pointer),
        },
        Type::Array { .. } => Ok(Parameter::Pointer),
        // Up to 8 bytes it travels as a number does.
        Type::Struct(by_value) if by_value.bytes > 8 => Err(Unrecoverable::ByValue {
            bytes: by_value.bytes,
        }),
        _ => Ok(Parameter::Number),
    }
}

/// A kernel's code and symbols.
#[derive(Debug)]
struct Image<'a>(&'a Kernel);

impl Code for Image<'_> {
    fn bytes(&self, addr: u64) -> Option<&[u8]> {
        // At the end of a section there are fewer than the longest instruction has.
        (1..=15)
            .rev()
            .find_map(|len| self.0.read(LinkAddr(addr), len))
    }

    fn symbol_at(&self, addr: u64) -> Option<&str> {
        let (symbol, offset) = self.0.symbols().at(LinkAddr(addr))?;
        (offset == 0).then_some(symbol.name)
    }

    fn address_of(&self, name: &str) -> Option<u64> {
        self.0.symbols().address(name).map(|addr| addr.0)
    }

    fn module_end(&self) -> Option<u64> {
        self.0.module().map(|module| module.end().0)
    }

    fn tracepoint_bytes(&self) -> u64 {
        let types = self.0.types();
        let known = types
            .struct_named("tracepoint")
            .and_then(|found| types.byte_size(found));
        known.unwrap_or(TRACEPOINT_BYTES)
    }
}
