//! Walks from a site's branch target to the call of the tracepoint's handlers.

use iced_x86::{ConditionCode, Instruction, Register as Iced};

use super::code::{Code, Place};
use super::expr::{Expr, Node, Pool};
use super::flow::{Exit, Flow, Reach, exit};
use super::state::{ARGUMENTS, State};
use super::{Parameter, Unrecoverable};

/// Most instructions on one way. Raising it finds no more sites on 6.1.
const STEPS_MAX: usize = 256;
/// Most ways followed for one site.
const WAYS_MAX: usize = 32;

/// Tests whether a CPU is on, where the compiler did not inline it.
const CPU_ONLINE: &str = "cpu_online";
/// What a tracepoint itself calls before its handlers (`__DO_TRACE`, with `rcuidle` up to 6.7): these write nothing that
/// an argument is read from.
const HARMLESS: [&str; 4] = [
    CPU_ONLINE,
    "__srcu_read_lock",
    "ct_irq_enter_irqson",
    "rcu_irq_enter_irqson",
];
/// Functions that write nothing but the buffer given to them and state of their own: `cgroup_path` and the lock around
/// it (`kernel/cgroup/cgroup-internal.h`, `TRACE_CGROUP_PATH`).
const FILLING: [&str; 2] = ["kernfs_path_from_node", "_raw_spin_lock_irqsave"];

/// What all ways from a site to the call have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// 1 where the call is reached.
    pub(super) fires: Expr,
    /// The arguments behind `data`.
    pub(super) arguments: Vec<Expr>,
    /// Nops of the same tracepoint on the way: they run only when it is on.
    pub(super) nested: Vec<u64>,
}

/// A walk over one site.
#[derive(Debug)]
pub(super) struct Walk<'a, C> {
    code: &'a C,
    place: &'a Place<'a>,
    reach: Reach,
    flow: Flow,
    parameters: &'a [Parameter],
    ways_left: usize,
    pub(super) pool: Pool,
}

impl<'a, C: Code> Walk<'a, C> {
    pub(super) fn new(
        code: &'a C,
        place: &'a Place<'a>,
        reach: Reach,
        parameters: &'a [Parameter],
    ) -> Self {
        let flow = Flow::find(code, place, reach);
        Self {
            code,
            place,
            reach,
            flow,
            parameters,
            ways_left: WAYS_MAX,
            pool: Pool::default(),
        }
    }

    /// Follows every way to the call.
    pub(super) fn run(&mut self) -> Result<Outcome, Unrecoverable> {
        let state = State::at_nop(&mut self.pool, self.place);
        if let Some(call) = self.flow.repeats() {
            return Err(Unrecoverable::Repeats { address: call });
        }
        self.follow(state, self.place.target, STEPS_MAX)?
            .ok_or(Unrecoverable::NoCallReached)
    }

    /// Follows one way from `addr`, and at a branch both; `None` when it does not reach the call.
    fn follow(
        &mut self,
        mut state: State,
        mut addr: u64,
        steps: usize,
    ) -> Result<Option<Outcome>, Unrecoverable> {
        let mut nested = Vec::new();
        for done in 0..steps {
            let Some(instruction) = self.flow.live(addr).copied() else {
                return Ok(None);
            };
            if self.reach == Reach::Helpers && self.place.other_site(addr).is_some() {
                nested.push(addr);
            }
            match exit(self.code, self.place, self.reach, &instruction) {
                Exit::Goal => return Ok(Some(self.arrive(&mut state, &instruction, nested))),
                Exit::Next => {
                    state.step(&mut self.pool, &self.place.image, &instruction);
                    addr = instruction.next_ip();
                }
                Exit::Jump(target) => addr = target,
                Exit::Branch(target) => {
                    let outcome = self.fork(state, &instruction, target, steps - done)?;
                    return Ok(outcome.map(|mut outcome| {
                        outcome.nested.append(&mut nested);
                        outcome
                    }));
                }
                Exit::Call(target) => addr = self.call(&mut state, &instruction, target),
                Exit::CallUnknown => {
                    if self.is_handler(&mut state, &instruction) {
                        return Ok(Some(self.arrive(&mut state, &instruction, nested)));
                    }
                    let why = Unrecoverable::ClobberedBy {
                        call: "a function pointer".into(),
                        address: addr,
                    };
                    state.call(&mut self.pool, &why);
                    addr = instruction.next_ip();
                }
                Exit::End => return Ok(None),
            }
        }
        Err(Unrecoverable::NotStraightLine { steps: STEPS_MAX })
    }

    /// Follows both sides of a branch and merges what they found.
    fn fork(
        &mut self,
        state: State,
        branch: &Instruction,
        target: u64,
        steps: usize,
    ) -> Result<Option<Outcome>, Unrecoverable> {
        let condition = match branch.condition_code() {
            ConditionCode::None => self.pool.unknown(Unrecoverable::FlagsUnknown),
            code => state.condition(&mut self.pool, code),
        };
        let decided = match self.pool.node(condition) {
            Node::Const(value) => Some(value != 0),
            _ => None,
        };
        let next = branch.next_ip();
        let (taken, fallen) = match (
            self.flow.live(target).is_some(),
            self.flow.live(next).is_some(),
            decided,
        ) {
            (_, _, Some(true)) | (true, false, _) => (self.follow(state, target, steps - 1)?, None),
            (_, _, Some(false)) | (false, true, _) => (None, self.follow(state, next, steps - 1)?),
            (false, false, None) => return Ok(None),
            (true, true, None) => {
                if self.ways_left == 0 {
                    return Err(Unrecoverable::TooManyWays { ways: WAYS_MAX });
                }
                self.ways_left -= 1;
                let taken = self.follow(state.clone(), target, steps - 1)?;
                (taken, self.follow(state, next, steps - 1)?)
            }
        };
        let trap = self.flow.is_trap(target) || self.flow.is_trap(next);
        let always = decided.is_some() || trap || self.holds_always(condition);
        Ok(self.merge(condition, always, taken, fallen))
    }

    fn merge(
        &mut self,
        condition: Expr,
        always: bool,
        taken: Option<Outcome>,
        fallen: Option<Outcome>,
    ) -> Option<Outcome> {
        let pool = &mut self.pool;
        match (taken, fallen) {
            (None, None) => None,
            (Some(only), None) | (None, Some(only)) if always => Some(only),
            (Some(mut taken), None) => {
                let never = pool.constant(0);
                taken.fires = pool.select(condition, taken.fires, never);
                Some(taken)
            }
            (None, Some(mut fallen)) => {
                let never = pool.constant(0);
                fallen.fires = pool.select(condition, never, fallen.fires);
                Some(fallen)
            }
            (Some(mut taken), Some(fallen)) => {
                taken.fires = pool.select(condition, taken.fires, fallen.fires);
                for (value, other) in taken.arguments.iter_mut().zip(fallen.arguments) {
                    *value = pool.select(condition, *value, other);
                }
                taken.nested.extend(fallen.nested);
                Some(taken)
            }
        }
    }

    /// Whether a condition only asks what is so whenever the tracepoint is on: a handler exists, the CPU is on.
    fn holds_always(&self, condition: Expr) -> bool {
        self.pool.contains(condition, &|node| match node {
            Node::Image(addr) => self.place.tracepoint().contains(&addr) || self.place.cpu_mask().contains(&addr),
            Node::Unknown(reason) => {
                matches!(self.pool.reason(reason), Unrecoverable::ClobberedBy { call, .. } if call == CPU_ONLINE)
            }
            _ => false,
        })
    }

    /// Enters a called function on the way to the call, or notes what calling another may have changed; gives where to go on.
    fn call(&mut self, state: &mut State, instruction: &Instruction, target: u64) -> u64 {
        if self.reach == Reach::Helpers && self.flow.live(target).is_some() {
            let back = self.pool.image(instruction.next_ip());
            state.push(&mut self.pool, back);
            return target;
        }
        let name = self
            .code
            .symbol_at(target)
            .map_or_else(|| format!("{target:#x}"), str::to_owned);
        // The hook of the function tracer keeps all registers, and is a nop when nobody traces.
        if name != "__fentry__" {
            let (harmless, filling) = (
                HARMLESS.contains(&name.as_str()),
                FILLING.contains(&name.as_str()),
            );
            let why = Unrecoverable::ClobberedBy {
                call: name,
                address: instruction.ip(),
            };
            match (harmless, filling) {
                (true, _) => state.call_harmless(&mut self.pool, &why),
                (_, true) => state.call_filling(&mut self.pool, &why),
                _ => state.call(&mut self.pool, &why),
            }
        }
        instruction.next_ip()
    }

    /// Whether a call through a register or memory goes to `tp->funcs->func`.
    fn is_handler(&mut self, state: &mut State, instruction: &Instruction) -> bool {
        if !self.place.calls_through_pointer() {
            return false;
        }
        let called = match state.operand(&mut self.pool, &self.place.image, instruction, 0) {
            Some(called) if !instruction.is_call_near() => called,
            _ => {
                let thunk = self
                    .code
                    .symbol_at(instruction.near_branch_target())
                    .and_then(thunk_register);
                let Some(register) = thunk else { return false };
                state.get(&mut self.pool, register)
            }
        };
        self.pool.contains(
            called,
            &|node| matches!(node, Node::Image(addr) if self.place.tracepoint().contains(&addr)),
        )
    }

    /// Reads the arguments where the calling convention has them.
    fn arrive(&mut self, state: &mut State, call: &Instruction, nested: Vec<u64>) -> Outcome {
        let at = call.ip();
        let rsp = state.get(&mut self.pool, Iced::RSP);
        // A jump to the handlers leaves our own return address below the arguments.
        let above = if call.is_jmp_short_or_near() { 8 } else { 0 };
        let mut arguments = Vec::new();
        for (index, parameter) in self.parameters.iter().enumerate() {
            let value = if let Some(register) = ARGUMENTS.get(index + 1) {
                state.get(&mut self.pool, *register)
            } else {
                let slot = u64::try_from(index + 1 - ARGUMENTS.len()).unwrap_or(0);
                let addr = self.pool.add_const(rsp, slot * 8 + above);
                state.memory.load(&mut self.pool, addr, 8, at)
            };
            let value = match state
                .memory
                .pointee_written(&self.pool, value, *parameter, at)
            {
                Some(why) => self.pool.unknown(why),
                None => value,
            };
            arguments.push(value);
        }
        Outcome {
            fires: self.pool.constant(1),
            arguments,
            nested,
        }
    }
}

/// The register that a retpoline calls.
fn thunk_register(name: &str) -> Option<Iced> {
    let register = name.strip_prefix("__x86_indirect_thunk_")?;
    THUNKS
        .iter()
        .find(|thunk| thunk.0 == register)
        .map(|thunk| thunk.1)
}

/// The retpolines, by the end of their name.
const THUNKS: [(&str, Iced); 15] = [
    ("rax", Iced::RAX),
    ("rbx", Iced::RBX),
    ("rcx", Iced::RCX),
    ("rdx", Iced::RDX),
    ("rsi", Iced::RSI),
    ("rdi", Iced::RDI),
    ("rbp", Iced::RBP),
    ("r8", Iced::R8),
    ("r9", Iced::R9),
    ("r10", Iced::R10),
    ("r11", Iced::R11),
    ("r12", Iced::R12),
    ("r13", Iced::R13),
    ("r14", Iced::R14),
    ("r15", Iced::R15),
];
