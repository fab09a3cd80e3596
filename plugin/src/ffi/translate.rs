//! Translation callback: looks a new block's instructions up and attaches what has to happen when they execute.
//!
//! Order within a block matters: what looks at the counters as the previous block left them comes before the increment.

use std::collections::{HashMap, HashSet};
use std::ffi::c_void;

use probe_plan::{GuestView as _, Register, RuntimeAddr};
use qemu_plugin::{PluginId, sys};

use super::execute::{
    CountedBlock, FaultSite, on_clock_read, on_counted_block, on_fault, on_halt, on_io, on_probe,
    on_wall_clock_ahead, on_wall_clock_read,
};
use super::guest::Guest;
use super::{R_REGS, Session, guard};
use crate::block::{Block, ClockInstruction, Ending, clock_instruction};
use crate::recorder::Probe;
use crate::slide::{Search, SlideFinder};

/// Longest instruction of x86.
const INSTRUCTION_BYTES_MAX: usize = 15;

/// What translation remembers from block to block.
#[derive(Debug)]
pub(super) struct Translation {
    slide: Option<SlideFinder>,
    blocks: HashMap<u64, Vec<&'static Block>>,
    probes: HashMap<(RuntimeAddr, u64), &'static Probe>,
    clock_read_ends: HashSet<u64>,
}

/// An instruction of the block under translation.
struct Instruction {
    handle: *mut sys::qemu_plugin_insn,
    addr: u64,
    bytes: [u8; INSTRUCTION_BYTES_MAX],
    size: usize,
    clock: Option<ClockInstruction>,
}

impl Translation {
    pub(super) fn new() -> Self {
        Self {
            slide: Some(SlideFinder::new()),
            blocks: HashMap::new(),
            probes: HashMap::new(),
            clock_read_ends: HashSet::new(),
        }
    }

    /// The one leaked copy of a block, however often it is translated.
    fn intern_block(&mut self, block: Block) -> &'static Block {
        let known = self.blocks.entry(block.end()).or_default();
        if let Some(same) = known.iter().find(|other| ***other == block) {
            return same;
        }
        let leaked: &'static Block = Box::leak(Box::new(block));
        known.push(leaked);
        leaked
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
        if session.recorder.recording.is_deterministic() {
            attach_clock(session, &mut translation, tb, &instructions);
        } else {
            attach_wall_clock(&mut translation, tb, &instructions);
        }
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
            let clock = clock_instruction(&bytes[..size]);
            Instruction {
                handle,
                addr,
                bytes,
                size,
                clock,
            }
        })
        .collect()
}

/// Deterministic mode: counts the block and watches what makes the count wrong or time jump.
fn attach_clock(
    session: &Session,
    translation: &mut Translation,
    tb: *mut sys::qemu_plugin_tb,
    instructions: &[Instruction],
) {
    let (Some(first), Some(last)) = (instructions.first(), instructions.last()) else {
        return;
    };
    let addresses: Vec<u64> = instructions.iter().map(|item| item.addr).collect();
    let reads_clock = last.clock == Some(ClockInstruction::ReadsClock);
    let ending = if reads_clock {
        Ending::ReadsClock
    } else {
        Ending::Other
    };
    let block = translation.intern_block(Block::new(&addresses, last.size as u64, ending));
    if reads_clock {
        translation.clock_read_ends.insert(block.end());
    }
    let gs_base = if session.cpus.shares_thread() {
        kernel_gs_base()
    } else {
        None
    };
    let cpu_index = session.cpus.translating_cpu(gs_base);

    attach_fault_entry(session, tb, first.addr);
    if translation.clock_read_ends.contains(&first.addr) {
        attach_clock_read(session, tb, cpu_index, block);
    }
    match cpu_index {
        Some(index) => attach_inline_count(session, tb, index, block),
        None => call_at_block(tb, on_counted_block, leak(CountedBlock { block, gs_base })),
    }
    if let [only] = instructions {
        attach_io(session, only);
    }
    if last.clock == Some(ClockInstruction::Halts) {
        call_at_instruction(last.handle, on_halt, std::ptr::null_mut());
    }
}

/// Looks at what an RDTSC gave: when the clock wants to know, or always when the clock is audited.
fn attach_clock_read(
    session: &Session,
    tb: *mut sys::qemu_plugin_tb,
    cpu_index: Option<usize>,
    block: &'static Block,
) {
    let index = cpu_index.filter(|_| !session.recorder.recording.audit_clock);
    let Some(index) = index else {
        return call_at_block(tb, on_clock_read, leaked(block));
    };
    let wanted = session.counters.wants_clock.entry(index);
    let not_equal = sys::qemu_plugin_cond::QEMU_PLUGIN_COND_NE;
    // SAFETY: rules 1, 2 and 6.
    unsafe {
        sys::qemu_plugin_register_vcpu_tb_exec_cond_cb(
            tb,
            Some(on_clock_read),
            R_REGS,
            not_equal,
            wanted,
            0,
            leaked(block),
        );
    }
}

fn attach_fault_entry(session: &Session, tb: *mut sys::qemu_plugin_tb, start: u64) {
    let Some(slide) = session.recorder.slide() else {
        return;
    };
    let link = slide.to_link(RuntimeAddr(start));
    let Some((_, offset)) = session.fault_offsets.iter().find(|(addr, _)| *addr == link) else {
        return;
    };
    let return_address_offset = (*offset).into();
    call_at_block(
        tb,
        on_fault,
        leak(FaultSite {
            return_address_offset,
        }),
    );
}

fn attach_inline_count(
    session: &Session,
    tb: *mut sys::qemu_plugin_tb,
    cpu_index: usize,
    block: &'static Block,
) {
    let add = sys::qemu_plugin_op::QEMU_PLUGIN_INLINE_ADD_U64;
    let store = sys::qemu_plugin_op::QEMU_PLUGIN_INLINE_STORE_U64;
    let count = session.counters.instructions.entry(cpu_index);
    let running = session.counters.block.entry(cpu_index);
    // SAFETY: rules 1 and 6.
    unsafe {
        sys::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
            tb,
            add,
            count,
            block.instruction_count(),
        )
    };
    let address = std::ptr::from_ref(block).expose_provenance() as u64;
    // SAFETY: rules 1 and 6.
    unsafe { sys::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, store, running, address) };
}

/// An access to a device in mid-block makes QEMU leave the block and run that instruction as a block of its own, in
/// which only memory callbacks survive: that is how such an access is seen. The block that was left is still the last
/// one then; any other block of one instruction is none of our business.
fn attach_io(session: &Session, only: &Instruction) {
    let left = session
        .last_block()
        .and_then(|block| block.instructions_from(only.addr));
    if left.is_none_or(|left| left == 1) {
        return;
    }
    let user_data = std::ptr::without_provenance_mut(usize::try_from(only.addr).unwrap_or(0));
    let no_registers = sys::qemu_plugin_cb_flags::QEMU_PLUGIN_CB_NO_REGS;
    let read_and_write = sys::qemu_plugin_mem_rw::QEMU_PLUGIN_MEM_RW;
    // SAFETY: rules 1 and 2; the user data is a number.
    unsafe {
        sys::qemu_plugin_register_vcpu_mem_cb(
            only.handle,
            Some(on_io),
            no_registers,
            read_and_write,
            user_data,
        );
    }
}

/// Wall mode: notes the host's time just before an RDTSC and looks at what it gave. QEMU ends a block behind it.
fn attach_wall_clock(
    translation: &mut Translation,
    tb: *mut sys::qemu_plugin_tb,
    instructions: &[Instruction],
) {
    let (Some(first), Some(last)) = (instructions.first(), instructions.last()) else {
        return;
    };
    if translation.clock_read_ends.contains(&first.addr) {
        call_at_block(tb, on_wall_clock_read, std::ptr::null_mut());
    }
    if last.clock == Some(ClockInstruction::ReadsClock) {
        translation
            .clock_read_ends
            .insert(last.addr.wrapping_add(last.size as u64));
        call_at_instruction(last.handle, on_wall_clock_ahead, std::ptr::null_mut());
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

/// The translating CPU's per-CPU base, when it is a kernel address.
fn kernel_gs_base() -> Option<u64> {
    let mut guest = Guest::new();
    [Register::GsBase, Register::KernelGsBase]
        .into_iter()
        .filter_map(|register| guest.register(register))
        .find(|base| probe_plan::is_kernel_address(*base))
}

type Callback = unsafe extern "C" fn(u32, *mut c_void);

/// Calls back whenever the block starts.
fn call_at_block(tb: *mut sys::qemu_plugin_tb, callback: Callback, user_data: *mut c_void) {
    // SAFETY: rules 1 and 2.
    unsafe { sys::qemu_plugin_register_vcpu_tb_exec_cb(tb, Some(callback), R_REGS, user_data) }
}

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

/// Leaks an object to be user data.
fn leak<T: 'static>(object: T) -> *mut c_void {
    leaked(Box::leak(Box::new(object)))
}

/// A leaked object as user data.
fn leaked<T>(object: &'static T) -> *mut c_void {
    std::ptr::from_ref(object).cast_mut().cast()
}
