//! Gathers from the model what an index holds.
//!
//! The pass over the trace hands over what it found in batches; putting that into the index costs another thread.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use analyzer::causes::Names;
use analyzer::model::{
    Activity, CpuId, Doing, Frame, FrameInterval, Ground, GuestNanos, KernelEvent, Machine, Moment,
    Observer, Request, Scheduling, Span, ThreadIndex, ThreadInterval, Waker,
};
use analyzer::report::{Analysis, Namer, disk_name, guest_text, op_name};
use analyzer::sources::{Loss, Record, Trace};
use rustc_hash::FxHashMap;

use super::arrows::{Arrow, Ways};
use super::histogram::{Histogram, Rate};
use super::kind::Kind;
use super::latency::{Latency, LatencyKind};
use super::states::{StateId, States};
use super::{Batch, Gap, Overview, RowId, RowInfo, RowType};
use crate::events::EventIndex;

/// Spans in a batch.
const BATCH_SPANS: usize = 1 << 15;
/// Records between two looks at the clock.
const LOOK_RECORDS: u64 = 1 << 12;
/// How often all is told.
const OVERVIEW_PERIOD: Duration = Duration::from_millis(300);

/// What names a row that is no thread's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Device {
    Cpu(u32),
    Runs(u32),
    Vector(u64),
    Line(i64),
    Softirq(u64),
    Disk(u64),
}

/// What a row stands for.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Device(Device),
    Thread(ThreadIndex),
}

/// A thread that has a CPU.
#[derive(Clone, Copy, Debug)]
struct Running {
    row: RowId,
    state: StateId,
    start: u64,
    end: u64,
}

/// Gathers what an index holds.
#[derive(Debug)]
pub struct Gather {
    namer: Namer,
    out: SyncSender<Batch>,
    batch: Batch,
    states: States,
    known_states: usize,
    doings: FxHashMap<Doing, StateId>,
    last_doing: Option<(Doing, StateId)>,
    subjects: Vec<Subject>,
    threads: Vec<Option<RowId>>,
    devices: FxHashMap<Device, RowId>,
    /// The row that stands for a device's line.
    lines: FxHashMap<i64, RowId>,
    wakes: FxHashMap<RowId, u64>,
    ways: Ways,
    running: Vec<Option<Running>>,
    busy_disks: FxHashMap<u64, (u64, StateId)>,
    latest_loss: FxHashMap<u32, (u64, u64)>,
    histogram: Histogram,
    events: EventIndex,
    records: u64,
    end: u64,
    told: Instant,
    /// Whether it tells all from time to time by itself.
    is_telling: bool,
    /// Nobody wants the index any more.
    is_given_up: bool,
}

impl Gather {
    /// Gathers from that trace; batches go to `out`.
    #[must_use]
    pub fn new(trace: &Trace, out: SyncSender<Batch>) -> Self {
        let states = States::default();
        Self {
            namer: Namer::new(trace),
            out,
            batch: Batch::default(),
            known_states: states.all().len(),
            states,
            doings: FxHashMap::default(),
            last_doing: None,
            subjects: Vec::new(),
            threads: Vec::new(),
            devices: FxHashMap::default(),
            lines: FxHashMap::default(),
            wakes: FxHashMap::default(),
            ways: Ways::default(),
            running: Vec::new(),
            busy_disks: FxHashMap::default(),
            latest_loss: FxHashMap::default(),
            histogram: Histogram::default(),
            events: EventIndex::default(),
            records: 0,
            end: 0,
            told: Instant::now(),
            is_telling: true,
            is_given_up: false,
        }
    }

    /// From now on all is told only when somebody says so: by [`Self::tell`] or [`Self::tell_now`].
    pub fn leave_telling_to_others(&mut self) {
        self.is_telling = false;
    }

    /// From now on addresses are named as that trace names them.
    pub fn name_by(&mut self, trace: &Trace) {
        self.namer = Namer::new(trace);
    }

    /// Tells all up to the latest event.
    pub fn tell_now(&mut self, machine: &Machine) {
        self.tell(machine, self.end);
    }

    /// Tells all that is left, and the machine as it is.
    pub fn tell(&mut self, machine: &Machine, end: u64) {
        self.end = self.end.max(end);
        for cpu in 0..self.running.len() {
            self.end_run(cpu);
        }
        self.batch.overview = Some(self.overview(machine));
        self.batch.events = Some(self.events.clone());
        self.told = Instant::now();
        self.send();
    }

    fn send(&mut self) {
        self.batch.states = self.states.all()[self.known_states..].to_vec();
        self.known_states = self.states.all().len();
        let batch = std::mem::take(&mut self.batch);
        self.is_given_up |= self.out.send(batch).is_err();
    }

    fn overview(&mut self, machine: &Machine) -> Overview {
        for (index, _) in machine.threads().iter() {
            self.row_of_thread(index);
        }
        let rows = 0..RowId::try_from(self.subjects.len()).unwrap_or(RowId::MAX);
        let rows = rows.map(|row| self.row_info(machine, row)).collect();
        let names = Names::new(&self.namer, machine);
        let mut labels: Vec<(StateId, String)> = self
            .doings
            .iter()
            .filter(|(doing, _)| doing.frame.is_some() || doing.work.is_some())
            .map(|(doing, state)| (*state, names.doing(*doing)))
            .collect();
        labels.sort_unstable_by_key(|(state, _)| *state);
        Overview {
            rows,
            labels,
            ways: self.ways.names().to_vec(),
            histogram: self.histogram.clone(),
            counts: self.events.counts(),
            end: self.end,
        }
    }

    fn row_info(&mut self, machine: &Machine, row: RowId) -> RowInfo {
        let mut info = RowInfo {
            kind: RowType::Cpu,
            name: String::new(),
            cpu: None,
            tid: None,
            pid: None,
            parent: None,
            born_ns: 0,
            died_ns: None,
            wakes: self.wakes.get(&row).copied().unwrap_or(0),
            open: None,
        };
        let names = Names::new(&self.namer, machine);
        match self.subjects[row as usize] {
            Subject::Device(Device::Cpu(cpu)) => {
                (info.cpu, info.name) = (Some(cpu), format!("CPU {cpu}"));
            }
            Subject::Device(Device::Runs(cpu)) => {
                (info.cpu, info.name) = (Some(cpu), format!("CPU {cpu} runs"));
            }
            Subject::Device(Device::Vector(vector)) => {
                (info.kind, info.name) = (RowType::Irq, names.frame(Frame::Irq { vector }));
            }
            Subject::Device(Device::Line(irq)) => {
                (info.kind, info.name) = (RowType::Irq, names.frame(Frame::IrqHandler { irq }));
            }
            Subject::Device(Device::Softirq(vec)) => {
                (info.kind, info.name) = (RowType::Softirq, names.frame(Frame::Softirq { vec }));
            }
            Subject::Device(Device::Disk(dev)) => {
                (info.kind, info.name) = (RowType::Disk, format!("disk {}", disk_name(dev)));
            }
            Subject::Thread(index) => {
                let thread = &machine.threads()[index];
                info.kind = RowType::Thread;
                info.name = if thread.comm.is_empty() {
                    "?".to_owned()
                } else {
                    guest_text(&thread.comm)
                };
                info.tid = Some(thread.tid.0);
                info.pid = Some(thread.process().0);
                info.parent = thread.parent.map(|parent| self.row_of_thread(parent));
                info.born_ns = thread.born.0;
                info.died_ns = thread.died.map(|died| died.0);
                if thread.died.is_none() {
                    let doing = thread.doing();
                    info.open = Some(match doing.activity {
                        Activity::Blocked => States::plain(Kind::of_wait(thread.asked, None)),
                        Activity::Runnable if thread.idle_of.is_some() => {
                            States::plain(Kind::Nothing)
                        }
                        _ => self.state_of(machine, doing),
                    });
                }
            }
        }
        info
    }

    fn row_of_thread(&mut self, index: ThreadIndex) -> RowId {
        let slot = index.index();
        if self.threads.len() <= slot {
            self.threads.resize(slot + 1, None);
        }
        match self.threads[slot] {
            Some(row) => row,
            None => {
                let row = self.add_row(Subject::Thread(index));
                self.threads[slot] = Some(row);
                row
            }
        }
    }

    fn row_of_device(&mut self, device: Device) -> RowId {
        match self.devices.get(&device) {
            Some(row) => *row,
            None => {
                let row = self.add_row(Subject::Device(device));
                self.devices.insert(device, row);
                row
            }
        }
    }

    fn add_row(&mut self, subject: Subject) -> RowId {
        self.subjects.push(subject);
        RowId::try_from(self.subjects.len() - 1).unwrap_or(RowId::MAX)
    }

    fn state_of(&mut self, machine: &Machine, doing: Doing) -> StateId {
        if let Some((last, state)) = self.last_doing
            && last == doing
        {
            return state;
        }
        let state = match self.doings.get(&doing) {
            Some(state) => *state,
            None => {
                let kind = Kind::of_activity(doing.activity);
                let state = if doing.frame.is_none() && doing.work.is_none() {
                    States::plain(kind)
                } else {
                    let names = Names::new(&self.namer, machine);
                    self.states.number(kind, names.doing(doing))
                };
                self.doings.insert(doing, state);
                state
            }
        };
        self.last_doing = Some((doing, state));
        state
    }

    fn state_of_wait(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) -> StateId {
        let thread = interval.thread;
        let via = thread.waker.map(|waker| waker.via);
        let kind = Kind::of_wait(thread.asked, via);
        let names = Names::new(&self.namer, machine);
        self.states.number(kind, names.wait(thread))
    }

    fn span(&mut self, row: RowId, span: Span, state: StateId) {
        self.batch
            .spans
            .push((row, span.start.0, span.end.0, state));
    }

    /// A thread had a CPU for a while.
    fn ran(&mut self, cpu: CpuId, row: RowId, state: StateId, interval: &ThreadInterval<'_>) {
        let cpu_row = self.row_of_device(Device::Cpu(cpu.0));
        self.span(cpu_row, interval.span, state);
        let slot = cpu.0 as usize;
        if self.states.kind(state).runs() {
            self.histogram
                .busy(slot, interval.span.start.0, interval.span.end.0);
        }
        if self.running.len() <= slot {
            self.running.resize(slot + 1, None);
        }
        if let Some(running) = &mut self.running[slot]
            && running.row == row
            && running.end == interval.span.start.0
        {
            running.end = interval.span.end.0;
            return;
        }
        self.end_run(slot);
        let thread = interval.thread;
        let kind = match thread.ground {
            Ground::User => Kind::User,
            Ground::Kernel => Kind::Kernel,
            Ground::Idle => Kind::Idle,
            Ground::Unknown => Kind::RunningUnknown,
        };
        let state = self.states.number(kind, guest_text(&thread.comm));
        self.batch.runs.push((slot, interval.span.start.0, row));
        self.running[slot] = Some(Running {
            row,
            state,
            start: interval.span.start.0,
            end: interval.span.end.0,
        });
    }

    fn end_run(&mut self, cpu: usize) {
        if let Some(running) = self.running[cpu].take() {
            let number = u32::try_from(cpu).unwrap_or(u32::MAX);
            let row = self.row_of_device(Device::Runs(number));
            let spans = &mut self.batch.spans;
            spans.push((row, running.start, running.end, running.state));
        }
    }

    /// The row of who woke a thread: an interrupt wakes in nobody's name.
    fn row_of_waker(&mut self, waker: &Waker) -> Option<RowId> {
        match waker.frame {
            Some(Frame::IrqHandler { irq }) => Some(match self.lines.get(&irq) {
                Some(row) => *row,
                None => self.row_of_device(Device::Line(irq)),
            }),
            Some(Frame::Irq { vector }) => Some(self.row_of_device(Device::Vector(vector))),
            Some(Frame::Softirq { vec }) => Some(self.row_of_device(Device::Softirq(vec))),
            Some(Frame::Launch | Frame::Syscall { .. } | Frame::Trap { .. }) | None => {
                waker.thread.map(|thread| self.row_of_thread(thread))
            }
        }
    }

    fn woken(&mut self, machine: &Machine, row: RowId, waker: &Waker, at: GuestNanos) {
        *self.wakes.entry(row).or_default() += 1;
        let Some(from) = self.row_of_waker(waker) else {
            return;
        };
        let via = Names::new(&self.namer, machine).via(waker);
        let via = self.ways.number(via);
        self.batch.arrows.push(Arrow {
            at: at.0,
            from,
            to: row,
            via,
        });
    }

    fn frame_kind(frame: Frame) -> Option<(LatencyKind, Activity)> {
        match frame {
            Frame::Launch => None,
            Frame::Syscall { .. } => Some((LatencyKind::Syscall, Activity::Syscall)),
            Frame::Trap { .. } => Some((LatencyKind::Trap, Activity::Trap)),
            Frame::Irq { .. } => Some((LatencyKind::Irq, Activity::Irq)),
            Frame::IrqHandler { .. } => Some((LatencyKind::Handler, Activity::Irq)),
            Frame::Softirq { .. } => Some((LatencyKind::Softirq, Activity::Softirq)),
        }
    }

    /// The row on which an interrupt is shown; a handler within an interrupt is part of that.
    fn row_of_frame(&mut self, machine: &Machine, frame: &FrameInterval<'_>) -> Option<RowId> {
        match frame.frame() {
            Frame::Irq { vector } => {
                let row = self.row_of_device(Device::Vector(vector));
                if let Some(line) = machine.lines().line_of(vector) {
                    self.lines.insert(line, row);
                }
                Some(row)
            }
            Frame::IrqHandler { irq } => {
                let outer = &machine.threads()[frame.thread].frames;
                let is_part = outer
                    .iter()
                    .any(|open| matches!(open.frame, Frame::Irq { .. }));
                (!is_part).then(|| self.row_of_device(Device::Line(irq)))
            }
            Frame::Softirq { vec } => Some(self.row_of_device(Device::Softirq(vec))),
            Frame::Launch | Frame::Syscall { .. } | Frame::Trap { .. } => None,
        }
    }
}

impl Observer for Gather {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        let rate = match event {
            KernelEvent::SyscallEntry(_) | KernelEvent::CompatSyscallEntry(_) => Rate::Syscalls,
            KernelEvent::IrqEntry(_) => Rate::Interrupts,
            KernelEvent::SchedSwitch(_) => Rate::Switches,
            KernelEvent::TrapEntry(_) => Rate::Faults,
            KernelEvent::NetifReceiveSkb(_) | KernelEvent::NetDevXmit(_) => Rate::Packets,
            KernelEvent::SchedWakeup(_) | KernelEvent::SchedWaking(_) => Rate::Wakeups,
            KernelEvent::BlockRqIssue(issue) => {
                if machine.requests().count(issue.dev) == 0
                    || !self.busy_disks.contains_key(&issue.dev)
                {
                    let state = self.states.number(Kind::Busy, op_name(issue.op).to_owned());
                    self.busy_disks.insert(issue.dev, (moment.at.0, state));
                }
                Rate::Requests
            }
            _ => return,
        };
        self.histogram.count(rate, moment.at.0);
    }

    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        let row = self.row_of_thread(interval.index);
        let state = match interval.activity {
            Activity::Blocked => self.state_of_wait(machine, interval),
            // A CPU's idle thread is not kept waiting by those that it makes way for.
            Activity::Runnable if interval.thread.idle_of.is_some() => States::plain(Kind::Nothing),
            _ => self.state_of(machine, interval.doing),
        };
        self.span(row, interval.span, state);
        if let Some(cpu) = interval.cpu {
            self.ran(cpu, row, state, interval);
            return;
        }
        let Some(waker) = &interval.thread.waker else {
            return;
        };
        let waker = *waker;
        match interval.activity {
            Activity::Blocked => self.woken(machine, row, &waker, interval.span.end),
            Activity::Runnable if matches!(interval.thread.scheduling, Scheduling::Running(_)) => {
                self.batch.latencies.push(Latency {
                    kind: LatencyKind::Wakeup,
                    end: interval.span.end.0,
                    length: interval.span.length().0,
                    row,
                    state,
                });
            }
            _ => {}
        }
    }

    fn cpu_interval(&mut self, _: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        // What a CPU runs comes with its threads.
        if activity.is_running() {
            return;
        }
        let row = self.row_of_device(Device::Cpu(cpu.0));
        let mut start = span.start;
        if let Some((since, at)) = self.latest_loss.get(&cpu.0)
            && *since <= start.0
            && start.0 < *at
        {
            let lost = Span {
                start,
                end: GuestNanos(span.end.0.min(*at)),
            };
            self.span(row, lost, States::plain(Kind::Lost));
            start = lost.end;
        }
        if start < span.end {
            let rest = Span { start, ..span };
            self.span(row, rest, States::plain(Kind::of_activity(activity)));
        }
    }

    fn frame_left(&mut self, machine: &Machine, frame: &FrameInterval<'_>) {
        let Some((kind, activity)) = Self::frame_kind(frame.frame()) else {
            return;
        };
        let doing = Doing {
            frame: Some(frame.frame()),
            ..Doing::of(activity)
        };
        let state = self.state_of(machine, doing);
        let row = match self.row_of_frame(machine, frame) {
            Some(row) => {
                self.span(row, frame.span, state);
                row
            }
            None => self.row_of_thread(frame.thread),
        };
        self.batch.latencies.push(Latency {
            kind,
            end: frame.span.end.0,
            length: frame.span.length().0,
            row,
            state,
        });
    }

    fn request_done(
        &mut self,
        machine: &Machine,
        request: &Request,
        at: GuestNanos,
        _: Option<i64>,
    ) {
        let row = self.row_of_device(Device::Disk(request.dev));
        let state = self
            .states
            .number(Kind::Busy, op_name(request.op).to_owned());
        if machine.requests().count(request.dev) == 0
            && let Some((start, state)) = self.busy_disks.remove(&request.dev)
        {
            let span = Span {
                start: GuestNanos(start),
                end: at,
            };
            self.span(row, span, state);
        }
        if let Some(since) = request.issued.or(request.inserted) {
            self.batch.latencies.push(Latency {
                kind: LatencyKind::Request,
                end: at.0,
                length: at.since(since).0,
                row,
                state,
            });
        }
    }
}

impl Analysis for Gather {
    fn record(&mut self, machine: &Machine, record: &Record<'_>) {
        self.end = self.end.max(record.at.0);
        self.histogram.count(Rate::Events, record.at.0);
        self.events.record(record);
        self.records += 1;
        let is_due = self.is_telling && self.records.is_multiple_of(LOOK_RECORDS);
        if is_due && self.told.elapsed() >= OVERVIEW_PERIOD {
            self.tell(machine, record.at.0);
        } else if self.batch.spans.len() >= BATCH_SPANS {
            self.send();
        }
    }

    fn loss(&mut self, loss: &Loss) {
        let since = loss.since.map_or(0, |since| since.0);
        self.latest_loss.insert(loss.cpu.0, (since, loss.at.0));
        self.batch.gaps.push(Gap {
            cpu: loss.cpu.0,
            at: loss.at.0,
            count: loss.count,
        });
    }

    fn is_done(&self) -> bool {
        self.is_given_up
    }
}
