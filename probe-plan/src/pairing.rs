//! How the return of a function finds its entry: by the task that runs and the stack pointer, which are the same at both.
//!
//! No shadow stack: an entry that never returns is dropped when its task is seen further up the same stack, or ends.

use serde::{Deserialize, Serialize};

use crate::addr::LinkAddr;
use crate::program::{Output, Program, SAVED_MAX};

/// One function whose returns know their entries, for one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// One number, the task that runs.
    pub task: Program,
    /// Where the function begins.
    pub entering: Entering,
    /// Entries kept at most.
    pub entries_max: u32,
    /// Size and alignment of a stack, in bytes: addresses of one stack compare, those of two do not.
    pub stack_bytes: u64,
}

/// The entry of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entering {
    /// The first instruction, before which the program runs.
    pub addr: LinkAddr,
    /// The values to keep: numbers only.
    pub program: Program,
}

/// A place where a task ends, or is forgotten: none of its entries will return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The instruction, before which the program runs.
    pub addr: LinkAddr,
    /// One number, the task as [`Pairing::task`] gives it.
    pub program: Program,
}

impl Pairing {
    /// Most entries that a plan may ask for.
    pub const ENTRIES_MAX: u32 = 1 << 16;

    /// Its programs.
    pub(crate) fn programs(&self) -> [&Program; 2] {
        [&self.task, &self.entering.program]
    }

    /// Whether the programs give what is needed, within bounds.
    pub(crate) fn is_consistent(&self) -> bool {
        are_numbers(&self.task, 1..=1)
            && are_numbers(&self.entering.program, 0..=SAVED_MAX)
            && (1..=Self::ENTRIES_MAX).contains(&self.entries_max)
            && self.stack_bytes.is_power_of_two()
    }
}

impl Expiry {
    /// Whether the program gives one number.
    pub(crate) fn is_consistent(&self) -> bool {
        are_numbers(&self.program, 1..=1)
    }
}

/// Whether a program gives so many numbers and nothing else.
pub(crate) fn are_numbers(program: &Program, count: std::ops::RangeInclusive<usize>) -> bool {
    let is_number = |output| matches!(output, Output::Number);
    count.contains(&program.fields.len())
        && program.fields.iter().all(|field| is_number(field.output))
}
