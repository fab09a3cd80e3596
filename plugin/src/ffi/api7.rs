//! Plugin API 7 (QEMU 11.1), declared here: no crate has it.
//!
//! Beside API 4, every callback gets its user data and none the plugin's id, a register's read tells only whether it
//! worked, a register's description has one field more, and QEMU reports interrupts and exceptions.
#![allow(
    non_camel_case_types,
    non_upper_case_globals,
    reason = "the names are QEMU's"
)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use probe_plan::RuntimeAddr;

use super::install::{self, Emulator};
use super::{guard, translate};

/// QEMU loads only what was made for an API that it has.
#[unsafe(no_mangle)]
static qemu_plugin_version: c_int = 7;

/// An execution callback may read registers: `QEMU_PLUGIN_CB_R_REGS`.
pub(super) const R_REGS: c_uint = 1;

/// `QEMU_PLUGIN_DISCON_INTERRUPT` and `QEMU_PLUGIN_DISCON_EXCEPTION`.
const DELIVERIES: c_int = 1 | 2;

/// Number that QEMU gives to a loaded plugin.
type PluginId = u64;

/// A block under translation, which only QEMU looks into.
#[repr(C)]
pub(super) struct qemu_plugin_tb([u8; 0]);

/// An instruction of it.
#[repr(C)]
pub(super) struct qemu_plugin_insn([u8; 0]);

/// A register.
#[repr(C)]
pub(super) struct qemu_plugin_register([u8; 0]);

/// An array of glib's.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct GArray {
    pub(super) data: *mut c_char,
    pub(super) len: c_uint,
}

/// An array of bytes of glib's.
#[repr(C)]
pub(super) struct GByteArray {
    pub(super) data: *mut u8,
    pub(super) len: c_uint,
}

/// What QEMU says of a register.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct qemu_plugin_reg_descriptor {
    pub(super) handle: *mut qemu_plugin_register,
    pub(super) name: *const c_char,
    feature: *const c_char,
    is_readonly: bool,
}

/// What QEMU says of itself when it loads a plugin.
#[repr(C)]
struct qemu_info_t {
    target_name: *const c_char,
    api_min: c_int,
    api: c_int,
    system_emulation: bool,
    /// Only of a whole system, as are the CPUs that it may have.
    cpus: c_int,
    cpus_max: c_int,
}

type OnCpu = extern "C" fn(c_uint, *mut c_void);
type OnBlock = extern "C" fn(*mut qemu_plugin_tb, *mut c_void);
type OnDelivery = extern "C" fn(c_uint, c_int, u64, u64, *mut c_void);
type OnExit = extern "C" fn(*mut c_void);
type OnInstruction = unsafe extern "C" fn(c_uint, *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_init_cb(id: PluginId, callback: OnCpu, user_data: *mut c_void);
    fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: PluginId,
        callback: OnBlock,
        user_data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_discon_cb(
        id: PluginId,
        kinds: c_int,
        callback: OnDelivery,
        user_data: *mut c_void,
    );
    fn qemu_plugin_register_atexit_cb(id: PluginId, callback: OnExit, user_data: *mut c_void);
    pub(super) fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut qemu_plugin_insn,
        callback: Option<OnInstruction>,
        flags: c_uint,
        user_data: *mut c_void,
    );
    pub(super) fn qemu_plugin_tb_n_insns(block: *const qemu_plugin_tb) -> usize;
    pub(super) fn qemu_plugin_tb_vaddr(block: *const qemu_plugin_tb) -> u64;
    pub(super) fn qemu_plugin_tb_get_insn(
        block: *const qemu_plugin_tb,
        index: usize,
    ) -> *mut qemu_plugin_insn;
    pub(super) fn qemu_plugin_insn_data(
        instruction: *const qemu_plugin_insn,
        bytes: *mut c_void,
        length: usize,
    ) -> usize;
    pub(super) fn qemu_plugin_insn_size(instruction: *const qemu_plugin_insn) -> usize;
    pub(super) fn qemu_plugin_insn_haddr(instruction: *const qemu_plugin_insn) -> *mut c_void;
    pub(super) fn qemu_plugin_get_registers() -> *mut GArray;
    fn qemu_plugin_read_register(handle: *mut qemu_plugin_register, bytes: *mut GByteArray)
    -> bool;
    pub(super) fn qemu_plugin_read_memory_vaddr(
        addr: u64,
        bytes: *mut GByteArray,
        length: usize,
    ) -> bool;
}

/// QEMU's call when it has loaded the plugin.
///
/// # Safety
/// Only QEMU calls this: `info` and the arguments are what it promises.
#[unsafe(no_mangle)]
unsafe extern "C" fn qemu_plugin_install(
    id: PluginId,
    info: *const qemu_info_t,
    argument_count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    // SAFETY: rule 6.
    let info = unsafe { &*info };
    install::load(&Emulator {
        target: text(info.target_name),
        cpus_max: info.system_emulation.then_some(info.cpus_max.into()),
        arguments: (0..usize::try_from(argument_count).unwrap_or(0))
            .map(|index| {
                // SAFETY: rule 6: there are that many.
                let argument = unsafe { arguments.add(index) };
                // SAFETY: as above.
                text(unsafe { *argument })
            })
            .collect(),
    });
    register_callbacks(id);
    0
}

/// A string that QEMU hands over while it loads the plugin.
fn text(string: *const c_char) -> String {
    // SAFETY: rule 6.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}

fn register_callbacks(id: PluginId) {
    // SAFETY: rule 6; the callbacks have the signatures that QEMU expects.
    unsafe { qemu_plugin_register_vcpu_init_cb(id, on_cpu_start, null_mut()) };
    // SAFETY: as above.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, null_mut()) };
    // SAFETY: as above.
    unsafe {
        qemu_plugin_register_vcpu_discon_cb(id, DELIVERIES, on_delivery, null_mut());
    }
    // SAFETY: as above.
    unsafe { qemu_plugin_register_atexit_cb(id, on_exit, null_mut()) };
}

extern "C" fn on_cpu_start(cpu_index: c_uint, _user_data: *mut c_void) {
    install::cpu_started(cpu_index);
}

extern "C" fn on_translate(block: *mut qemu_plugin_tb, _user_data: *mut c_void) {
    translate::translated(block);
}

/// QEMU 11.1 calls this for an exception twice, of which only the second is a delivery: when it is raised, the CPU being
/// where it was, and when it is delivered to its handler, which it takes for an interrupt.
extern "C" fn on_delivery(_cpu: c_uint, _kind: c_int, from: u64, to: u64, _data: *mut c_void) {
    if to != from {
        guard(|session| session.recorder.note_delivery(RuntimeAddr(to)));
    }
}

extern "C" fn on_exit(_user_data: *mut c_void) {
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
    unsafe { qemu_plugin_read_register(handle, bytes) }
}
