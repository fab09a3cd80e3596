//! What is remembered of a trace to explain waits: for each wait when it was and what ended it, for each stretch without
//! a CPU which CPU that was about.
//!
//! Memory: 64 bytes for each wait and each work item, 32 for each other stretch without a CPU, within the selected time.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::key::{Ender, Want};
use crate::model::{
    Activity, Asked, CpuId, FileName, Frame, GuestNanos, KernelEvent, Machine, Moment, Observer,
    Scheduling, Span, Thread, ThreadIndex, ThreadInterval, Tid, Via, Waker, descriptor_of,
};
use crate::report::Analysis;

/// Values that are the same for many, by number.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    values: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            numbers: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    pub(crate) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }
}

/// Why a thread went on at some time: a wait that ended, or a work item that was queued and then begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// From going to sleep to being woken; of a work item, from being queued to being begun.
    pub(crate) span: Span,
    /// When the interrupt began that ended it; its end when that was a thread.
    pub(crate) since: GuestNanos,
    /// When what ended it was set under way: a request, a timer, a packet.
    pub(crate) from: GuestNanos,
    /// When a request went from its queue to its device.
    pub(crate) issued: GuestNanos,
    /// Who set it under way, or ended it in its own name.
    pub(crate) by: Option<u32>,
    pub(crate) want: u32,
    pub(crate) ender: u32,
    pub(crate) is_work: bool,
}

// The module's documentation says so, and the commands that need it.
const _: () = assert!(size_of::<Link>() <= 64 && size_of::<Gap>() <= 32);

/// A stretch in which a thread had no CPU, and did not wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) span: Span,
    pub(crate) kind: GapKind,
}

/// Why it had none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GapKind {
    /// It could run there.
    Queued(Option<CpuId>),
    /// The trace does not say what it did.
    Unknown,
}

/// What is remembered of one thread.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// By their ends.
    pub(crate) links: Vec<Link>,
    pub(crate) gaps: Vec<Gap>,
}

/// What is remembered of a trace.
#[derive(Debug, Default)]
pub(crate) struct History {
    span: Option<Span>,
    pasts: Vec<Past>,
    pub(crate) wants: Interner<Want>,
    pub(crate) enders: Interner<Ender>,
    /// Since when a thread that can run is queued where it is.
    moved: BTreeMap<ThreadIndex, (GuestNanos, Option<CpuId>)>,
    nothing: Past,
}

impl History {
    /// Remembers what overlaps `span`.
    pub(crate) fn new(span: Span) -> Self {
        Self {
            span: Some(span),
            ..Self::default()
        }
    }

    pub(crate) fn of(&self, thread: ThreadIndex) -> &Past {
        self.pasts.get(thread.index()).unwrap_or(&self.nothing)
    }

    fn past(&mut self, thread: ThreadIndex) -> &mut Past {
        let index = thread.index();
        if self.pasts.len() <= index {
            self.pasts.resize_with(index + 1, Past::default);
        }
        &mut self.pasts[index]
    }

    fn is_wanted(&self, span: Span) -> bool {
        self.span
            .is_none_or(|all| span.end >= all.start && span.start < all.end)
    }

    fn waited(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        let thread = interval.thread;
        let want = self.wants.number(want(machine, thread));
        let link = match &thread.waker {
            Some(waker) => self.ended_by(machine, interval.index, interval.span, want, waker),
            None => {
                let is_over =
                    !matches!(thread.scheduling, Scheduling::Blocked(_) | Scheduling::Dead);
                let ender = if is_over {
                    Ender::Unknown
                } else {
                    Ender::Never
                };
                Link {
                    span: interval.span,
                    since: interval.span.end,
                    from: interval.span.start,
                    issued: interval.span.start,
                    by: None,
                    want,
                    ender: self.enders.number(ender),
                    is_work: false,
                }
            }
        };
        self.past(interval.index).links.push(link);
    }

    fn ended_by(
        &mut self,
        machine: &Machine,
        waiting: ThreadIndex,
        span: Span,
        want: u32,
        waker: &Waker,
    ) -> Link {
        let Span { start, end } = span;
        let (mut from, mut issued, mut by) = (start, None, None);
        let ender = match waker.via {
            Via::Timer { function, set } => {
                let owner = set.and_then(|set| set.thread);
                (from, by) = (set.map_or(start, |set| set.at), owner);
                let owner = owner.filter(|owner| *owner != waiting);
                Ender::Timer { function, owner }
            }
            Via::Request(request) => {
                let queued = request.inserted.or(request.issued);
                from = queued.unwrap_or(start);
                issued = request.issued;
                by = request.thread;
                let maker = request.thread.map(|thread| &machine.threads()[thread]);
                let file = maker.and_then(|maker| file_of(machine, maker, request.asked));
                let (dev, op) = (request.dev, request.op);
                Ender::Disk { dev, op, file }
            }
            Via::Packet { sent, .. } => {
                (from, by) = (
                    sent.map_or(start, |sent| sent.at),
                    sent.and_then(|sent| sent.thread),
                );
                Ender::Packet { sender: by }
            }
            Via::Device { irq } => Ender::Device(irq),
            Via::Softirq { vec } => Ender::Softirq(vec),
            Via::Irq { vector } => match machine.lines().line_of(vector) {
                Some(line) => Ender::Device(line),
                None => Ender::Irq(vector),
            },
            Via::Thread => {
                by = waker.thread;
                self.thread_ender(machine, waker)
            }
        };
        Link {
            span,
            since: if waker.via == Via::Thread {
                end
            } else {
                waker.since
            },
            from,
            issued: issued.unwrap_or(from),
            by: by.and_then(|by| u32::try_from(by.index()).ok()),
            want,
            ender: self.enders.number(ender),
            is_work: false,
        }
    }

    /// A link from `start` to what an interrupt did.
    pub(crate) fn interrupted(
        &mut self,
        machine: &Machine,
        thread: ThreadIndex,
        start: GuestNanos,
        actor: &Waker,
    ) -> Link {
        let want = self.wants.number(Want {
            asked: Asked::Kernel,
            call: None,
            file: None,
            work: None,
        });
        let end = actor.at;
        let span = Span { start, end };
        self.ended_by(machine, thread, span, want, actor)
    }

    fn thread_ender(&self, machine: &Machine, waker: &Waker) -> Ender {
        let Some(thread) = waker.thread else {
            return Ender::Unknown;
        };
        let woke = &machine.threads()[thread];
        // The waker may have gone on since: only of the call that it is still in is the file known.
        let open = woke
            .frames
            .iter()
            .rev()
            .find(|open| Some(open.frame) == waker.frame);
        let asked = open.map(|_| machine.asked_of(woke));
        Ender::Thread {
            thread,
            frame: waker.frame,
            file: asked.and_then(|asked| file_of(machine, woke, asked)),
        }
    }

    fn work_begins(&mut self, machine: &Machine, moment: Moment, work: u64, function: u64) {
        let (Some(queued), Some(thread)) = (machine.queued_work(work), machine.current(moment.cpu))
        else {
            return;
        };
        let span = Span {
            start: queued.at,
            end: moment.at,
        };
        if !self.is_wanted(span) {
            return;
        }
        let by = queued.thread.filter(|_| queued.via == Via::Thread);
        let want = Want {
            asked: Asked::Kernel,
            call: None,
            file: None,
            work: Some(function),
        };
        let link = Link {
            span,
            since: queued.since,
            from: span.start,
            issued: span.start,
            by: by.and_then(|by| u32::try_from(by.index()).ok()),
            want: self.wants.number(want),
            ender: self.enders.number(Ender::Work {
                function,
                by: queued.frame.filter(|_| queued.via != Via::Thread),
            }),
            is_work: true,
        };
        self.past(thread).links.push(link);
    }

    /// A thread that can run is moved to another CPU's queue.
    fn migrated(&mut self, machine: &Machine, at: GuestNanos, tid: Tid) {
        let Some(index) = machine.threads().with_tid(tid) else {
            return;
        };
        let thread = &machine.threads()[index];
        if thread.activity() != Activity::Runnable {
            return;
        }
        let since = self.moved.get(&index).map_or(GuestNanos(0), |(at, _)| *at);
        let start = since.max(thread.since());
        let span = Span { start, end: at };
        if start < at && self.is_wanted(span) {
            let kind = GapKind::Queued(thread.queue_cpu);
            self.past(index).gaps.push(Gap { span, kind });
        }
        self.moved.insert(index, (at, None));
    }

    fn waited_for_cpu(&mut self, interval: &ThreadInterval<'_>) {
        let moved = self.moved.remove(&interval.index);
        let start = moved.map_or(interval.span.start, |(at, _)| at.max(interval.span.start));
        let span = Span {
            start,
            end: interval.span.end,
        };
        if span.start < span.end {
            let kind = GapKind::Queued(interval.thread.queue_cpu);
            self.past(interval.index).gaps.push(Gap { span, kind });
        }
    }
}

impl Analysis for History {}

impl Observer for History {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        match event {
            KernelEvent::WorkStart(start) => {
                if let Some(work) = start.work {
                    self.work_begins(machine, moment, work, start.function.unwrap_or(0));
                }
            }
            KernelEvent::SchedMigrate(migration) => {
                self.migrated(machine, moment.at, migration.pid);
            }
            _ => {}
        }
    }

    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        if interval.thread.idle_of.is_some() || !self.is_wanted(interval.span) {
            return;
        }
        match interval.activity {
            Activity::Blocked => self.waited(machine, interval),
            Activity::Runnable => self.waited_for_cpu(interval),
            Activity::Unknown => {
                let (span, kind) = (interval.span, GapKind::Unknown);
                self.past(interval.index).gaps.push(Gap { span, kind });
            }
            _ => {}
        }
    }
}

/// What a sleeping thread asked for.
pub(super) fn want(machine: &Machine, thread: &Thread) -> Want {
    let call = thread
        .frames
        .iter()
        .rev()
        .find_map(|open| match open.frame {
            Frame::Syscall { abi, nr } => Some((abi, nr)),
            Frame::Launch
            | Frame::Trap { .. }
            | Frame::Irq { .. }
            | Frame::IrqHandler { .. }
            | Frame::Softirq { .. } => None,
        });
    let asked = thread.asked;
    Want {
        asked,
        // A new thread is in the call that made it.
        call: call.filter(|_| !matches!(asked, Asked::Page | Asked::Start)),
        file: file_of(machine, thread, asked),
        work: thread.work,
    }
}

/// The file that a thread asked for, if its name is known.
pub(super) fn file_of(machine: &Machine, thread: &Thread, asked: Asked) -> Option<FileName> {
    let fd = match asked {
        Asked::File { fd } | Asked::Socket { fd } | Asked::Sync { fd } | Asked::Lock { fd } => fd?,
        Asked::Time
        | Asked::Futex { .. }
        | Asked::Poll
        | Asked::Child
        | Asked::Signal
        | Asked::Ipc
        | Asked::Path
        | Asked::Page
        | Asked::Call { .. }
        | Asked::Start
        | Asked::Kernel => return None,
    };
    let name = machine.files().name(thread.process(), descriptor_of(fd));
    name.cloned()
}
