//! Translation callback: looks a new block's instructions up and attaches what has to happen when they execute.

use std::collections::{BTreeSet, HashMap};
use std::ffi::c_void;

use probe_plan::{GuestView as _, RuntimeAddr, UserPage, is_kernel_address};

use super::api::{
    R_REGS, qemu_plugin_insn, qemu_plugin_insn_data, qemu_plugin_insn_haddr, qemu_plugin_insn_size,
    qemu_plugin_register_vcpu_insn_exec_cb, qemu_plugin_tb, qemu_plugin_tb_get_insn,
    qemu_plugin_tb_n_insns, qemu_plugin_tb_vaddr,
};
use super::execute::{on_clock_read, on_clock_read_ahead, on_module_change, on_probe};
use super::guest::Guest;
use super::halt::{Halt, on_instruction, on_probe_or_halt};
use super::{Session, guard};
use crate::recorder::{Place, Probe, Recorder};
use crate::slide::{Search, SlideFinder};
use crate::user_code::UserPlace;

/// Longest instruction of x86.
const INSTRUCTION_BYTES_MAX: usize = 15;

/// What translation remembers from block to block.
#[derive(Debug)]
pub(super) struct Translation {
    slide: Option<SlideFinder>,
    /// By their place, which a module loaded once more has elsewhere, the first of their sites and the instructions behind.
    probes: HashMap<(Place, usize, u64), &'static Probe>,
    clock_read_ends: BTreeSet<u64>,
}

/// An instruction of the block under translation.
struct Instruction {
    handle: *mut qemu_plugin_insn,
    addr: u64,
    size: usize,
}

impl Instruction {
    fn bytes(&self) -> InstructionBytes {
        let mut bytes = [0; INSTRUCTION_BYTES_MAX];
        let size = self.size.min(INSTRUCTION_BYTES_MAX);
        // SAFETY: rule 1; the destination has `size` bytes.
        unsafe { qemu_plugin_insn_data(self.handle, bytes.as_mut_ptr().cast(), size) };
        InstructionBytes { bytes, size }
    }
}

/// The bytes of an instruction.
struct InstructionBytes {
    bytes: [u8; INSTRUCTION_BYTES_MAX],
    size: usize,
}

impl std::ops::Deref for InstructionBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl Translation {
    pub(super) fn new() -> Self {
        Self {
            slide: Some(SlideFinder::new()),
            probes: HashMap::new(),
            clock_read_ends: BTreeSet::new(),
        }
    }

    fn intern_probe(
        &mut self,
        place: Place,
        instructions_after: u64,
        sites: std::ops::Range<usize>,
    ) -> &'static Probe {
        self.probes
            .entry((place, sites.start, instructions_after))
            .or_insert_with(|| {
                Box::leak(Box::new(Probe {
                    place,
                    sites,
                    instructions_after,
                }))
            })
    }

    /// Looks for the kernel in a new block.
    fn find_kernel(&mut self, session: &Session, instructions: &[Instruction]) {
        let image = &session.recorder.plan.image;
        let (Some(first), Some(finder)) = (instructions.first(), &mut self.slide) else {
            return;
        };
        if !SlideFinder::concerns(image, RuntimeAddr(first.addr)) {
            return;
        }
        let observed: Vec<_> = instructions
            .iter()
            .map(|item| (RuntimeAddr(item.addr), item.bytes().to_vec()))
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
pub(super) fn translated(tb: *mut qemu_plugin_tb) {
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
        if session.halt.as_ref().is_some_and(Halt::is_closer) {
            attach_to_all(&instructions);
        }
    });
}

/// The instructions of a block, which lie one behind the other.
///
/// This is done for all code that the guest runs, so it asks QEMU for no more than it needs.
fn instructions(tb: *mut qemu_plugin_tb) -> Vec<Instruction> {
    // SAFETY: rule 1.
    let count = unsafe { qemu_plugin_tb_n_insns(tb) };
    // SAFETY: rule 1.
    let mut addr = unsafe { qemu_plugin_tb_vaddr(tb) };
    let mut instructions = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: rule 1; the index is below the count.
        let handle = unsafe { qemu_plugin_tb_get_insn(tb, index) };
        // SAFETY: rule 1.
        let size = unsafe { qemu_plugin_insn_size(handle) };
        instructions.push(Instruction { handle, addr, size });
        addr = addr.wrapping_add(size as u64);
    }
    instructions
}

/// Predicts what an RDTSC gives, and looks at what it gave at the instruction behind it, in this block or another.
fn attach_audit(translation: &mut Translation, instructions: &[Instruction]) {
    let number = |addr| std::ptr::without_provenance_mut(usize::try_from(addr).unwrap_or(0));
    let (Some(first), Some(last)) = (instructions.first(), instructions.last()) else {
        return;
    };
    let known = translation.clock_read_ends.range(first.addr..);
    let mut ends: Vec<u64> = known.copied().take_while(|end| *end <= last.addr).collect();
    for instruction in instructions {
        if ends.contains(&instruction.addr) {
            call_at_instruction(instruction.handle, on_clock_read, number(instruction.addr));
        }
        if matches!(instruction.size, 2 | 3) && reads_clock(&instruction.bytes()) {
            let end = instruction.addr.wrapping_add(instruction.size as u64);
            if translation.clock_read_ends.insert(end) {
                ends.push(end);
            }
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
    let mut page = UserPageSeen::default();
    let on_probe = match session.halt {
        Some(_) => on_probe_or_halt,
        None => on_probe as Callback,
    };
    for (index, instruction) in instructions.iter().enumerate() {
        let instructions_after = (instructions.len() - index - 1) as u64;
        let mut attach = |place, sites| {
            let probe = translation.intern_probe(place, instructions_after, sites);
            call_at_instruction(instruction.handle, on_probe, leaked(probe));
        };
        if is_kernel_address(instruction.addr) {
            let addr = RuntimeAddr(instruction.addr);
            if let Some(sites) = session.recorder.sites_at(addr) {
                attach(Place::Kernel(addr), sites);
            }
        } else {
            for place in user_places(&session.recorder, instruction, &mut page) {
                if let Some(sites) = session.recorder.sites_of(place.addr) {
                    let offset = place.offset;
                    attach(Place::User { offset }, sites);
                }
            }
        }
    }
}

/// Looks at every instruction, behind what a probe there does.
fn attach_to_all(instructions: &[Instruction]) {
    for (index, instruction) in instructions.iter().enumerate() {
        let instructions_after = std::ptr::without_provenance_mut(instructions.len() - index - 1);
        call_at_instruction(instruction.handle, on_instruction, instructions_after);
    }
}

/// The places of programs that an instruction of user space is.
fn user_places<'r>(
    recorder: &'r Recorder,
    instruction: &Instruction,
    page: &mut UserPageSeen,
) -> impl Iterator<Item = &'r UserPlace> {
    let candidates = recorder.user_code.candidates(instruction.addr).iter();
    candidates.filter(move |place| {
        let (code, plan) = (&recorder.user_code, &recorder.plan);
        code.begins_with(plan, place, &instruction.bytes())
            && page
                .read(instruction)
                .is_some_and(|found| code.is_page(plan, place, found))
    })
}

/// The page of the block under translation, read when it is first asked for.
#[derive(Default)]
struct UserPageSeen {
    found: Option<(u64, Option<Box<[u8; UserPage::BYTES]>>)>,
}

impl UserPageSeen {
    /// The page that an instruction begins in; `None` when it is not memory.
    fn read(&mut self, instruction: &Instruction) -> Option<&[u8]> {
        let start = instruction.addr & !(UserPage::BYTES as u64 - 1);
        if self.found.as_ref().is_none_or(|(known, _)| *known != start) {
            // SAFETY: rule 1. Null stands for what is no memory: reading that would touch a device.
            let host = unsafe { qemu_plugin_insn_haddr(instruction.handle) };
            let mut bytes = Box::new([0; UserPage::BYTES]);
            let is_read = !host.is_null() && Guest::new().read(start, bytes.as_mut_slice());
            self.found = Some((start, is_read.then_some(bytes)));
        }
        let (_, bytes) = self.found.as_ref()?;
        bytes.as_ref().map(|bytes| bytes.as_slice())
    }
}

type Callback = unsafe extern "C" fn(u32, *mut c_void);

/// Calls back whenever the instruction is about to execute.
fn call_at_instruction(
    instruction: *mut qemu_plugin_insn,
    callback: Callback,
    user_data: *mut c_void,
) {
    // SAFETY: rules 1 and 2.
    unsafe {
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, Some(callback), R_REGS, user_data);
    }
}

/// A leaked object as user data.
fn leaked<T>(object: &'static T) -> *mut c_void {
    std::ptr::from_ref(object).cast_mut().cast()
}
