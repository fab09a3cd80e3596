//! `flame`: where time went as folded stacks, one line for each: process, thread, state, call, and what ended a wait.
//!
//! Where a trace has call stacks of scheduling changes (`--stack`), they are between the wait and what it was for.
//! Memory: one node for each distinct stack.

use std::collections::HashMap;

use trace_format::{CUT, EventId, FieldKind, Value, addresses, within_function};

use super::history::{file_of, want};
use super::key::{Ender, Group, Key};
use super::naming::Names;
use super::tree::{NodeId, Tree};
use crate::model::{Activity, Frame, Machine, Observer, ThreadIndex, ThreadInterval, Via, Waker};
use crate::report::names::Namer;
use crate::report::{Analysis, Selection, run};
use crate::sources::{Finding, Record, Trace, TraceError};

/// Which time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlameKind {
    /// With a CPU.
    Cpu,
    /// Without one.
    OffCpu,
    /// Both.
    All,
}

/// Folded stacks.
#[derive(Debug)]
pub struct Flame {
    /// `a;b;c TIME` with times in nanoseconds, in the order of the text.
    pub lines: Vec<String>,
    /// What was lost or is doubtful, worst first.
    pub findings: Vec<Finding>,
}

/// Folds what threads did within a selection.
///
/// # Errors
/// When the trace cannot be read.
pub fn flame(trace: &Trace, selection: &Selection, kind: FlameKind) -> Result<Flame, TraceError> {
    let folder = Folder {
        selection: selection.clone(),
        kind,
        stack: stack_field(trace),
        tree: Tree::default(),
        stacks: HashMap::new(),
    };
    let pass = run(trace, selection, folder)?;
    let namer = Namer::new(trace);
    let names = Names {
        namer: &namer,
        machine: &pass.machine,
    };
    Ok(Flame {
        lines: lines(&names, &pass.analysis.tree),
        findings: pass.findings,
    })
}

/// The call stack that scheduling changes carry, if they do.
fn stack_field(trace: &Trace) -> Option<(EventId, usize)> {
    let event = trace
        .schema()
        .event(*trace.events_of("sched_switch").first()?)?;
    let mut fields = event.fields.iter();
    let field = fields.position(|field| field.kind == FieldKind::Addresses)?;
    Some((event.id, field))
}

struct Folder {
    selection: Selection,
    kind: FlameKind,
    stack: Option<(EventId, usize)>,
    tree: Tree,
    /// Where each thread was when it lost its CPU, innermost first.
    stacks: HashMap<ThreadIndex, Vec<u64>>,
}

impl Analysis for Folder {
    fn record(&mut self, machine: &Machine, record: &Record<'_>) {
        let Some((event, field)) = self.stack else {
            return;
        };
        if record.event != event {
            return;
        }
        if let Some(thread) = machine.current(record.cpu) {
            let stack = self.stacks.entry(thread).or_default();
            stack.clear();
            if let Value::Bytes(run) = record.fields.value(field) {
                let frames = addresses(run).enumerate();
                let frames = frames.filter(|(_, addr)| *addr != CUT);
                stack.extend(frames.map(|(index, addr)| within_function(index, addr)));
            }
        }
    }
}

impl Observer for Folder {
    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        let thread = interval.thread;
        let time = interval.span.within(self.selection.span).length();
        let runs = interval.activity.is_running();
        let is_shown = match self.kind {
            FlameKind::All => true,
            FlameKind::Cpu => runs,
            FlameKind::OffCpu => !runs,
        };
        let elsewhere = interval.cpu.is_some_and(|cpu| !self.selection.has_cpu(cpu));
        if time.0 == 0
            || !is_shown
            || elsewhere
            || thread.idle_of.is_some()
            || !self.selection.has_thread(thread)
        {
            return;
        }
        let node = self.tree.child(None, Key::Process(thread.process()));
        let node = self.tree.child(Some(node), Key::Thread(interval.index));
        let node = match interval.activity {
            Activity::Blocked => self.waiting(machine, interval, node),
            Activity::Runnable => {
                let node = self.tree.child(Some(node), Key::Runnable);
                // One that was woken was not stopped where it was.
                let stopped = thread.waker.is_none();
                if stopped {
                    self.frames(interval.index, node)
                } else {
                    node
                }
            }
            Activity::Unknown | Activity::Unseen => self.tree.child(Some(node), Key::Unknown),
            activity => {
                let group = Group::of(activity);
                let node = self.tree.child(Some(node), Key::Group(group));
                if group.is_plain() {
                    node
                } else {
                    self.tree.child(Some(node), Key::Doing(interval.doing))
                }
            }
        };
        self.tree.charge(node, time);
    }
}

impl Folder {
    fn waiting(
        &mut self,
        machine: &Machine,
        interval: &ThreadInterval<'_>,
        node: NodeId,
    ) -> NodeId {
        let node = self.tree.child(Some(node), Key::Blocked);
        let node = self.frames(interval.index, node);
        let want = want(machine, interval.thread);
        let node = self.tree.child(Some(node), Key::Want(want));
        match &interval.thread.waker {
            Some(waker) => self
                .tree
                .child(Some(node), Key::Ender(ender(machine, waker))),
            None => node,
        }
    }

    fn frames(&mut self, thread: ThreadIndex, node: NodeId) -> NodeId {
        let frames = self.stacks.get(&thread).map_or(&[][..], Vec::as_slice);
        let tree = &mut self.tree;
        let below = |node, addr: &u64| tree.child(Some(node), Key::Code(*addr));
        frames.iter().rev().fold(node, below)
    }
}

/// What ended a wait, without the threads behind it: those would make every stack another one.
fn ender(machine: &Machine, waker: &Waker) -> Ender {
    match waker.via {
        Via::Timer { function, .. } => Ender::Timer {
            function,
            owner: None,
        },
        Via::Request(request) => {
            let maker = request.thread.map(|thread| &machine.threads()[thread]);
            Ender::Disk {
                dev: request.dev,
                op: request.op,
                file: maker.and_then(|maker| file_of(machine, maker, request.asked)),
            }
        }
        Via::Packet { sent, .. } => Ender::Packet {
            sender: sent.and_then(|sent| sent.thread),
        },
        Via::Device { irq } => Ender::Device(irq),
        Via::Softirq { vec } => Ender::Softirq(vec),
        Via::Irq { vector } => match machine.lines().line_of(vector) {
            Some(line) => Ender::Device(line),
            None => Ender::Irq(vector),
        },
        Via::Thread => match waker.thread {
            Some(thread) => Ender::Thread {
                thread,
                frame: waker
                    .frame
                    .filter(|frame| matches!(frame, Frame::Syscall { .. })),
                file: None,
            },
            None => Ender::Unknown,
        },
    }
}

/// A line for each node that has time of its own.
fn lines(names: &Names<'_>, tree: &Tree) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut folded: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    // A node is always behind its parent.
    for (parent, node) in tree.nodes() {
        let name = match &node.key {
            Key::Process(pid) => process_name(names, pid.0),
            key => names.key(key),
        };
        // What separates frames must not be in one.
        let name = name.replace(';', ":");
        let text = match parent {
            Some(parent) => format!("{};{name}", texts[parent]),
            None => name,
        };
        if node.own.0 > 0 {
            *folded.entry(text.clone()).or_default() += node.own.0;
        }
        texts.push(text);
    }
    let line = |(text, time): (String, u64)| format!("{text} {time}");
    folded.into_iter().map(line).collect()
}

fn process_name(names: &Names<'_>, pid: u32) -> String {
    let threads = names.machine.threads();
    match threads.with_tid(crate::model::Tid(pid)) {
        Some(leader) => crate::report::names::comm(&threads[leader]),
        None => format!("process {pid}"),
    }
}
