//! The threads of a trace: who they are and where they stand.
//!
//! A thread keeps its index for ever; its number may be given to another after it has ended.

use std::collections::HashMap;

use super::calls::CallArgs;
use super::ids::{CpuId, GuestNanos, Pid, Tid};
use super::state::{Activity, Doing, Frame, Ground, Scheduling};
use super::wait::{Asked, Via};

/// Names a thread of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadIndex(pub(super) usize);

impl ThreadIndex {
    /// Position among [`Threads::iter`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// A frame and when it was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFrame {
    /// What it is.
    pub frame: Frame,
    /// When it was entered.
    pub entered: GuestNanos,
    /// Arguments of a system call.
    pub args: CallArgs,
}

impl OpenFrame {
    /// One whose arguments are not known.
    pub(super) fn of(frame: Frame, entered: GuestNanos) -> Self {
        Self {
            frame,
            entered,
            args: CallArgs::default(),
        }
    }
}

/// Who woke a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waker {
    /// The thread that ran on the waking CPU, if that is known.
    pub thread: Option<ThreadIndex>,
    /// The innermost frame there: an interrupt or softirq wakes in nobody's name.
    pub frame: Option<Frame>,
    /// Why.
    pub via: Via,
    /// When.
    pub at: GuestNanos,
    /// When the outermost interrupt or softirq began in which that happened; `at` itself outside of any.
    pub since: GuestNanos,
}

/// One thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its number.
    pub tid: Tid,
    /// Its process, if the trace says.
    pub pid: Option<Pid>,
    /// The thread that made it, if the trace says.
    pub parent: Option<ThreadIndex>,
    /// The CPU whose idle thread it is.
    pub idle_of: Option<CpuId>,
    /// Its latest name, possibly empty.
    pub comm: Vec<u8>,
    /// The latest program that it was seen to start.
    pub program: Option<Vec<u8>>,
    /// When it was made, or the start of the trace.
    pub born: GuestNanos,
    /// When it was last switched away from.
    pub died: Option<GuestNanos>,
    /// Where it stands with the scheduler.
    pub scheduling: Scheduling,
    /// What it runs below its frames.
    pub ground: Ground,
    /// What it is nested in, outermost first.
    pub frames: Vec<OpenFrame>,
    /// Who ended its latest wait; none while it waits, when that was not seen, and when it was only preempted.
    pub waker: Option<Waker>,
    /// What it waited for last, or would have.
    pub asked: Asked,
    /// Function of the work item that this thread of the kernel is busy with.
    pub work: Option<u64>,
    /// Woken while still running on its way to sleep.
    pub(super) early_wake: Option<Waker>,
    pub(super) exiting: bool,
    /// Whether the call it is in began as another program: its number may have changed since.
    pub(super) execed: bool,
    /// Where it ran last.
    pub(super) last_cpu: Option<CpuId>,
    /// The CPU that it is to run on, while it can run.
    pub queue_cpu: Option<CpuId>,
    pub(super) doing: Doing,
    pub(super) since: GuestNanos,
    /// Sum of its stretches that are over.
    pub(super) accounted: GuestNanos,
}

impl Thread {
    fn new(tid: Tid, born: GuestNanos) -> Self {
        Self {
            tid,
            pid: None,
            parent: None,
            idle_of: None,
            comm: Vec::new(),
            program: None,
            born,
            died: None,
            scheduling: Scheduling::Unknown,
            ground: Ground::Unknown,
            frames: Vec::new(),
            waker: None,
            asked: Asked::Kernel,
            work: None,
            early_wake: None,
            exiting: false,
            execed: false,
            last_cpu: None,
            queue_cpu: None,
            doing: Doing::of(Activity::Unknown),
            since: born,
            accounted: GuestNanos(0),
        }
    }

    /// What its time goes to now.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match self.scheduling {
            Scheduling::Unknown | Scheduling::Dead => Activity::Unknown,
            Scheduling::Runnable => Activity::Runnable,
            Scheduling::Blocked(_) => Activity::Blocked,
            Scheduling::Running(_) => self.running_activity(),
        }
    }

    /// Since when it does what it does now.
    #[must_use]
    pub fn since(&self) -> GuestNanos {
        self.since
    }

    /// What it does now, in detail.
    #[must_use]
    pub fn doing(&self) -> Doing {
        let activity = self.activity();
        let frame = match activity {
            Activity::Syscall | Activity::Trap | Activity::Kernel => self.innermost(),
            Activity::Irq => self.interrupt(),
            Activity::Softirq => self.softirq(),
            Activity::User
            | Activity::Idle
            | Activity::RunningUnknown
            | Activity::Runnable
            | Activity::Blocked
            | Activity::Unknown
            | Activity::Unseen => None,
        };
        let work = self.work.filter(|_| activity == Activity::Kernel);
        Doing {
            activity,
            frame,
            work,
        }
    }

    /// The innermost softirq.
    fn softirq(&self) -> Option<Frame> {
        let mut frames = self.frames.iter().rev().map(|open| open.frame);
        frames.find(|frame| matches!(frame, Frame::Softirq { .. }))
    }

    /// The innermost interrupt, or else handler of one.
    fn interrupt(&self) -> Option<Frame> {
        let frames = || self.frames.iter().rev().map(|open| open.frame);
        let irq = frames().find(|frame| matches!(frame, Frame::Irq { .. }));
        irq.or_else(|| frames().find(|frame| matches!(frame, Frame::IrqHandler { .. })))
    }

    /// Its process; a thread of which that is not known stands for itself.
    #[must_use]
    pub fn process(&self) -> Pid {
        self.pid.unwrap_or(Pid(self.tid.0))
    }

    /// What it is nested in most deeply.
    #[must_use]
    pub fn innermost(&self) -> Option<Frame> {
        self.frames.last().map(|open| open.frame)
    }

    fn running_activity(&self) -> Activity {
        match self.innermost() {
            Some(Frame::Launch) => Activity::Kernel,
            Some(Frame::Syscall { .. }) => Activity::Syscall,
            // An exception inside an interrupt is part of the interrupt.
            Some(Frame::Trap { .. }) => self.interruption().unwrap_or(Activity::Trap),
            Some(Frame::Irq { .. } | Frame::IrqHandler { .. }) => Activity::Irq,
            Some(Frame::Softirq { .. }) => Activity::Softirq,
            None => match self.ground {
                Ground::Unknown => Activity::RunningUnknown,
                Ground::User => Activity::User,
                Ground::Kernel => Activity::Kernel,
                Ground::Idle => Activity::Idle,
            },
        }
    }

    fn interruption(&self) -> Option<Activity> {
        self.frames.iter().rev().find_map(|open| match open.frame {
            Frame::Irq { .. } | Frame::IrqHandler { .. } => Some(Activity::Irq),
            Frame::Softirq { .. } => Some(Activity::Softirq),
            Frame::Launch | Frame::Syscall { .. } | Frame::Trap { .. } => None,
        })
    }

    /// Forgets what it was doing: it may have gone anywhere unseen.
    pub(super) fn forget_context(&mut self) {
        self.scheduling = Scheduling::Unknown;
        self.frames.clear();
        self.early_wake = None;
        self.waker = None;
        self.work = None;
        // Idle and kernel threads stay what they are; any other may be anywhere in the kernel.
        if self.ground == Ground::User {
            self.ground = Ground::Unknown;
        }
    }
}

/// All threads of a trace.
#[derive(Debug, Default)]
pub struct Threads {
    threads: Vec<Thread>,
    by_tid: HashMap<Tid, ThreadIndex>,
    idle: Vec<Option<ThreadIndex>>,
}

impl Threads {
    /// Every thread, in the order in which they became known.
    pub fn iter(&self) -> impl Iterator<Item = (ThreadIndex, &Thread)> + '_ {
        self.threads
            .iter()
            .enumerate()
            .map(|(index, thread)| (ThreadIndex(index), thread))
    }

    /// The thread with that position.
    pub(crate) fn nth(&self, position: u32) -> Option<ThreadIndex> {
        let index = position as usize;
        (index < self.threads.len()).then_some(ThreadIndex(index))
    }

    /// Every index.
    pub(super) fn indices(&self) -> impl Iterator<Item = ThreadIndex> + use<> {
        (0..self.threads.len()).map(ThreadIndex)
    }

    /// The thread that has that number now.
    #[must_use]
    pub fn with_tid(&self, tid: Tid) -> Option<ThreadIndex> {
        self.by_tid.get(&tid).copied()
    }

    /// The thread with that number; on `cpu`, when it is the number of the idle threads. Made known if it was not.
    pub(super) fn known(&mut self, tid: Tid, cpu: CpuId) -> ThreadIndex {
        if tid == Tid(0) {
            return self.idle(cpu);
        }
        if let Some(index) = self.by_tid.get(&tid) {
            return *index;
        }
        self.add(Thread::new(tid, GuestNanos(0)))
    }

    /// A thread that begins now.
    pub(super) fn begin(&mut self, tid: Tid, at: GuestNanos) -> ThreadIndex {
        self.add(Thread::new(tid, at))
    }

    /// The idle thread of a CPU.
    pub(super) fn idle(&mut self, cpu: CpuId) -> ThreadIndex {
        let slot = cpu.0 as usize;
        if self.idle.len() <= slot {
            self.idle.resize(slot + 1, None);
        }
        if let Some(index) = self.idle[slot] {
            return index;
        }
        let index = ThreadIndex(self.threads.len());
        self.idle[slot] = Some(index);
        self.threads.push(Thread {
            pid: Some(Pid(0)),
            idle_of: Some(cpu),
            comm: format!("swapper/{cpu}").into_bytes(),
            ground: Ground::Idle,
            ..Thread::new(Tid(0), GuestNanos(0))
        });
        index
    }

    fn add(&mut self, thread: Thread) -> ThreadIndex {
        let index = ThreadIndex(self.threads.len());
        self.by_tid.insert(thread.tid, index);
        self.threads.push(thread);
        index
    }

    /// Gives a thread another number: what exec does to a thread that did not lead its process.
    pub(super) fn renumber(&mut self, thread: ThreadIndex, tid: Tid) {
        let old = self[thread].tid;
        if self.by_tid.get(&old) == Some(&thread) {
            self.by_tid.remove(&old);
        }
        self.by_tid.insert(tid, thread);
        self[thread].tid = tid;
    }
}

impl std::ops::Index<ThreadIndex> for Threads {
    type Output = Thread;

    fn index(&self, index: ThreadIndex) -> &Thread {
        &self.threads[index.0]
    }
}

impl std::ops::IndexMut<ThreadIndex> for Threads {
    fn index_mut(&mut self, index: ThreadIndex) -> &mut Thread {
        &mut self.threads[index.0]
    }
}
