//! Where a function is left: every instruction after which it does not go on.
//!
//! Kernels since 5.19 end functions by a jump to `__x86_return_thunk`, which is patched to a plain return where no
//! mitigation is needed; the address stays the same. Rarely taken parts are moved to `FUNCTION.cold`.
//!
//! A jump to another function leaves too, although that one computes the result. What cannot be followed is told: jumps
//! through registers.

use std::collections::BTreeSet;

use guest_symbols::{Kernel, LinkAddr, Symbol};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

/// A function larger than that is a wrong symbol.
const FUNCTION_BYTES_MAX: u64 = 1 << 20;

/// Where a function is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exits {
    /// Returns: the result is in rax.
    pub(crate) returns: Vec<u64>,
    /// Jumps to another function, which computes the result.
    pub(crate) tail_jumps: Vec<TailJump>,
    /// Jumps there that are taken under a condition only.
    pub(crate) conditional_jumps: Vec<TailJump>,
    /// Ways out that are not covered, in words.
    pub(crate) not_covered: Vec<String>,
}

/// A jump to another function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TailJump {
    /// The jump.
    pub(crate) addr: u64,
    /// The other function.
    pub(crate) target: u64,
    /// Its name.
    pub(crate) name: String,
}

/// The ways out of a function; `None` when its code is not in the image.
pub(crate) fn exits(kernel: &Kernel, function: Symbol<'_>) -> Option<Exits> {
    let mut exits = Exits::default();
    let main = part(function)?;
    let mut parts = vec![main];
    let mut seen = BTreeSet::from([main.0]);
    let cold = format!("{}.cold", function.name);
    while let Some((start, end)) = parts.pop() {
        let bytes = kernel.read(LinkAddr(start), usize::try_from(end - start).ok()?)?;
        for instruction in Decoder::with_ip(64, bytes, start, DecoderOptions::NONE) {
            let Some(target) = leave(kernel, &instruction, main, &mut exits) else {
                continue;
            };
            let (symbol, offset) = target;
            // Several functions may have a part of that name: the jump tells which is ours.
            let is_cold = symbol.name == cold
                || symbol
                    .name
                    .strip_prefix(&cold)
                    .is_some_and(|rest| rest.starts_with('.'));
            if is_cold {
                if seen.insert(symbol.addr.0) {
                    parts.extend(part(symbol));
                }
            } else if offset == 0 {
                outside(&instruction, symbol, &mut exits);
            } else if kernel.program().is_some() && seen.insert(symbol.addr.0) {
                // A part without a name, or one that functions share: the stack tells whose returns are there.
                parts.extend(part(symbol));
            }
        }
    }
    exits.returns.sort_unstable();
    exits.tail_jumps.sort_unstable();
    Some(exits)
}

fn part(symbol: Symbol<'_>) -> Option<(u64, u64)> {
    let end = symbol.addr.0.checked_add(symbol.size)?;
    (1..=FUNCTION_BYTES_MAX)
        .contains(&symbol.size)
        .then_some((symbol.addr.0, end))
}

/// Notes a return; gives the function and offset to which a jump leaves `main`.
fn leave<'a>(
    kernel: &'a Kernel,
    instruction: &Instruction,
    main: (u64, u64),
    exits: &mut Exits,
) -> Option<(Symbol<'a>, u64)> {
    match instruction.flow_control() {
        FlowControl::Return => exits.returns.push(instruction.ip()),
        FlowControl::IndirectBranch => {
            exits.not_covered.push(format!(
                "the jump through a register at {:#x}",
                instruction.ip()
            ));
        }
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            let target = instruction.near_branch_target();
            let program = kernel.program();
            if program.is_some_and(|program| program.is_linkage(LinkAddr(target))) {
                exits.not_covered.push(format!(
                    "the jump to a function of another file at {:#x}",
                    instruction.ip()
                ));
            } else if !(main.0..main.1).contains(&target) {
                return kernel.symbols().at(LinkAddr(target));
            }
        }
        _ => {}
    }
    None
}

/// A jump to the start of another function.
fn outside(instruction: &Instruction, target: Symbol<'_>, exits: &mut Exits) {
    let jump = TailJump {
        addr: instruction.ip(),
        target: target.addr.0,
        name: target.name.to_owned(),
    };
    if instruction.flow_control() == FlowControl::ConditionalBranch {
        exits.conditional_jumps.push(jump);
    } else if jump.name.contains("return_thunk") {
        exits.returns.push(jump.addr);
    } else if jump.name.starts_with("__x86_indirect") {
        exits
            .not_covered
            .push(format!("the jump through a register at {:#x}", jump.addr));
    } else {
        exits.tail_jumps.push(jump);
    }
}

impl TailJump {
    /// A conditional one in words.
    pub(crate) fn conditional(&self) -> String {
        format!("the conditional jump to {} at {:#x}", self.name, self.addr)
    }
}
