//! Execution callbacks: record, and compare what RDTSC gives with what was predicted.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use probe_plan::{GuestView, Register};

use super::guard;
use super::guest::Guest;
use crate::recorder::Probe;

/// How long the host's TSC is watched against its clock: an error of 1e-5 or less.
const CALIBRATION: Duration = Duration::from_millis(50);

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
pub(super) extern "C" fn on_probe(_cpu_index: u32, user_data: *mut c_void) {
    guard(|session| {
        if session.recorder.has_ended() {
            return;
        }
        let probe: &Probe = user(user_data);
        let clock = || session.clock.tsc(probe.instructions_after);
        match session.clock.executing_cpu() {
            Some(cpu) => {
                session
                    .recorder
                    .record(cpu, probe, clock, &mut Guest::new());
            }
            None => session.recorder.note_unknown_cpu(),
        }
        WANTS_AUDIT.store(true, Ordering::Relaxed);
    });
}

/// A module comes or goes.
pub(super) extern "C" fn on_module_change(_cpu_index: u32, user_data: *mut c_void) {
    guard(|session| {
        if !session.recorder.has_ended() {
            let tsc = session.clock.tsc(0);
            let hook = user_data.addr();
            session.recorder.change_module(hook, tsc, &mut Guest::new());
        }
    });
}

/// Whether the guest's next RDTSC is compared with its prediction: the first one after each event.
static WANTS_AUDIT: AtomicBool = AtomicBool::new(true);

/// What an RDTSC should give.
#[derive(Clone, Copy)]
struct Prediction {
    tsc: u64,
    /// Address behind the RDTSC.
    next: u64,
    cpu: Option<usize>,
}

thread_local! {
    /// For the RDTSC that this thread executed last; used once.
    static PREDICTED: Cell<Option<Prediction>> = const { Cell::new(None) };
}

/// An RDTSC is about to execute; the user data is the address behind it.
pub(super) extern "C" fn on_clock_read_ahead(_cpu_index: u32, user_data: *mut c_void) {
    guard(|session| {
        if WANTS_AUDIT.load(Ordering::Relaxed) || session.recorder.recording.audit_clock {
            let next = user_data.addr() as u64;
            PREDICTED.set(Some(Prediction {
                tsc: session.clock.tsc(0),
                next,
                cpu: session.clock.executing_cpu(),
            }));
        }
    });
}

/// The instruction behind an RDTSC is about to execute, its address is the user data: edx:eax is what the guest read,
/// unless it came here another way.
pub(super) extern "C" fn on_clock_read(_cpu_index: u32, user_data: *mut c_void) {
    // Looked at before anything else: a guest that waits in a loop comes here a million times.
    let Some(predicted) = PREDICTED.get() else {
        return;
    };
    guard(|session| {
        // An interrupt or another CPU of this thread may have come between.
        let here = user_data.addr() as u64;
        if predicted.next != here || predicted.cpu != session.clock.executing_cpu() {
            return;
        }
        PREDICTED.set(None);
        let mut guest = Guest::new();
        if let (Some(low), Some(high)) =
            (guest.register(Register::Rax), guest.register(Register::Rdx))
        {
            let tsc = (high << 32) | (low & 0xffff_ffff);
            session.recorder.audit.compare(predicted.tsc, tsc);
            WANTS_AUDIT.store(false, Ordering::Relaxed);
        }
    });
}
