//! `boot`: the phases of a boot on one time line, what cost most in each, initcalls and programs.
//!
//! A phase begins with something that happens once or seldom: a CPU's first event, a level of initcalls, the first
//! program, a file system that is mounted, a line that a program writes to the kernel's log, the end.

use std::collections::{BTreeMap, HashMap};

use super::distribution::Distribution;
use super::largest::largest;
use super::names::{Namer, error_name, thread_label};
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    CpuId, Frame, FrameInterval, GuestNanos, KernelEvent, Machine, Moment, Observer, ProcessExec,
    Span, ThreadIndex, ThreadInterval, Tid, errno_of,
};
use crate::sources::{Trace, TraceError};

/// Phases that are kept; a boot has dozens, a program that writes to the log in a loop has any number.
const PHASES_MAX: usize = 500;

/// The phase that begins with a panic.
const PANIC: &str = "panic";

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Boot::new(&options.selection))?;
    let namer = Namer::new(trace);
    let needs = [
        need(
            &["initcall_level", "initcall_start", "initcall_finish"],
            "what the kernel and its modules set up is missing",
        ),
        need(
            &["marker"],
            "lines that programs wrote to the kernel's log are no phases",
        ),
        need(&["sched_process_exec"], "programs are missing"),
        need(&["sched_switch"], "it is not known what cost most"),
    ];
    Ok(Report {
        name: "boot",
        tables: vec![
            phase_table(&pass),
            initcall_table(&pass, &namer, options.top),
            program_table(&pass, options.top),
        ],
        findings: with_needs(trace, pass.findings, &needs),
    })
}

/// A boot within a selection.
struct Boot {
    selection: Selection,
    phases: Vec<Phase>,
    /// Phases beyond the most.
    omitted: u64,
    cpus: Vec<CpuId>,
    has_program: bool,
    /// Time that threads ran, by phase; idle CPUs are nobody.
    ran: BTreeMap<(usize, Option<ThreadIndex>), GuestNanos>,
    open: HashMap<(Option<ThreadIndex>, u64), GuestNanos>,
    initcalls: BTreeMap<u64, Initcall>,
    programs: BTreeMap<Vec<u8>, Program>,
}

#[derive(Debug)]
struct Phase {
    at: GuestNanos,
    what: String,
}

#[derive(Debug, Default)]
struct Initcall {
    first: GuestNanos,
    lengths: Distribution,
    by: Option<ThreadIndex>,
    ret: Option<i64>,
}

#[derive(Debug)]
struct Program {
    first: GuestNanos,
    by: Option<ThreadIndex>,
    count: u64,
}

impl Boot {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            phases: Vec::new(),
            omitted: 0,
            cpus: Vec::new(),
            has_program: false,
            ran: BTreeMap::new(),
            open: HashMap::new(),
            initcalls: BTreeMap::new(),
            programs: BTreeMap::new(),
        }
    }

    fn begin(&mut self, at: GuestNanos, what: impl Into<String>) {
        if self.phases.len() >= PHASES_MAX {
            self.omitted += 1;
            return;
        }
        let what = what.into();
        self.phases.push(Phase { at, what });
    }

    fn see(&mut self, moment: Moment) {
        if self.cpus.contains(&moment.cpu) {
            return;
        }
        if self.cpus.is_empty() {
            self.begin(moment.at, format!("first event, on CPU {}", moment.cpu));
        } else {
            self.begin(moment.at, format!("CPU {} runs", moment.cpu));
        }
        self.cpus.push(moment.cpu);
    }

    fn exec(&mut self, machine: &Machine, moment: Moment, exec: &ProcessExec<'_>) {
        let path = exec.filename.unwrap_or(b"?");
        if !self.has_program {
            self.has_program = true;
            let path = super::guest_text(path);
            self.begin(moment.at, format!("first program: {path}"));
        }
        let by = machine.current(moment.cpu);
        let first = moment.at;
        let new = || Program {
            first,
            by,
            count: 0,
        };
        if !self.programs.contains_key(path) {
            self.programs.insert(path.to_owned(), new());
        }
        if let Some(program) = self.programs.get_mut(path) {
            program.count += 1;
        }
    }

    fn end_initcall(
        &mut self,
        at: GuestNanos,
        thread: Option<ThreadIndex>,
        func: u64,
        ret: Option<i64>,
    ) {
        let Some(since) = self.open.remove(&(thread, func)) else {
            return;
        };
        let initcall = self.initcalls.entry(func).or_default();
        if initcall.lengths.count() == 0 {
            initcall.first = since;
        }
        initcall.lengths.add(at.since(since));
        initcall.by = thread;
        initcall.ret = ret;
    }

    /// Takes the text of a panic, whose event knows only the format, from the line that the kernel then logs.
    fn name_panic(&mut self, text: &[u8]) {
        let said = text.strip_prefix(b"Kernel panic - not syncing: ");
        if let Some(said) = said
            && let Some(phase) = self.phases.last_mut().filter(|phase| phase.what == PANIC)
        {
            phase.what = format!("{PANIC}: {}", super::guest_text(said.trim_ascii()));
        }
    }

    /// Charges a stretch to the phases that it is in.
    fn charge(&mut self, span: Span, thread: Option<ThreadIndex>) {
        for index in (0..self.phases.len()).rev() {
            let start = self.phases[index].at;
            let end = self
                .phases
                .get(index + 1)
                .map_or(Span::ALL.end, |next| next.at);
            let part = span.within(Span { start, end }).length();
            if part.0 > 0 {
                *self.ran.entry((index, thread)).or_default() += part;
            }
            if start <= span.start {
                break;
            }
        }
    }

    /// How long CPUs were idle in a phase, and the thread that ran most.
    fn cost(&self, phase: usize) -> (GuestNanos, Option<(ThreadIndex, GuestNanos)>) {
        let of_phase = self.ran.range((phase, None)..(phase + 1, None));
        let (mut idle, mut most) = (GuestNanos(0), None);
        for ((_, thread), time) in of_phase {
            match thread {
                None => idle = *time,
                Some(thread) if most.is_none_or(|(_, longest)| *time > longest) => {
                    most = Some((*thread, *time));
                }
                Some(_) => {}
            }
        }
        (idle, most)
    }
}

impl Analysis for Boot {}

impl Observer for Boot {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        let Moment { at, cpu } = moment;
        if !self.selection.span.contains(at) || !self.selection.has_cpu(cpu) {
            return;
        }
        self.see(moment);
        if !self.selection.has_moment(machine, moment) {
            return;
        }
        match event {
            E::ProcessFork(fork) if fork.child_pid == Tid(1) => {
                self.begin(at, "thread 1 is made, which becomes the first process");
            }
            E::ProcessFork(fork) if fork.child_pid == Tid(2) => {
                self.begin(at, "thread 2 is made, which makes the kernel's threads");
            }
            E::InitcallLevel(level) => {
                let level = super::guest_text(level.level);
                self.begin(at, format!("initcalls: {level}"));
            }
            E::InitcallStart(call) => {
                self.open.insert((machine.current(cpu), call.func), at);
            }
            E::InitcallFinish(call) => {
                self.end_initcall(at, machine.current(cpu), call.func, call.ret);
            }
            E::ProcessExec(exec) => self.exec(machine, moment, exec),
            E::Marker(marker) => self.begin(at, super::guest_text(marker.text.trim_ascii())),
            E::PowerOff(_) => self.begin(at, "power off"),
            E::Restart(_) => self.begin(at, "restart"),
            E::Halt(_) => self.begin(at, "halt"),
            E::Panic(_) => self.begin(at, PANIC),
            E::Printk(line) => self.name_panic(line.text),
            _ => {}
        }
    }

    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let is_elsewhere = interval.cpu.is_some_and(|cpu| !self.selection.has_cpu(cpu));
        let is_running = interval.activity.is_running() && !is_elsewhere;
        if !is_running || !self.selection.has_thread(interval.thread) {
            return;
        }
        let is_idle = interval.activity == crate::model::Activity::Idle;
        let thread = (!is_idle).then_some(interval.index);
        self.charge(interval.span.within(self.selection.span), thread);
    }

    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let Frame::Syscall { abi, nr } = interval.frame() else {
            return;
        };
        if interval.ret == Some(0) && machine.syscall_name(abi, nr) == Some(b"mount") {
            let thread = &machine.threads()[interval.thread];
            if self.selection.has_end(interval, thread) {
                let by = thread_label(thread);
                self.begin(interval.span.end, format!("mount by {by}"));
            }
        }
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        self.open.clear();
    }
}

fn phase_table(pass: &Pass<Boot>) -> Table {
    let boot = &pass.analysis;
    let mut rows = Vec::new();
    for (index, phase) in boot.phases.iter().enumerate() {
        let next = boot.phases.get(index + 1).map_or(pass.end, |next| next.at);
        let (idle, most) = boot.cost(index);
        let most_by = most.map(|(thread, _)| thread_label(&pass.machine.threads()[thread]));
        rows.push(vec![
            Cell::Time(phase.at),
            Cell::Text(phase.what.clone()),
            Cell::Time(next.since(phase.at)),
            Cell::Time(idle),
            most_by.map_or(Cell::Absent, Cell::Text),
            most.map_or(Cell::Absent, |(_, time)| Cell::Time(time)),
        ]);
    }
    let mut title =
        "Phases, up to the next (seconds): idle time of all CPUs, and the thread that ran most"
            .to_owned();
    if boot.omitted > 0 {
        title += &format!("; {} later ones are not shown", boot.omitted);
    }
    Table {
        name: "phases",
        title,
        shape: Shape::Rows,
        columns: vec![
            column("at_ns", "At"),
            column("phase", "Phase"),
            column("length_ns", "Length"),
            column("idle_ns", "Idle"),
            column("most_by", "Most by"),
            column("most_ns", "Time"),
        ],
        rows,
    }
}

fn initcall_table(pass: &Pass<Boot>, namer: &Namer, top: usize) -> Table {
    let initcalls = largest(&pass.analysis.initcalls, top, |call| call.lengths.total());
    let rows = initcalls.rows(|func, call| {
        let by = call
            .by
            .map(|thread| thread_label(&pass.machine.threads()[thread]));
        let error = call.ret.and_then(errno_of).map(error_name);
        vec![
            Cell::Text(namer.function(*func)),
            Cell::Time(call.first),
            Cell::Count(call.lengths.count()),
            Cell::Length(call.lengths.total()),
            by.map_or(Cell::Absent, Cell::Text),
            error.map_or(Cell::Absent, Cell::Text),
        ]
    });
    Table {
        name: "initcalls",
        title: "Initcalls, with what interrupted them and what they waited for (microseconds)"
            .to_owned(),
        shape: initcalls.shape(),
        columns: vec![
            column("function", "Initcall"),
            column("first_ns", "At (s)"),
            column("count", "Count"),
            column("total_ns", "Took"),
            column("thread", "Thread"),
            column("error", "Error"),
        ],
        rows,
    }
}

fn program_table(pass: &Pass<Boot>, top: usize) -> Table {
    let programs = largest(&pass.analysis.programs, top, |program| {
        std::cmp::Reverse(program.first)
    });
    let rows = programs.rows(|path, program| {
        let by = program
            .by
            .map(|thread| thread_label(&pass.machine.threads()[thread]));
        vec![
            Cell::guest_text(path),
            Cell::Time(program.first),
            Cell::Count(program.count),
            by.map_or(Cell::Absent, Cell::Text),
        ]
    });
    Table {
        name: "programs",
        title: "Programs in the order in which they were first run (seconds)".to_owned(),
        shape: programs.shape(),
        columns: vec![
            column("program", "Program"),
            column("first_ns", "First at"),
            column("count", "Times"),
            column("thread", "First by"),
        ],
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_named_by_the_line_that_the_kernel_logs() {
        let mut boot = Boot::new(&Selection::default());
        boot.name_panic(b"Kernel panic - not syncing: of nothing that began");
        boot.begin(GuestNanos(1), "thread 1 is made");
        boot.name_panic(b"Kernel panic - not syncing: neither");
        boot.begin(GuestNanos(2), PANIC);
        boot.name_panic(b"CPU: 0 PID: 1");
        boot.name_panic(
            b"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000\n",
        );
        boot.name_panic(b"Kernel panic - not syncing: another time");
        let phases: Vec<&str> = boot
            .phases
            .iter()
            .map(|phase| phase.what.as_str())
            .collect();
        let panic = "panic: Attempted to kill init! exitcode=0x00000000";
        assert_eq!(phases, ["thread 1 is made", panic]);
    }
}
