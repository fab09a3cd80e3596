//! Explains a stretch of a thread's life: what it did itself, and for each wait what ended that, and what the one who
//! ended it had done meanwhile, and so on.
//!
//! The pieces of an explanation partition its stretch exactly. A wait is explained backwards from its end: whoever ended
//! it is followed back through its own waits until the wait's beginning, and no further.

use super::history::{GapKind, History, Link};
use super::key::{Ender, Key, Phase};
use super::tree::{NodeId, Tree};
use crate::model::{CpuId, GuestNanos, Machine, Span, ThreadIndex};

/// A piece of an explanation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) span: Span,
    /// Where it belongs in the tree.
    pub(crate) node: NodeId,
    /// How many threads lie between this piece and the thread that is explained.
    pub(crate) depth: usize,
    /// The thread that ran, could have run, or waited.
    pub(crate) thread: ThreadIndex,
    pub(crate) what: What,
}

// With what `refine` keeps of each, 96 bytes: the commands that make explanations say so.
const _: () = assert!(size_of::<Piece>() <= 64);

/// What a piece is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The thread had a CPU: the second pass tells what it did.
    Ran,
    /// The thread could have run there: the second pass tells who did.
    Queued(Option<CpuId>),
    /// It is what its place in the tree says.
    Known,
}

/// Explains stretches, with what the first pass remembers.
pub(crate) struct Explainer<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) history: &'a History,
    pub(crate) tree: Tree,
    /// So many threads deep.
    pub(crate) depth_max: usize,
    /// In no particular order.
    pub(crate) pieces: Vec<Piece>,
}

/// Whose stretch is explained, and where that belongs.
#[derive(Clone, Copy)]
struct Subject {
    thread: ThreadIndex,
    node: NodeId,
    depth: usize,
}

impl Explainer<'_> {
    /// Explains what a thread did in a stretch of its life, below `node`.
    pub(crate) fn explain(&mut self, thread: ThreadIndex, span: Span, node: NodeId) {
        let subject = Subject {
            thread,
            node,
            depth: 0,
        };
        self.follow(subject, span);
    }

    /// Explains how it came to something that happened in an interrupt while `thread` had the CPU.
    pub(crate) fn explain_interrupt(&mut self, thread: ThreadIndex, link: &Link, node: NodeId) {
        let subject = Subject {
            thread,
            node,
            depth: 0,
        };
        self.ended(subject, link, link.span);
    }

    /// Goes back from the end of `span` to its start along one thread.
    fn follow(&mut self, subject: Subject, span: Span) {
        let history = self.history;
        let links = &history.of(subject.thread).links;
        let born = self.machine.threads()[subject.thread].born;
        let mut at = span.end;
        // The first link that ends later may already have begun.
        let mut next = links.partition_point(|link| link.span.end <= at);
        let pending = links[next..].iter().find(|link| !link.is_work);
        if let Some(link) = pending.filter(|link| link.span.start < at) {
            at = self.wait(subject, link, Span { end: at, ..span });
        }
        while at > span.start.max(born) && next > 0 {
            next -= 1;
            let link = &links[next];
            let is_own = subject.depth == 0;
            if link.span.end > at || (link.is_work && is_own) {
                continue;
            }
            if link.span.end <= span.start {
                break;
            }
            self.awake(
                subject,
                Span {
                    start: link.span.end,
                    end: at,
                },
            );
            at = self.wait(
                subject,
                link,
                Span {
                    end: link.span.end,
                    ..span
                },
            );
            if link.is_work {
                // What this thread did before it began the work item is not why the item was begun.
                return;
            }
        }
        let start = span.start.max(born);
        if start < at {
            self.awake(subject, Span { start, end: at });
            at = start;
        }
        if span.start < at {
            self.before_birth(subject, Span { end: at, ..span });
        }
    }

    /// Explains a wait as far as it is within `span`; returns when it began.
    fn wait(&mut self, subject: Subject, link: &Link, span: Span) -> GuestNanos {
        let blocked = self.tree.child(Some(subject.node), Key::Blocked);
        let mut node = blocked;
        if !link.is_work {
            let want = self.history.wants.get(link.want).clone();
            node = self.tree.child(Some(blocked), Key::Want(want));
            self.tree.count(node);
        }
        self.ended(Subject { node, ..subject }, link, span)
    }

    /// Explains by what ended it; returns where that leads back to.
    fn ended(&mut self, subject: Subject, link: &Link, span: Span) -> GuestNanos {
        let inside = link.span.within(span);
        let ender = self.history.enders.get(link.ender).clone();
        let by_thread = matches!(ender, Ender::Thread { .. });
        let is_plain = matches!(ender, Ender::Unknown | Ender::Never);
        let node = self.tree.child(Some(subject.node), Key::Ender(ender));
        self.tree.count(node);
        let below = Subject { node, ..subject };
        if by_thread {
            self.other(below, link, inside);
        } else if is_plain {
            self.known(below, inside);
        } else if link.is_work {
            self.work(below, link, span);
            return span.start;
        } else {
            self.device(below, link, inside);
        }
        inside.start
    }

    /// A wait that a thread ended in its own name: what that did meanwhile.
    fn other(&mut self, below: Subject, link: &Link, span: Span) {
        match self.maker(below, link) {
            Some(thread) if below.depth < self.depth_max => {
                let (node, depth) = (below.node, below.depth + 1);
                self.follow(
                    Subject {
                        thread,
                        node,
                        depth,
                    },
                    span,
                );
            }
            _ => self.known(below, span),
        }
    }

    /// Who set under way what ended a wait, unless it was the waiting thread itself.
    fn maker(&self, subject: Subject, link: &Link) -> Option<ThreadIndex> {
        let by = self.machine.threads().nth(link.by?)?;
        let is_idle = self.machine.threads()[by].idle_of.is_some();
        (by != subject.thread && !is_idle).then_some(by)
    }

    /// A wait that an interrupt ended: before what it was about was set under way, until it was over, the interrupt.
    fn device(&mut self, below: Subject, link: &Link, span: Span) {
        let since = link.since.clamp(span.start, span.end);
        let issued = link.issued.clamp(span.start, since);
        let from = link.from.clamp(span.start, issued);
        let phases = [
            (Phase::Interrupt, since, span.end),
            (Phase::UnderWay, issued, since),
            (Phase::Queued, from, issued),
        ];
        for (phase, start, end) in phases {
            self.phase(below, phase, Span { start, end });
        }
        let before = Span {
            start: span.start,
            end: from,
        };
        if before.start < before.end {
            let node = self.tree.child(Some(below.node), Key::Phase(Phase::Before));
            self.other(Subject { node, ..below }, link, before);
        }
    }

    /// A work item that had to be begun: it was in the queue, and before that its maker was under way.
    fn work(&mut self, below: Subject, link: &Link, span: Span) {
        let queued = link.span.within(span);
        self.phase(below, Phase::Queued, queued);
        let before = Span {
            start: span.start,
            end: queued.start,
        };
        let interrupt = Span {
            start: link.since,
            end: queued.start,
        };
        let interrupt = interrupt.within(before);
        self.phase(below, Phase::Interrupt, interrupt);
        let before = Span {
            start: span.start,
            end: interrupt.start,
        };
        if before.start < before.end {
            let node = self.tree.child(Some(below.node), Key::Phase(Phase::Before));
            self.other(Subject { node, ..below }, link, before);
        }
    }

    fn phase(&mut self, below: Subject, phase: Phase, span: Span) {
        if span.start < span.end {
            let node = self.tree.child(Some(below.node), Key::Phase(phase));
            self.tree.count(node);
            self.known(Subject { node, ..below }, span);
        }
    }

    /// A thread did not exist yet: what the one did that made it.
    fn before_birth(&mut self, subject: Subject, span: Span) {
        let parent = self.machine.threads()[subject.thread].parent;
        match parent {
            Some(thread) if subject.depth > 0 && subject.depth < self.depth_max => {
                let node = self.tree.child(Some(subject.node), Key::Parent(thread));
                let depth = subject.depth + 1;
                self.follow(
                    Subject {
                        thread,
                        node,
                        depth,
                    },
                    span,
                );
            }
            _ => {
                let node = self.tree.child(Some(subject.node), Key::Unknown);
                self.known(Subject { node, ..subject }, span);
            }
        }
    }

    /// A thread had a CPU or could have had one.
    fn awake(&mut self, subject: Subject, span: Span) {
        let history = self.history;
        let gaps = &history.of(subject.thread).gaps;
        let mut at = span.start;
        let first = gaps.partition_point(|gap| gap.span.end <= span.start);
        for gap in &gaps[first..] {
            if gap.span.start >= span.end {
                break;
            }
            let inside = gap.span.within(Span { start: at, ..span });
            let ran = Span {
                start: at,
                end: inside.start,
            };
            self.ran(subject, ran);
            self.gap(subject, inside, gap.kind);
            at = inside.end;
        }
        self.ran(subject, Span { start: at, ..span });
    }

    fn gap(&mut self, subject: Subject, span: Span, kind: GapKind) {
        let (key, what) = match kind {
            GapKind::Queued(cpu) => (Key::Runnable, What::Queued(cpu)),
            GapKind::Unknown => (Key::Unknown, What::Known),
        };
        let node = self.tree.child(Some(subject.node), key);
        self.tree.count(node);
        self.push(subject, span, node, what);
    }

    fn ran(&mut self, subject: Subject, span: Span) {
        if span.start < span.end {
            let node = self.tree.child(Some(subject.node), Key::Running);
            self.tree.count(node);
            self.push(subject, span, node, What::Ran);
        }
    }

    fn known(&mut self, subject: Subject, span: Span) {
        self.push(subject, span, subject.node, What::Known);
    }

    fn push(&mut self, subject: Subject, span: Span, node: NodeId, what: What) {
        if span.start < span.end {
            let depth = subject.depth;
            self.pieces.push(Piece {
                span,
                node,
                depth,
                thread: subject.thread,
                what,
            });
        }
    }
}
