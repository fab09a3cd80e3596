//! `chain` as a report: every chain in a line, and one of them step by step to its last effect.

use std::cmp::Reverse;

use thiserror::Error;

use super::chain::{ChainStart, Chains, Happened, Step};
use super::naming::Names;
use crate::model::{FileName, Frame, GuestNanos, Span};
use crate::report::names::{Namer, disk_name, op_name};
use crate::report::{
    Cell, DISTRIBUTION_COLUMNS, Distribution, Report, Selection, Shape, Table, column, guest_text,
    run,
};
use crate::sources::{Trace, TraceError};

/// What chains are asked for.
#[derive(Debug)]
pub struct ChainOptions {
    /// Times in which chains begin.
    pub span: Span,
    /// What they begin with.
    pub start: ChainStart,
    /// Effects later than that after the start are not followed.
    pub within: GuestNanos,
    /// How many chains are listed, those with the most steps first; the steps are those of the first.
    pub top: usize,
    /// Whether all steps of that are shown, not only those that lead to its last effect.
    pub all_steps: bool,
}

/// Why there is no chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Nothing began one.
    #[error("nothing of that time begins a chain")]
    NoStart,
}

/// A chain: what its steps come to.
#[derive(Clone, Copy, Debug)]
struct Chain {
    root: usize,
    steps: u64,
    /// Threads that ran because of it.
    threads: u64,
    /// The last effect.
    last: usize,
    length: GuestNanos,
}

/// Follows causes to their effects.
///
/// # Errors
/// When the trace cannot be read, or nothing begins a chain.
pub fn chain(trace: &Trace, options: &ChainOptions) -> Result<Report, ChainError> {
    // What begins in the chosen time is followed beyond it.
    let end = options.span.end.0.saturating_add(options.within.0);
    let selection = Selection {
        span: Span {
            start: options.span.start,
            end: GuestNanos(end),
        },
        ..Selection::default()
    };
    let chains = Chains::new(&options.start, options.span, options.within);
    let pass = run(trace, &selection, chains)?;
    let steps = &pass.analysis.steps;
    let mut found = chains_of(steps);
    if found.is_empty() {
        return Err(ChainError::NoStart);
    }
    let mut lengths = Distribution::default();
    found.iter().for_each(|chain| lengths.add(chain.length));
    let count = found.len();
    found.sort_by_key(|chain| (Reverse((chain.threads, chain.steps)), chain.root));
    let namer = Namer::new(trace);
    let names = Names {
        namer: &namer,
        machine: &pass.machine,
    };
    let writer = Writer { names, steps };
    let mut tables = vec![
        writer.overview(
            &found[..count.min(options.top)],
            count,
            pass.analysis.is_bounded,
        ),
        summary(&lengths),
    ];
    if let Some(chain) = found.first() {
        tables.push(writer.steps(chain, options.all_steps));
    }
    Ok(Report {
        name: "chain",
        findings: pass.findings,
        tables,
    })
}

fn chains_of(steps: &[Step]) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut place = vec![usize::MAX; steps.len()];
    for (number, step) in steps.iter().enumerate() {
        if step.root == number {
            place[number] = chains.len();
            chains.push(Chain {
                root: number,
                steps: 0,
                threads: 0,
                last: number,
                length: GuestNanos(0),
            });
        }
        let chain = &mut chains[place[step.root]];
        chain.steps += 1;
        chain.threads += u64::from(matches!(step.what, Happened::Ran(_)));
        // What reaches somebody else outweighs whatever comes after it.
        let last = &steps[chain.last];
        let weight = |step: &Step| {
            let writes = matches!(step.what, Happened::Called { writes: true, .. });
            (writes, step.at)
        };
        if weight(step) >= weight(last) {
            chain.last = number;
        }
    }
    for chain in &mut chains {
        chain.length = steps[chain.last].at.since(steps[chain.root].at);
    }
    chains
}

fn summary(lengths: &Distribution) -> Table {
    Table {
        name: "latency",
        title: "From the start to the last effect, all chains (microseconds)".to_owned(),
        shape: Shape::Record,
        columns: DISTRIBUTION_COLUMNS.to_vec(),
        rows: vec![lengths.cells()],
    }
}

struct Writer<'a> {
    names: Names<'a>,
    steps: &'a [Step],
}

impl Writer<'_> {
    fn overview(&self, chains: &[Chain], count: usize, is_bounded: bool) -> Table {
        let bounded = if is_bounded {
            "; there were more steps than are kept"
        } else {
            ""
        };
        let row = |chain: &Chain| {
            vec![
                Cell::Time(self.steps[chain.root].at),
                Cell::Text(self.what(&self.steps[chain.root].what)),
                Cell::Count(chain.steps),
                Cell::Count(chain.threads),
                Cell::Length(chain.length),
                Cell::Text(self.what(&self.steps[chain.last].what)),
            ]
        };
        Table {
            name: "chains",
            title: format!(
                "{} of {count} chains, those that reach the most threads (start in seconds, lengths in microseconds){bounded}",
                chains.len()
            ),
            shape: Shape::Rows,
            columns: vec![
                column("start_ns", "Start"),
                column("cause", "Began with"),
                column("steps", "Steps"),
                column("threads", "Threads"),
                column("length_ns", "To last effect"),
                column("effect", "Last effect"),
            ],
            rows: chains.iter().map(row).collect(),
        }
    }

    fn steps(&self, chain: &Chain, all: bool) -> Table {
        let mut shown: Vec<usize> = if all {
            let numbers = self.steps.iter().enumerate();
            let own = numbers.filter(|(_, step)| step.root == chain.root);
            own.map(|(number, _)| number).collect()
        } else {
            let way = std::iter::successors(Some(chain.last), |step| self.steps[*step].parent);
            way.collect()
        };
        shown.sort_by_key(|number| (self.steps[*number].at, *number));
        let start = self.steps[chain.root].at;
        let row = |number: &usize| {
            let step = &self.steps[*number];
            let before = step
                .parent
                .map(|parent| step.at.since(self.steps[parent].at));
            let depth = if all { self.depth(*number) } else { 0 };
            vec![
                Cell::Time(step.at),
                Cell::Length(step.at.since(start)),
                before.map_or(Cell::Absent, Cell::Length),
                Cell::Count(u64::from(step.cpu.0)),
                Cell::Branch {
                    depth,
                    text: self.what(&step.what),
                },
            ]
        };
        Table {
            name: "steps",
            title: "The first of them, step by step (start in seconds, lengths in microseconds)"
                .to_owned(),
            shape: Shape::Rows,
            columns: vec![
                column("at_ns", "At"),
                column("since_start_ns", "Since start"),
                column("since_cause_ns", "Since cause"),
                column("cpu", "CPU"),
                column("what", "What"),
            ],
            rows: shown.iter().map(row).collect(),
        }
    }

    fn depth(&self, number: usize) -> usize {
        let parents =
            std::iter::successors(self.steps[number].parent, |step| self.steps[*step].parent);
        parents.count()
    }

    fn what(&self, happened: &Happened) -> String {
        match happened {
            Happened::Entered(frame) => self.frame(*frame),
            Happened::Event(Some(thread)) => format!("the event, {}", self.names.thread(*thread)),
            Happened::Event(None) => "the event".to_owned(),
            Happened::Worked { thread, function } => format!(
                "{} begins work {}",
                self.names.thread(*thread),
                self.names.namer.function(*function)
            ),
            Happened::Woke(thread) => format!("{} is woken", self.names.thread(*thread)),
            Happened::Ran(thread) => format!("{} runs", self.names.thread(*thread)),
            Happened::Called {
                thread, call, file, ..
            } => {
                let frame = Frame::Syscall {
                    abi: call.0,
                    nr: call.1,
                };
                let (thread, call) = (self.names.thread(*thread), self.names.frame(frame));
                format!("{thread} calls {call}{}", of_file(file.as_ref()))
            }
            Happened::Asked { dev, op } => {
                format!("{} asked of disk {}", op_name(*op), disk_name(*dev))
            }
            Happened::Done { dev, op } => {
                format!("{} done by disk {}", op_name(*op), disk_name(*dev))
            }
            Happened::Received { bytes } => format!("packet of {bytes} bytes received"),
        }
    }

    fn frame(&self, frame: Frame) -> String {
        self.names.frame(frame)
    }
}

fn of_file(file: Option<&FileName>) -> String {
    file.map_or_else(String::new, |file| format!(" {}", guest_text(file)))
}
