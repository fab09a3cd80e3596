//! The recorder: fetches what a probe found and gives it to every session that wants it.
//!
//! Knows nothing of QEMU: the guest is a [`GuestView`], time is the guest's TSC. In deterministic mode all CPUs share one thread,
//! in wall mode each has its own; the locks here are never contended but at starts, stops and the end.
//!
//! Invariant: once ended, nothing is recorded, and every call returns at once.
//! Invariant: an event is fetched once, however many sessions and conditions look at it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_channel::Receiver;
use probe_plan::{
    Command, EndReason, GuestView, LinkAddr, Plan, Recording, RuntimeAddr, Slide, Status,
};
use trace_format::{Counter, Stats, Trailer};

use crate::audit::Audit;
use crate::control::Commands;
use crate::cpu::CpuRecorder;
use crate::deliveries::Deliveries;
use crate::entries::Entries;
use crate::memory::MemoryMap;
use crate::modules::Modules;
use crate::retries::Retries;
use crate::session::{Shared, TraceSession};
use crate::sink::OutputError;
use crate::status::StatusLine;
use crate::user_code::UserCode;
use crate::watch::{Armed, EventInfo, Followed, Watch, What, armed, events, watches};

/// What is armed at one address, found when a block that holds it is translated.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) place: Place,
    /// Indices of what is armed there.
    pub(crate) sites: std::ops::Range<usize>,
    /// Instructions of the block behind this one.
    pub(crate) instructions_after: u64,
}

/// Where a probe is in the running guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Kernel(RuntimeAddr),
    /// So far behind the start of a page that may be mapped anywhere.
    User {
        offset: u16,
    },
}

/// What other threads may ask while the recording goes on.
#[derive(Debug, Default)]
pub(crate) struct Progress {
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

    pub(crate) fn latest_tick(&self) -> u64 {
        self.latest_tick.load(Ordering::Relaxed)
    }
}

/// Counts of what is lost or doubtful that belong to no session.
#[derive(Debug, Default)]
struct Doubts {
    cpu_unknown: AtomicU64,
    panics: AtomicU64,
}

/// The recorder.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) plan: Arc<Plan>,
    pub(crate) recording: Recording,
    pub(crate) audit: Audit,
    pub(crate) sessions: Vec<TraceSession>,
    pub(crate) cpus: Vec<Mutex<Option<CpuRecorder>>>,
    pub(crate) memory: OnceLock<MemoryMap>,
    /// Stamp of the first record.
    pub(crate) origin: OnceLock<u64>,
    pub(crate) watches: Vec<Watch>,
    pub(crate) commands: Commands,
    armed: Vec<Armed>,
    pub(crate) user_code: UserCode,
    pub(crate) retries: Retries,
    pub(crate) events: Vec<Option<Box<EventInfo>>>,
    pub(crate) followed: Followed,
    pub(crate) entries: Entries,
    shared: Shared,
    doubts: Doubts,
    deliveries: Deliveries,
    panicked: AtomicBool,
}

/// Where and when a probe fired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here {
    pub(crate) cpu: usize,
    pub(crate) tsc: u64,
    pub(crate) addr: RuntimeAddr,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a callback failed and was counted; what it guards is still whole records.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Creates the traces and starts their writers.
    pub(crate) fn start(
        plan: Plan,
        recording: Recording,
        status: Arc<StatusLine>,
        commands: Receiver<Command>,
        cpu_count: usize,
    ) -> Result<Self, OutputError> {
        let plan = Arc::new(plan);
        let shared = Shared {
            modules: Arc::new(Modules::new(Arc::clone(&plan))),
            plan: Arc::clone(&plan),
            status,
            progress: Arc::new(Progress::default()),
        };
        let specs = recording.sessions.iter().cloned().enumerate();
        let sessions = specs
            .map(|(index, spec)| TraceSession::start(index, spec, &recording, cpu_count, &shared))
            .collect::<Result<Vec<_>, _>>()?;
        let watches = watches(&recording.watches, &plan).map_err(OutputError::Filter)?;
        let armed = armed(&plan, &recording);
        Ok(Self {
            user_code: UserCode::new(&plan, &armed),
            retries: Retries::default(),
            audit: Audit::new(),
            cpus: (0..cpu_count).map(|_| Mutex::new(None)).collect(),
            memory: OnceLock::new(),
            origin: OnceLock::new(),
            armed,
            events: events(&plan, &sessions, &watches),
            entries: Entries::new(&plan.pairings),
            followed: Followed::new(&recording.followed),
            commands: Commands::new(commands),
            doubts: Doubts::default(),
            deliveries: Deliveries::default(),
            panicked: AtomicBool::new(false),
            sessions,
            watches,
            shared,
            plan,
            recording,
        })
    }

    /// Whether nothing more is to be recorded.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.progress.ended.load(Ordering::Acquire)
    }

    /// How far the kernel was moved; `None` before it was recognised.
    pub(crate) fn slide(&self) -> Option<Slide> {
        self.shared.progress.slide()
    }

    pub(crate) fn tell(&self, status: &Status) {
        self.shared.status.send(status);
    }

    /// The kernel was recognised: from now on probes can fire.
    pub(crate) fn arm(&self, slide: Slide) {
        if self.shared.progress.slide.set(slide).is_err() {
            return;
        }
        self.memory
            .get_or_init(|| MemoryMap::new(&self.plan, self.recording.memory_mib, slide));
        let bytes = self.recording.buffer_bytes;
        let mut tracks: Vec<_> = self
            .sessions
            .iter()
            .map(|session| session.tracks(bytes).into_iter())
            .collect();
        for (cpu, slot) in self.cpus.iter().enumerate() {
            let mut recorder = CpuRecorder::new(cpu, &self.plan, slide, self.shared.modules.map());
            recorder.tracks = tracks.iter_mut().filter_map(Iterator::next).collect();
            *lock(slot) = Some(recorder);
        }
        self.tell(&Status::Armed { slide: slide.0 });
    }

    /// The kernel that runs is not the plan's.
    pub(crate) fn refuse_kernel(&self) {
        let kernel = &self.plan.kernel;
        let message = format!(
            "these symbols are for Linux {} with build id {}, the guest runs something else\n\
             hint: pass the kernel image that the guest boots",
            kernel.release, kernel.build_id
        );
        self.tell(&Status::Failed { message });
        self.shared.progress.fail();
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

    /// QEMU sent a CPU to a handler. Before the kernel was recognised, nobody could say whose handler it is.
    #[cfg_attr(feature = "api4", allow(dead_code, reason = "QEMU does not say"))]
    pub(crate) fn note_delivery(&self, handler: RuntimeAddr) {
        if let Some(slide) = self.slide()
            && !self.has_ended()
        {
            self.deliveries.note(slide.to_link(handler));
        }
    }

    /// Where what the guest has at `addr` is linked, in the kernel image or a module of the plan.
    fn link_address(&self, addr: RuntimeAddr) -> Option<LinkAddr> {
        let link = self.slide()?.to_link(addr);
        if self.plan.modules.is_empty() {
            return Some(link);
        }
        let (start, end) = self.plan.loaded?;
        if (start..end).contains(&link) {
            Some(link)
        } else {
            self.shared.modules.map().to_link(addr)
        }
    }

    /// The place at an address where modules come or go: its index in the plan.
    pub(crate) fn module_hook_at(&self, addr: RuntimeAddr) -> Option<usize> {
        let link = self.slide()?.to_link(addr);
        let mut hooks = self.plan.module_hooks.iter();
        hooks.position(|hook| hook.addr == link)
    }

    /// A module comes or goes, at the hook of that index.
    pub(crate) fn change_module(&self, hook: usize, stamp: u64, guest: &mut impl GuestView) {
        let hook = self.plan.module_hooks.get(hook);
        if let (Some(hook), Some(slide), Some(memory)) = (hook, self.slide(), self.memory.get()) {
            let modules = &self.shared.modules;
            modules.change(hook, stamp, slide, memory, guest);
        }
    }

    /// What is armed at an address.
    pub(crate) fn sites_at(&self, addr: RuntimeAddr) -> Option<std::ops::Range<usize>> {
        self.sites_of(self.link_address(addr)?)
    }

    /// What is armed at an address of the plan.
    pub(crate) fn sites_of(&self, link: LinkAddr) -> Option<std::ops::Range<usize>> {
        let start = self.armed.partition_point(|armed| armed.addr < link);
        let here = self.armed[start..].iter();
        let count = here.take_while(|armed| armed.addr == link).count();
        (count != 0).then_some(start..start + count)
    }

    /// Does everything that is armed at a probe.
    ///
    /// The clock is read once no other CPU can write what this one has: what comes is then not before what was written.
    pub(crate) fn record(
        &self,
        cpu: usize,
        probe: &Probe,
        clock: impl FnOnce() -> u64,
        guest: &mut impl GuestView,
    ) {
        let Some(slot) = self.cpus.get(cpu) else {
            return self.note_unknown_cpu();
        };
        let mut slot = lock(slot);
        let tsc = clock();
        let progress = &self.shared.progress;
        progress.latest_tick.store(tsc, Ordering::Relaxed);
        let end = match slot.as_mut() {
            Some(state) if !self.has_ended() => self
                .address(state, probe.place, guest)
                .and_then(|addr| self.visit(state, probe, Here { cpu, tsc, addr }, guest)),
            _ => None,
        };
        // The end takes the state of every CPU.
        drop(slot);
        if let Some(reason) = end {
            self.finish(reason);
        }
    }

    /// Returns why the recording ends here.
    fn visit(
        &self,
        state: &mut CpuRecorder,
        probe: &Probe,
        here: Here,
        guest: &mut impl GuestView,
    ) -> Option<&'static str> {
        let memory = self.memory.get()?;
        let mut end = self.attend(state, here, memory, guest);
        for armed in &self.armed[probe.sites.clone()] {
            match armed.what {
                What::Retry(index) => self.note_retry(state, index, here, memory, guest),
                What::Birth(index) => {
                    let program = &self.plan.births[index].program;
                    let pair = state.fetcher.pair(program, here.addr, memory, guest);
                    if let Some((creator, child)) = pair {
                        self.followed.note_birth(creator, child);
                    }
                }
                What::Expire(index) => {
                    let program = &self.plan.expiries[index].program;
                    let task = state.fetcher.values(program, here.addr, memory, guest);
                    if let Some(task) = task[0] {
                        self.entries.expire(task);
                    }
                }
                What::Enter(index) => self.note_entry(state, index, here, memory, guest),
                What::Reached(index) => {
                    end = end.or(self.reach(state, index, here, memory, guest));
                }
                What::Site(index) => {
                    let site = &self.plan.sites[index];
                    end = end.or(self.record_site(state, index, here, memory, guest));
                    match site.end {
                        None => {}
                        Some(EndReason::Panic) => self.note_guest_panic(),
                        Some(reason) => end = end.or(Some(reason.name())),
                    }
                }
            }
        }
        end
    }

    fn note_guest_panic(&self) {
        if !self.panicked.swap(true, Ordering::Relaxed) {
            self.tell(&Status::Panicked);
        }
    }

    /// Stamp of the first record; `None` before it.
    pub(crate) fn origin_tick(&self) -> Option<u64> {
        self.origin.get().copied()
    }

    /// Completes the traces. Only the first call does anything.
    pub(crate) fn finish(&self, reason: &str) {
        if self.shared.progress.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut fired = vec![0; self.plan.hooks.len()];
        for (cpu, slot) in self.cpus.iter().enumerate() {
            if let Some(state) = lock(slot).take() {
                fired
                    .iter_mut()
                    .zip(&state.fired)
                    .for_each(|(sum, count)| *sum += count);
                for (session, track) in self.sessions.iter().zip(state.tracks) {
                    session.complete(cpu, track);
                }
            }
        }
        let reason = if self.panicked.load(Ordering::Relaxed) {
            EndReason::Panic.name()
        } else {
            reason
        };
        for session in &self.sessions {
            let trailer = self.trailer(reason);
            if let Err(error) = session.finish(trailer, &fired, &self.shared) {
                let message = error.to_string();
                self.tell(&Status::Failed { message });
            }
        }
    }

    /// What all traces end with.
    fn trailer(&self, reason: &str) -> Trailer {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats::default();
        stats.set(Counter::EntriesLost, self.entries.lost());
        stats.set(Counter::CpuUnknown, load(&self.doubts.cpu_unknown));
        stats.set(Counter::PluginPanics, load(&self.doubts.panics));
        Trailer {
            end_reason: reason.to_owned(),
            stats,
            exactness: self.audit.exactness(),
            modules: self.shared.modules.uses(),
            handlers: self.deliveries.counts(&self.plan),
            ..Trailer::default()
        }
    }
}
