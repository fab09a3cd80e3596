//! Instructions of programs that could not complete and will execute again: their events are recorded once.
//!
//! The processor calls back before an instruction. One that faults, such as the first `push` onto a new page of the stack,
//! comes by a second time with nothing in between. When the kernel takes the fault right behind the event, the thread's
//! next visit is the same execution.
//! A thread that never comes back (it was killed, or left by a signal's handler) leaves a mark that one more visit with the
//! same stack pointer would take; marks are few and the oldest gives way.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use probe_plan::{GuestView, Register, RuntimeAddr, UserPage};

use crate::cpu::CpuRecorder;
use crate::memory::MemoryMap;
use crate::recorder::{Here, Place, Recorder, lock};

/// Threads that are within such a fault at once.
const MARKS_MAX: usize = 64;
/// Bits of cr3 that do not name the address space: the kernel's tag for it, and the half with page-table isolation.
const TAG_BITS: u32 = 13;

/// An execution of an instruction: by whom and where on its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Execution {
    address_space: u64,
    pub(crate) addr: u64,
    pub(crate) stack_pointer: u64,
}

impl Execution {
    pub(crate) fn new(cr3: u64, addr: u64, stack_pointer: u64) -> Self {
        Self {
            address_space: cr3 >> TAG_BITS,
            addr,
            stack_pointer,
        }
    }
}

/// Executions that will be seen again.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    count: AtomicUsize,
    marks: Mutex<Vec<Execution>>,
}

impl Retries {
    /// An execution did not complete.
    pub(crate) fn note(&self, execution: Execution) {
        let mut marks = lock(&self.marks);
        if marks.len() >= MARKS_MAX {
            marks.remove(0);
        }
        marks.push(execution);
        self.count.store(marks.len(), Ordering::Relaxed);
    }

    /// Whether an execution was seen before.
    pub(crate) fn take(&self, execution: Execution) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut marks = lock(&self.marks);
        let found = marks.iter().position(|mark| *mark == execution);
        if let Some(index) = found {
            marks.remove(index);
            self.count.store(marks.len(), Ordering::Relaxed);
        }
        found.is_some()
    }
}

impl Recorder {
    /// Where the guest is; `None` when it was there before and did not get on.
    pub(crate) fn address(
        &self,
        state: &mut CpuRecorder,
        place: Place,
        guest: &mut impl GuestView,
    ) -> Option<RuntimeAddr> {
        let offset = match place {
            Place::Kernel(addr) => return Some(addr),
            Place::User { offset } => u64::from(offset),
        };
        let mut register = |register| guest.register(register);
        // A block of user space does not leave its page, and what is in rip is in the block.
        let page = register(Register::Rip)? & !(UserPage::BYTES as u64 - 1);
        let (cr3, stack_pointer) = (register(Register::Cr3)?, register(Register::Rsp)?);
        let execution = Execution::new(cr3, page + offset, stack_pointer);
        state.last_user = Some(execution);
        (!self.retries.take(execution)).then_some(RuntimeAddr(execution.addr))
    }

    /// The kernel takes a fault: what was reached last may be reached again.
    pub(crate) fn note_retry(
        &self,
        state: &mut CpuRecorder,
        index: usize,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) {
        let Some(last) = state.last_user.take() else {
            return;
        };
        let program = &self.plan.retries[index].program;
        let found = state.fetcher.pair(program, here.addr, memory, guest);
        if found == Some((last.addr, last.stack_pointer)) {
            self.retries.note(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_taken_once_whatever_the_tag_of_its_address_space() {
        let retries = Retries::default();
        assert!(!retries.take(Execution::new(0x7000_0000, 1, 2)));
        retries.note(Execution::new(0x7000_0003, 1, 2));
        assert!(!retries.take(Execution::new(0x7000_2003, 1, 2)));
        assert!(!retries.take(Execution::new(0x7000_0003, 1, 3)));
        assert!(retries.take(Execution::new(0x7000_1005, 1, 2)));
        assert!(!retries.take(Execution::new(0x7000_1005, 1, 2)));
    }

    #[test]
    fn the_oldest_mark_gives_way() {
        let retries = Retries::default();
        for addr in 0..=MARKS_MAX as u64 {
            retries.note(Execution::new(0, addr, 0));
        }
        assert!(!retries.take(Execution::new(0, 0, 0)));
        assert!(retries.take(Execution::new(0, 1, 0)));
    }
}
