//! Plugin API 4 (QEMU 9.2 to 10.1), by the bindings of the crate `qemu-plugin`.

use std::ffi::c_void;

pub(super) use qemu_plugin::sys::{
    GArray, GByteArray, qemu_plugin_get_registers, qemu_plugin_insn, qemu_plugin_insn_data,
    qemu_plugin_insn_haddr, qemu_plugin_insn_size, qemu_plugin_read_memory_vaddr,
    qemu_plugin_reg_descriptor, qemu_plugin_register, qemu_plugin_register_vcpu_insn_exec_cb,
    qemu_plugin_tb, qemu_plugin_tb_get_insn, qemu_plugin_tb_n_insns, qemu_plugin_tb_vaddr,
};
use qemu_plugin::{Args, HasCallbacks, Info, PluginId, Register, register, sys};

use super::install::{self, Emulator};
use super::translate;

/// An execution callback may read registers.
pub(super) const R_REGS: sys::qemu_plugin_cb_flags =
    sys::qemu_plugin_cb_flags::QEMU_PLUGIN_CB_R_REGS;

/// What the wrapper installs.
#[derive(Debug)]
struct Plugin;

register!(Plugin);

impl HasCallbacks for Plugin {}

impl Register for Plugin {
    // Instead of the wrapper's handlers, which take a global lock and expect success.
    fn register_default(
        &mut self,
        id: PluginId,
        args: &Args,
        info: &Info,
    ) -> qemu_plugin::Result<()> {
        install::load(&Emulator {
            target: info.target_name.clone(),
            cpus_max: info.system.as_ref().map(|system| system.max_vcpus),
            arguments: args.raw.clone(),
        });
        register_callbacks(id);
        Ok(())
    }
}

fn register_callbacks(id: PluginId) {
    // SAFETY: rule 6; the callbacks have the signatures that QEMU expects.
    unsafe { sys::qemu_plugin_register_vcpu_init_cb(id, Some(on_cpu_start)) };
    // SAFETY: as above.
    unsafe { sys::qemu_plugin_register_vcpu_tb_trans_cb(id, Some(on_translate)) };
    // SAFETY: as above.
    unsafe { sys::qemu_plugin_register_atexit_cb(id, Some(on_exit), std::ptr::null_mut()) };
}

extern "C" fn on_cpu_start(_id: PluginId, cpu_index: u32) {
    install::cpu_started(cpu_index);
}

extern "C" fn on_translate(_id: PluginId, tb: *mut qemu_plugin_tb) {
    translate::translated(tb);
}

extern "C" fn on_exit(_id: PluginId, _user_data: *mut c_void) {
    install::ended();
}

/// Appends a register's bytes to the array; false when it cannot be read.
///
/// # Safety
/// Rules 4 and 5.
pub(super) unsafe fn read_register(
    handle: *mut qemu_plugin_register,
    bytes: *mut GByteArray,
) -> bool {
    // SAFETY: the caller's.
    unsafe { sys::qemu_plugin_read_register(handle, bytes) > 0 }
}
