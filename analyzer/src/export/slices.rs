//! What the model made of a trace as slices of time: states and frames of threads, threads on CPUs, wake-ups.
//!
//! Frames nest in each other, and a state lies wholly in the innermost frame of its thread, so all slices of a thread
//! fit onto one track. A slice is told when it is over.

use std::io;

use super::job::PerCpu;
use crate::model::{
    Activity, CpuId, Doing, Frame, FrameInterval, GuestNanos, Machine, Observer, Span, Thread,
    ThreadIndex, ThreadInterval,
};
use crate::report::{Analysis, Selection};
use crate::sources::Record;

use super::job::Wanted;
use super::labels::is_told_by_frames;

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// Whose.
    pub(super) thread: ThreadIndex,
    /// What it did.
    pub(super) kind: SliceKind,
    /// When.
    pub(super) span: Span,
}

/// What a slice shows.
#[derive(Clone, Copy, Debug)]
pub(super) enum SliceKind {
    /// A system call, trap, interrupt or softirq, and what it returned.
    Frame(Frame, Option<i64>),
    /// One that had not ended when the trace did.
    OpenFrame(Frame),
    /// What the thread did otherwise.
    State(Doing),
    /// The thread had that CPU.
    On(CpuId),
}

/// One thread woke another, which ran some time later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wakeup {
    pub(super) waker: ThreadIndex,
    pub(super) at: GuestNanos,
    pub(super) woken: ThreadIndex,
    pub(super) ran: GuestNanos,
}

/// How many threads run and how many could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) running: u64,
    pub(super) runnable: u64,
}

/// Where slices go.
pub(super) trait Canvas {
    fn slice(&mut self, machine: &Machine, slice: &Slice) -> io::Result<()>;
    /// A stretch in which a thread did one thing, whether a slice tells of it or not.
    fn state(
        &mut self,
        machine: &Machine,
        interval: &ThreadInterval<'_>,
        span: Span,
    ) -> io::Result<()> {
        let _ = (machine, interval, span);
        Ok(())
    }
    fn wakeup(&mut self, machine: &Machine, wakeup: &Wakeup) -> io::Result<()>;
    fn counts(&mut self, at: GuestNanos, counts: Counts) -> io::Result<()>;
    fn mark(
        &mut self,
        thread: Option<(ThreadIndex, &Thread)>,
        record: &Record<'_>,
    ) -> io::Result<()>;
}

/// Tells a canvas of everything in a selection.
pub(super) struct Painter<'a, C> {
    pub(super) canvas: C,
    wanted: &'a Wanted,
    /// Whether records are marked: those that were asked for by name or condition.
    marks: bool,
    /// By CPU, the thread that it runs and since when.
    running: PerCpu<Option<Slice>>,
    /// By thread, what it is counted as.
    counted: Vec<Activity>,
    counts: Counts,
    told: Option<Counts>,
    /// What went wrong first; nothing is told after it.
    error: Option<io::Error>,
}

impl<'a, C: Canvas> Painter<'a, C> {
    pub(super) fn new(canvas: C, wanted: &'a Wanted) -> Self {
        Self {
            canvas,
            wanted,
            marks: !wanted.events.is_empty() || wanted.filter.is_some(),
            running: PerCpu::default(),
            counted: Vec::new(),
            counts: Counts::default(),
            told: None,
            error: None,
        }
    }

    /// Tells of what had not ended; gives the canvas back.
    ///
    /// # Errors
    /// The first that the canvas had.
    pub(super) fn finish(mut self, machine: &Machine, end: GuestNanos) -> io::Result<C> {
        let mut running = std::mem::take(&mut self.running);
        for slice in running.iter_mut().filter_map(Option::take) {
            self.slice(machine, slice);
        }
        for (thread, state) in machine.threads().iter() {
            for open in &state.frames {
                let span = Span {
                    start: open.entered,
                    end,
                };
                let kind = SliceKind::OpenFrame(open.frame);
                self.slice(machine, Slice { thread, kind, span });
            }
        }
        self.error.map_or(Ok(self.canvas), Err)
    }

    fn selection(&self) -> &Selection {
        &self.wanted.selection
    }

    fn tell(&mut self, tell: impl FnOnce(&mut C) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = tell(&mut self.canvas).err();
        }
    }

    /// Tells of the part of a slice that is in the selection.
    fn slice(&mut self, machine: &Machine, slice: Slice) {
        let span = slice.span.within(self.selection().span);
        let is_wanted = self
            .selection()
            .has_thread(&machine.threads()[slice.thread]);
        if span.start < span.end && is_wanted {
            self.tell(|canvas| canvas.slice(machine, &Slice { span, ..slice }));
        }
    }

    /// A thread had its CPU: makes one slice of stretches that follow each other.
    fn ran(&mut self, machine: &Machine, cpu: CpuId, thread: ThreadIndex, span: Span) {
        let current = self.running.slot(cpu, || None);
        if let Some(slice) = current
            && slice.thread == thread
            && slice.span.end == span.start
        {
            slice.span.end = span.end;
            return;
        }
        let kind = SliceKind::On(cpu);
        let over = current.replace(Slice { thread, kind, span });
        if let Some(over) = over {
            self.slice(machine, over);
        }
    }

    fn count(&mut self, interval: &ThreadInterval<'_>) {
        let index = interval.index.index();
        if self.counted.len() <= index {
            self.counted.resize(index + 1, Activity::Unknown);
        }
        let now = interval.thread.activity();
        let was = std::mem::replace(&mut self.counted[index], now);
        for (activity, is_now) in [(was, false), (now, true)] {
            let count = match activity {
                Activity::Runnable => &mut self.counts.runnable,
                activity if activity.is_running() => &mut self.counts.running,
                _ => continue,
            };
            *count = if is_now {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        }
        let at = interval.span.end;
        if self.told != Some(self.counts) && self.selection().span.contains(at) {
            self.told = Some(self.counts);
            let counts = self.counts;
            self.tell(|canvas| canvas.counts(at, counts));
        }
    }
}

impl<C: Canvas> Observer for Painter<'_, C> {
    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        let (thread, span) = (interval.index, interval.span);
        if let Some(cpu) = interval.cpu.filter(|cpu| self.selection().has_cpu(*cpu)) {
            self.ran(machine, cpu, thread, span);
        }
        if interval.thread.idle_of.is_some() {
            return;
        }
        self.count(interval);
        let part = span.within(self.selection().span);
        let is_wanted = self.selection().has_thread(interval.thread);
        if part.start < part.end && is_wanted {
            self.tell(|canvas| canvas.state(machine, interval, part));
        }
        if !is_told_by_frames(interval.activity) {
            let kind = SliceKind::State(interval.doing);
            self.slice(machine, Slice { thread, kind, span });
        }
        let waker = interval.thread.waker.filter(|_| {
            interval.activity == Activity::Runnable && interval.thread.activity().is_running()
        });
        if let Some((waker, by)) = waker.and_then(|waker| Some((waker, waker.thread?)))
            && self.selection().span.contains(waker.at)
            && self.selection().span.contains(span.end)
            && is_wanted
        {
            let wakeup = Wakeup {
                waker: by,
                at: waker.at,
                woken: thread,
                ran: span.end,
            };
            self.tell(|canvas| canvas.wakeup(machine, &wakeup));
        }
    }

    fn frame_left(&mut self, machine: &Machine, frame: &FrameInterval<'_>) {
        let slice = Slice {
            thread: frame.thread,
            kind: SliceKind::Frame(frame.frame(), frame.ret),
            span: frame.span,
        };
        self.slice(machine, slice);
    }
}

impl<C: Canvas> Analysis for Painter<'_, C> {
    fn record(&mut self, machine: &Machine, record: &Record<'_>) {
        if self.marks && self.wanted.has(record) {
            let thread = machine.current(record.cpu);
            let thread = thread.map(|index| (index, &machine.threads()[index]));
            self.tell(|canvas| canvas.mark(thread, record));
        }
    }

    fn is_done(&self) -> bool {
        self.error.is_some()
    }
}
