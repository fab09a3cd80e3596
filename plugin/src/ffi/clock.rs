//! The guest's TSC, asked of QEMU itself, and the CPU that runs.
//!
//! The plugin interface tells neither: it has no clock, and with several CPUs in one thread its CPU index is that of the
//! CPU which translated the block. QEMU's own functions are looked up by name instead, those that its RDTSC uses: what
//! they give is what the guest would have read. They have kept their names and meaning since QEMU 5.2
//! (`accel/tcg/icount-common.c`, `system/cpus.c`).
//!
//! Under `-icount` a block's instructions are counted when it starts, and QEMU's clock refuses to be read in mid-block
//! because it would be ahead by those not yet executed. Here that number is known, so the refusal is avoided: it looks at
//! the thread's current CPU, which is hidden from it for the time of the call.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// QEMU's `CPUState`, of which only the address matters.
pub(super) type CpuState = *mut c_void;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

thread_local! {
    /// Where this thread's `current_cpu` is; looked up at first use.
    static CURRENT_CPU: Cell<*mut CpuState> = const { Cell::new(std::ptr::null_mut()) };
}

/// QEMU's functions and its CPUs.
#[derive(Debug)]
pub(super) struct GuestClock {
    functions: Functions,
    /// Ticks of an instruction under `-icount`; `None` in wall mode.
    icount_shift: Option<u8>,
    /// By index, as far as they have been started.
    cpus: Box<[AtomicPtr<c_void>]>,
}

#[derive(Clone, Copy, Debug)]
struct Functions {
    /// Adds what the CPU has executed of its time slice to the count of all.
    icount_update: unsafe extern "C" fn(CpuState),
    /// What RDTSC gives.
    elapsed_ticks: unsafe extern "C" fn() -> i64,
    /// The CPU of an index.
    get_cpu: unsafe extern "C" fn(c_int) -> CpuState,
}

/// A name that this QEMU does not make known.
#[derive(Debug, thiserror::Error)]
#[error(
    "this QEMU does not export `{0}`, which guesttrace needs\n\
     hint: use the QEMU of a distribution, or build it with --enable-modules"
)]
pub(super) struct NotExported(&'static str);

/// Address of what QEMU exports under a name.
pub(super) fn exported(name: &'static CStr) -> Result<*mut c_void, NotExported> {
    // SAFETY: rule 7: null stands for everything that is loaded.
    let address = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    if address.is_null() {
        return Err(NotExported(name.to_str().unwrap_or("?")));
    }
    Ok(address)
}

impl Functions {
    fn find() -> Result<Self, NotExported> {
        let icount_update = exported(c"icount_update")?;
        let elapsed_ticks = exported(c"cpus_get_elapsed_ticks")?;
        let get_cpu = exported(c"qemu_get_cpu")?;
        exported(c"current_cpu")?;
        // SAFETY: rule 7: `void icount_update(CPUState *)`.
        let icount_update = unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(CpuState)>(icount_update)
        };
        // SAFETY: rule 7: `int64_t cpus_get_elapsed_ticks(void)`.
        let elapsed_ticks = unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> i64>(elapsed_ticks)
        };
        // SAFETY: rule 7: `CPUState *qemu_get_cpu(int)`.
        let get_cpu = unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> CpuState>(get_cpu)
        };
        Ok(Self {
            icount_update,
            elapsed_ticks,
            get_cpu,
        })
    }
}

impl GuestClock {
    /// Finds QEMU's functions.
    pub(super) fn find(icount_shift: Option<u8>, cpu_count: usize) -> Result<Self, NotExported> {
        Ok(Self {
            functions: Functions::find()?,
            icount_shift,
            cpus: (0..cpu_count).map(|_| AtomicPtr::default()).collect(),
        })
    }

    /// A CPU was started.
    pub(super) fn learn(&self, cpu_index: u32) {
        let (Ok(index), Ok(slot)) = (c_int::try_from(cpu_index), usize::try_from(cpu_index)) else {
            return;
        };
        if let Some(slot) = self.cpus.get(slot) {
            // SAFETY: rule 7.
            let cpu = unsafe { (self.functions.get_cpu)(index) };
            slot.store(cpu, Ordering::Release);
        }
    }

    /// Index of the CPU on whose thread, and for which, a callback runs.
    pub(super) fn executing_cpu(&self) -> Option<usize> {
        // SAFETY: rule 7: the slot is this thread's own.
        let current = unsafe { *current_cpu() };
        let is_current = |cpu: &AtomicPtr<c_void>| cpu.load(Ordering::Relaxed) == current;
        self.cpus
            .iter()
            .position(is_current)
            .filter(|_| !current.is_null())
    }

    /// The guest's TSC at an instruction that is about to execute, as RDTSC would read it in its place; so many
    /// instructions of the block are behind it. Only in an execution callback.
    pub(super) fn tsc(&self, instructions_after: u64) -> u64 {
        let Some(shift) = self.icount_shift else {
            // SAFETY: rule 7.
            return unsafe { (self.functions.elapsed_ticks)() }.cast_unsigned();
        };
        let slot = current_cpu();
        // SAFETY: rule 7: the slot is this thread's own.
        let cpu = unsafe { *slot };
        // SAFETY: rule 7.
        unsafe { (self.functions.icount_update)(cpu) };
        // SAFETY: rule 7: nothing else runs on this thread until it is restored.
        unsafe { *slot = std::ptr::null_mut() };
        // SAFETY: rule 7.
        let ticks = unsafe { (self.functions.elapsed_ticks)() };
        // SAFETY: as it was.
        unsafe { *slot = cpu };
        ticks
            .cast_unsigned()
            .wrapping_sub(instructions_after << shift)
    }
}

/// This thread's `current_cpu`.
pub(super) fn current_cpu() -> *mut CpuState {
    let known = CURRENT_CPU.get();
    if !known.is_null() {
        return known;
    }
    // Known to exist since the start.
    let found = exported(c"current_cpu")
        .unwrap_or(std::ptr::null_mut())
        .cast();
    CURRENT_CPU.set(found);
    found
}
