//! Everything that touches QEMU's C interface. What differs between its versions is in one file for each, `api`.
//!
//! Rules of QEMU's contract that the `SAFETY` notes cite:
//! 1. Handles of blocks and instructions are valid only inside the translation callback that got them.
//! 2. User data given at a registration comes back unchanged in the callback; all of ours is leaked, so always valid.
//! 3. Execution callbacks run on the thread of the CPU that executes; without `-icount` several run at once.
//! 4. Registers may be read in a callback registered with `R_REGS` and in translation callbacks, on that CPU's thread;
//!    a handle from `qemu_plugin_get_registers` is good for the life of the process.
//! 5. Reads of registers and memory append to or resize a glib byte array that the caller owns.
//! 6. `qemu_plugin_install` runs once, before any callback; what QEMU hands over there is whole while it runs.
//! 7. What [`clock`] and [`halt`] look up by name has the type that QEMU's source says, and lives until the process ends.
//! 8. A callback may leave its block for good, as QEMU's helpers do, once the CPU's state is restored at the address that
//!    it returns to; that goes by `siglongjmp`, so no frame that is left may have anything to drop.
//!
//! Nothing may unwind into QEMU: every callback body goes through [`guard`].
#![allow(unsafe_code, reason = "this module is the boundary to C")]

#[cfg(feature = "api4")]
#[path = "api4.rs"]
mod api;
#[cfg(not(feature = "api4"))]
#[path = "api7.rs"]
mod api;
mod clock;
mod execute;
mod guest;
mod halt;
mod install;
mod translate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use clock::GuestClock;
use halt::Halt;
use translate::Translation;

use crate::recorder::Recorder;

/// Everything that callbacks need.
#[derive(Debug)]
struct Session {
    recorder: Recorder,
    translation: std::sync::Mutex<Translation>,
    clock: GuestClock,
    halt: Option<Halt>,
}

static SESSION: OnceLock<Session> = OnceLock::new();

/// Runs the body of a callback; a panic in it ends the recording, not the guest.
fn guard(body: impl FnOnce(&'static Session)) {
    let Some(session) = SESSION.get() else { return };
    if catch_unwind(AssertUnwindSafe(|| body(session))).is_err() {
        session.recorder.note_panic();
    }
}
