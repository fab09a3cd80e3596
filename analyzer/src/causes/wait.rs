//! `wait`: where the time of a process or thread went, as a tree whose parts sum up to the whole exactly.

use std::collections::BTreeMap;

use trace_format::Severity;

use super::explain::Explainer;
use super::history::History;
use super::key::Key;
use super::naming::Names;
use super::refine::Refiner;
use super::tree::{NodeId, Sums, Tree};
use crate::model::{GuestNanos, Machine, Pid, Span, Thread, ThreadIndex, Tid};
use crate::report::names::{Namer, comm};
use crate::report::{Cell, Met, Pass, Report, Selection, Shape, Table, column, run};
use crate::sources::{Finding, Trace, TraceError};

/// Whose time is told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Whatever the selection has.
    Selected,
    /// One thread.
    Thread(Tid),
}

/// What the tree is asked for.
#[derive(Clone, Debug)]
pub struct WaitOptions {
    /// Times, processes and names.
    pub selection: Selection,
    /// Whose time.
    pub subject: Subject,
    /// How many threads deep waits are followed.
    pub depth: usize,
    /// How many rows there are at most below one row; what is left out is summed up.
    pub top: usize,
}

/// Tells where time went.
///
/// # Errors
/// When the trace cannot be read.
pub fn wait(trace: &Trace, options: &WaitOptions) -> Result<Report, TraceError> {
    let span = options.selection.span;
    // Whose an event is narrows what is told apart, not what explains it.
    let all = Selection {
        span,
        ..Selection::default()
    };
    let first = run(trace, &all, History::new(span))?;
    let within = Span {
        start: first.start,
        end: first.end,
    };
    let (processes, explainer) = explain(&first, within, options);
    let refiner = Refiner::new(explainer.tree, &explainer.pieces);
    drop(explainer.pieces);
    let second = run(trace, &all, refiner)?;
    let namer = Namer::new(trace);
    let names = Names {
        namer: &namer,
        machine: &second.machine,
    };
    let mut findings = second.findings;
    let tids = match &options.subject {
        Subject::Thread(tid) => std::slice::from_ref(tid),
        Subject::Selected => &[],
    };
    let mut met = Met::new(&options.selection, tids);
    met.see_all(&second.machine);
    findings.extend(met.findings());
    let tree = second.analysis.finish();
    let sums = tree.sums();
    for (id, process) in &processes {
        if sums.total(*id) != process.life {
            findings.insert(0, broken(process.life, sums.total(*id)));
        }
    }
    let tables = vec![
        overview(&names, &processes, &tree, &sums, options.top),
        table(&names, &processes, &tree, &sums, options.top),
    ];
    Ok(Report {
        name: "wait",
        findings,
        tables,
    })
}

/// What the parts of a process's time are held against.
struct Process {
    life: GuestNanos,
    threads: u64,
    leader: ThreadIndex,
}

fn explain<'a>(
    first: &'a Pass<History>,
    within: Span,
    options: &WaitOptions,
) -> (BTreeMap<NodeId, Process>, Explainer<'a>) {
    let mut explainer = Explainer {
        machine: &first.machine,
        history: &first.analysis,
        tree: Tree::default(),
        depth_max: options.depth,
        pieces: Vec::new(),
    };
    let mut processes: BTreeMap<NodeId, Process> = BTreeMap::new();
    for (index, thread) in first.machine.threads().iter() {
        if thread.idle_of.is_some() || !is_wanted(options, thread) {
            continue;
        }
        let life = life_of(&first.machine, index).within(within);
        if life.length() == GuestNanos(0) {
            continue;
        }
        let pid: Pid = thread.process();
        let root = explainer.tree.child(None, Key::Process(pid));
        let process = processes.entry(root).or_insert(Process {
            life: GuestNanos(0),
            threads: 0,
            leader: index,
        });
        process.life += life.length();
        process.threads += 1;
        if thread.tid.0 == pid.0 {
            process.leader = index;
        }
        explainer.explain(index, life, root);
    }
    (processes, explainer)
}

fn is_wanted(options: &WaitOptions, thread: &Thread) -> bool {
    let is_subject = match options.subject {
        Subject::Selected => true,
        Subject::Thread(tid) => thread.tid == tid,
    };
    is_subject && options.selection.has_thread(thread)
}

/// From a thread's beginning to its end or that of the trace.
pub(super) fn life_of(machine: &Machine, thread: ThreadIndex) -> Span {
    let thread = &machine.threads()[thread];
    Span {
        start: thread.born,
        end: thread.died.unwrap_or(Span::ALL.end),
    }
}

/// Parts that do not sum up to the whole are an error of the analysis, and said.
pub(super) fn broken(whole: GuestNanos, parts: GuestNanos) -> Finding {
    Finding {
        severity: Severity::Error,
        name: "partition_broken".to_owned(),
        count: None,
        text: format!(
            "The parts sum up to {} ns, the whole is {} ns.",
            parts.0, whole.0
        ),
        advice: "please report this with the trace".to_owned(),
        is_gap: false,
        is_damage: false,
    }
}

fn overview(
    names: &Names<'_>,
    processes: &BTreeMap<NodeId, Process>,
    tree: &Tree,
    sums: &Sums,
    top: usize,
) -> Table {
    let row = |id: &NodeId| {
        let process = &processes[id];
        let part = |key: Key| {
            let children = sums.children(*id).iter();
            let child = children.copied().find(|child| tree.node(*child).key == key);
            child.map_or(GuestNanos(0), |child| sums.total(child))
        };
        let leader = &names.machine.threads()[process.leader];
        vec![
            Cell::Text(comm(leader)),
            Cell::Count(u64::from(leader.process().0)),
            Cell::Count(process.threads),
            Cell::Time(process.life),
            Cell::Time(part(Key::Running)),
            Cell::Time(part(Key::Runnable)),
            Cell::Time(part(Key::Blocked)),
            Cell::Time(part(Key::Unknown)),
        ]
    };
    Table {
        name: "processes",
        title: format!(
            "{} of {} processes, the longest lives of all their threads (seconds)",
            processes.len().min(top),
            processes.len()
        ),
        shape: Shape::Rows,
        columns: vec![
            column("comm", "Process"),
            column("pid", "PID"),
            column("threads", "Threads"),
            column("life_ns", "Life"),
            column("running_ns", "Running"),
            column("runnable_ns", "Could run"),
            column("blocked_ns", "Waiting"),
            column("unknown_ns", "Unknown"),
        ],
        rows: sums.roots().iter().take(top).map(row).collect(),
    }
}

fn table(
    names: &Names<'_>,
    processes: &BTreeMap<NodeId, Process>,
    tree: &Tree,
    sums: &Sums,
    top: usize,
) -> Table {
    let mut writer = Writer {
        names,
        tree,
        sums,
        top,
        pid: 0,
        whole: GuestNanos(0),
        rows: Vec::new(),
    };
    for root in sums.roots().iter().take(top) {
        writer.process(*root, &processes[root]);
    }
    Table {
        name: "tree",
        title: "Where it went (seconds)".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("pid", ""),
            column("depth", ""),
            column("what", "What"),
            column("time_ns", "Time"),
            column("percent", "%"),
            column("count", "Count"),
        ],
        rows: writer.rows,
    }
}

struct Writer<'a> {
    names: &'a Names<'a>,
    tree: &'a Tree,
    sums: &'a Sums,
    top: usize,
    pid: u32,
    whole: GuestNanos,
    rows: Vec<Vec<Cell>>,
}

impl Writer<'_> {
    fn process(&mut self, root: NodeId, process: &Process) {
        let leader = &self.names.machine.threads()[process.leader];
        self.pid = leader.process().0;
        self.whole = process.life;
        let name = format!("{} (process {})", comm(leader), self.pid);
        self.row(0, name, process.life, Some(process.threads));
        self.children(root, 1);
    }

    fn children(&mut self, id: NodeId, depth: usize) {
        let children = self.sums.children(id);
        let (shown, others) = children.split_at(children.len().min(self.top));
        let own = self.tree.node(id).own;
        for child in shown {
            let time = self.sums.total(*child);
            let name = self.names.key(&self.tree.node(*child).key);
            self.row(depth, name, time, Some(self.sums.count(*child)));
            self.children(*child, depth + 1);
        }
        if !others.is_empty() {
            let time = others.iter().map(|id| self.sums.total(*id)).sum();
            let count = others.iter().map(|id| self.sums.count(*id)).sum();
            self.row(depth, format!("{} others", others.len()), time, Some(count));
        }
        if !children.is_empty() && own > GuestNanos(0) {
            self.row(depth, "not followed further".to_owned(), own, None);
        }
    }

    fn row(&mut self, depth: usize, text: String, time: GuestNanos, count: Option<u64>) {
        self.rows.push(vec![
            Cell::Count(u64::from(self.pid)),
            Cell::Count(depth as u64),
            Cell::Branch { depth, text },
            Cell::Time(time),
            Cell::percent(time, self.whole),
            Cell::count_or_absent(count),
        ]);
    }
}
