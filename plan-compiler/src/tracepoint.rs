//! Where the arguments of a tracepoint are at its nop.
//!
//! A tracepoint that is off is a nop which the kernel runs every time. Beside it, in code that runs only when the
//! tracepoint is on, the compiler loads the arguments and calls the handlers (`include/linux/tracepoint.h`,
//! `__DO_TRACE`; tested on 6.1 and 6.12). That code is followed on symbolic values, which turns each argument into an
//! evaluation over the registers and the memory at the nop.
//!
//! Assumes that the compiler keeps to the calling convention, and that the walk's own stores reach what
//! `tracepoint/memory.rs` says. What cannot be told is an [`Unrecoverable`], never a guess.
//! Does not cut an argument to the size of its type, nor decide which sites to use.

mod arithmetic;
mod binary;
mod code;
mod condition;
mod expr;
mod flow;
mod image;
mod list;
mod lower;
mod memory;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod walk;

use probe_plan::Op;

use code::{Code, Place};
use flow::Reach;
use walk::Walk;

pub use image::{TracepointArgument, recover_arguments, recover_site, tracepoint_arguments};
pub use list::{TracepointReport, list_tracepoints};

/// Why an argument, or all of them, cannot be told at the nop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unrecoverable {
    /// The types of the arguments are needed.
    #[error("the kernel's types do not tell its arguments")]
    NoPrototype,
    /// Nothing in reach calls the tracepoint's handlers.
    #[error("no call of its handlers is reached from the site")]
    NoCallReached,
    /// A loop around the call.
    #[error(
        "it may fire several times at one run of the nop (the call at {address:#x} is in a loop)"
    )]
    Repeats {
        /// The call.
        address: u64,
    },
    /// A loop, or a very long way.
    #[error("the code before the call runs for more than {steps} instructions")]
    NotStraightLine {
        /// Instructions followed.
        steps: usize,
    },
    /// Too many branches.
    #[error("the code before the call branches more than {ways} times")]
    TooManyWays {
        /// Branches followed.
        ways: usize,
    },
    /// A called function computes it, or may change it.
    #[error("it depends on the call of {call} at {address:#x}")]
    ClobberedBy {
        /// The called function.
        call: String,
        /// The call.
        address: u64,
    },
    /// An instruction that is not followed computes it.
    #[error("it depends on the instruction \"{text}\" at {address:#x}, which is not followed")]
    UnknownInstruction {
        /// The instruction.
        address: u64,
        /// The instruction, disassembled.
        text: String,
    },
    /// The code before the call may have written the memory it is loaded from, or what it points to.
    #[error("it depends on memory at {address:#x} that is written on the way there")]
    Overwritten {
        /// The instruction that needs it.
        address: u64,
    },
    /// It points into stack that only an enabled tracepoint has.
    #[error("it points to a buffer that is filled only when the tracepoint is on")]
    PathStack {
        /// The call.
        address: u64,
    },
    /// It depends on flags in a way that is not followed.
    #[error("it depends on processor flags that are not followed")]
    FlagsUnknown,
    /// Too long or too deep for a fetch program.
    #[error("it takes too many steps to compute")]
    TooComplex,
    /// A structure passed by value, which takes several registers or stack slots.
    #[error("a structure of {bytes} bytes is passed by value")]
    ByValue {
        /// Its size.
        bytes: u64,
    },
    /// More than any tracepoint has.
    #[error("{count} arguments are more than a tracepoint can have")]
    TooManyArguments {
        /// Arguments of the prototype.
        count: usize,
    },
    /// One of the arguments.
    #[error("argument {index}: {reason}")]
    Argument {
        /// Counted from 0, without `data`.
        index: usize,
        /// What is wrong with it.
        reason: Box<Self>,
    },
    /// The kernel calls the handlers only on a condition.
    #[error("whether it fires cannot be told: {reason}")]
    Condition {
        /// What is wrong with the condition.
        reason: Box<Self>,
    },
}

/// What kind of argument a tracepoint takes, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    Number,
    /// Names an object.
    Pointer,
    /// Points to characters, of which the contents count.
    Text,
}

/// What is known of a site at its nop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredSite {
    /// The arguments without `data`, in order.
    pub arguments: Vec<Result<Vec<Op>, Unrecoverable>>,
    /// Not zero when the tracepoint would fire; `None` when it does whenever the nop runs.
    pub condition: Option<Vec<Op>>,
    /// Other sites of the tracepoint, as linked, that run only behind this one when the tracepoint is on.
    pub nested: Vec<u64>,
}

/// Follows one site, given as (nop, branch target), of the tracepoint of that name.
fn recover<C: Code>(
    code: &C,
    name: &str,
    site: (u64, u64),
    sites: &[(u64, u64)],
    parameters: &[Parameter],
) -> Result<RecoveredSite, Unrecoverable> {
    let place = Place::new(code, name, site, sites);
    let mut walk = Walk::new(code, &place, Reach::Function, parameters);
    let mut outcome = walk.run();
    if outcome == Err(Unrecoverable::NoCallReached) {
        walk = Walk::new(code, &place, Reach::Helpers, parameters);
        outcome = walk.run();
    }
    let outcome = outcome?;
    let fires = lower::lower(&walk.pool, outcome.fires);
    let fires = fires.map_err(|reason| Unrecoverable::Condition {
        reason: Box::new(reason),
    })?;
    let arguments = outcome
        .arguments
        .iter()
        .map(|argument| lower::lower(&walk.pool, *argument))
        .collect();
    let mut nested = outcome.nested;
    nested.sort_unstable();
    nested.dedup();
    Ok(RecoveredSite {
        arguments,
        condition: Some(fires).filter(|ops| *ops != [Op::Const(1)]),
        nested,
    })
}
