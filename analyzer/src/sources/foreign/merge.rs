//! The lanes of a trace as one stream of records, each with the thread that it belongs to.
//!
//! Memory holds one event of each lane and what is known of threads.

use trace_format::{EventId, Severity};

use super::description::Description;
use super::lane::{Head, Lane, LaneLoss, Step};
use super::threads::{ABOUT_THREADS, Threads};
use crate::model::{Aliases, Binding, CpuId, GuestNanos, Pid, Reading, Tid};
use crate::sources::context::Context;
use crate::sources::stream::{NEVER, earliest};
use crate::sources::{Clock, Fields, Finding, Item, Loss, Range, Record, RecordStream, TraceError};

/// More CPUs than any kernel has: what claims to be of one behind it is damage.
const CPUS_MAX: u32 = 8192;

/// Records of another tracer's trace.
pub(in crate::sources) struct ForeignStream<'t> {
    clock: Clock,
    range: Range,
    binding: Binding,
    /// By event id, whether it says something of threads.
    about_threads: Vec<bool>,
    /// The event that stands for what is known of the running thread.
    context_event: EventId,
    lanes: Vec<LaneState<'t>>,
    /// The lane whose event comes next, and the time and place of the next event of any other.
    current: usize,
    limit: (u64, usize),
    /// What was found and not yet yielded.
    ready: Option<Ready>,
    /// The event at which the current lane is was found.
    is_taken: bool,
    /// The thread that the CPU of the latest event runs now.
    switch: Option<(CpuId, Tid)>,
    /// By number.
    cpus: Vec<CpuState>,
    threads: Threads,
    backward: Backward,
    /// Events of CPUs that cannot be.
    impossible: u64,
}

struct LaneState<'t> {
    lane: Box<dyn Lane + 't>,
    next: Step,
    /// Time of `next`, no earlier than what was before it.
    ticks: u64,
}

#[derive(Clone, Debug)]
struct CpuState {
    context: Context,
    last_at: Option<GuestNanos>,
    /// The thread that the latest change was away from, until an event is another's: the kernel still works in its name
    /// when it has said that it changes to the next one.
    leaving: Option<Context>,
    /// Whether the event at which the current lane is was in the name of that thread.
    is_leaving: bool,
}

/// What comes next, with its ticks.
#[derive(Clone, Copy, Debug)]
enum Ready {
    Loss(Loss, u64),
    /// It has to be said which thread the CPU runs.
    Context(CpuId, u64),
    /// The event at which the current lane is.
    Event(Head, u64),
}

/// Stamps that are earlier than those before them.
#[derive(Clone, Copy, Debug, Default)]
struct Backward {
    count: u64,
    ticks_max: u64,
}

impl<'t> ForeignStream<'t> {
    /// Merges `lanes` of a trace.
    pub(in crate::sources) fn new(
        description: &Description,
        context_event: EventId,
        lanes: Vec<Box<dyn Lane + 't>>,
        range: &Range,
    ) -> Result<Self, TraceError> {
        let state = |lane| LaneState {
            lane,
            next: Step::End,
            ticks: 0,
        };
        let mut stream = Self {
            clock: description.clock,
            range: range.clone(),
            binding: Binding::of_aliases(&description.schema, &description.aliases),
            about_threads: about_threads(&description.aliases),
            context_event,
            lanes: lanes.into_iter().map(state).collect(),
            current: 0,
            limit: (0, 0),
            ready: None,
            is_taken: false,
            switch: None,
            cpus: Vec::new(),
            threads: Threads::new(&description.threads),
            backward: Backward::default(),
            impossible: 0,
        };
        for index in 0..stream.lanes.len() {
            stream.lanes[index].advance(&mut stream.backward)?;
        }
        stream.choose();
        Ok(stream)
    }

    /// Finds the lane with the earliest event.
    fn choose(&mut self) {
        let times = self.lanes.iter().map(LaneState::next_ticks);
        (self.current, self.limit) = earliest(times);
    }

    /// Leaves what was yielded.
    fn advance(&mut self) -> Result<(), TraceError> {
        if let Some((cpu, tid)) = self.switch.take() {
            let state = &mut self.cpus[cpu.0 as usize];
            state.leaving = (!state.context.is_assumed).then(|| state.context.clone());
            self.run(cpu, tid, None);
        }
        let lane = &mut self.lanes[self.current];
        lane.advance(&mut self.backward)?;
        if (lane.next_ticks(), self.current) > self.limit {
            self.choose();
        }
        Ok(())
    }

    /// Makes `tid` the thread that `cpu` runs.
    fn run(&mut self, cpu: CpuId, tid: Tid, pid: Option<Pid>) {
        let pid = pid.or_else(|| self.threads.pid(tid));
        let comm = self.threads.comm(tid);
        self.cpus[cpu.0 as usize].context.set(cpu, tid, pid, comm);
    }

    fn make_room(&mut self, cpu: CpuId) {
        while self.cpus.len() <= cpu.0 as usize {
            let number = u32::try_from(self.cpus.len()).unwrap_or(CPUS_MAX);
            self.cpus.push(CpuState {
                context: Context::idle(CpuId(number)),
                last_at: None,
                leaving: None,
                is_leaving: false,
            });
        }
    }

    /// Takes the event's word for the thread that runs; whether a context record has to say so.
    fn adopt(&mut self, head: &Head) -> bool {
        let state = &mut self.cpus[head.cpu.0 as usize];
        let leaving = state.leaving.as_ref().map(|context| context.tid);
        state.is_leaving =
            head.tid.is_some() && head.tid == leaving && head.tid != Some(state.context.tid);
        if state.is_leaving {
            return false;
        }
        if head.tid.is_some() {
            state.leaving = None;
        }
        let cpu = &self.cpus[head.cpu.0 as usize].context;
        let (running, is_assumed, known_pid) = (cpu.tid, cpu.is_assumed, cpu.pid);
        if head.pid.is_some() {
            self.threads
                .learn(head.tid.unwrap_or(running), head.pid, None);
        }
        let Some(tid) = head.tid.or((!is_assumed).then_some(running)) else {
            return false;
        };
        let is_other = is_assumed || tid != running;
        let is_new = self.threads.take_untold(tid) && self.threads.pid(tid).is_some();
        if is_other || (is_new && self.threads.pid(tid) != Some(known_pid)) {
            self.run(head.cpu, tid, head.pid);
        }
        is_other || is_new
    }

    /// Learns from the event at which the current lane is.
    fn learn(&mut self, head: &Head) {
        let index = usize::from(head.event.0);
        if !self.about_threads.get(index).copied().unwrap_or(false) {
            return;
        }
        let fields = self.lanes[self.current].lane.fields();
        if let Reading::Event(event) = self.binding.read(head.event, &fields)
            && let Some(tid) = self.threads.see(&event)
        {
            self.switch = Some((head.cpu, tid));
        }
    }

    fn loss(&mut self, loss: &LaneLoss) -> Loss {
        let at = self.clock.nanos(loss.ticks);
        self.make_room(loss.cpu);
        let cpu = &mut self.cpus[loss.cpu.0 as usize];
        cpu.context.is_assumed = true;
        cpu.leaving = None;
        Loss {
            cpu: loss.cpu,
            since: cpu.last_at,
            at,
            count: loss.count,
        }
    }

    fn context_record(&self, cpu: CpuId, ticks: u64) -> Record<'_> {
        let context = &self.cpus[cpu.0 as usize].context;
        Record {
            at: self.clock.nanos(ticks),
            tsc: ticks,
            cpu,
            event: self.context_event,
            context,
            fields: Fields::Context(context),
            is_repeated: false,
            is_context: true,
        }
    }

    /// Passes over what is not of interest; what comes then, `None` at the end.
    fn find_next(&mut self) -> Result<Option<Ready>, TraceError> {
        if self.ready.is_some() {
            return Ok(self.ready);
        }
        if std::mem::take(&mut self.is_taken) {
            self.advance()?;
        }
        while let Some(lane) = self.lanes.get(self.current) {
            let (ticks, next) = (lane.ticks, lane.next);
            let is_before = ticks < *self.range.tscs.start();
            match next {
                Step::End => break,
                _ if ticks > *self.range.tscs.end() => break,
                Step::Event(Head { cpu, .. }) | Step::Loss(LaneLoss { cpu, .. })
                    if cpu.0 >= CPUS_MAX =>
                {
                    self.impossible += 1;
                    self.advance()?;
                }
                Step::Loss(loss) => {
                    let loss = self.loss(&loss);
                    self.advance()?;
                    if !is_before {
                        self.ready = Some(Ready::Loss(loss, ticks));
                        break;
                    }
                }
                Step::Event(head) => {
                    self.make_room(head.cpu);
                    if self.adopt(&head) && !is_before {
                        self.ready = Some(Ready::Context(head.cpu, ticks));
                        break;
                    }
                    self.learn(&head);
                    self.cpus[head.cpu.0 as usize].last_at = Some(self.clock.nanos(ticks));
                    if !is_before && self.range.has_cpu(head.cpu) {
                        self.is_taken = true;
                        self.ready = Some(Ready::Event(head, ticks));
                        break;
                    }
                    self.advance()?;
                }
            }
        }
        Ok(self.ready)
    }
}

impl RecordStream for ForeignStream<'_> {
    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        self.find_next()?;
        Ok(match self.ready.take() {
            None => None,
            Some(Ready::Loss(loss, _)) => Some(Item::Loss(loss)),
            Some(Ready::Context(cpu, ticks)) => Some(Item::Record(self.context_record(cpu, ticks))),
            Some(Ready::Event(head, ticks)) => Some(Item::Record(Record {
                at: self.clock.nanos(ticks),
                tsc: ticks,
                cpu: head.cpu,
                event: head.event,
                context: self.cpus[head.cpu.0 as usize].of_event(),
                fields: self.lanes[self.current].lane.fields(),
                is_repeated: false,
                is_context: head.event == self.context_event,
            })),
        })
    }

    fn next_tsc(&mut self) -> Result<Option<u64>, TraceError> {
        let next = self.find_next()?;
        Ok(next.map(|ready| match ready {
            Ready::Loss(_, ticks) | Ready::Context(_, ticks) | Ready::Event(_, ticks) => ticks,
        }))
    }

    fn chunks_skipped(&self) -> usize {
        0
    }

    fn damage(&self) -> Vec<Finding> {
        let own = self.lanes.iter().flat_map(|lane| lane.lane.findings());
        let mut findings: Vec<Finding> = own.cloned().collect();
        if self.backward.count > 0 {
            let most = self.clock.length(self.backward.ticks_max);
            findings.push(Finding {
                severity: Severity::Notice,
                name: "clock_backward".to_owned(),
                count: Some(self.backward.count),
                text: format!(
                    "Stamps that are earlier than those before them, by {most} ns at most: the events are shown at the time of those."
                ),
                advice: String::new(),
                is_gap: false,
                is_damage: false,
            });
        }
        if self.impossible > 0 {
            findings.push(Finding {
                severity: Severity::Error,
                name: "cpu_impossible".to_owned(),
                count: Some(self.impossible),
                text: format!("Events of CPUs with numbers from {CPUS_MAX} on, which no kernel has, were left out."),
                advice: String::new(),
                is_gap: true,
                is_damage: true,
            });
        }
        findings
    }
}

impl CpuState {
    /// The thread that the event at which the current lane is belongs to.
    fn of_event(&self) -> &Context {
        let leaving = self.leaving.as_ref().filter(|_| self.is_leaving);
        leaving.unwrap_or(&self.context)
    }
}

impl LaneState<'_> {
    #[inline]
    fn next_ticks(&self) -> u64 {
        match self.next {
            Step::End => NEVER,
            Step::Event(_) | Step::Loss(_) => self.ticks,
        }
    }

    #[inline]
    fn advance(&mut self, backward: &mut Backward) -> Result<(), TraceError> {
        self.next = self.lane.advance()?;
        let ticks = match self.next {
            Step::Event(head) => head.ticks,
            Step::Loss(loss) => {
                self.ticks = self.ticks.max(loss.ticks);
                return Ok(());
            }
            Step::End => return Ok(()),
        };
        // One that is the end of time would never come.
        let ticks = ticks.min(NEVER - 1);
        if ticks < self.ticks {
            backward.count += 1;
            backward.ticks_max = backward.ticks_max.max(self.ticks - ticks);
        } else {
            self.ticks = ticks;
        }
        Ok(())
    }
}

/// By event id, whether it says something of threads.
fn about_threads(aliases: &Aliases) -> Vec<bool> {
    let mut all = Vec::new();
    for event in ABOUT_THREADS.iter().flat_map(|name| aliases.events(name)) {
        let index = usize::from(event.0);
        if all.len() <= index {
            all.resize(index + 1, false);
        }
        all[index] = true;
    }
    all
}
