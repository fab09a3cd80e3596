//! Which instructions lie between a site's branch target and the call of the tracepoint's handlers.
//!
//! A walk follows only those, so it neither gets lost in the function around the site nor mistakes the call of another
//! site for its own: the code that runs when the tracepoint is off is never entered.

use std::collections::{HashMap, HashSet, VecDeque};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use super::code::{Code, Place};

/// Instructions looked at for one site: the way to the call, and what branches off it into the function around the site
/// and into called functions. Raising it finds no more sites on 6.1.
const INSTRUCTIONS_MAX: usize = 600;
/// Instructions looked at behind the call for a loop around it.
const LOOP_INSTRUCTIONS_MAX: usize = 150;
/// How many instructions further than the nearest call another one may lie.
const BEHIND_GOAL_MAX: usize = 64;
/// Longest x86 instruction.
const INSTRUCTION_BYTES_MAX: usize = 15;

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Within the function of the site.
    Function,
    /// Also into called functions, and through the other sites of the tracepoint as if they were on.
    Helpers,
}

/// The instructions from which the call can be reached.
#[derive(Debug)]
pub(super) struct Flow {
    instructions: HashMap<u64, Instruction>,
    live: HashSet<u64>,
    repeats: Option<u64>,
}

/// What an instruction continues with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The call that was looked for; a jump leaves the return address of the caller on the stack.
    Goal,
    Next,
    Jump(u64),
    Branch(u64),
    Call(u64),
    /// A call whose target is not in the instruction.
    CallUnknown,
    End,
}

impl Flow {
    /// Finds the ways from the branch target of `place` to the call.
    pub(super) fn find<C: Code>(code: &C, place: &Place<'_>, reach: Reach) -> Self {
        let mut search = Search {
            code,
            place,
            reach: Reach::Function,
            closed: HashSet::new(),
            budget: INSTRUCTIONS_MAX,
        };
        if reach == Reach::Helpers {
            let after = decode(code, place.code).map(|nop| search.run(nop.next_ip()));
            search.closed = after
                .map(|found| found.instructions.into_keys().collect())
                .unwrap_or_default();
            search.reach = reach;
        }
        let found = search.run(place.target);
        search.budget = LOOP_INSTRUCTIONS_MAX;
        let repeats = found
            .goals
            .iter()
            .copied()
            .find(|goal| match found.instructions.get(goal) {
                Some(call) if call.flow_control() != FlowControl::UnconditionalBranch => {
                    !search.run(call.next_ip()).goals.is_empty()
                }
                _ => false,
            });
        let mut live: HashSet<u64> = HashSet::new();
        let mut pending = found.goals;
        while let Some(addr) = pending.pop() {
            if live.insert(addr) {
                pending.extend(found.predecessors.get(&addr).into_iter().flatten());
            }
        }
        Self {
            instructions: found.instructions,
            live,
            repeats,
        }
    }

    /// The call, when it may be followed by another before the nop runs again.
    pub(super) fn repeats(&self) -> Option<u64> {
        self.repeats
    }

    /// Whether the code at `addr` only reports that something is wrong: what lies behind the trap is not looked at, though
    /// a warning comes back.
    pub(super) fn is_trap(&self, addr: u64) -> bool {
        self.instructions
            .get(&addr)
            .is_some_and(|found| found.flow_control() == FlowControl::Exception)
    }

    /// The instruction at `addr`, when the call can be reached from it.
    pub(super) fn live(&self, addr: u64) -> Option<&Instruction> {
        self.instructions
            .get(&addr)
            .filter(|_| self.live.contains(&addr))
    }
}

/// What a search came across.
#[derive(Debug, Default)]
struct Found {
    instructions: HashMap<u64, Instruction>,
    predecessors: HashMap<u64, Vec<u64>>,
    goals: Vec<u64>,
}

/// How to look for ways.
struct Search<'a, C> {
    code: &'a C,
    place: &'a Place<'a>,
    reach: Reach,
    /// Where not to go: the code that runs when the tracepoint is off.
    closed: HashSet<u64>,
    /// Instructions to look at.
    budget: usize,
}

impl<C: Code> Search<'_, C> {
    /// Looks at instructions by their distance from `start`, never at the site's own nop.
    fn run(&self, start: u64) -> Found {
        let mut found = Found::default();
        let mut pending = VecDeque::from([(start, 0)]);
        let mut distance_max = self.budget;
        while let Some((addr, distance)) = pending.pop_front() {
            if found.instructions.len() >= self.budget || distance > distance_max {
                break;
            }
            if addr == self.place.code
                || self.closed.contains(&addr)
                || found.instructions.contains_key(&addr)
            {
                continue;
            }
            let Some(instruction) = decode(self.code, addr) else {
                continue;
            };
            found.instructions.insert(addr, instruction);
            let exit = exit(self.code, self.place, self.reach, &instruction);
            if exit == Exit::Goal
                || (exit == Exit::CallUnknown && self.place.calls_through_pointer())
            {
                found.goals.push(addr);
                distance_max = distance_max.min(distance + BEHIND_GOAL_MAX);
            }
            for successor in self
                .successors(exit, instruction.next_ip())
                .into_iter()
                .flatten()
            {
                found.predecessors.entry(successor).or_default().push(addr);
                pending.push_back((successor, distance + 1));
            }
        }
        found
    }

    fn successors(&self, exit: Exit, next: u64) -> [Option<u64>; 2] {
        match exit {
            Exit::Next | Exit::CallUnknown => [Some(next), None],
            Exit::Jump(target) => [Some(target), None],
            Exit::Branch(target) => [Some(next), Some(target)],
            Exit::Call(target) => [
                Some(next),
                Some(target).filter(|_| self.reach == Reach::Helpers),
            ],
            Exit::Goal | Exit::End => [None, None],
        }
    }
}

/// What `instruction` continues with.
pub(super) fn exit<C: Code>(
    code: &C,
    place: &Place<'_>,
    reach: Reach,
    instruction: &Instruction,
) -> Exit {
    if let Some(site) = place.other_site(instruction.ip()) {
        // Off, the nop falls through; on, all sites of the tracepoint branch.
        return if reach == Reach::Helpers {
            Exit::Jump(site)
        } else {
            Exit::Next
        };
    }
    let target = (instruction.op_count() == 1 && instruction.op0_kind() == OpKind::NearBranch64)
        .then(|| instruction.near_branch_target());
    let goal = target.is_some_and(|target| place.is_goal(target));
    match (instruction.flow_control(), target) {
        (FlowControl::Call | FlowControl::UnconditionalBranch, _) if goal => Exit::Goal,
        (FlowControl::Next, _) => Exit::Next,
        (FlowControl::UnconditionalBranch, Some(target)) => Exit::Jump(target),
        (FlowControl::ConditionalBranch, Some(target)) => Exit::Branch(target),
        (FlowControl::Call, Some(target)) => match code.symbol_at(target) {
            Some(name) if name.starts_with("__x86_indirect_thunk_") => Exit::CallUnknown,
            // What lies behind it belongs to something else.
            Some("__stack_chk_fail") => Exit::End,
            _ => Exit::Call(target),
        },
        (FlowControl::IndirectCall, _) => Exit::CallUnknown,
        _ => Exit::End,
    }
}

fn decode<C: Code>(code: &C, addr: u64) -> Option<Instruction> {
    let bytes = code.bytes(addr)?;
    let bytes = bytes.get(..INSTRUCTION_BYTES_MAX).unwrap_or(bytes);
    let instruction = Decoder::with_ip(64, bytes, addr, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}
