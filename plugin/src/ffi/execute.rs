//! Execution callbacks: count, synchronise, record.
//!
//! Stamps: in deterministic mode the number of instructions executed, the current one included, so that a stamp at an
//! RDTSC is exactly what that RDTSC reads; in wall mode the host's TSC.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use probe_plan::{GuestView, Register, is_kernel_address};
use qemu_plugin::sys;

use super::guest::Guest;
use super::{Session, guard};
use crate::block::{Block, Ending};
use crate::recorder::Probe;

/// How long the host's TSC is watched against its clock: an error of 1e-5 or less.
const CALIBRATION: Duration = Duration::from_millis(50);

/// An RDTSC and the step to the next block take less, unless the host or an interrupt comes between.
const CLOCK_READ_TICKS_MAX: u64 = 5_000;

/// A block that is counted by a callback because the translating CPU's index was not known.
#[derive(Debug)]
pub(super) struct CountedBlock {
    pub(super) block: &'static Block,
    pub(super) gs_base: Option<u64>,
}

/// Entry of a fault handler.
#[derive(Debug)]
pub(super) struct FaultSite {
    pub(super) return_address_offset: u64,
}

/// Which CPU runs, where QEMU's index does not tell.
///
/// With several CPUs in one thread a callback gets the index of the CPU that translated its block. Register reads are
/// those of the running CPU, so the per-CPU base identifies it; the first block that a CPU translates and runs under a
/// new base teaches its index.
#[derive(Debug)]
pub(super) struct CpuMap {
    shares_thread: bool,
    by_gs_base: RwLock<Vec<(u64, usize)>>,
}

impl CpuMap {
    pub(super) fn new(cpu_count: usize, deterministic: bool) -> Self {
        Self {
            shares_thread: deterministic && cpu_count > 1,
            by_gs_base: RwLock::new(Vec::new()),
        }
    }

    /// Whether QEMU's index of a CPU cannot be relied on.
    pub(super) fn shares_thread(&self) -> bool {
        self.shares_thread
    }

    /// Index of the CPU that translates; `None` until it is known.
    pub(super) fn translating_cpu(&self, gs_base: Option<u64>) -> Option<usize> {
        if !self.shares_thread {
            return Some(0);
        }
        self.find(gs_base?)
    }

    /// Index of the CPU that executes the callback.
    fn executing_cpu(&self, callback_index: u32, guest: &mut Guest) -> Option<usize> {
        if !self.shares_thread {
            return usize::try_from(callback_index).ok();
        }
        let base = current_gs_base(guest);
        // Before any CPU has a per-CPU area, only the first one runs the kernel.
        base.and_then(|base| self.find(base))
            .or_else(|| self.is_empty().then_some(0))
    }

    fn find(&self, gs_base: u64) -> Option<usize> {
        let map = self.by_gs_base.read().ok()?;
        map.iter()
            .find(|(base, _)| *base == gs_base)
            .map(|(_, index)| *index)
    }

    fn is_empty(&self) -> bool {
        self.by_gs_base.read().is_ok_and(|map| map.is_empty())
    }

    fn learn(&self, gs_base: u64, index: u32) {
        if self.find(gs_base).is_none()
            && let (Ok(mut map), Ok(index)) = (self.by_gs_base.write(), usize::try_from(index))
        {
            map.push((gs_base, index));
        }
    }
}

fn current_gs_base(guest: &mut impl GuestView) -> Option<u64> {
    let base = guest
        .register(Register::GsBase)
        .filter(|base| is_kernel_address(*base));
    base.or_else(|| {
        guest
            .register(Register::KernelGsBase)
            .filter(|base| is_kernel_address(*base))
    })
}

impl Session {
    /// Takes instructions that a block did not execute off the count, and forgets the block.
    fn uncount(&self, instructions: u64) {
        let counters = &self.counters;
        counters
            .instructions
            .set(counters.instructions.get().wrapping_sub(instructions));
        counters.block.set(0);
        counters.wants_clock.set(1);
    }

    /// The block that ran last, or runs.
    pub(super) fn last_block(&self) -> Option<&'static Block> {
        let address = usize::try_from(self.counters.block.get()).ok()?;
        let block = std::ptr::with_exposed_provenance::<Block>(address);
        // SAFETY: rule 6: the counter holds 0 or the address of a leaked `Block`.
        unsafe { block.as_ref() }
    }

    /// The stamp at an instruction with so many others behind it in its block.
    fn stamp(&self, instructions_after: u64) -> u64 {
        if self.recorder.recording.is_deterministic() {
            self.counters
                .instructions
                .get()
                .wrapping_sub(instructions_after)
        } else {
            host_tsc()
        }
    }
}

fn host_tsc() -> u64 {
    // SAFETY: every x86-64 host has RDTSC.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Rate of the host's TSC, which in wall mode is the guest's.
pub(super) fn host_tsc_hz() -> u64 {
    let start = Instant::now();
    let first = host_tsc();
    while start.elapsed() < CALIBRATION {
        std::hint::spin_loop();
    }
    let ticks = host_tsc().wrapping_sub(first);
    u64::try_from(u128::from(ticks) * 1_000_000_000 / start.elapsed().as_nanos().max(1))
        .unwrap_or(0)
}

/// The user data as what it was at registration.
fn user<T>(user_data: *mut c_void) -> &'static T {
    // SAFETY: rule 2: a leaked `T`.
    unsafe { &*user_data.cast::<T>() }
}

/// A probed instruction is about to execute.
pub(super) extern "C" fn on_probe(cpu_index: u32, user_data: *mut c_void) {
    guard(|session| {
        if session.recorder.has_ended() {
            return;
        }
        let probe: &Probe = user(user_data);
        let mut guest = Guest::new();
        let stamp = session.stamp(probe.instructions_after);
        match session.cpus.executing_cpu(cpu_index, &mut guest) {
            Some(cpu) => session.recorder.record(cpu, probe, stamp, &mut guest),
            None => session.recorder.note_unknown_cpu(),
        }
    });
}

/// A block starts whose translating CPU was unknown: count it here.
pub(super) extern "C" fn on_counted_block(cpu_index: u32, user_data: *mut c_void) {
    guard(|session| {
        let counted: &CountedBlock = user(user_data);
        let counters = &session.counters;
        counters.instructions.set(
            counters
                .instructions
                .get()
                .wrapping_add(counted.block.instruction_count()),
        );
        counters
            .block
            .set(std::ptr::from_ref(counted.block).expose_provenance() as u64);
        // The same base as at translation means the same CPU, so the index is its own.
        if let Some(base) = counted.gs_base
            && current_gs_base(&mut Guest::new()) == Some(base)
        {
            session.cpus.learn(base, cpu_index);
            session
                .recorder
                .runs(usize::try_from(cpu_index).unwrap_or(0));
        }
    });
}

/// A fault handler starts: the block before it was left at the faulting instruction, which will execute again.
pub(super) extern "C" fn on_fault(cpu_index: u32, user_data: *mut c_void) {
    guard(|session| {
        let site: &FaultSite = user(user_data);
        let mut guest = Guest::new();
        let Some(block) = session.last_block() else {
            return;
        };
        let mut bytes = [0; 8];
        let stack = guest.register(Register::Rsp).unwrap_or(0);
        if guest.read(stack.wrapping_add(site.return_address_offset), &mut bytes)
            && let Some(left) = block.instructions_from(u64::from_le_bytes(bytes))
        {
            session.uncount(left);
        }
        if let Some(cpu) = session.cpus.executing_cpu(cpu_index, &mut guest) {
            session.recorder.runs(cpu);
        }
    });
}

/// A device was accessed by an instruction that is a block of its own.
pub(super) extern "C" fn on_io(
    _cpu_index: u32,
    _info: sys::qemu_plugin_meminfo_t,
    _vaddr: u64,
    user_data: *mut c_void,
) {
    guard(|session| {
        let address = user_data.addr() as u64;
        // The access itself has executed. A block of one instruction that was entered normally has nothing behind it.
        if let Some(left) = session
            .last_block()
            .and_then(|block| block.instructions_from(address))
            && left > 1
        {
            session.uncount(left - 1);
        }
    });
}

/// A block starts behind an RDTSC: edx:eax is what the guest read, the count as it was then.
pub(super) extern "C" fn on_clock_read(cpu_index: u32, user_data: *mut c_void) {
    guard(|session| {
        let here: &Block = user(user_data);
        // An interrupt or another CPU may have come between; then the next RDTSC has to do.
        let directly = session.last_block().is_some_and(|block| {
            block.ending() == Ending::ReadsClock && here.begins_at(block.end())
        });
        if !directly {
            return;
        }
        let mut guest = Guest::new();
        let low = guest.register(Register::Rax);
        let high = guest.register(Register::Rdx);
        let cpu = session.cpus.executing_cpu(cpu_index, &mut guest);
        if let (Some(low), Some(high), Some(cpu)) = (low, high, cpu) {
            let tsc = (high << 32) | (low & 0xffff_ffff);
            session
                .recorder
                .synchronise(cpu, session.counters.instructions.get(), tsc);
            session.counters.wants_clock.set(0);
        }
    });
}

thread_local! {
    /// The host's TSC just before the RDTSC that this CPU executes; 0 when it has been dealt with.
    static AHEAD_OF_CLOCK_READ: Cell<u64> = const { Cell::new(0) };
}

/// An RDTSC is about to execute, in wall mode.
pub(super) extern "C" fn on_wall_clock_ahead(_cpu_index: u32, _user_data: *mut c_void) {
    AHEAD_OF_CLOCK_READ.set(host_tsc());
}

/// A block starts that may be behind an RDTSC, in wall mode.
pub(super) extern "C" fn on_wall_clock_read(_cpu_index: u32, _user_data: *mut c_void) {
    guard(|session| {
        let host = host_tsc();
        let ahead = AHEAD_OF_CLOCK_READ.replace(0);
        // Otherwise the block was reached another way, and edx:eax is something else.
        if ahead == 0 || host.wrapping_sub(ahead) > CLOCK_READ_TICKS_MAX {
            return;
        }
        let mut guest = Guest::new();
        if let (Some(low), Some(high)) =
            (guest.register(Register::Rax), guest.register(Register::Rdx))
        {
            session
                .recorder
                .timing
                .wall
                .synchronise(host, (high << 32) | (low & 0xffff_ffff));
        }
    });
}

/// A CPU is about to halt.
pub(super) extern "C" fn on_halt(cpu_index: u32, _user_data: *mut c_void) {
    guard(|session| {
        if let Some(cpu) = session.cpus.executing_cpu(cpu_index, &mut Guest::new()) {
            session.recorder.halt(cpu, session.stamp(0));
            session.counters.wants_clock.set(1);
        }
    });
}
