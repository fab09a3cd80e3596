//! `timehist` and `schedmap`: every time that a thread had a CPU, and which thread each CPU ran.
//!
//! As `perf sched timehist` and `perf sched map` have it. A row of `timehist` stands where a thread loses its CPU: how long
//! it had been without one before it got it, how much of that after it was woken, and how long it had it. Idle threads
//! have no rows.

use std::collections::HashMap;

use super::names::{comm, thread_label};
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, run};
use super::selection::Selection;
use super::stream::{Layout, Sink};
use super::table::{Cell, column};
use crate::model::{
    Activity, CpuId, GuestNanos, KernelEvent, Machine, Moment, Observer, Scheduling, Thread,
    ThreadIndex, ThreadInterval, Wait,
};
use crate::sources::{Finding, Trace, TraceError};

/// The rows of `timehist`.
pub(super) const TIMEHIST: Layout = Layout {
    name: "timehist",
    title: "Threads as they lose their CPU (seconds); how long they had been without one, of that after they were woken, \
        and how long they had it (microseconds)",
    columns: &[
        (column("at_ns", "At"), 14),
        (column("cpu", "CPU"), 3),
        (column("thread", "Thread"), -24),
        (column("pid", "PID"), 7),
        (column("wait_ns", "Wait"), 14),
        (column("delay_ns", "Delay"), 12),
        (column("run_ns", "Run"), 12),
        (column("left", "Left as"), -14),
    ],
};

/// The rows of `schedmap`.
pub(super) const SCHEDMAP: Layout = Layout {
    name: "schedmap",
    title: "Which thread each CPU runs: two letters for a thread, . is idle, ? is unknown, * marks the CPU that changes",
    columns: &[
        (column("at_ns", "At (s)"), 14),
        (column("cpus", "CPUs"), -24),
        (column("thread", "Thread"), -24),
        (column("cpu", "CPU"), 3),
    ],
};

const NEEDS: [super::needs::Need; 2] = [
    need(&["sched_switch"], "it is not known when threads had a CPU"),
    need(
        &["sched_waking", "sched_wakeup"],
        "it is not known how long threads waited after they were woken",
    ),
];

/// Reads the trace and gives the rows of `timehist`.
pub(super) fn timehist(
    trace: &Trace,
    options: &Options,
    sink: &mut dyn Sink,
) -> Result<Vec<Finding>, TraceError> {
    let timehist = Timehist {
        selection: &options.selection,
        sink,
        threads: HashMap::new(),
        since: HashMap::new(),
    };
    let pass = run(trace, &options.selection, timehist)?;
    Ok(with_needs(trace, pass.findings, &NEEDS))
}

/// Reads the trace and gives the rows of `schedmap`.
pub(super) fn schedmap(
    trace: &Trace,
    options: &Options,
    sink: &mut dyn Sink,
) -> Result<Vec<Finding>, TraceError> {
    let map = Map {
        selection: &options.selection,
        sink,
        codes: HashMap::new(),
    };
    let pass = run(trace, &options.selection, map)?;
    Ok(with_needs(trace, pass.findings, &NEEDS[..1]))
}

struct Timehist<'a> {
    selection: &'a Selection,
    sink: &'a mut dyn Sink,
    threads: HashMap<ThreadIndex, Off>,
    /// When each CPU was given to the thread that it runs.
    since: HashMap<CpuId, GuestNanos>,
}

/// How long a thread has been without a CPU since it lost one.
#[derive(Clone, Copy, Debug, Default)]
struct Off {
    /// Not known of a thread that was not seen to lose one.
    wait: Option<GuestNanos>,
    delay: Option<GuestNanos>,
}

impl Timehist<'_> {
    fn leave(&mut self, machine: &Machine, moment: Moment, prev: ThreadIndex, left: &'static str) {
        let leaves = Off {
            wait: Some(GuestNanos(0)),
            delay: None,
        };
        let off = self.threads.insert(prev, leaves).unwrap_or_default();
        let since = self.since.get(&moment.cpu);
        let thread = &machine.threads()[prev];
        if thread.idle_of.is_some() || !self.selection.has_of(machine, moment, Some(prev)) {
            return;
        }
        let length = |time: Option<GuestNanos>| time.map_or(Cell::Absent, Cell::Length);
        let row = [
            Cell::Time(moment.at),
            Cell::Count(u64::from(moment.cpu.0)),
            Cell::Text(thread_label(thread)),
            Cell::Count(u64::from(thread.process().0)),
            length(off.wait),
            length(off.delay),
            length(since.map(|since| moment.at.since(*since))),
            Cell::Text(left.to_owned()),
        ];
        self.sink.push(&row);
    }
}

/// How a thread that loses its CPU goes on.
fn left_as(prev_state: Option<u64>) -> &'static str {
    match prev_state.map(Scheduling::from_kernel) {
        None | Some(Scheduling::Unknown | Scheduling::Running(_)) => "?",
        Some(Scheduling::Runnable) => "preempted",
        Some(Scheduling::Blocked(Wait::Uninterruptible)) => "uninterruptible",
        Some(Scheduling::Blocked(Wait::Stopped)) => "stopped",
        Some(Scheduling::Blocked(Wait::Parked)) => "parked",
        Some(Scheduling::Blocked(Wait::Interruptible | Wait::New)) => "asleep",
        Some(Scheduling::Dead) => "dead",
    }
}

impl Analysis for Timehist<'_> {
    fn is_done(&self) -> bool {
        self.sink.is_closed()
    }
}

impl Observer for Timehist<'_> {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        let KernelEvent::SchedSwitch(switch) = event else {
            return;
        };
        if let Some(prev) = machine.current(moment.cpu) {
            self.leave(machine, moment, prev, left_as(switch.prev_state));
        }
        self.since.insert(moment.cpu, moment.at);
    }

    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let length = interval.span.length();
        let is_delay = match interval.activity {
            Activity::Runnable => interval.thread.waker.is_some(),
            Activity::Blocked => false,
            _ => return,
        };
        let off = self.threads.entry(interval.index).or_default();
        if let Some(wait) = &mut off.wait {
            *wait += length;
        }
        if is_delay {
            *off.delay.get_or_insert_default() += length;
        }
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        self.threads.clear();
        self.since.clear();
    }
}

struct Map<'a> {
    selection: &'a Selection,
    sink: &'a mut dyn Sink,
    codes: HashMap<ThreadIndex, String>,
}

impl Map<'_> {
    /// The letters of a thread, and whether they are new.
    fn code(&mut self, index: ThreadIndex, thread: &Thread) -> (String, bool) {
        if thread.idle_of.is_some() {
            return (".".to_owned(), false);
        }
        if let Some(code) = self.codes.get(&index) {
            return (code.clone(), false);
        }
        let code = code_of(self.codes.len());
        self.codes.insert(index, code.clone());
        (code, true)
    }
}

/// Two letters, as perf has them: A0 to Z9, then AA to ZZ; then numbers.
fn code_of(number: usize) -> String {
    const FIRST: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const SECOND: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let (first, second) = match number {
        0..260 => (number % 26, number / 26),
        260..936 => ((number - 260) % 26, 10 + (number - 260) / 26),
        _ => return format!("T{number}"),
    };
    let letters = [FIRST[first], SECOND[second]];
    letters.into_iter().map(char::from).collect()
}

impl Analysis for Map<'_> {
    fn is_done(&self) -> bool {
        self.sink.is_closed()
    }
}

impl Observer for Map<'_> {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        let KernelEvent::SchedSwitch(switch) = event else {
            return;
        };
        let next = match switch.next_pid.0 {
            0 => None,
            _ => machine.threads().with_tid(switch.next_pid),
        };
        if !self.selection.span.contains(moment.at) {
            return;
        }
        let prev = machine.current(moment.cpu);
        let has = |thread: Option<ThreadIndex>| self.selection.has_of(machine, moment, thread);
        // With no thread known, everything has.
        let is_selected = match (prev, next) {
            (Some(_), None) => has(prev),
            (None, _) => has(next),
            (Some(_), Some(_)) => has(prev) || has(next),
        };
        if !is_selected {
            return;
        }
        let mut cpus = String::new();
        let mut added = None;
        for cpu in machine.cpus().filter(|cpu| self.selection.has_cpu(*cpu)) {
            let is_here = cpu == moment.cpu;
            let shown = if is_here { next } else { machine.current(cpu) };
            let (code, is_new) = match shown {
                Some(index) => self.code(index, &machine.threads()[index]),
                None if is_here => (".".to_owned(), false),
                None => ("?".to_owned(), false),
            };
            cpus.push(if is_here { '*' } else { ' ' });
            cpus.push_str(&format!("{code:<3}"));
            if is_new {
                added = shown.map(|index| (code, &machine.threads()[index]));
            }
        }
        let named = added.map(|(code, thread)| format!("{code} {}:{}", comm(thread), thread.tid));
        let row = [
            Cell::Time(moment.at),
            Cell::Text(cpus.trim_end().to_owned()),
            named.map_or(Cell::Absent, Cell::Text),
            Cell::Count(u64::from(moment.cpu.0)),
        ];
        self.sink.push(&row);
    }
}

#[cfg(test)]
mod tests {
    use super::code_of;

    #[test]
    fn codes_are_those_of_perf_and_all_differ() {
        let codes: Vec<String> = (0..1000).map(code_of).collect();
        assert_eq!(codes[0], "A0");
        assert_eq!(codes[25..27], ["Z0", "A1"]);
        assert_eq!(codes[935..937], ["ZZ", "T936"]);
        let all: std::collections::BTreeSet<&String> = codes.iter().collect();
        assert_eq!(all.len(), codes.len());
    }
}
