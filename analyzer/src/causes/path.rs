//! `critical-path`: from an event, or the end of a thread, back to its causes across threads, interrupts and devices.
//!
//! The stretches of a path partition its time exactly: what a thread did itself, and in place of each of its waits what
//! ended that. Memory: what `history` needs, about 200 bytes for each stretch with what was done in it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use guesttrace_filter::BoundFilter;
use thiserror::Error;

use super::explain::{Explainer, Piece, What};
use super::history::History;
use super::key::{Key, Phase};
use super::naming::Names;
use super::refine::Refiner;
use super::stretch::{Stretch, StretchKind};
use super::tree::{NodeId, Sums, Tree};
use super::wait::broken;
use crate::model::{GuestNanos, Machine, Observer, Span, ThreadIndex, Tid, Via, Waker};
use crate::report::names::Namer;
use crate::report::{Analysis, Cell, Pass, Report, Selection, Shape, Table, column, run};
use crate::sources::{Record, Trace, TraceError};

/// Where a path ends.
#[derive(Debug)]
pub enum PathEnd {
    /// At the end of a thread, of the chosen time or of the trace, whichever is first.
    Thread(Tid),
    /// At the first event for which this holds, of that thread if one is given.
    Event(BoundFilter, Option<Tid>),
}

/// What a path is asked for.
#[derive(Debug)]
pub struct PathOptions {
    /// Times: the path goes back to the start of it at most.
    pub span: Span,
    /// Where it ends.
    pub end: PathEnd,
    /// How many threads deep waits are followed.
    pub depth: usize,
    /// How many stretches, the longest, and how many causes are shown.
    pub top: usize,
}

/// Why there is no path.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PathError {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// No such thread in that time.
    #[error("the trace has no thread {0} in that time")]
    NoThread(Tid),
    /// No such event in that time.
    #[error("no event of that time fits")]
    NoEvent,
}

/// Finds the event that a path ends with.
struct Finder<'a> {
    end: &'a PathEnd,
    span: Span,
    found: Option<Waker>,
}

impl Observer for Finder<'_> {}

impl Analysis for Finder<'_> {
    fn record(&mut self, machine: &Machine, record: &Record<'_>) {
        let PathEnd::Event(filter, tid) = self.end else {
            return;
        };
        let fits = tid.is_none_or(|tid| record.context.tid == tid);
        if self.found.is_none() && fits && self.span.contains(record.at) && filter.matches(record) {
            self.found = Some(machine.actor(record.at, record.cpu));
        }
    }
}

/// A path: what is explained, and how.
struct Path {
    span: Span,
    thread: ThreadIndex,
    tree: Tree,
    /// In the order of time.
    pieces: Vec<Piece>,
}

/// Finds a path.
///
/// # Errors
/// When the trace cannot be read, or has no such thread or event.
pub fn critical_path(trace: &Trace, options: &PathOptions) -> Result<Report, PathError> {
    let (path, _) = find(trace, options)?;
    // In a tree of its own each stretch is a root, and has below it what was done in it.
    let mut stretches = Tree::default();
    let numbered: Vec<Piece> = (0..)
        .zip(&path.pieces)
        .map(|(number, piece)| Piece {
            node: stretches.child(None, Key::Stretch(number)),
            ..*piece
        })
        .collect();
    let refiner = Refiner::new(stretches, &numbered);
    let second = run(trace, &selection_of(options), refiner)?;
    let mut findings = second.findings;
    let stretches = second.analysis.finish();
    let sums = stretches.sums();
    let parts = numbered.iter().map(|piece| sums.total(piece.node)).sum();
    if !path.is_partition() || parts != path.span.length() {
        findings.insert(0, broken(path.span.length(), parts));
    }
    let namer = Namer::new(trace);
    let writer = Writer {
        names: Names {
            namer: &namer,
            machine: &second.machine,
        },
        path: &path,
        nodes: numbered.iter().map(|piece| piece.node).collect(),
        stretches: &stretches,
        sums: &sums,
    };
    Ok(Report {
        name: "critical-path",
        findings,
        tables: vec![
            writer.about(),
            writer.time_line(options.top),
            writer.causes(options.top),
        ],
    })
}

fn selection_of(options: &PathOptions) -> Selection {
    Selection {
        span: options.span,
        ..Selection::default()
    }
}

/// Finds a path, without what threads did in each stretch in which they ran: one pass instead of two.
///
/// # Errors
/// When the trace cannot be read, or has no such thread or event.
pub fn path_stretches(trace: &Trace, options: &PathOptions) -> Result<Vec<Stretch>, PathError> {
    let (path, machine) = find(trace, options)?;
    let namer = Namer::new(trace);
    let stretches = Tree::default();
    let writer = Writer {
        names: Names {
            namer: &namer,
            machine: &machine,
        },
        path: &path,
        nodes: Vec::new(),
        sums: &stretches.sums(),
        stretches: &stretches,
    };
    let pieces = path.pieces.iter();
    Ok(pieces.map(|piece| writer.stretch(piece)).collect())
}

fn find(trace: &Trace, options: &PathOptions) -> Result<(Path, Machine), PathError> {
    let finder = Finder {
        end: &options.end,
        span: options.span,
        found: None,
    };
    let analysis = (History::new(options.span), finder);
    let Pass {
        analysis: (mut history, finder),
        machine,
        start,
        end,
        ..
    } = run(trace, &selection_of(options), analysis)?;
    let (thread, until, interrupt) = match (&options.end, finder.found) {
        (PathEnd::Thread(tid), _) => {
            let living = machine.threads().iter().filter(|(_, thread)| {
                thread.tid == *tid
                    && thread.born < end
                    && thread.died.is_none_or(|died| died > start)
            });
            let (index, thread) = living.last().ok_or(PathError::NoThread(*tid))?;
            (index, thread.died.unwrap_or(end).min(end), None)
        }
        (PathEnd::Event(..), Some(actor)) => {
            let thread = actor.thread.ok_or(PathError::NoEvent)?;
            let interrupt = (actor.via != Via::Thread).then_some(actor);
            (thread, actor.at, interrupt)
        }
        (PathEnd::Event(..), None) => return Err(PathError::NoEvent),
    };
    let born = match interrupt {
        Some(_) => GuestNanos(0),
        None => machine.threads()[thread].born,
    };
    let span = Span {
        start: start.max(born),
        end: until,
    };
    let link = interrupt.map(|actor| history.interrupted(&machine, thread, span.start, &actor));
    let mut explainer = Explainer {
        machine: &machine,
        history: &history,
        tree: Tree::default(),
        depth_max: options.depth,
        pieces: Vec::new(),
    };
    let root = explainer.tree.child(None, Key::Thread(thread));
    match link {
        Some(link) => explainer.explain_interrupt(thread, &link, root),
        None => explainer.explain(thread, span, root),
    }
    let (mut pieces, tree) = (explainer.pieces, explainer.tree);
    pieces.sort_by_key(|piece| piece.span.start);
    // Names of what was waited for are in the history: they go along in the tree.
    let path = Path {
        span,
        thread,
        pieces,
        tree,
    };
    Ok((path, machine))
}

impl Path {
    /// Whether every instant belongs to one stretch.
    fn is_partition(&self) -> bool {
        let mut at = self.span.start;
        for piece in &self.pieces {
            if piece.span.start != at {
                return false;
            }
            at = piece.span.end;
        }
        at == self.span.end
    }
}

struct Writer<'a> {
    names: Names<'a>,
    path: &'a Path,
    /// The root of each stretch among the stretches.
    nodes: Vec<NodeId>,
    stretches: &'a Tree,
    sums: &'a Sums,
}

impl Writer<'_> {
    fn about(&self) -> Table {
        Table {
            name: "path",
            title: "Critical path".to_owned(),
            shape: Shape::Record,
            columns: vec![
                column("thread", "Of"),
                column("from_ns", "From (s)"),
                column("to_ns", "To (s)"),
                column("length_ns", "Length (s)"),
                column("stretches", "Stretches"),
            ],
            rows: vec![vec![
                Cell::Text(self.names.thread(self.path.thread)),
                Cell::Time(self.path.span.start),
                Cell::Time(self.path.span.end),
                Cell::Time(self.path.span.length()),
                Cell::Count(self.path.pieces.len() as u64),
            ]],
        }
    }

    fn stretch(&self, piece: &Piece) -> Stretch {
        let is = match piece.what {
            What::Ran => StretchKind::Ran,
            What::Queued(_) => StretchKind::Queued,
            What::Known if self.is_unknown(piece) => StretchKind::Unknown,
            What::Known => StretchKind::Waited,
        };
        Stretch {
            span: piece.span,
            thread: piece.thread,
            tid: self.names.machine.threads()[piece.thread].tid,
            depth: piece.depth,
            is,
            text: self.what(piece),
        }
    }

    fn time_line(&self, top: usize) -> Table {
        let mut by_length: Vec<usize> = (0..self.path.pieces.len()).collect();
        by_length.sort_by_key(|index| Reverse(self.path.pieces[*index].span.length()));
        let (shown, hidden) = by_length.split_at(by_length.len().min(top));
        let mut shown = shown.to_vec();
        shown.sort_unstable();
        let hidden_length: GuestNanos = hidden
            .iter()
            .map(|index| self.path.pieces[*index].span.length())
            .sum();
        let mut title = "What happened (start in seconds, lengths in microseconds)".to_owned();
        if !hidden.is_empty() {
            title = format!(
                "The {} longest stretches (start in seconds, lengths in microseconds); {} shorter ones sum up to {}.{:03}",
                shown.len(),
                hidden.len(),
                hidden_length.0 / 1000,
                hidden_length.0 % 1000
            );
        }
        Table {
            name: "stretches",
            title,
            shape: Shape::Rows,
            columns: vec![
                column("start_ns", "Start"),
                column("length_ns", "Length"),
                column("percent", "%"),
                column("depth", ""),
                column("what", "What"),
                column("detail", "Of which"),
            ],
            rows: shown.into_iter().map(|index| self.row(index)).collect(),
        }
    }

    fn row(&self, index: usize) -> Vec<Cell> {
        let piece = &self.path.pieces[index];
        let length = piece.span.length();
        vec![
            Cell::Time(piece.span.start),
            Cell::Length(length),
            Cell::percent(length, self.path.span.length()),
            Cell::Count(piece.depth as u64),
            Cell::Branch {
                depth: piece.depth,
                text: self.what(piece),
            },
            self.detail(index, length),
        ]
    }

    fn what(&self, piece: &Piece) -> String {
        let thread = self.names.thread(piece.thread);
        match piece.what {
            What::Ran => format!("{thread} ran"),
            What::Queued(_) => format!("{thread} could run"),
            What::Known if self.is_unknown(piece) => format!("{thread}: unknown"),
            What::Known => match self.wait(piece.node) {
                (wait, true) => format!("{thread} waited: {wait}"),
                (cause, false) => cause,
            },
        }
    }

    /// Whether the trace does not say what the thread did.
    fn is_unknown(&self, piece: &Piece) -> bool {
        self.path.tree.node(piece.node).key == Key::Unknown
    }

    /// What a wait was for and what ended it, by its place in the tree; false when no thread waited for it.
    fn wait(&self, node: NodeId) -> (String, bool) {
        let mut words = Vec::new();
        let mut at = Some(node);
        let mut is_wait = false;
        while let Some(node) = at {
            let node = self.path.tree.node(node);
            match &node.key {
                Key::Blocked => is_wait = true,
                // As long as it is not over, that is all there is to say.
                Key::Phase(Phase::UnderWay) => {}
                Key::Thread(_) => break,
                key => words.push(self.names.key(key)),
            }
            at = node.parent.filter(|_| !is_wait);
        }
        words.reverse();
        (words.join(", "), is_wait)
    }

    /// What was done in a stretch: the largest parts.
    fn detail(&self, index: usize, length: GuestNanos) -> Cell {
        const SHOWN: usize = 3;
        let parts = self.parts(index);
        let names = parts.iter().take(SHOWN).map(|(name, time)| {
            #[allow(clippy::cast_precision_loss, reason = "a percentage shows no decimal")]
            let percent = time.0 as f64 * 100.0 / length.0.max(1) as f64;
            format!("{name} {percent:.0} %")
        });
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            return Cell::Absent;
        }
        Cell::Text(names.join(", "))
    }

    /// The leaves below a stretch, the largest first.
    fn parts(&self, index: usize) -> Vec<(String, GuestNanos)> {
        let mut leaves = Vec::new();
        let mut open = vec![self.nodes[index]];
        while let Some(node) = open.pop() {
            let children = self.sums.children(node);
            if children.is_empty() && node != self.nodes[index] {
                let name = self.names.key(&self.stretches.node(node).key);
                leaves.push((name, self.sums.total(node)));
            }
            open.extend(children);
        }
        leaves.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        leaves
    }

    fn causes(&self, top: usize) -> Table {
        let mut causes: BTreeMap<(String, String), (GuestNanos, u64)> = BTreeMap::new();
        for (index, piece) in self.path.pieces.iter().enumerate() {
            let thread = self.names.thread(piece.thread);
            let mut add = |what: String, time| {
                let sum = causes.entry((thread.clone(), what)).or_default();
                sum.0 += time;
                sum.1 += 1;
            };
            match piece.what {
                What::Known if self.is_unknown(piece) => {
                    add("unknown".to_owned(), piece.span.length());
                }
                What::Known => add(
                    format!("waited: {}", self.wait(piece.node).0),
                    piece.span.length(),
                ),
                What::Ran => {
                    let parts = self.parts(index).into_iter();
                    parts.for_each(|(name, time)| add(format!("ran: {name}"), time));
                }
                What::Queued(_) => {
                    let parts = self.parts(index).into_iter();
                    parts.for_each(|(name, time)| add(format!("could run: {name}"), time));
                }
            }
        }
        let mut causes: Vec<_> = causes.into_iter().collect();
        causes.sort_by_key(|(_, (time, _))| Reverse(*time));
        let (shown, others) = causes.split_at(causes.len().min(top));
        let whole = self.path.span.length();
        let mut rows: Vec<Vec<Cell>> = shown
            .iter()
            .map(|((thread, what), sum)| cause_row(thread, what, *sum, whole))
            .collect();
        if !others.is_empty() {
            let time = others.iter().map(|(_, sum)| sum.0).sum();
            let count = others.iter().map(|(_, sum)| sum.1).sum();
            let what = format!("{} other causes", others.len());
            rows.push(cause_row("", &what, (time, count), whole));
        }
        Table {
            name: "causes",
            title: "By cause (microseconds)".to_owned(),
            shape: Shape::Rows,
            columns: vec![
                column("thread", "Thread"),
                column("what", "What"),
                column("time_ns", "Time"),
                column("percent", "%"),
                column("count", "Count"),
            ],
            rows,
        }
    }
}

fn cause_row(
    thread: &str,
    what: &str,
    (time, count): (GuestNanos, u64),
    whole: GuestNanos,
) -> Vec<Cell> {
    vec![
        Cell::Text(thread.to_owned()),
        Cell::Text(what.to_owned()),
        Cell::Length(time),
        Cell::percent(time, whole),
        Cell::Count(count),
    ]
}
