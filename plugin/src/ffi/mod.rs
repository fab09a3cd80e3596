//! Everything that touches QEMU's C interface (plugin API 4, QEMU 9.2 to 10.x).
//!
//! Rules of QEMU's contract that the `SAFETY` notes cite:
//! 1. Handles of blocks and instructions are valid only inside the translation callback that got them.
//! 2. User data given at a registration comes back unchanged in the callback; all of ours is leaked, so always valid.
//! 3. Execution callbacks run on the thread of the CPU that executes; without `-icount` several run at once.
//! 4. Registers may be read in a callback registered with `R_REGS` and in translation callbacks, on that CPU's thread;
//!    a handle from `qemu_plugin_get_registers` is good for the life of the process.
//! 5. Reads of registers and memory append to or resize a glib byte array that the caller owns.
//! 6. `qemu_plugin_install` runs once, before any callback.
//! 7. What [`clock`] looks up by name has the type that QEMU's source says, and lives until the process ends.
//!
//! Nothing may unwind into QEMU: every callback body goes through [`guard`].
#![allow(unsafe_code, reason = "this module is the boundary to C")]

mod clock;
mod execute;
mod guest;
mod install;
mod translate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use qemu_plugin::sys;

use clock::GuestClock;
use translate::Translation;

use crate::recorder::Recorder;

/// Everything that callbacks need.
#[derive(Debug)]
struct Session {
    recorder: Recorder,
    translation: std::sync::Mutex<Translation>,
    clock: GuestClock,
}

static SESSION: OnceLock<Session> = OnceLock::new();

/// Runs the body of a callback; a panic in it ends the recording, not the guest.
fn guard(body: impl FnOnce(&'static Session)) {
    let Some(session) = SESSION.get() else { return };
    if catch_unwind(AssertUnwindSafe(|| body(session))).is_err() {
        session.recorder.note_panic();
    }
}

const R_REGS: sys::qemu_plugin_cb_flags = sys::qemu_plugin_cb_flags::QEMU_PLUGIN_CB_R_REGS;
