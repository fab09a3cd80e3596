//! What is known of a machine at one instant: its threads, its CPUs, what its block devices have under way.

use std::collections::BTreeMap;

use super::calls::{Call, CallArgs, CallKind, Transfer};
use super::doubt::Doubts;
use super::files::{Files, descriptor_of};
use super::futex::FutexUse;
use super::ids::{CpuId, GuestNanos, Pid};
use super::lines::Lines;
use super::origins::Origins;
use super::requests::{Request, Requests};
use super::state::{Abi, Activity, Frame};
use super::thread::{OpenFrame, Thread, ThreadIndex, Threads, Waker};
use super::wait::{Asked, Cause, Origin, Via};

/// A machine as its events have shown it so far.
#[derive(Debug, Default)]
pub struct Machine {
    pub(super) threads: Threads,
    pub(super) cpus: Vec<Cpu>,
    pub(super) doubts: Doubts,
    pub(super) calls: BTreeMap<(Abi, u64), Call>,
    pub(super) requests: Requests,
    pub(super) files: Files,
    pub(super) origins: Origins,
    pub(super) lines: Lines,
    /// Whether the trace has wake-ups: without them a thread's way from waiting to running cannot be seen.
    pub(super) wakes_seen: bool,
    /// Whether a new thread was seen to be woken for the first time: not every trace has that event.
    pub(super) first_wakes_seen: bool,
    /// Recording was stopped at least once: a CPU's first event need not be its boot.
    pub(super) was_stopped: bool,
    pub(super) now: GuestNanos,
}

/// What is known of a CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    pub(super) current: Option<ThreadIndex>,
    /// The thread that a context record named, until the scheduling change that it belongs to.
    pub(super) claimed: Option<ThreadIndex>,
    /// Time of its latest event.
    pub(super) last_event: Option<GuestNanos>,
    pub(super) activity: Activity,
    pub(super) since: GuestNanos,
    /// Sum of its stretches that are over.
    pub(super) accounted: GuestNanos,
    /// By context: the thread, a softirq in it, an interrupt in either.
    pub(super) evidence: [Evidence; 3],
}

/// What has just happened on a CPU and may be why it wakes a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// Function of the timer that expires, and who had set it.
    pub(super) timer: Option<(u64, Option<Origin>)>,
    /// The request that a device has just done.
    pub(super) request: Option<Request>,
    /// Bytes of the packet that has just come in, and who had sent it.
    pub(super) packet: Option<(u64, Option<Origin>)>,
}

impl Cpu {
    pub(super) const UNSEEN: Self = Self {
        current: None,
        claimed: None,
        last_event: None,
        activity: Activity::Unseen,
        since: GuestNanos(0),
        accounted: GuestNanos(0),
        evidence: [Evidence {
            timer: None,
            request: None,
            packet: None,
        }; 3],
    };
}

impl Machine {
    /// The threads.
    #[must_use]
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The CPUs, up to the highest number seen.
    pub fn cpus(&self) -> impl Iterator<Item = CpuId> + use<> {
        (0u32..).map(CpuId).take(self.cpus.len())
    }

    /// What did not fit so far.
    #[must_use]
    pub fn doubts(&self) -> &Doubts {
        &self.doubts
    }

    /// Whether any wake-up was seen: if not, time spent runnable counts as waiting.
    #[must_use]
    pub fn wakes_seen(&self) -> bool {
        self.wakes_seen
    }

    /// The thread that runs on a CPU.
    #[must_use]
    pub fn current(&self, cpu: CpuId) -> Option<ThreadIndex> {
        self.cpus.get(cpu.0 as usize)?.current
    }

    /// The same, with what is known of it.
    #[must_use]
    pub fn current_thread(&self, cpu: CpuId) -> Option<&Thread> {
        Some(&self.threads[self.current(cpu)?])
    }

    /// On whose behalf a CPU acts now: the thread that runs there, or what interrupts it.
    #[must_use]
    pub fn acting(&self, cpu: CpuId) -> Cause {
        if self.cpus.len() <= cpu.0 as usize {
            return Cause::Unknown;
        }
        let thread = self.current(cpu);
        let frame = thread.and_then(|thread| self.threads[thread].innermost());
        Cause::of_via(self.via(cpu, frame), thread)
    }

    /// Name of a system call, if the trace gave it.
    #[must_use]
    pub fn syscall_name(&self, abi: Abi, nr: u64) -> Option<&[u8]> {
        self.calls.get(&(abi, nr)).map(|call| call.name.as_slice())
    }

    /// What is under way at the block devices.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The files that processes have open.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// How a system call moves bytes, if it does.
    #[must_use]
    pub fn transfer(&self, abi: Abi, nr: u64) -> Option<Transfer> {
        self.calls.get(&(abi, nr))?.transfer
    }

    /// What a system call does at which futex, if it does.
    #[must_use]
    pub fn futex_use(&self, abi: Abi, nr: u64, args: &CallArgs) -> Option<FutexUse> {
        let call = self.calls.get(&(abi, nr))?;
        (call.kind == CallKind::Futex).then(|| FutexUse::of(&call.name, args))?
    }

    /// How a system call moves bytes through a socket, if it does.
    #[must_use]
    pub fn socket_transfer(
        &self,
        pid: Pid,
        abi: Abi,
        nr: u64,
        args: &CallArgs,
    ) -> Option<Transfer> {
        let call = self.calls.get(&(abi, nr))?;
        let transfer = call.transfer?;
        let is_socket = || args[0].is_some_and(|fd| self.files.is_socket(pid, descriptor_of(fd)));
        (call.kind == CallKind::Socket || is_socket()).then_some(transfer)
    }

    /// What a thread that goes to sleep in these frames waits for.
    pub(super) fn asked(&self, frames: &[OpenFrame]) -> Asked {
        for open in frames.iter().rev() {
            match open.frame {
                Frame::Trap { .. } => return Asked::Page,
                Frame::Syscall { abi, nr } => {
                    let kind = self
                        .calls
                        .get(&(abi, nr))
                        .map_or(CallKind::Other, |call| call.kind);
                    return Asked::of_call(kind, nr, &open.args);
                }
                Frame::Launch
                | Frame::Irq { .. }
                | Frame::IrqHandler { .. }
                | Frame::Softirq { .. } => {}
            }
        }
        Asked::Kernel
    }

    /// What a thread has asked the kernel for.
    pub(crate) fn asked_of(&self, thread: &Thread) -> Asked {
        self.asked(&thread.frames)
    }

    /// What the thread that runs on a CPU has asked the kernel for.
    pub(super) fn asked_on(&self, cpu: CpuId) -> Asked {
        let thread = self.current_thread(cpu);
        thread.map_or(Asked::Kernel, |thread| self.asked(&thread.frames))
    }

    /// On whose behalf a CPU does something now.
    pub(crate) fn actor(&self, at: GuestNanos, cpu: CpuId) -> Waker {
        let current = self.current(cpu);
        let frames = current.map_or(&[][..], |thread| &self.threads[thread].frames);
        let interrupts = |open: &&OpenFrame| match open.frame {
            Frame::Irq { .. } | Frame::IrqHandler { .. } | Frame::Softirq { .. } => true,
            Frame::Launch | Frame::Syscall { .. } | Frame::Trap { .. } => false,
        };
        let frame = frames.last().map(|open| open.frame);
        let outermost = frames.iter().find(interrupts);
        Waker {
            thread: current,
            frame,
            via: self.via(cpu, frame),
            at,
            since: outermost.map_or(at, |open| open.entered),
        }
    }

    /// Names of interrupts.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Who queued a work item that no thread has begun yet.
    #[must_use]
    pub fn queued_work(&self, work: u64) -> Option<&Waker> {
        self.origins.work(work)
    }

    /// Which of a CPU's contexts it is in: 0 the thread, 1 a softirq, 2 an interrupt.
    pub(super) fn context(&self, cpu: CpuId) -> usize {
        let frames = self
            .current_thread(cpu)
            .map_or(&[][..], |thread| &thread.frames);
        // A softirq often runs on the way out of an interrupt.
        let context = |open: &OpenFrame| match open.frame {
            Frame::Irq { .. } | Frame::IrqHandler { .. } => Some(2),
            Frame::Softirq { .. } => Some(1),
            Frame::Launch | Frame::Syscall { .. } | Frame::Trap { .. } => None,
        };
        frames.iter().rev().find_map(context).unwrap_or(0)
    }

    /// On whose behalf a CPU that runs `frame` wakes a thread.
    pub(super) fn via(&self, cpu: CpuId, frame: Option<Frame>) -> Via {
        let evidence = self.cpus[cpu.0 as usize].evidence[self.context(cpu)];
        let interrupting = match frame {
            Some(Frame::Irq { vector }) => Some(Via::Irq { vector }),
            Some(Frame::IrqHandler { irq }) => Some(Via::Device { irq }),
            Some(Frame::Softirq { vec }) => Some(Via::Softirq { vec }),
            Some(Frame::Launch | Frame::Syscall { .. } | Frame::Trap { .. }) | None => None,
        };
        let timer = evidence.timer;
        let timer = timer.map(|(function, set)| Via::Timer { function, set });
        let request = evidence.request.map(Via::Request);
        let packet = evidence.packet;
        let packet = packet.map(|(bytes, sent)| Via::Packet { bytes, sent });
        timer
            .or(request)
            .or(packet)
            .or(interrupting)
            .unwrap_or(Via::Thread)
    }

    /// How many CPUs and threads have states that do not add up to their time, at the end of the trace.
    #[must_use]
    pub fn broken_partitions(&self) -> usize {
        let end = self.now;
        let cpus = self.cpus.iter().filter(|cpu| cpu.accounted != end).count();
        let threads = self.threads.iter().filter(|(_, thread)| {
            thread.accounted != thread.died.unwrap_or(end).since(thread.born)
        });
        cpus + threads.count()
    }
}
