//! Entries and exits: system calls, traps, interrupts and softirqs as a stack of the thread that they run on.
//!
//! The stack belongs to the thread, not to the CPU: a thread may be switched away from inside a system call, inside a
//! page fault, and on the way out of an interrupt (`irqentry_exit` schedules), and resumes there.

use super::calls::{Call, CallArgs, Descriptors};
use super::doubt::Doubt;
use super::follow::Model;
use super::ids::{CpuId, GuestNanos, Span};
use super::machine::Evidence;
use super::observer::{FrameInterval, Observer};
use super::state::{Abi, Frame, Ground};
use super::thread::{OpenFrame, ThreadIndex};

/// What an exit says of the frame that it leaves; its number may be forgotten by then.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left {
    Trap(Option<u64>),
    Irq(Option<u64>),
    IrqHandler(Option<i64>),
    Softirq(Option<u64>),
}

/// What the end of a device's interrupt has for its vector (-1): the kernel does not keep it that long.
const VECTOR_FORGOTTEN: u64 = u64::MAX;

impl Left {
    pub(super) fn irq(vector: Option<u64>) -> Self {
        Self::Irq(vector.filter(|vector| *vector != VECTOR_FORGOTTEN))
    }

    fn fits(self, frame: Frame) -> bool {
        match (self, frame) {
            (Self::Trap(left), Frame::Trap { vector: entered })
            | (Self::Irq(left), Frame::Irq { vector: entered })
            | (Self::Softirq(left), Frame::Softirq { vec: entered }) => {
                left.is_none_or(|left| left == entered)
            }
            (Self::IrqHandler(left), Frame::IrqHandler { irq }) => {
                left.is_none_or(|left| left == irq)
            }
            (Self::Trap(_) | Self::Irq(_) | Self::IrqHandler(_) | Self::Softirq(_), _) => false,
        }
    }
}

impl<O: Observer> Model<O> {
    /// Enters a system call.
    pub(super) fn call(
        &mut self,
        at: GuestNanos,
        cpu: CpuId,
        (abi, nr): (Abi, u64),
        name: Option<&[u8]>,
        args: CallArgs,
    ) {
        if let Some(name) = name {
            let calls = &mut self.machine.calls;
            calls.entry((abi, nr)).or_insert_with(|| Call::new(name));
        }
        self.enter_from_user(at, cpu, Frame::Syscall { abi, nr }, args);
    }

    /// Enters a frame; `user` says whether user code was interrupted, if that is known.
    pub(super) fn enter(&mut self, at: GuestNanos, cpu: CpuId, frame: Frame, user: Option<bool>) {
        if user == Some(true) {
            return self.enter_from_user(at, cpu, frame, CallArgs::default());
        }
        if let Some(thread) = self.running(cpu) {
            self.push(at, thread, frame, CallArgs::default());
        }
    }

    /// Enters a frame from user code: whatever the thread was nested in must be over.
    fn enter_from_user(&mut self, at: GuestNanos, cpu: CpuId, frame: Frame, args: CallArgs) {
        let Some(thread) = self.running(cpu) else {
            return;
        };
        self.drop_frames(thread, 0);
        self.machine.threads[thread].ground = Ground::User;
        self.machine.threads[thread].execed = false;
        self.push(at, thread, frame, args);
    }

    /// Leaves the innermost frame that is the one looked for.
    pub(super) fn leave(&mut self, at: GuestNanos, cpu: CpuId, left: Left, ret: Option<i64>) {
        let Some(thread) = self.running(cpu) else {
            return;
        };
        let frames = &self.machine.threads[thread].frames;
        if let Some(depth) = frames.iter().rposition(|open| left.fits(open.frame)) {
            self.pop(at, cpu, thread, depth, ret);
        } else if self.machine.threads[thread].ground != Ground::Unknown {
            // What began before the thread became known may end unannounced.
            self.machine.doubts.count(Doubt::ExitWithoutEntry);
        }
    }

    /// Returns from a system call to user code.
    ///
    /// A child of clone inherits its parent's call, and a kernel thread that becomes a program returns from none.
    pub(super) fn leave_syscall(
        &mut self,
        at: GuestNanos,
        cpu: CpuId,
        nr: Option<u64>,
        ret: Option<i64>,
    ) {
        let Some(thread) = self.running(cpu) else {
            return;
        };
        let frames = &self.machine.threads[thread].frames;
        let call = frames
            .iter()
            .rposition(|open| matches!(open.frame, Frame::Syscall { .. }));
        let launched = frames
            .first()
            .is_some_and(|open| open.frame == Frame::Launch);
        if let Some(depth) = call {
            if let (Frame::Syscall { nr: entered, .. }, Some(left)) = (frames[depth].frame, nr) {
                self.check_number(thread, entered, left);
            }
            self.pop(at, cpu, thread, depth, ret);
        } else if !launched && self.machine.threads[thread].ground != Ground::Unknown {
            self.machine.doubts.count(Doubt::ExitWithoutEntry);
        }
        self.drop_frames(thread, 0);
        self.machine.threads[thread].ground = Ground::User;
    }

    fn check_number(&mut self, thread: ThreadIndex, entered: u64, left: u64) {
        // The kernel sets the number to -1 when a signal handler returns or a tracer skips the call.
        let skipped = left & 0xffff_ffff == 0xffff_ffff;
        if entered != left && !skipped && !self.machine.threads[thread].execed {
            self.machine.doubts.count(Doubt::SyscallNumberDiffers);
        }
    }

    /// The thread that runs on `cpu`; counts when that is not known.
    fn running(&mut self, cpu: CpuId) -> Option<ThreadIndex> {
        let current = self.machine.cpus[cpu.0 as usize].current;
        if current.is_none() {
            self.machine.doubts.count(Doubt::EventWithoutThread);
        }
        current
    }

    fn push(&mut self, at: GuestNanos, thread: ThreadIndex, frame: Frame, args: CallArgs) {
        let open = OpenFrame {
            frame,
            entered: at,
            args,
        };
        self.machine.threads[thread].frames.push(open);
        self.observer.frame_entered(&self.machine, thread, &open);
    }

    fn pop(
        &mut self,
        at: GuestNanos,
        cpu: CpuId,
        thread: ThreadIndex,
        depth: usize,
        ret: Option<i64>,
    ) {
        self.drop_frames(thread, depth + 1);
        let context = self.machine.context(cpu);
        if let Some(open) = self.machine.threads[thread].frames.pop() {
            // A new one begins without evidence.
            self.machine.cpus[cpu.0 as usize].evidence[context] = Evidence::default();
            let span = Span {
                start: open.entered,
                end: at,
            };
            let interval = FrameInterval {
                thread,
                cpu,
                open: &open,
                span,
                ret,
            };
            self.observer.frame_left(&self.machine, &interval);
            self.change_descriptors(thread, &open, ret);
        }
    }

    /// A call has returned: it may have opened or closed a descriptor.
    fn change_descriptors(&mut self, thread: ThreadIndex, open: &OpenFrame, ret: Option<i64>) {
        let Frame::Syscall { abi, nr } = open.frame else {
            return;
        };
        let what = self.machine.calls.get(&(abi, nr));
        let what = what.map_or(Descriptors::None, |call| call.descriptors);
        if let (Some(ret), true) = (ret, what != Descriptors::None) {
            let pid = self.machine.threads[thread].process();
            self.machine.files.returned(pid, what, &open.args, ret);
        }
    }

    /// Drops what is nested deeper than `depth`: it is over, although its end was not seen.
    fn drop_frames(&mut self, thread: ThreadIndex, depth: usize) {
        for open in self.machine.threads[thread].frames.drain(depth..) {
            // Nothing announces that a kernel thread has become a program.
            if open.frame != Frame::Launch {
                self.machine.doubts.count(Doubt::EntryWithoutExit);
            }
        }
    }
}
