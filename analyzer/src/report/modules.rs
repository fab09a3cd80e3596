//! `modules`: which modules were loaded and removed, when, by whom, and how long they took to start.
//!
//! A module starts within the system call that loads it: from being in place to that call's end.

use std::collections::{BTreeMap, HashMap};

use super::distribution::Distribution;
use super::names::{error_name, thread_label};
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    CpuId, Frame, FrameInterval, GuestNanos, KernelEvent, Machine, Moment, Observer, ThreadIndex,
    errno_of,
};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Modules::new(&options.selection))?;
    let needs = [
        need(
            &["module_load", "module_free"],
            "it is not known which modules came and went",
        ),
        need(
            &["module_request"],
            "it is not known which modules the kernel asked for",
        ),
        need(
            &["syscall_exit"],
            "it is not known how long modules took to start",
        ),
    ];
    Ok(Report {
        name: "modules",
        tables: vec![module_table(&pass), request_table(&pass)],
        findings: with_needs(trace, pass.findings, &needs),
    })
}

/// What happened to modules within a selection.
struct Modules {
    selection: Selection,
    /// The module that a thread has put in place and that is starting.
    starting: HashMap<ThreadIndex, (Vec<u8>, GuestNanos)>,
    modules: BTreeMap<Vec<u8>, Module>,
    requests: BTreeMap<(Vec<u8>, Option<ThreadIndex>), Request>,
}

#[derive(Debug, Default)]
struct Module {
    loads: u64,
    loaded: Option<Act>,
    start: Distribution,
    error: Option<u64>,
    removals: u64,
    removed: Option<Act>,
}

/// Who did something last, and when.
#[derive(Clone, Copy, Debug)]
struct Act {
    at: GuestNanos,
    by: Option<ThreadIndex>,
}

#[derive(Debug, Default)]
struct Request {
    count: u64,
    waited: u64,
    first: GuestNanos,
}

impl Modules {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            starting: HashMap::new(),
            modules: BTreeMap::new(),
            requests: BTreeMap::new(),
        }
    }

    fn module(&mut self, name: &[u8]) -> &mut Module {
        self.modules.entry(name.to_owned()).or_default()
    }
}

impl Analysis for Modules {}

impl Observer for Modules {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        let is_about = matches!(
            event,
            E::ModuleLoad(_) | E::ModuleFree(_) | E::ModuleRequest(_)
        );
        if !is_about || !self.selection.has_moment(machine, moment) {
            return;
        }
        let by = machine.current(moment.cpu);
        let act = Act { at: moment.at, by };
        match event {
            E::ModuleLoad(load) => {
                let module = self.module(load.name);
                module.loads += 1;
                module.loaded = Some(act);
                if let Some(thread) = by {
                    self.starting
                        .insert(thread, (load.name.to_owned(), moment.at));
                }
            }
            E::ModuleFree(free) => {
                let module = self.module(free.name);
                module.removals += 1;
                module.removed = Some(act);
            }
            E::ModuleRequest(request) => {
                let key = (request.name.to_owned(), by);
                let account = self.requests.entry(key).or_default();
                if account.count == 0 {
                    account.first = moment.at;
                }
                account.count += 1;
                account.waited += u64::from(request.wait == Some(true));
            }
            _ => {}
        }
    }

    fn frame_left(&mut self, _machine: &Machine, interval: &FrameInterval<'_>) {
        if self.starting.is_empty() || !matches!(interval.frame(), Frame::Syscall { .. }) {
            return;
        }
        if let Some((name, since)) = self.starting.remove(&interval.thread) {
            let module = self.module(&name);
            module.start.add(interval.span.end.since(since));
            module.error = interval.ret.and_then(errno_of);
        }
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        self.starting.clear();
    }
}

/// When somebody did something, and who.
fn act_cells(pass: &Pass<Modules>, act: Option<Act>) -> [Cell; 2] {
    let by = act.and_then(|act| act.by);
    let by = by.map(|thread| thread_label(&pass.machine.threads()[thread]));
    [
        act.map_or(Cell::Absent, |act| Cell::Time(act.at)),
        by.map_or(Cell::Absent, Cell::Text),
    ]
}

fn module_table(pass: &Pass<Modules>) -> Table {
    let mut modules: Vec<(&Vec<u8>, &Module)> = pass.analysis.modules.iter().collect();
    let first = |module: &Module| module.loaded.or(module.removed).map(|act| act.at);
    modules.sort_by_key(|(_, module)| first(module));
    let rows = modules.iter().map(|(name, module)| {
        let mut row = vec![Cell::guest_text(name), Cell::Count(module.loads)];
        row.extend(act_cells(pass, module.loaded));
        let is_known = module.start.count() > 0;
        let start = [module.start.mean(), module.start.max()];
        row.extend(start.map(|time| {
            if is_known {
                Cell::Length(time)
            } else {
                Cell::Absent
            }
        }));
        row.push(
            module
                .error
                .map_or(Cell::Absent, |error| Cell::Text(error_name(error))),
        );
        row.push(Cell::Count(module.removals));
        row.extend(act_cells(pass, module.removed));
        row
    });
    Table {
        name: "modules",
        title: "Modules: when they were loaded and removed last (seconds), how long they took to start (microseconds)"
            .to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("module", "Module"),
            column("loads", "Loaded"),
            column("loaded_at_ns", "At"),
            column("loaded_by", "By"),
            column("start_mean_ns", "Start"),
            column("start_max_ns", "Max"),
            column("error", "Error"),
            column("removals", "Removed"),
            column("removed_at_ns", "At"),
            column("removed_by", "By"),
        ],
        rows: rows.collect(),
    }
}

fn request_table(pass: &Pass<Modules>) -> Table {
    let rows = pass.analysis.requests.iter().map(|((name, by), request)| {
        let by = by.map(|thread| thread_label(&pass.machine.threads()[thread]));
        vec![
            Cell::guest_text(name),
            by.map_or(Cell::Absent, Cell::Text),
            Cell::Count(request.count),
            Cell::Count(request.waited),
            Cell::Time(request.first),
        ]
    });
    Table {
        name: "requests",
        title: "Modules that the kernel asked user space for, and because of whom".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("module", "Asked for"),
            column("thread", "For"),
            column("count", "Count"),
            column("waited", "Waited"),
            column("first_at_ns", "First at (s)"),
        ],
        rows: rows.collect(),
    }
}
