//! `timers`: which timers ran out, how late, how long their functions took, who had set them.
//!
//! A high-resolution timer is late by its own clock: the time at which it is run less the latest that was asked for. The
//! other timers count jiffies, of which a trace does not say how long they are: they are late by so many jiffies.

use std::collections::{BTreeMap, HashMap};

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::largest::largest;
use super::names::{Leaders, Namer, thread_label};
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Column, Report, Shape, Table, column};
use crate::model::{
    Activity, Asked, Cause, GuestNanos, ItimerState, KernelEvent, Machine, Moment, Observer, Pid,
    ThreadIndex, ThreadInterval,
};
use crate::sources::{Trace, TraceError};

/// Timers that are set are no more than this; more would be a trace that makes them up.
const SET_MAX: usize = 1 << 20;

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Timers::new(&options.selection))?;
    let namer = Namer::new(trace);
    let tables = vec![
        function_table(&pass, &namer, Kind::HighResolution, options.top),
        function_table(&pass, &namer, Kind::Jiffies, options.top),
        setter_table(&pass, &namer, options.top),
        sleep_table(&pass, options.top),
        interval_table(&pass),
    ];
    let needs = [
        need(
            &[
                "timer_expire_entry",
                "timer_expire_exit",
                "hrtimer_expire_entry",
                "hrtimer_expire_exit",
            ],
            "timers that ran out are missing",
        ),
        need(
            &["timer_start", "hrtimer_start"],
            "it is not known who set a timer and how late it was",
        ),
        need(
            &["timer_cancel", "hrtimer_cancel"],
            "it is not known which timers were taken back",
        ),
        need(
            &["itimer_state", "itimer_expire"],
            "interval timers of programs are missing",
        ),
    ];
    Ok(Report {
        name: "timers",
        tables,
        findings: with_needs(trace, pass.findings, &needs),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    HighResolution,
    Jiffies,
}

/// A timer: its kind, and where it is in the kernel's memory.
type Timer = (Kind, u64);

/// The timers within a selection.
struct Timers {
    selection: Selection,
    /// Timers that were set and have not run out, or were taken back.
    set: HashMap<Timer, Set>,
    /// Timers whose function runs.
    running: HashMap<Timer, (GuestNanos, u64)>,
    functions: BTreeMap<(Kind, u64), Function>,
    setters: BTreeMap<(Kind, u64, Cause), u64>,
    sleeps: BTreeMap<ThreadIndex, Distribution>,
    intervals: BTreeMap<(Pid, String), Interval>,
}

#[derive(Clone, Copy, Debug)]
struct Set {
    function: u64,
    /// In its own clock.
    expires: Option<u64>,
    /// The thread that set it, unless something that interrupted a thread did.
    by: Option<ThreadIndex>,
    /// Taken back, which happens to one that runs out too.
    is_cancelled: bool,
}

/// Timers with the same function.
#[derive(Debug, Default)]
struct Function {
    set: u64,
    cancelled: u64,
    expired: u64,
    late: Distribution,
    late_jiffies_max: Option<u64>,
    handler: Distribution,
}

/// An interval timer of a process.
#[derive(Debug, Default)]
struct Interval {
    set: u64,
    switched_off: u64,
    fired: u64,
    first: Option<GuestNanos>,
    again: Option<GuestNanos>,
}

impl Timers {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            set: HashMap::new(),
            running: HashMap::new(),
            functions: BTreeMap::new(),
            setters: BTreeMap::new(),
            sleeps: BTreeMap::new(),
            intervals: BTreeMap::new(),
        }
    }

    fn start(
        &mut self,
        machine: &Machine,
        moment: Moment,
        timer: Timer,
        set: (Option<u64>, Option<u64>),
    ) {
        let (function, expires) = set;
        let function = function.unwrap_or(0);
        let cause = machine.acting(moment.cpu);
        let by = match cause {
            Cause::Thread(thread) => Some(thread),
            _ => None,
        };
        if self.set.len() >= SET_MAX {
            self.set.clear();
        }
        self.set.insert(
            timer,
            Set {
                function,
                expires,
                by,
                is_cancelled: false,
            },
        );
        if self.selection.has_moment(machine, moment) {
            self.functions.entry((timer.0, function)).or_default().set += 1;
            *self.setters.entry((timer.0, function, cause)).or_default() += 1;
        }
    }

    fn cancel(&mut self, machine: &Machine, moment: Moment, timer: Timer) {
        let Some(set) = self.set.get_mut(&timer).filter(|set| !set.is_cancelled) else {
            return;
        };
        set.is_cancelled = true;
        let of = set.by.or(machine.current(moment.cpu));
        if self.selection.has_of(machine, moment, of) {
            let function = (timer.0, set.function);
            self.functions.entry(function).or_default().cancelled += 1;
        }
    }

    /// A timer has run out; with the time of its clock, as it is run.
    fn expire(
        &mut self,
        machine: &Machine,
        moment: Moment,
        timer: Timer,
        function: Option<u64>,
        late: impl Fn(Option<u64>) -> Option<u64>,
    ) {
        let set = self.set.remove(&timer);
        let function = function.or(set.map(|set| set.function)).unwrap_or(0);
        let of = set.and_then(|set| set.by).or(machine.current(moment.cpu));
        if !self.selection.has_of(machine, moment, of) {
            return;
        }
        self.running.insert(timer, (moment.at, function));
        let account = self.functions.entry((timer.0, function)).or_default();
        account.expired += 1;
        // It was not taken back, as it seemed a moment ago.
        let was_cancelled = set.is_some_and(|set| set.is_cancelled);
        account.cancelled = account.cancelled.saturating_sub(u64::from(was_cancelled));
        if let Some(late) = late(set.and_then(|set| set.expires)) {
            match timer.0 {
                Kind::HighResolution => account.late.add(GuestNanos(late)),
                Kind::Jiffies => {
                    account.late_jiffies_max = account.late_jiffies_max.max(Some(late))
                }
            }
        }
    }

    fn end(&mut self, at: GuestNanos, timer: Timer) {
        if let Some((since, function)) = self.running.remove(&timer) {
            let account = self.functions.entry((timer.0, function)).or_default();
            account.handler.add(at.since(since));
        }
    }

    fn interval(&mut self, pid: Pid, which: Option<&[u8]>) -> &mut Interval {
        let which = super::guest_text(which.unwrap_or(b"?"));
        self.intervals.entry((pid, which)).or_default()
    }

    fn set_interval(&mut self, machine: &Machine, moment: Moment, state: &ItimerState<'_>) {
        let Some(thread) = machine.current_thread(moment.cpu) else {
            return;
        };
        if !self.selection.has_moment(machine, moment) {
            return;
        }
        let nanos = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let interval = self.interval(thread.process(), state.which);
        if nanos(state.value) == Some(0) {
            interval.switched_off += 1;
        } else {
            interval.set += 1;
            interval.first = nanos(state.value).map(GuestNanos);
            interval.again = nanos(state.interval).map(GuestNanos);
        }
    }
}

/// What its time is past what was asked for; none before that.
fn lateness(now: Option<u64>, asked: Option<u64>) -> Option<u64> {
    Some(now?.saturating_sub(asked?))
}

impl Analysis for Timers {}

impl Observer for Timers {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        match event {
            E::HrtimerStart(event) => {
                let timer = (Kind::HighResolution, event.hrtimer);
                self.start(machine, moment, timer, (event.function, event.expires));
            }
            E::TimerStart(event) => {
                let timer = (Kind::Jiffies, event.timer);
                self.start(machine, moment, timer, (event.function, event.expires));
            }
            E::HrtimerCancel(event) => {
                self.cancel(machine, moment, (Kind::HighResolution, event.hrtimer));
            }
            E::TimerCancel(event) => self.cancel(machine, moment, (Kind::Jiffies, event.timer)),
            E::HrtimerExpireEntry(event) => {
                let timer = (Kind::HighResolution, event.hrtimer.unwrap_or(0));
                let late = |asked| lateness(event.now, asked);
                self.expire(machine, moment, timer, event.function, late);
            }
            E::TimerExpireEntry(event) => {
                let timer = (Kind::Jiffies, event.timer.unwrap_or(0));
                let late = |_| lateness(event.baseclk, event.expires);
                self.expire(machine, moment, timer, event.function, late);
            }
            E::HrtimerExpireExit(event) => {
                self.end(
                    moment.at,
                    (Kind::HighResolution, event.hrtimer.unwrap_or(0)),
                );
            }
            E::TimerExpireExit(event) => {
                self.end(moment.at, (Kind::Jiffies, event.timer.unwrap_or(0)));
            }
            E::ItimerState(state) => self.set_interval(machine, moment, state),
            E::ItimerExpire(event) => {
                let pid = event.pid.unwrap_or_default();
                let thread = machine.threads().with_tid(crate::model::Tid(pid.0));
                if self.selection.has_of(machine, moment, thread) {
                    self.interval(pid, event.which).fired += 1;
                }
            }
            _ => {}
        }
    }

    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let thread = interval.thread;
        let slept = interval.activity == Activity::Blocked && thread.asked == Asked::Time;
        if slept
            && self.selection.span.contains(interval.span.end)
            && self.selection.has_thread(thread)
        {
            let sleeps = self.sleeps.entry(interval.index).or_default();
            sleeps.add(interval.span.length());
        }
    }

    fn lost(&mut self, _machine: &Machine, _cpu: crate::model::CpuId, _at: GuestNanos) {
        self.set.clear();
        self.running.clear();
    }
}

const FUNCTION_COLUMNS: [Column; 7] = [
    column("function", "Function"),
    column("set", "Set"),
    column("cancelled", "Taken back"),
    column("expired", "Ran out"),
    column("handler_total_ns", "Took"),
    column("handler_mean_ns", "Mean"),
    column("handler_max_ns", "Max"),
];

fn function_table(pass: &Pass<Timers>, namer: &Namer, kind: Kind, top: usize) -> Table {
    let of_kind = pass
        .analysis
        .functions
        .iter()
        .filter(|(key, _)| key.0 == kind);
    let of_kind: BTreeMap<u64, &Function> = of_kind
        .map(|((_, function), account)| (*function, account))
        .collect();
    let functions = largest(&of_kind, top, |account| {
        (account.handler.total(), account.expired, account.set)
    });
    let rows =
        functions.rows(|function, account| function_row(namer.function(*function), kind, account));
    let mut columns = FUNCTION_COLUMNS.to_vec();
    let (name, what) = match kind {
        Kind::HighResolution => {
            columns.extend([
                column("late_mean_ns", "Late"),
                column("late_p99_ns", "99 %"),
                column("late_max_ns", "Max"),
            ]);
            (
                "hrtimers",
                "High-resolution timers by their function (microseconds)",
            )
        }
        Kind::Jiffies => {
            columns.push(column("late_max_jiffies", "Late, jiffies"));
            (
                "timers",
                "Timers that count jiffies, by their function (microseconds)",
            )
        }
    };
    Table {
        name,
        title: what.to_owned(),
        shape: functions.shape(),
        columns,
        rows,
    }
}

fn function_row(name: String, kind: Kind, account: &Function) -> Vec<Cell> {
    let mut row = vec![
        Cell::Text(name),
        Cell::Count(account.set),
        Cell::Count(account.cancelled),
        Cell::Count(account.expired),
        Cell::Length(account.handler.total()),
        Cell::Length(account.handler.mean()),
        Cell::Length(account.handler.max()),
    ];
    match kind {
        Kind::HighResolution => {
            let known = account.late.count() > 0;
            let late = [
                account.late.mean(),
                account.late.percentile(99),
                account.late.max(),
            ];
            row.extend(late.map(|late| {
                if known {
                    Cell::Length(late)
                } else {
                    Cell::Absent
                }
            }));
        }
        Kind::Jiffies => row.push(Cell::count_or_absent(account.late_jiffies_max)),
    }
    row
}

fn setter_table(pass: &Pass<Timers>, namer: &Namer, top: usize) -> Table {
    let setters = largest(&pass.analysis.setters, top, |count| *count);
    let rows = setters.rows(|(_, function, cause), count| {
        vec![
            Cell::Text(namer.cause(&pass.machine, *cause)),
            Cell::Text(namer.function(*function)),
            Cell::Count(*count),
        ]
    });
    Table {
        name: "setters",
        title: "Who set timers".to_owned(),
        shape: setters.shape(),
        columns: vec![
            column("setter", "Set by"),
            column("function", "Function"),
            column("count", "Count"),
        ],
        rows,
    }
}

fn sleep_table(pass: &Pass<Timers>, top: usize) -> Table {
    let sleeps = largest(&pass.analysis.sleeps, top, Distribution::total);
    let rows = sleeps.rows(|thread, lengths| {
        let mut row = vec![Cell::Text(thread_label(&pass.machine.threads()[*thread]))];
        row.extend(lengths.cells());
        row
    });
    let mut columns = vec![column("thread", "Thread")];
    columns.extend(DISTRIBUTION_COLUMNS);
    Table {
        name: "sleeps",
        title: "Threads that slept for a time: nanosleep and its like (microseconds)".to_owned(),
        shape: sleeps.shape(),
        columns,
        rows,
    }
}

fn interval_table(pass: &Pass<Timers>) -> Table {
    let leaders = Leaders::new(&pass.machine);
    let time = |time: Option<GuestNanos>| time.map_or(Cell::Absent, Cell::Time);
    let row = |((pid, which), interval): (&(Pid, String), &Interval)| {
        vec![
            Cell::Text(leaders.name(&pass.machine, *pid)),
            Cell::Count(u64::from(pid.0)),
            Cell::Text(which.clone()),
            Cell::Count(interval.set),
            Cell::Count(interval.switched_off),
            Cell::Count(interval.fired),
            time(interval.first),
            time(interval.again),
        ]
    };
    Table {
        name: "intervals",
        title: "Interval timers of programs: setitimer and alarm (seconds)".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("comm", "Process"),
            column("pid", "PID"),
            column("which", "Clock"),
            column("set", "Set"),
            column("switched_off", "Switched off"),
            column("fired", "Fired"),
            column("first_ns", "Set last to"),
            column("interval_ns", "And every"),
        ],
        rows: pass.analysis.intervals.iter().map(row).collect(),
    }
}
