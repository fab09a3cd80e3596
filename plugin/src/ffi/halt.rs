//! Makes the machine stand still before an instruction, for `guesttrace goto`.
//!
//! QEMU stops a machine between two blocks, and the plugin interface has no stop at all. So a callback asks QEMU for the
//! stop, waits until every CPU has been told, and leaves its block before the instruction in the way of QEMU's own
//! helpers when an access faults: the CPU's state is restored from the address in the block at which it was called, with
//! the count of instructions, so that the guest's run is that of a machine that was never stopped.
//!
//! The functions for that are looked up by name, as those of [`super::clock`] are; they have kept their names and meaning
//! since QEMU 9.0 (`accel/tcg/cpu-exec-common.c`, `system/runstate.c`, `system/cpus.c`), but for the one that forgets all
//! blocks (`accel/tcg/tb-maint.c`).

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use probe_plan::{HaltSpec, Status};

use super::clock::{CpuState, NotExported, current_cpu, exported};
use super::execute::on_probe;
use super::{Session, guard};
use crate::recorder::Probe;

/// How often it is looked whether QEMU's main thread has begun to stop the machine.
const POLL: Duration = Duration::from_millis(1);
/// What the traces end with.
const REASON: &str = "goto";

/// Where the machine is to stand still.
#[derive(Debug)]
pub(super) struct Halt {
    spec: HaltSpec,
    functions: Functions,
    /// Whether every instruction of what is translated now is looked at.
    is_closer: AtomicBool,
    is_over: AtomicBool,
}

type Order = unsafe extern "C" fn();
type Question = unsafe extern "C" fn() -> bool;
type Lock = unsafe extern "C" fn(*const c_char, c_int);
type Restore = unsafe extern "C" fn(CpuState, usize) -> bool;
type OfCpu = unsafe extern "C" fn(CpuState);
type Leave = unsafe extern "C" fn(CpuState) -> !;

/// QEMU's functions.
#[derive(Clone, Copy, Debug)]
struct Functions {
    request_stop: Order,
    is_running: Question,
    lock: Lock,
    unlock: Order,
    /// Restores the CPU's state at an address in a block.
    restore: Restore,
    /// Goes on with what CPU and pending requests say, never back.
    leave: Leave,
    forget_blocks: ForgetBlocks,
}

/// Both do so at once where one thread has all CPUs.
#[derive(Clone, Copy, Debug)]
enum ForgetBlocks {
    /// `tb_flush`, to QEMU 10.1.
    OfCpu(OfCpu),
    /// `tb_flush__exclusive_or_serial`, since QEMU 10.2.
    OfAll(Order),
}

/// What a callback does before an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    GoOn,
    /// Everything is translated anew, with a look at each instruction.
    LookCloser,
    Stop,
}

macro_rules! function {
    ($name:literal as $type:ty) => {{
        let address = exported($name)?;
        // SAFETY: rule 7: the type is that of the field.
        unsafe { std::mem::transmute::<*mut c_void, $type>(address) }
    }};
}

impl Functions {
    fn find() -> Result<Self, NotExported> {
        Ok(Self {
            request_stop: function!(c"qemu_system_debug_request" as Order),
            is_running: function!(c"runstate_is_running" as Question),
            lock: function!(c"bql_lock_impl" as Lock),
            unlock: function!(c"bql_unlock" as Order),
            restore: function!(c"cpu_restore_state" as Restore),
            leave: function!(c"cpu_loop_exit" as Leave),
            forget_blocks: ForgetBlocks::find()?,
        })
    }

    /// Comes back when no CPU will execute anything but what it is executing now.
    fn stop_machine(&self) {
        // SAFETY: rule 7.
        unsafe { (self.request_stop)() };
        // SAFETY: rule 7.
        while unsafe { (self.is_running)() } {
            std::thread::sleep(POLL);
        }
        // The main thread has QEMU's lock from there on until it has told every CPU, and waits for them.
        // SAFETY: rule 7; a callback of the plugin does not have it.
        unsafe { (self.lock)(c"guesttrace".as_ptr(), 0) };
        // SAFETY: it was taken above.
        unsafe { (self.unlock)() };
    }
}

impl ForgetBlocks {
    fn find() -> Result<Self, NotExported> {
        let of_cpu = || -> Result<OfCpu, NotExported> { Ok(function!(c"tb_flush" as OfCpu)) };
        match of_cpu() {
            Ok(function) => Ok(Self::OfCpu(function)),
            Err(_) => Ok(Self::OfAll(function!(
                c"tb_flush__exclusive_or_serial" as Order
            ))),
        }
    }
}

impl Halt {
    /// Finds QEMU's functions.
    pub(super) fn find(spec: HaltSpec) -> Result<Self, NotExported> {
        Ok(Self {
            spec,
            functions: Functions::find()?,
            is_closer: AtomicBool::new(spec.closer_from == Some(0)),
            is_over: AtomicBool::new(false),
        })
    }

    /// Whether blocks are to be translated with a look at each instruction.
    pub(super) fn is_closer(&self) -> bool {
        self.is_closer.load(Ordering::Relaxed) && !self.is_over.load(Ordering::Relaxed)
    }

    fn step(&self, tsc: u64) -> Step {
        if self.is_over.load(Ordering::Relaxed) {
            Step::GoOn
        } else if tsc >= self.spec.tsc {
            self.is_over.store(true, Ordering::Relaxed);
            Step::Stop
        } else if self.spec.closer_from.is_some_and(|from| tsc >= from)
            && !self.is_closer.swap(true, Ordering::Relaxed)
        {
            Step::LookCloser
        } else {
            Step::GoOn
        }
    }

    /// Leaves the block that called back from address `code`, before its instruction.
    fn leave(&self, code: usize, step: Step) -> ! {
        // SAFETY: rule 7: the slot is this thread's own.
        let cpu = unsafe { *current_cpu() };
        // SAFETY: rule 8: `code` lies in the block that runs.
        unsafe { (self.functions.restore)(cpu, code) };
        if step == Step::LookCloser {
            match self.functions.forget_blocks {
                // SAFETY: rule 8: with counted instructions one thread has all CPUs, and does not come back to the block.
                ForgetBlocks::OfCpu(forget) => unsafe { forget(cpu) },
                // SAFETY: rule 8, as above.
                ForgetBlocks::OfAll(forget) => unsafe { forget() },
            }
        }
        // SAFETY: rule 8: no frame between here and the block has anything to drop.
        unsafe { (self.functions.leave)(cpu) }
    }
}

/// Decides before an instruction with so many of its block behind it; on the way to a stop all is done but leaving.
fn decide(instructions_after: u64) -> Option<(&'static Halt, Step)> {
    let mut decided = None;
    guard(|session: &'static Session| {
        let Some(halt) = session.halt.as_ref() else {
            return;
        };
        if session.recorder.has_ended() {
            return;
        }
        let tsc = session.clock.tsc(instructions_after);
        let step = halt.step(tsc);
        if step == Step::Stop {
            session.recorder.finish(REASON);
            let cpu = session.clock.executing_cpu().unwrap_or(usize::MAX);
            let cpu = u32::try_from(cpu).unwrap_or(u32::MAX);
            session.recorder.tell(&Status::Halted { cpu, tsc });
            halt.functions.stop_machine();
        }
        if step != Step::GoOn {
            decided = Some((halt, step));
        }
    });
    decided
}

/// A callback of QEMU's that hands on the address in the block at which it was called.
macro_rules! callback_from {
    ($(#[$doc:meta])* $name:ident, $to:ident) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(_cpu_index: u32, _user_data: *mut c_void) {
            std::arch::naked_asm!("mov rdx, [rsp]", "jmp {to}", to = sym $to)
        }
    };
}

callback_from! {
    /// A probed instruction is about to execute, in a recording that ends with a halt.
    on_probe_or_halt, probe_or_halt
}

callback_from! {
    /// Any instruction is about to execute; the user data says how many of its block are behind it.
    on_instruction, instruction
}

extern "C" fn probe_or_halt(cpu_index: u32, user_data: *mut c_void, code: usize) {
    // SAFETY: rule 2: a leaked `Probe`.
    let probe: &'static Probe = unsafe { &*user_data.cast::<Probe>() };
    if let Some((halt, step)) = decide(probe.instructions_after) {
        halt.leave(code, step);
    }
    on_probe(cpu_index, user_data);
}

extern "C" fn instruction(_cpu_index: u32, user_data: *mut c_void, code: usize) {
    if let Some((halt, step)) = decide(user_data.addr() as u64) {
        halt.leave(code, step);
    }
}
