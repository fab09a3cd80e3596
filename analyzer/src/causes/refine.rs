//! The second pass: what threads did in the stretches that an explanation left to it, and who had the CPU in those where
//! a thread could only have run.

use super::explain::{Piece, What};
use super::key::{Group, Key};
use super::tree::{NodeId, Tree};
use crate::model::{
    Activity, Doing, GuestNanos, Machine, Observer, Span, ThreadIndex, ThreadInterval,
};
use crate::report::Analysis;

/// Fills a tree.
pub(crate) struct Refiner {
    pub(crate) tree: Tree,
    threads: Vec<Line>,
    cpus: Vec<Line>,
    /// Those of which it is not known where they were about.
    lost: Vec<Wanted>,
}

/// A stretch that is to be told apart.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    span: Span,
    node: NodeId,
    /// What of it has not been told.
    left: GuestNanos,
}

/// Stretches in the order of their starts, which may overlap.
#[derive(Debug, Default)]
struct Line {
    wanted: Vec<Wanted>,
    /// How many of them have begun.
    begun: usize,
    /// Those that have begun and are not over.
    open: Vec<usize>,
}

impl Line {
    /// Calls `told` for every stretch that overlaps `span`, with the node. Spans must come in order.
    fn overlaps(&mut self, span: Span, mut told: impl FnMut(NodeId, GuestNanos)) {
        while let Some(wanted) = self.wanted.get(self.begun)
            && wanted.span.start < span.end
        {
            self.open.push(self.begun);
            self.begun += 1;
        }
        let wanted = &mut self.wanted;
        self.open.retain(|index| {
            let wanted = &mut wanted[*index];
            let time = span.within(wanted.span).length();
            if time > GuestNanos(0) && span.end > wanted.span.start {
                wanted.left = wanted.left.since(time);
                told(wanted.node, time);
            }
            wanted.span.end > span.end
        });
    }
}

impl Refiner {
    /// Takes the pieces of an explanation: those that are known are charged, the others wait for the second pass.
    pub(crate) fn new(tree: Tree, pieces: &[Piece]) -> Self {
        let mut refiner = Self {
            tree,
            threads: Vec::new(),
            cpus: Vec::new(),
            lost: Vec::new(),
        };
        for piece in pieces {
            let length = piece.span.length();
            let wanted = Wanted {
                span: piece.span,
                node: piece.node,
                left: length,
            };
            match piece.what {
                What::Known => refiner.tree.charge(piece.node, length),
                What::Ran => line(&mut refiner.threads, piece.thread.index()).push(wanted),
                What::Queued(Some(cpu)) => {
                    line(&mut refiner.cpus, cpu.0 as usize).push(wanted);
                }
                What::Queued(None) => refiner.lost.push(wanted),
            }
        }
        for line in refiner.threads.iter_mut().chain(&mut refiner.cpus) {
            line.wanted
                .sort_by_key(|wanted| (wanted.span.start, wanted.span.end));
        }
        refiner
    }

    /// The tree, with what nobody told.
    pub(crate) fn finish(mut self) -> Tree {
        let lines = self.threads.iter().chain(&self.cpus);
        let wanted = lines.flat_map(|line| &line.wanted).chain(&self.lost);
        for wanted in wanted.filter(|wanted| wanted.left > GuestNanos(0)) {
            let node = unknown(&mut self.tree, wanted.node);
            self.tree.charge(node, wanted.left);
        }
        self.tree
    }
}

fn line(lines: &mut Vec<Line>, index: usize) -> &mut Vec<Wanted> {
    if lines.len() <= index {
        lines.resize_with(index + 1, Line::default);
    }
    &mut lines[index].wanted
}

impl Analysis for Refiner {}

impl Observer for Refiner {
    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let (tree, doing) = (&mut self.tree, interval.doing);
        if let Some(line) = self.threads.get_mut(interval.index.index()) {
            line.overlaps(interval.span, |node, time| {
                let node = place(tree, node, doing);
                tree.charge(node, time);
                tree.count(node);
            });
        }
        let cpu = interval.cpu.filter(|_| doing.activity.is_running());
        if let Some(line) = cpu.and_then(|cpu| self.cpus.get_mut(cpu.0 as usize)) {
            line.overlaps(interval.span, |node, time| {
                let key = behind(interval.index, doing);
                let node = tree.child(Some(node), key);
                tree.charge(node, time);
                tree.count(node);
            });
        }
    }
}

/// Where what a thread did belongs.
fn place(tree: &mut Tree, node: NodeId, doing: Doing) -> NodeId {
    let group = Group::of(doing.activity);
    if group == Group::Unknown && doing.activity != Activity::RunningUnknown {
        return unknown(tree, node);
    }
    let node = tree.child(Some(node), Key::Group(group));
    if group.is_plain() {
        node
    } else {
        tree.child(Some(node), Key::Doing(doing))
    }
}

/// Where time belongs of which not even is known whether the thread ran.
fn unknown(tree: &mut Tree, node: NodeId) -> NodeId {
    let above = tree
        .node(node)
        .parent
        .filter(|_| tree.node(node).key == Key::Running);
    tree.child(above.or(Some(node)), Key::Unknown)
}

fn behind(thread: ThreadIndex, doing: Doing) -> Key {
    match doing.activity {
        Activity::Irq | Activity::Softirq => Key::BehindInterrupt(doing),
        _ => Key::Behind(thread),
    }
}
