//! The guest behind the [`GuestView`] trait: registers and memory of the CPU on whose thread a callback runs.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::OnceLock;

use probe_plan::{GuestView, Register};

use super::api::{
    GArray, GByteArray, qemu_plugin_get_registers, qemu_plugin_read_memory_vaddr,
    qemu_plugin_reg_descriptor, qemu_plugin_register, read_register,
};

unsafe extern "C" {
    fn g_byte_array_new() -> *mut GByteArray;
    fn g_byte_array_set_size(array: *mut GByteArray, length: u32) -> *mut GByteArray;
    fn g_array_free(array: *mut GArray, free_segment: i32) -> *mut u8;
}

/// Register handles by [`Register`]; the same for every CPU.
static HANDLES: OnceLock<[Handle; Register::ALL.len()]> = OnceLock::new();

thread_local! {
    /// One scratch array per thread: CPUs that run in parallel must not share one.
    static SCRATCH: Cell<*mut GByteArray> = const { Cell::new(std::ptr::null_mut()) };
}

#[derive(Clone, Copy, Debug)]
struct Handle(*mut qemu_plugin_register);

// SAFETY: rule 4: a handle is an opaque number that is only handed back to QEMU.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// Asks QEMU for its registers; in a CPU's start-up callback.
pub(super) fn learn_registers() {
    HANDLES.get_or_init(|| {
        let mut handles = [Handle(std::ptr::null_mut()); Register::ALL.len()];
        // SAFETY: rule 4: on the CPU's thread.
        let array = unsafe { qemu_plugin_get_registers() };
        if array.is_null() {
            return handles;
        }
        // SAFETY: rule 5: QEMU returns a whole GArray that we own.
        let fields = unsafe { *array };
        let first = fields.data.cast::<qemu_plugin_reg_descriptor>();
        for index in 0..fields.len as usize {
            // SAFETY: the array holds `len` descriptors.
            let descriptor = unsafe { first.add(index) };
            // SAFETY: as above; glib's arrays of bytes promise no alignment.
            let descriptor = unsafe { descriptor.read_unaligned() };
            // SAFETY: QEMU's names are interned C strings.
            let name = unsafe { CStr::from_ptr(descriptor.name) };
            if let Some(slot) = Register::ALL
                .iter()
                .position(|register| register.name().as_bytes() == name.to_bytes())
            {
                handles[slot] = Handle(descriptor.handle);
            }
        }
        // SAFETY: rule 5: the array is ours to free.
        unsafe { g_array_free(array, 1) };
        handles
    });
}

/// The guest as seen from inside a callback.
#[derive(Debug)]
pub(super) struct Guest {
    scratch: *mut GByteArray,
}

impl Guest {
    /// Only inside a callback that may read registers (rule 4).
    pub(super) fn new() -> Self {
        let mut scratch = SCRATCH.get();
        if scratch.is_null() {
            // SAFETY: glib's allocator has no preconditions.
            scratch = unsafe { g_byte_array_new() };
            SCRATCH.set(scratch);
        }
        Self { scratch }
    }

    /// What the last read left in the scratch array.
    fn scratch_bytes(&self) -> &[u8] {
        // SAFETY: rule 5: the array is this thread's own and whole.
        let array = unsafe { &*self.scratch };
        if array.data.is_null() {
            return &[];
        }
        // SAFETY: glib keeps `len` bytes at `data`.
        unsafe { std::slice::from_raw_parts(array.data, array.len as usize) }
    }
}

impl GuestView for Guest {
    fn register(&mut self, register: Register) -> Option<u64> {
        let handle = HANDLES.get()?[register as usize];
        if handle.0.is_null() {
            return None;
        }
        // SAFETY: rule 5: the array is ours.
        unsafe { g_byte_array_set_size(self.scratch, 0) };
        // SAFETY: rule 4: a known handle, on the CPU's thread.
        let read = unsafe { read_register(handle.0, self.scratch) };
        if !read {
            return None;
        }
        let mut value = [0; 8];
        let bytes = self.scratch_bytes();
        let length = bytes.len().min(8);
        value[..length].copy_from_slice(&bytes[..length]);
        Some(u64::from_le_bytes(value))
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        // SAFETY: rules 4 and 5.
        let read = unsafe { qemu_plugin_read_memory_vaddr(addr, self.scratch, out.len()) };
        let bytes = self.scratch_bytes();
        if !read || bytes.len() < out.len() {
            return false;
        }
        out.copy_from_slice(&bytes[..out.len()]);
        true
    }
}
