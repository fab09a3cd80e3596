//! Returns of functions: every exit by itself, and paired with their entries.
//!
//! A paired return is an exit at which the task and the stack pointer are those of the entry. That holds also where the
//! function was left by a jump to another one, which returns in its place: so the exits of that one are watched too.
//! Not covered, and told: exits by jumps through registers, and through trampolines that the kernel patches as it runs.

use std::collections::BTreeSet;

use guest_symbols::{Kernel, Symbol};
use probe_plan::{LinkAddr, Op, SAVED_MAX};

use crate::exits::{Exits, TailJump, exits};
use crate::hook::{HookProblem, HookSite, Resolved, entry_scope, function, without_arguments};
use crate::typed::{Argument, Scope, Ty, signature};

/// Functions that may return in the place of another; a chain of more is told.
const FOLLOWED_MAX: usize = 32;
/// `include/linux/static_call.h`: what such a trampoline jumps to is decided as the kernel runs.
const TRAMPOLINE_PREFIX: &str = "__SCT__";

/// A function's returns, for expressions that need its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paired {
    /// The first instruction.
    pub(crate) entry: LinkAddr,
    /// The arguments there; at the returns the i-th is `Op::Saved(i)`.
    pub(crate) arguments: Vec<Argument>,
    /// Exits, also of functions that return in its place.
    pub(crate) leaves: Vec<HookSite>,
    /// What is not covered, in words.
    pub(crate) notes: Vec<String>,
}

/// The ways out of a function.
pub(crate) fn returns(kernel: &Kernel, name: &str) -> Result<Resolved, HookProblem> {
    let symbol = function(kernel, name)?;
    let exits = exits(kernel, symbol).ok_or_else(|| HookProblem::NoCode {
        name: name.to_owned(),
    })?;
    let mut not_covered = exits.not_covered.clone();
    not_covered.extend(exits.conditional_jumps.iter().map(TailJump::conditional));
    let paired = paired(kernel, symbol, &exits);
    if exits.returns.is_empty() && exits.tail_jumps.is_empty() {
        return Err(HookProblem::NoExit {
            name: name.to_owned(),
            not_covered: not_covered.join(", "),
        });
    }
    let why = "arguments are not saved for this expression; only `ret` is known".to_owned();
    let at_return = Scope {
        returns: Some(result_type(kernel, name)),
        why_no_arguments: Some(why),
        has_caller: true,
        ..Scope::default()
    };
    let mut sites: Vec<HookSite> = exits
        .returns
        .iter()
        .map(|addr| site(*addr, at_return.clone()))
        .collect();
    sites.extend(exits.tail_jumps.iter().map(|jump| {
        let target = &jump.name;
        let why = format!("it is left here by a jump to {target}, which computes the result");
        let scope = Scope {
            has_caller: true,
            ..without_arguments(&why)
        };
        site(jump.addr, scope)
    }));
    Ok(Resolved {
        sites,
        notes: not_covered,
        paired: Some(paired),
    })
}

fn site(addr: u64, scope: Scope) -> HookSite {
    HookSite {
        addr: LinkAddr(addr),
        scope,
        fires: None,
    }
}

fn result_type(kernel: &Kernel, name: &str) -> Ty {
    let types = kernel.types();
    let bare = name.split('@').next().unwrap_or(name);
    let returned = types.function(bare).and_then(|id| signature(types.get(id)));
    // Of a program's function more often than not a number that is negative when something failed.
    let signed = kernel.program().is_some();
    returned.map_or(Ty::Int { bytes: 8, signed }, |(ty, _)| Ty::Of(ty))
}

fn paired(kernel: &Kernel, symbol: Symbol<'_>, own: &Exits) -> Paired {
    let mut notes = own.not_covered.clone();
    let mut addrs: BTreeSet<u64> = own.returns.iter().copied().collect();
    let mut seen = BTreeSet::from([symbol.addr.0]);
    let jumps = |exits: &Exits| {
        let both = exits.tail_jumps.iter().chain(&exits.conditional_jumps);
        both.cloned().collect::<Vec<_>>()
    };
    let mut open = jumps(own);
    while let Some(jump) = open.pop() {
        if !seen.insert(jump.target) {
            continue;
        }
        let found = kernel.symbols().at(guest_symbols::LinkAddr(jump.target));
        let is_fixed = !jump.name.starts_with(TRAMPOLINE_PREFIX) && seen.len() <= FOLLOWED_MAX;
        let found = found.filter(|_| is_fixed);
        let Some(exits) = found.and_then(|(symbol, _)| exits(kernel, symbol)) else {
            notes.push(format!("the returns of {} in its place", jump.name));
            continue;
        };
        addrs.extend(&exits.returns);
        let within = exits.not_covered.iter();
        notes.extend(within.map(|note| format!("{note}, of {}", jump.name)));
        open.extend(jumps(&exits));
    }
    let entry = entry_scope(kernel, symbol.name);
    let scope = Scope {
        arguments: saved(&entry.arguments),
        returns: Some(result_type(kernel, symbol.name)),
        why_no_arguments: entry.why_no_arguments,
        has_caller: true,
        is_paired: true,
        ..Scope::default()
    };
    Paired {
        entry: LinkAddr(symbol.addr.0),
        arguments: entry.arguments,
        leaves: addrs
            .into_iter()
            .map(|addr| site(addr, scope.clone()))
            .collect(),
        notes,
    }
}

/// The arguments as they are known at a return.
fn saved(arguments: &[Argument]) -> Vec<Argument> {
    let at_return = |(index, argument): (usize, &Argument)| {
        let step = u8::try_from(index).ok().filter(|_| index < SAVED_MAX);
        let ops = match (&argument.ops, step) {
            (Err(reason), _) => Err(reason.clone()),
            (Ok(_), Some(index)) => Ok(vec![Op::Saved(index)]),
            (Ok(_), None) => Err(format!(
                "only the first {SAVED_MAX} arguments are kept until the return"
            )),
        };
        Argument {
            ops,
            ..argument.clone()
        }
    };
    arguments.iter().enumerate().map(at_return).collect()
}
