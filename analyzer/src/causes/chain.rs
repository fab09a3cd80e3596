//! `chain`: from an interrupt or event forward to its effects: what it raised, queued, woke, and what those did then.
//!
//! An effect belongs to a chain when it was brought about by something that does: a softirq by its raise, a work item by
//! its being queued, a thread by its being woken until it sleeps again, a packet by its sender, a request by its maker.

use std::collections::HashMap;

use guesttrace_filter::BoundFilter;

use crate::model::{
    Abi, CallArgs, CpuId, FileName, Frame, FrameInterval, GuestNanos, KernelEvent, Machine, Moment,
    Observer, OpenFrame, SchedSwitch, Scheduling, Span, ThreadIndex, Tid, Transfer, Via,
    descriptor_of,
};
use crate::report::Analysis;
use crate::sources::Record;

/// More steps than that are not kept; that there were more is said.
const STEPS_MAX: usize = 1 << 20;

/// What chains begin with.
#[derive(Debug)]
pub enum ChainStart {
    /// Each interrupt of that line.
    Line(i64),
    /// Each event for which this holds.
    Event(BoundFilter),
}

/// Something that happened because of something else.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) parent: Option<usize>,
    /// The first step of its chain.
    pub(crate) root: usize,
    pub(crate) at: GuestNanos,
    pub(crate) cpu: CpuId,
    pub(crate) what: Happened,
}

// The command that makes chains says so.
const _: () = assert!(size_of::<Step>() <= 96);

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    /// An interrupt or softirq began.
    Entered(Frame),
    /// The event that was asked for.
    Event(Option<ThreadIndex>),
    /// A thread of the kernel began a work item.
    Worked {
        thread: ThreadIndex,
        function: u64,
    },
    Woke(ThreadIndex),
    /// A woken thread had a CPU.
    Ran(ThreadIndex),
    Called {
        thread: ThreadIndex,
        call: (Abi, u64),
        file: Option<FileName>,
        /// Whether it moves data to somebody else.
        writes: bool,
    },
    /// A request went to a disk.
    Asked {
        dev: u64,
        op: Option<u64>,
    },
    /// It was done.
    Done {
        dev: u64,
        op: Option<u64>,
    },
    /// A packet was received in this machine.
    Received {
        bytes: u64,
    },
}

/// Follows chains.
pub(crate) struct Chains<'a> {
    start: &'a ChainStart,
    span: Span,
    /// Effects later than that after the start are not followed.
    within: GuestNanos,
    pub(crate) steps: Vec<Step>,
    pub(crate) is_bounded: bool,
    /// The event that comes next is one that was asked for.
    matched: Option<CpuId>,
    /// An interrupt of the line that was asked for comes next on that CPU.
    line_entered: Option<CpuId>,
    /// By thread and depth of the frame.
    frames: HashMap<(ThreadIndex, usize), usize>,
    threads: HashMap<ThreadIndex, usize>,
    woken: HashMap<ThreadIndex, usize>,
    softirqs: HashMap<(CpuId, u64), usize>,
    works: HashMap<u64, usize>,
    /// What a thread of the kernel is busy with: of no chain, or of one.
    working: HashMap<ThreadIndex, Option<usize>>,
    /// The call of a thread that is a step: when it was entered.
    calls: HashMap<ThreadIndex, (GuestNanos, usize)>,
    requests: HashMap<(u64, u64), usize>,
    packets: HashMap<u64, usize>,
}

impl<'a> Chains<'a> {
    pub(crate) fn new(start: &'a ChainStart, span: Span, within: GuestNanos) -> Self {
        Self {
            start,
            span,
            within,
            steps: Vec::new(),
            is_bounded: false,
            matched: None,
            line_entered: None,
            frames: HashMap::new(),
            threads: HashMap::new(),
            woken: HashMap::new(),
            softirqs: HashMap::new(),
            works: HashMap::new(),
            working: HashMap::new(),
            calls: HashMap::new(),
            requests: HashMap::new(),
            packets: HashMap::new(),
        }
    }

    fn step(&mut self, parent: Option<usize>, moment: Moment, what: Happened) -> Option<usize> {
        let number = self.steps.len();
        if number >= STEPS_MAX {
            self.is_bounded = true;
            return None;
        }
        let root = parent.map_or(number, |parent| self.steps[parent].root);
        if moment
            .at
            .since(self.steps.get(root).map_or(moment.at, |root| root.at))
            > self.within
        {
            return None;
        }
        self.steps.push(Step {
            parent,
            root,
            at: moment.at,
            cpu: moment.cpu,
            what,
        });
        Some(number)
    }

    /// The step that is the cause of what happens on a CPU now.
    fn active(&mut self, machine: &Machine, moment: Moment) -> Option<usize> {
        let thread = machine.current(moment.cpu)?;
        let frames = &machine.threads()[thread].frames;
        let interrupt = frames.iter().rposition(|open| is_interrupt(open.frame));
        if let Some(depth) = interrupt {
            let handler = matches!(frames[depth].frame, Frame::IrqHandler { .. });
            let below = depth.checked_sub(1).filter(|_| handler);
            let depths = std::iter::once(depth).chain(below);
            return depths
                .filter_map(|depth| self.frames.get(&(thread, depth)))
                .copied()
                .next();
        }
        if let Some(work) = self.working.get(&thread) {
            return *work;
        }
        let step = *self.threads.get(&thread)?;
        let call = frames.iter().rev().find(|open| is_call(open.frame));
        match call {
            Some(open) if open.entered >= self.steps[step].at => {
                self.call(machine, moment.cpu, thread, step, open)
            }
            _ => Some(step),
        }
    }

    /// The step that a thread's call is; made if it was not one.
    fn call(
        &mut self,
        machine: &Machine,
        cpu: CpuId,
        thread: ThreadIndex,
        parent: usize,
        open: &OpenFrame,
    ) -> Option<usize> {
        let Frame::Syscall { abi, nr } = open.frame else {
            return Some(parent);
        };
        if let Some((entered, step)) = self.calls.get(&thread)
            && *entered == open.entered
        {
            return Some(*step);
        }
        let transfer = machine.transfer(abi, nr);
        let happened = Happened::Called {
            thread,
            call: (abi, nr),
            file: file(machine, thread, &open.args, transfer),
            writes: matches!(transfer, Some(Transfer::Write | Transfer::Send)),
        };
        let moment = Moment {
            at: open.entered,
            cpu,
        };
        let step = self.step(Some(parent), moment, happened)?;
        self.calls.insert(thread, (open.entered, step));
        Some(step)
    }

    fn wake(&mut self, machine: &Machine, moment: Moment, tid: Tid) {
        let Some(thread) = machine.threads().with_tid(tid) else {
            return;
        };
        let waits = matches!(
            machine.threads()[thread].scheduling,
            Scheduling::Blocked(_) | Scheduling::Running(_)
        );
        let cause = self.active(machine, moment).or_else(|| {
            // What a device has done was asked of it.
            match machine.actor(moment.at, moment.cpu).via {
                Via::Request(request) => self.requests.get(&(request.dev, request.sector)).copied(),
                _ => None,
            }
        });
        if let (true, Some(cause)) = (waits, cause)
            && !self.woken.contains_key(&thread)
            && let Some(step) = self.step(Some(cause), moment, Happened::Woke(thread))
        {
            self.woken.insert(thread, step);
        }
    }

    fn switch(&mut self, machine: &Machine, moment: Moment, switch: &SchedSwitch<'_>) {
        if let Some(prev) = machine.current(moment.cpu) {
            let state = switch.prev_state.map(Scheduling::from_kernel);
            if state != Some(Scheduling::Runnable) {
                self.threads.remove(&prev);
            }
        }
        let next = machine.threads().with_tid(switch.next_pid);
        if let Some(next) = next.filter(|_| switch.next_pid != Tid(0))
            && let Some(woken) = self.woken.remove(&next)
            && let Some(step) = self.step(Some(woken), moment, Happened::Ran(next))
        {
            self.threads.insert(next, step);
        }
    }

    fn work_begins(&mut self, machine: &Machine, moment: Moment, work: u64, function: u64) {
        let Some(thread) = machine.current(moment.cpu) else {
            return;
        };
        let cause = self.works.remove(&work);
        let worked = Happened::Worked { thread, function };
        let step = cause.and_then(|cause| self.step(Some(cause), moment, worked));
        self.working.insert(thread, step);
    }

    /// Begins a chain with the frame that a thread is nested in most deeply, or with the thread.
    fn begin(&mut self, machine: &Machine, moment: Moment, thread: ThreadIndex) {
        let frames = &machine.threads()[thread].frames;
        let interrupt = frames.iter().rposition(|open| is_interrupt(open.frame));
        let what = Happened::Event(Some(thread));
        let Some(step) = self.step(None, moment, what) else {
            return;
        };
        match interrupt {
            Some(depth) => self.frames.insert((thread, depth), step),
            None => self.threads.insert(thread, step),
        };
    }

    fn effects(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        match event {
            KernelEvent::SoftirqRaise(raise) => {
                if let Some(step) = self.active(machine, moment) {
                    self.softirqs.entry((moment.cpu, raise.vec)).or_insert(step);
                }
            }
            KernelEvent::WorkQueue(queue) => {
                if let Some(step) = self.active(machine, moment) {
                    self.works.entry(queue.work).or_insert(step);
                }
            }
            KernelEvent::WorkStart(start) => {
                let function = start.function.unwrap_or(0);
                self.work_begins(machine, moment, start.work.unwrap_or(0), function);
            }
            KernelEvent::WorkEnd(_) => {
                if let Some(thread) = machine.current(moment.cpu) {
                    self.working.remove(&thread);
                }
            }
            KernelEvent::SchedWaking(wake) => self.wake(machine, moment, wake.pid),
            KernelEvent::SchedWakeup(wake) => self.wake(machine, moment, wake.pid),
            KernelEvent::SchedWakeupNew(wake) => self.wake(machine, moment, wake.pid),
            KernelEvent::SchedSwitch(switch) => self.switch(machine, moment, switch),
            KernelEvent::BlockRqIssue(issue) => {
                if let Some(cause) = self.active(machine, moment) {
                    let (dev, op) = (issue.dev, issue.op);
                    let step = self.step(Some(cause), moment, Happened::Asked { dev, op });
                    step.map(|step| self.requests.insert((dev, issue.sector), step));
                }
            }
            KernelEvent::BlockRqComplete(done) => {
                let asked = (done.dev, done.sector);
                if let Some(cause) = self.requests.get(&asked).copied() {
                    let (dev, op) = (done.dev, done.op);
                    let step = self.step(Some(cause), moment, Happened::Done { dev, op });
                    step.map(|step| self.requests.insert(asked, step));
                }
            }
            KernelEvent::NetifRx(packet) => {
                if let (Some(addr), Some(step)) = (packet.skbaddr, self.active(machine, moment)) {
                    self.packets.insert(addr, step);
                }
            }
            KernelEvent::NetifReceiveSkb(packet) => {
                self.received(machine, moment, packet.skbaddr, packet.len);
            }
            _ => {}
        }
    }

    fn received(&mut self, machine: &Machine, moment: Moment, addr: Option<u64>, bytes: u64) {
        let Some(thread) = machine.current(moment.cpu) else {
            return;
        };
        let sent = addr.and_then(|addr| self.packets.remove(&addr));
        let frames = &machine.threads()[thread].frames;
        let interrupt = frames.iter().rposition(|open| is_interrupt(open.frame));
        if let (Some(cause), Some(depth)) = (sent, interrupt)
            && let Some(step) = self.step(Some(cause), moment, Happened::Received { bytes })
        {
            // What the softirq does from here on it does about this packet.
            self.frames.insert((thread, depth), step);
        }
    }
}

impl Analysis for Chains<'_> {
    fn record(&mut self, _machine: &Machine, record: &Record<'_>) {
        if let ChainStart::Event(filter) = self.start
            && self.span.contains(record.at)
            && filter.matches(record)
        {
            self.matched = Some(record.cpu);
        }
    }
}

impl Observer for Chains<'_> {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        if self.matched.take().is_some()
            && let Some(thread) = machine.current(moment.cpu)
        {
            self.begin(machine, moment, thread);
        }
        if let (ChainStart::Line(line), KernelEvent::IrqEntry(irq)) = (self.start, event)
            && irq.irq == Some(*line)
            && self.span.contains(moment.at)
        {
            self.line_entered = Some(moment.cpu);
        }
        self.effects(machine, moment, event);
    }

    fn frame_entered(&mut self, machine: &Machine, thread: ThreadIndex, open: &OpenFrame) {
        let Scheduling::Running(cpu) = machine.threads()[thread].scheduling else {
            return;
        };
        let depth = machine.threads()[thread].frames.len() - 1;
        self.frames.remove(&(thread, depth));
        let moment = Moment {
            at: open.entered,
            cpu,
        };
        match open.frame {
            Frame::Irq { .. } if self.line_entered.take() == Some(cpu) => {
                self.enter(None, moment, (thread, depth), open.frame);
            }
            Frame::IrqHandler { irq } => {
                // Not every source has interrupts besides their handlers.
                let is_start = matches!(self.start, ChainStart::Line(line) if *line == irq)
                    && self.span.contains(open.entered);
                let begun = depth
                    .checked_sub(1)
                    .is_some_and(|below| self.frames.contains_key(&(thread, below)));
                if is_start && !begun {
                    self.enter(None, moment, (thread, depth), open.frame);
                }
            }
            Frame::Softirq { vec } => {
                if let Some(cause) = self.softirqs.remove(&(cpu, vec)) {
                    self.enter(Some(cause), moment, (thread, depth), open.frame);
                }
            }
            Frame::Syscall { abi, nr } => {
                if let Some(step) = self.threads.get(&thread).copied()
                    && !self.working.contains_key(&thread)
                    && matches!(
                        machine.transfer(abi, nr),
                        Some(Transfer::Write | Transfer::Send)
                    )
                {
                    self.call(machine, cpu, thread, step, open);
                }
            }
            Frame::Launch | Frame::Trap { .. } | Frame::Irq { .. } => {}
        }
    }

    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let depth = machine.threads()[interval.thread].frames.len();
        self.frames.remove(&(interval.thread, depth));
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        // What is missing may have been the end of anything.
        self.frames.clear();
        self.threads.clear();
        self.woken.clear();
        self.softirqs.clear();
        self.works.clear();
        self.working.clear();
        self.calls.clear();
        self.requests.clear();
        self.packets.clear();
    }
}

impl Chains<'_> {
    fn enter(
        &mut self,
        cause: Option<usize>,
        moment: Moment,
        place: (ThreadIndex, usize),
        frame: Frame,
    ) {
        if let Some(step) = self.step(cause, moment, Happened::Entered(frame)) {
            self.frames.insert(place, step);
        }
    }
}

fn is_interrupt(frame: Frame) -> bool {
    match frame {
        Frame::Irq { .. } | Frame::IrqHandler { .. } | Frame::Softirq { .. } => true,
        Frame::Launch | Frame::Syscall { .. } | Frame::Trap { .. } => false,
    }
}

fn is_call(frame: Frame) -> bool {
    matches!(frame, Frame::Syscall { .. })
}

/// The file that a call writes to or reads from.
fn file(
    machine: &Machine,
    thread: ThreadIndex,
    args: &CallArgs,
    transfer: Option<Transfer>,
) -> Option<FileName> {
    transfer?;
    let pid = machine.threads()[thread].process();
    machine.files().name(pid, descriptor_of(args[0]?)).cloned()
}
