//! The recorder: takes what a probe found into the CPU's buffer and full buffers to the writer.
//!
//! Knows nothing of QEMU: the guest is a [`GuestView`], time is a stamp. In deterministic mode all CPUs share one thread,
//! in wall mode each has its own; the locks here are never contended but at the end.
//!
//! Invariant: once ended, nothing is recorded, and every call returns at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use probe_plan::{EndReason, GuestView, Plan, Recording, RuntimeAddr, Site, Slide, Status};
use trace_format::{Counter, EventId, HookCount, RecordBuffer, Stats, Trailer};

use crate::clock::{CountedClock, tick};
use crate::cpu::{CpuRecorder, EventSite, Outcome};
use crate::memory::MemoryMap;
use crate::status::StatusLine;
use crate::wall_clock::WallClock;
use crate::writer::{Message, OutputError, StampScale, Writer};

/// Sites of one address, found when a block that holds it is translated.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Where it is in the running guest.
    pub(crate) addr: RuntimeAddr,
    /// Indices into the plan's sites.
    pub(crate) sites: std::ops::Range<usize>,
    /// Instructions of the block behind this one.
    pub(crate) instructions_after: u64,
}

/// What other threads may ask while the recording goes on.
#[derive(Debug)]
pub(crate) struct Progress {
    records: AtomicU64,
    latest_tick: AtomicU64,
    ended: AtomicBool,
    slide: OnceLock<Slide>,
}

impl Progress {
    /// The recording cannot go on.
    pub(crate) fn fail(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(crate) fn slide(&self) -> Option<Slide> {
        self.slide.get().copied()
    }

    pub(crate) fn status(&self, bytes: u64) -> Status {
        Status::Running {
            tsc: self.latest_tick.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            bytes,
        }
    }
}

/// Counts of what is lost or doubtful that belong to no CPU.
#[derive(Debug, Default)]
struct Doubts {
    cpu_unknown: AtomicU64,
    stamps_doubtful: AtomicU64,
    panics: AtomicU64,
}

/// The recorder.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) plan: Arc<Plan>,
    pub(crate) recording: Recording,
    pub(crate) wall_clock: WallClock,
    clock: Mutex<CountedClock>,
    cpus: Vec<Mutex<Option<CpuRecorder>>>,
    homes: Mutex<Vec<Receiver<RecordBuffer>>>,
    sticky: Vec<EventId>,
    memory: OnceLock<MemoryMap>,
    waiting: Mutex<Vec<(usize, RecordBuffer)>>,
    messages: Sender<Message>,
    done: Receiver<Result<(), OutputError>>,
    status: Arc<StatusLine>,
    progress: Arc<Progress>,
    doubts: Doubts,
    panicked: AtomicBool,
    flush_interval_stamps: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a callback failed and was counted; what it guards is still whole records.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Creates the trace and starts the writer.
    pub(crate) fn start(
        plan: Plan,
        recording: Recording,
        status: StatusLine,
        cpu_count: usize,
    ) -> Result<Self, OutputError> {
        let plan = Arc::new(plan);
        let status = Arc::new(status);
        let progress = Arc::new(Progress {
            records: AtomicU64::new(0),
            latest_tick: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            slide: OnceLock::new(),
        });
        let (home_senders, homes) = (0..cpu_count).map(|_| unbounded()).unzip();
        let writer = Writer::create(
            &recording,
            Arc::clone(&plan),
            home_senders,
            Arc::clone(&status),
            Arc::clone(&progress),
        )?;
        // Two buffers per CPU bound what can be under way.
        let (messages, inbox) = bounded(2 * cpu_count + 1);
        let (done_sender, done) = bounded(1);
        thread::spawn(move || writer.run(&inbox, &done_sender));
        let shift = recording.icount_shift;
        let flush_interval_stamps = recording.flush_interval_ticks
            >> if recording.is_deterministic() {
                shift
            } else {
                0
            };
        let sticky = plan
            .schema
            .events
            .iter()
            .filter(|event| event.sticky)
            .map(|event| event.id)
            .collect();
        Ok(Self {
            wall_clock: WallClock::new(),
            clock: Mutex::new(CountedClock::new(shift, cpu_count)),
            cpus: (0..cpu_count).map(|_| Mutex::new(None)).collect(),
            homes: Mutex::new(homes),
            sticky,
            memory: OnceLock::new(),
            waiting: Mutex::new(Vec::new()),
            messages,
            done,
            status,
            progress,
            doubts: Doubts::default(),
            panicked: AtomicBool::new(false),
            flush_interval_stamps,
            plan,
            recording,
        })
    }

    /// Whether nothing more is to be recorded.
    pub(crate) fn has_ended(&self) -> bool {
        self.progress.ended.load(Ordering::Acquire)
    }

    /// How far the kernel was moved; `None` before it was recognised.
    pub(crate) fn slide(&self) -> Option<Slide> {
        self.progress.slide()
    }

    /// The kernel was recognised: from now on probes can fire.
    pub(crate) fn arm(&self, slide: Slide) {
        if self.progress.slide.set(slide).is_err() {
            return;
        }
        let memory_mib = self.recording.header.machine.memory_mib;
        self.memory
            .get_or_init(|| MemoryMap::new(&self.plan, memory_mib, slide));
        for (cpu, free) in self.cpus.iter().zip(lock(&self.homes).drain(..)) {
            let buffer = || RecordBuffer::new(self.recording.buffer_bytes);
            let mut recorder = CpuRecorder::new(buffer(), free, slide, self.plan.hooks.len());
            recorder.spare = Some(buffer());
            *lock(cpu) = Some(recorder);
        }
        self.status.send(&Status::Armed { slide: slide.0 });
    }

    /// The kernel that runs is not the plan's.
    pub(crate) fn refuse_kernel(&self) {
        let kernel = &self.plan.kernel;
        let message = format!(
            "these symbols are for Linux {} with build id {}, the guest runs something else\n\
             hint: pass the kernel image that the guest boots",
            kernel.release, kernel.build_id
        );
        self.status.send(&Status::Failed { message });
        self.progress.fail();
    }

    /// A callback failed: recording stops, the guest goes on.
    pub(crate) fn note_panic(&self) {
        self.doubts.panics.fetch_add(1, Ordering::Relaxed);
        self.finish("recorder_failure");
    }

    /// An event happened on a CPU that cannot be told.
    pub(crate) fn note_unknown_cpu(&self) {
        self.doubts.cpu_unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// The sites at an address.
    pub(crate) fn sites_at(&self, addr: RuntimeAddr) -> Option<std::ops::Range<usize>> {
        let link = self.slide()?.to_link(addr);
        let start = self.plan.sites.partition_point(|site| site.addr < link);
        let count = self.plan.sites[start..]
            .iter()
            .take_while(|site| site.addr == link)
            .count();
        (count != 0).then_some(start..start + count)
    }

    /// Records every site of a probe.
    pub(crate) fn record(&self, cpu: usize, probe: &Probe, stamp: u64, guest: &mut impl GuestView) {
        for site in &self.plan.sites[probe.sites.clone()] {
            if self.has_ended() {
                return;
            }
            self.record_site(cpu, site, probe.addr, stamp, guest);
            match site.end {
                None => {}
                Some(EndReason::Panic) if self.panicked.swap(true, Ordering::Relaxed) => {}
                Some(EndReason::Panic) => self.status.send(&Status::Panicked),
                Some(reason) => self.finish(reason.name()),
            }
        }
    }

    fn record_site(
        &self,
        cpu: usize,
        site: &Site,
        addr: RuntimeAddr,
        stamp: u64,
        guest: &mut impl GuestView,
    ) {
        let Some(slot) = self.cpus.get(cpu) else {
            return self.note_unknown_cpu();
        };
        let mut slot = lock(slot);
        let Some(state) = slot.as_mut() else { return };
        if state.current.record_count() != 0
            && stamp.saturating_sub(state.current.first_stamp()) > self.flush_interval_stamps
        {
            self.swap(cpu, state);
        }
        let Some(memory) = self.memory.get() else {
            return;
        };
        let program = &self.plan.programs[site.program as usize];
        let event = EventSite {
            id: site.event,
            is_sticky: self.sticky.contains(&site.event),
            probe: addr,
        };
        let mut outcome = state.record(program, event, stamp, memory, guest);
        if outcome == Outcome::Full {
            self.swap(cpu, state);
            outcome = state.record(program, event, stamp, memory, guest);
        }
        if outcome == Outcome::Recorded {
            state.fired[site.hook as usize] += 1;
            self.progress.records.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Replaces a CPU's full buffer. Waits while both are under way.
    fn swap(&self, cpu: usize, state: &mut CpuRecorder) {
        let next = state.spare.take().or_else(|| state.free.try_recv().ok());
        let next = next.or_else(|| {
            if lock(&self.waiting)
                .iter()
                .any(|(waiting_cpu, _)| *waiting_cpu == cpu)
            {
                self.give_up_on_stamps();
            }
            state.free.recv().ok()
        });
        // Without a way home the writer has failed and said so.
        let Some(next) = next else {
            return state.current.clear();
        };
        let full = std::mem::replace(&mut state.current, next);
        self.submit(cpu, full);
    }

    fn submit(&self, cpu: usize, buffer: RecordBuffer) {
        if !self.recording.is_deterministic() {
            let offset = self.wall_clock.offset().unwrap_or_else(|| {
                self.doubts
                    .stamps_doubtful
                    .fetch_add(buffer.record_count().into(), Ordering::Relaxed);
                buffer.first_stamp()
            });
            self.progress.latest_tick.store(
                buffer.last_stamp().saturating_sub(offset),
                Ordering::Relaxed,
            );
            return self.send(Message::Chunk {
                cpu,
                buffer,
                scale: StampScale::Wall { offset },
            });
        }
        let clock = lock(&self.clock);
        if clock
            .resolved_until()
            .is_some_and(|stamp| buffer.last_stamp() > stamp)
        {
            return lock(&self.waiting).push((cpu, buffer));
        }
        let shift = self.recording.icount_shift;
        let segments = clock.segments(buffer.first_stamp(), buffer.last_stamp());
        drop(clock);
        self.progress.latest_tick.store(
            tick(&segments, shift, buffer.last_stamp()),
            Ordering::Relaxed,
        );
        self.send(Message::Chunk {
            cpu,
            buffer,
            scale: StampScale::Counted { segments, shift },
        });
    }

    fn send(&self, message: Message) {
        // The writer went away only after it reported why.
        let _ = self.messages.send(message);
    }

    /// A CPU halts.
    pub(crate) fn halt(&self, cpu: usize, stamp: u64) {
        lock(&self.clock).halt(cpu, stamp);
    }

    /// A CPU was seen to run.
    pub(crate) fn runs(&self, cpu: usize) {
        lock(&self.clock).runs(cpu);
    }

    /// The guest read its TSC.
    pub(crate) fn synchronise(&self, cpu: usize, stamp: u64, tsc: u64) {
        lock(&self.clock).synchronise(cpu, stamp, tsc);
        self.progress.latest_tick.store(tsc, Ordering::Relaxed);
        self.release_waiting();
    }

    fn release_waiting(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for (cpu, buffer) in waiting {
            self.submit(cpu, buffer);
        }
    }

    /// Lets waiting buffers go although no RDTSC has told how long the guest idled.
    fn give_up_on_stamps(&self) {
        if let Some(after) = lock(&self.clock).give_up() {
            let doubtful: usize = lock(&self.waiting)
                .iter()
                .map(|(_, buffer)| {
                    buffer
                        .records()
                        .filter(|record| record.stamp > after)
                        .count()
                })
                .sum();
            self.doubts
                .stamps_doubtful
                .fetch_add(doubtful as u64, Ordering::Relaxed);
        }
        self.release_waiting();
    }

    /// Completes the trace. Only the first call does anything.
    pub(crate) fn finish(&self, reason: &str) {
        if self.progress.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut fired = vec![0; self.plan.hooks.len()];
        let mut fields_missing = 0;
        let mut last_buffers = Vec::new();
        for (cpu, slot) in self.cpus.iter().enumerate() {
            let mut slot = lock(slot);
            if let Some(state) = slot.take() {
                fired
                    .iter_mut()
                    .zip(&state.fired)
                    .for_each(|(sum, count)| *sum += count);
                fields_missing += state.fields_missing;
                last_buffers.push((cpu, state.current));
            }
        }
        lock(&self.waiting).extend(last_buffers);
        self.give_up_on_stamps();
        let reason = if self.panicked.load(Ordering::Relaxed) {
            EndReason::Panic.name()
        } else {
            reason
        };
        let trailer = Box::new(self.trailer(reason, &fired, fields_missing));
        self.send(Message::Finish {
            trailer,
            slide: self.slide(),
        });
        if let Ok(Err(error)) = self.done.recv() {
            self.status.send(&Status::Failed {
                message: error.to_string(),
            });
        }
    }

    fn trailer(&self, reason: &str, fired: &[u64], fields_missing: u64) -> Trailer {
        let clock = lock(&self.clock);
        let mut stats = Stats::default();
        stats.set(
            Counter::RecordsWritten,
            self.progress.records.load(Ordering::Relaxed),
        );
        stats.set(Counter::FieldsMissing, fields_missing);
        stats.set(
            Counter::StampsDoubtful,
            self.doubts.stamps_doubtful.load(Ordering::Relaxed),
        );
        stats.set(Counter::IdleJumpsAmbiguous, clock.ambiguous_jumps());
        stats.set(
            Counter::CpuUnknown,
            self.doubts.cpu_unknown.load(Ordering::Relaxed),
        );
        stats.set(
            Counter::PluginPanics,
            self.doubts.panics.load(Ordering::Relaxed),
        );
        let hooks = self.plan.hooks.iter().zip(fired);
        Trailer {
            end_reason: reason.to_owned(),
            stats,
            exactness: clock.exactness(),
            hooks: hooks
                .map(|(hook, fired)| HookCount {
                    event: hook.event.clone(),
                    hook: hook.hook.clone(),
                    fired: *fired,
                })
                .collect(),
            ..Trailer::default()
        }
    }
}
