//! Translation callback: looks a new block's instructions up and attaches what has to happen when they execute.

use std::collections::{HashMap, HashSet};
use std::ffi::c_void;

use probe_plan::RuntimeAddr;
use qemu_plugin::{PluginId, sys};

use super::execute::{on_clock_read, on_clock_read_ahead, on_module_change, on_probe};
use super::{R_REGS, Session, guard};
use crate::recorder::Probe;
use crate::slide::{Search, SlideFinder};

/// Longest instruction of x86.
const INSTRUCTION_BYTES_MAX: usize = 15;

/// What translation remembers from block to block.
#[derive(Debug)]
pub(super) struct Translation {
    slide: Option<SlideFinder>,
    probes: HashMap<(RuntimeAddr, u64), &'static Probe>,
    clock_read_ends: HashSet<u64>,
}

/// An instruction of the block under translation.
struct Instruction {
    handle: *mut sys::qemu_plugin_insn,
    addr: u64,
    bytes: [u8; INSTRUCTION_BYTES_MAX],
    size: usize,
}

impl Translation {
    pub(super) fn new() -> Self {
        Self {
            slide: Some(SlideFinder::new()),
            probes: HashMap::new(),
            clock_read_ends: HashSet::new(),
        }
    }

    fn intern_probe(
        &mut self,
        addr: RuntimeAddr,
        instructions_after: u64,
        sites: std::ops::Range<usize>,
    ) -> &'static Probe {
        self.probes
            .entry((addr, instructions_after))
            .or_insert_with(|| {
                Box::leak(Box::new(Probe {
                    addr,
                    sites,
                    instructions_after,
                }))
            })
    }

    /// Looks for the kernel in a new block.
    fn find_kernel(&mut self, session: &Session, instructions: &[Instruction]) {
        let image = &session.recorder.plan.image;
        let Some(first) = instructions.first() else {
            return;
        };
        if !SlideFinder::concerns(image, RuntimeAddr(first.addr)) {
            return;
        }
        let Some(finder) = &mut self.slide else {
            return;
        };
        let observed: Vec<_> = instructions
            .iter()
            .map(|item| (RuntimeAddr(item.addr), item.bytes[..item.size].to_vec()))
            .collect();
        match finder.observe(image, &observed) {
            Search::Undecided => {}
            Search::Found(slide) => {
                self.slide = None;
                session.recorder.arm(slide);
            }
            Search::Failed => {
                self.slide = None;
                session.recorder.refuse_kernel();
            }
        }
    }
}

/// Called by QEMU for each block that it translates.
pub(super) extern "C" fn on_translate(_id: PluginId, tb: *mut sys::qemu_plugin_tb) {
    guard(|session| {
        if session.recorder.has_ended() {
            return;
        }
        let mut translation = session
            .translation
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let instructions = instructions(tb);
        translation.find_kernel(session, &instructions);
        attach_audit(&mut translation, &instructions);
        attach_module_hooks(session, &instructions);
        attach_probes(session, &mut translation, &instructions);
    });
}

fn instructions(tb: *mut sys::qemu_plugin_tb) -> Vec<Instruction> {
    // SAFETY: rule 1.
    let count = unsafe { sys::qemu_plugin_tb_n_insns(tb) };
    (0..count)
        .map(|index| {
            // SAFETY: rule 1; the index is below the count.
            let handle = unsafe { sys::qemu_plugin_tb_get_insn(tb, index) };
            // SAFETY: rule 1.
            let addr = unsafe { sys::qemu_plugin_insn_vaddr(handle) };
            // SAFETY: rule 1.
            let size = unsafe { sys::qemu_plugin_insn_size(handle) };
            let size = size.min(INSTRUCTION_BYTES_MAX);
            let mut bytes = [0; INSTRUCTION_BYTES_MAX];
            // SAFETY: rule 1; the destination has `size` bytes.
            unsafe { sys::qemu_plugin_insn_data(handle, bytes.as_mut_ptr().cast(), size) };
            Instruction {
                handle,
                addr,
                bytes,
                size,
            }
        })
        .collect()
}

/// Predicts what an RDTSC gives, and looks at what it gave at the instruction behind it, in this block or another.
fn attach_audit(translation: &mut Translation, instructions: &[Instruction]) {
    let number = |addr| std::ptr::without_provenance_mut(usize::try_from(addr).unwrap_or(0));
    for instruction in instructions {
        if translation.clock_read_ends.contains(&instruction.addr) {
            call_at_instruction(instruction.handle, on_clock_read, number(instruction.addr));
        }
        if reads_clock(&instruction.bytes[..instruction.size]) {
            let end = instruction.addr.wrapping_add(instruction.size as u64);
            translation.clock_read_ends.insert(end);
            call_at_instruction(instruction.handle, on_clock_read_ahead, number(end));
        }
    }
}

/// Whether an instruction is RDTSC or RDTSCP.
fn reads_clock(bytes: &[u8]) -> bool {
    matches!(bytes, [0x0f, 0x31] | [0x0f, 0x01, 0xf9])
}

/// Where modules come and go. The kernel's code is translated long before the first one comes.
fn attach_module_hooks(session: &Session, instructions: &[Instruction]) {
    for instruction in instructions {
        if let Some(index) = session
            .recorder
            .module_hook_at(RuntimeAddr(instruction.addr))
        {
            let user_data = std::ptr::without_provenance_mut(index);
            call_at_instruction(instruction.handle, on_module_change, user_data);
        }
    }
}

fn attach_probes(session: &Session, translation: &mut Translation, instructions: &[Instruction]) {
    for (index, instruction) in instructions.iter().enumerate() {
        let addr = RuntimeAddr(instruction.addr);
        let Some(sites) = session.recorder.sites_at(addr) else {
            continue;
        };
        let instructions_after = (instructions.len() - index - 1) as u64;
        let probe = translation.intern_probe(addr, instructions_after, sites);
        call_at_instruction(instruction.handle, on_probe, leaked(probe));
    }
}

type Callback = unsafe extern "C" fn(u32, *mut c_void);

/// Calls back whenever the instruction is about to execute.
fn call_at_instruction(
    instruction: *mut sys::qemu_plugin_insn,
    callback: Callback,
    user_data: *mut c_void,
) {
    // SAFETY: rules 1 and 2.
    unsafe {
        sys::qemu_plugin_register_vcpu_insn_exec_cb(instruction, Some(callback), R_REGS, user_data);
    }
}

/// A leaked object as user data.
fn leaked<T>(object: &'static T) -> *mut c_void {
    std::ptr::from_ref(object).cast_mut().cast()
}
