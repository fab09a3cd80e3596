//! A session: one trace of the recording, with its own choice of events and its own file.
//!
//! Whether it records right now is known here; what starts and stops it is looked out for elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use guesttrace_filter::{BoundFilter, Filter, FilterError};
use probe_plan::{Plan, Recording, SessionSpec};
use trace_format::{Counter, EventId, HookCount, RecordBuffer, Stats, Trailer};

use crate::cpu::Keep;
use crate::modules::Modules;
use crate::recorder::Progress;
use crate::sink::OutputError;
use crate::status::StatusLine;
use crate::track::{Room, Track};
use crate::writer::{Message, Writer};

/// Names of the rows that the recorder makes itself.
const START_ROW: &str = "recording_start";
const STOP_ROW: &str = "recording_stop";
const MARK_ROW: &str = "recording_mark";
const SNAPSHOT_ROW: &str = "recording_snapshot";

/// One trace of the recording.
#[derive(Debug)]
pub(crate) struct TraceSession {
    pub(crate) spec: SessionSpec,
    pub(crate) filter: Option<BoundFilter>,
    pub(crate) rows: OwnRows,
    pub(crate) counts: Counts,
    duration_ticks: Option<u64>,
    /// Starts so far.
    pub(crate) epoch: AtomicU64,
    /// Snapshots so far.
    pub(crate) snapshots: AtomicU64,
    /// Whether anything was written yet.
    pub(crate) is_opened: AtomicBool,
    pub(crate) schedule: Mutex<Schedule>,
    /// Tick, since the start of the trace, at which the schedule has something.
    pub(crate) due: AtomicU64,
    running: Arc<AtomicBool>,
    homes: Mutex<Vec<Receiver<RecordBuffer>>>,
    messages: Sender<Message>,
    done: Receiver<Result<(), OutputError>>,
}

/// Events of the recorder's own, where the schema has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRows {
    pub(crate) start: Option<EventId>,
    pub(crate) stop: Option<EventId>,
    pub(crate) mark: Option<EventId>,
    pub(crate) snapshot: Option<EventId>,
}

/// What is counted of a session.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) records: Arc<AtomicU64>,
    pub(crate) filtered: AtomicU64,
    pub(crate) fields_missing: AtomicU64,
    pub(crate) gaps: AtomicU64,
    lost: AtomicU64,
    overwritten: AtomicU64,
}

impl Counts {
    /// Counts a record of which so many fields could not be fetched.
    pub(crate) fn note(&self, unread_count: u32) {
        self.records.fetch_add(1, Ordering::Relaxed);
        if unread_count != 0 {
            self.fields_missing
                .fetch_add(unread_count.into(), Ordering::Relaxed);
        }
    }
}

/// Starts and stops at times.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Those to come, the next one last.
    times: Vec<(u64, bool)>,
    stop_at: Option<u64>,
}

impl Schedule {
    /// When something is due; [`u64::MAX`] for never.
    fn next(&self) -> u64 {
        let time = self.times.last().map_or(u64::MAX, |(ticks, _)| *ticks);
        time.min(self.stop_at.unwrap_or(u64::MAX))
    }

    /// What is due by a tick: whether to start.
    fn take(&mut self, now: u64) -> Option<bool> {
        if self.next() > now {
            return None;
        }
        if self.stop_at.is_some_and(|at| at <= now) {
            self.stop_at = None;
            return Some(false);
        }
        self.times.pop().map(|(_, is_start)| is_start)
    }
}

/// What sessions share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) status: Arc<StatusLine>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) modules: Arc<Modules>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TraceSession {
    /// Creates the trace and starts its writer.
    pub(crate) fn start(
        index: usize,
        spec: SessionSpec,
        recording: &Recording,
        cpu_count: usize,
        shared: &Shared,
    ) -> Result<Self, OutputError> {
        let filter = bind(&spec, &shared.plan).map_err(OutputError::Filter)?;
        let counts = Counts::default();
        let running = Arc::new(AtomicBool::new(!spec.starts_stopped));
        let (home_senders, homes) = (0..cpu_count).map(|_| unbounded()).unzip();
        let writer = Writer::create(
            (index, &spec),
            (recording.compression_level, recording.max_file_bytes),
            shared.clone(),
            home_senders,
            (Arc::clone(&counts.records), Arc::clone(&running)),
        )?;
        // Two buffers per CPU bound what can be under way.
        let (messages, inbox) = bounded(2 * cpu_count + 1);
        let (done_sender, done) = bounded(1);
        thread::spawn(move || writer.run(&inbox, &done_sender));
        let row = |name| spec.header.schema.event_named(name).map(|event| event.id);
        let ticks = |nanos: u64| {
            let ticks = u128::from(nanos) * u128::from(recording.clock.tsc_hz) / 1_000_000_000;
            u64::try_from(ticks).unwrap_or(u64::MAX)
        };
        let times = spec.times.iter();
        let mut times: Vec<_> = times.map(|at| (ticks(at.nanos), at.is_start)).collect();
        let duration_ticks = spec.duration_nanos.map(ticks);
        times.sort_unstable_by(|a, b| b.cmp(a));
        let schedule = Schedule {
            times,
            stop_at: (!spec.starts_stopped).then_some(duration_ticks).flatten(),
        };
        Ok(Self {
            rows: OwnRows {
                start: row(START_ROW),
                stop: row(STOP_ROW),
                mark: row(MARK_ROW),
                snapshot: row(SNAPSHOT_ROW),
            },
            due: AtomicU64::new(schedule.next()),
            schedule: Mutex::new(schedule),
            filter,
            counts,
            duration_ticks,
            epoch: AtomicU64::new(0),
            snapshots: AtomicU64::new(0),
            is_opened: AtomicBool::new(false),
            running,
            homes: Mutex::new(homes),
            messages,
            done,
            spec,
        })
    }

    /// Whether events are recorded now.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Changes whether events are recorded; false when it was so already.
    pub(crate) fn set_running(&self, running: bool) -> bool {
        self.running.swap(running, Ordering::Relaxed) != running
    }

    /// What is due by a tick, in order: whether to start.
    pub(crate) fn take_due(&self, now: u64) -> Option<bool> {
        let mut schedule = lock(&self.schedule);
        let taken = schedule.take(now);
        self.due.store(schedule.next(), Ordering::Relaxed);
        taken
    }

    /// After a start at a tick: when to stop again.
    pub(crate) fn limit(&self, now: u64) {
        let mut schedule = lock(&self.schedule);
        schedule.stop_at = self.duration_ticks.map(|ticks| now.saturating_add(ticks));
        self.due.store(schedule.next(), Ordering::Relaxed);
    }

    /// Buffers for each CPU; once.
    pub(crate) fn tracks(&self, buffer_bytes: usize) -> Vec<Track> {
        let track = |free| Track::new(self.spec.mode, buffer_bytes, free);
        lock(&self.homes).drain(..).map(track).collect()
    }

    /// Which fields of an event of the plan are kept; `None` when it is not recorded.
    pub(crate) fn keeps(&self, plan: &Plan, event: EventId) -> Option<Keep> {
        let kept = self.spec.header.schema.event(event)?;
        let all = plan.schema.event(event)?;
        if kept.fields.len() == all.fields.len() {
            return Some(Keep::All);
        }
        let is_kept = |name: &str| kept.field_index(name).is_some();
        Some(Keep::Some(
            all.fields
                .iter()
                .map(|field| is_kept(&field.name))
                .collect(),
        ))
    }

    /// A record found no room.
    pub(crate) fn note_loss(&self, track: &mut Track) {
        track.note_loss();
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts an empty buffer in the place of a CPU's current one, if there is one or can be waited for; false if not.
    ///
    /// `up_to` is a tick that nothing still to be written is before, if that can be told.
    pub(crate) fn make_room(&self, cpu: usize, track: &mut Track, up_to: Option<u64>) -> bool {
        match track.make_room() {
            Room::Write(buffer) => self.send(Message::Chunk { cpu, buffer, up_to }),
            Room::Kept { overwritten } => {
                let counts = &self.counts;
                counts.overwritten.fetch_add(overwritten, Ordering::Relaxed);
                counts.records.fetch_sub(overwritten, Ordering::Relaxed);
            }
            Room::None | Room::Closed => return false,
        }
        true
    }

    /// Writes what a CPU's flight recorder remembers; `up_to` as for [`Self::make_room`].
    pub(crate) fn write_kept(&self, cpu: usize, track: &mut Track, up_to: Option<u64>) {
        if track.current.record_count() != 0 {
            self.make_room(cpu, track, None);
        }
        let mut kept = track.take_kept();
        let last = kept.pop_back();
        for buffer in kept {
            self.submit(cpu, buffer);
        }
        if let Some(buffer) = last {
            self.send(Message::Chunk { cpu, buffer, up_to });
        }
    }

    /// The end: writes all that a CPU still has.
    pub(crate) fn complete(&self, cpu: usize, track: Track) {
        for buffer in track.into_buffers() {
            self.submit(cpu, buffer);
        }
    }

    /// Hands a full buffer to the writer.
    fn submit(&self, cpu: usize, buffer: RecordBuffer) {
        let up_to = None;
        self.send(Message::Chunk { cpu, buffer, up_to });
    }

    fn send(&self, message: Message) {
        // The writer went away only after it reported why.
        let _ = self.messages.send(message);
    }

    /// Completes the trace.
    pub(crate) fn finish(
        &self,
        mut trailer: Trailer,
        fired: &[u64],
        shared: &Shared,
    ) -> Result<(), OutputError> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        let stats: &mut Stats = &mut trailer.stats;
        stats.set(Counter::RecordsWritten, load(&counts.records));
        stats.set(Counter::RecordsFiltered, load(&counts.filtered));
        stats.set(Counter::FieldsMissing, load(&counts.fields_missing));
        stats.set(Counter::RecordingGaps, load(&counts.gaps));
        stats.set(Counter::RecordsLost, load(&counts.lost));
        stats.set(Counter::RecordsOverwritten, load(&counts.overwritten));
        let schema = &self.spec.header.schema;
        let hooks = shared.plan.hooks.iter().zip(fired);
        trailer.hooks = hooks
            .filter(|(hook, _)| {
                schema
                    .event_named(&hook.event)
                    .is_some_and(|event| !self.never_wants(event.id))
            })
            .map(|(hook, fired)| HookCount {
                event: hook.event.clone(),
                hook: hook.hook.clone(),
                fired: *fired,
            })
            .collect();
        self.send(Message::Finish {
            trailer: Box::new(trailer),
            slide: shared.progress.slide(),
        });
        match self.done.recv() {
            Ok(result) => result,
            // The writer has failed before, and said so.
            Err(_) => Ok(()),
        }
    }

    /// Whether the filter leaves out every event of that kind.
    fn never_wants(&self, event: EventId) -> bool {
        let decided = self
            .filter
            .as_ref()
            .map(|filter| filter.decided_by_event(event));
        let is_sticky = self
            .spec
            .header
            .schema
            .event(event)
            .is_some_and(|event| event.sticky);
        decided == Some(Some(false)) && !is_sticky
    }
}

/// Ties the filter to the plan's schema, which has more fields than the trace may keep.
fn bind(spec: &SessionSpec, plan: &Plan) -> Result<Option<BoundFilter>, FilterError> {
    spec.filter
        .as_ref()
        .map(|text| Filter::parse(text)?.bind_for_recording(&plan.schema))
        .transpose()
}
