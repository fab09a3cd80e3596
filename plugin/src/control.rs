//! Starts and stops sessions, carries out what was asked for, and tells what was looked out for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Receiver;
use probe_plan::{Action, Command, GuestView, MatchedEvent, Status};

use crate::cpu::CpuRecorder;
use crate::memory::MemoryMap;
use crate::recorder::{Here, Recorder};
use crate::watch::EventInfo;

/// Why recording begins or ends, as its rows say.
const BY_TIME: &[u8] = b"time";
const BY_CONDITION: &[u8] = b"condition";
const BY_COMMAND: &[u8] = b"command";

/// Commands that came from outside.
#[derive(Debug)]
pub(crate) struct Commands {
    inbox: Mutex<Receiver<Command>>,
    arrived: AtomicBool,
}

impl Commands {
    pub(crate) fn new(inbox: Receiver<Command>) -> Self {
        Self {
            inbox: Mutex::new(inbox),
            arrived: AtomicBool::new(false),
        }
    }

    /// One came.
    pub(crate) fn announce(&self) {
        self.arrived.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Command> {
        if !self.arrived.load(Ordering::Acquire) {
            return None;
        }
        let inbox: MutexGuard<'_, _> = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let command = inbox.try_recv().ok();
        if command.is_none() {
            self.arrived.store(false, Ordering::Release);
        }
        command
    }
}

impl Recorder {
    /// Does what is due at a time and what was commanded. Returns why the recording ends.
    pub(crate) fn attend(
        &self,
        state: &mut CpuRecorder,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<&'static str> {
        // Nothing can be started before there is a thread.
        let origin = self.origin_tick()?;
        let mut end = None;
        for (index, session) in self.sessions.iter().enumerate() {
            if session.due.load(Ordering::Relaxed) == u64::MAX {
                continue;
            }
            let now = here.tsc.saturating_sub(origin);
            while let Some(is_start) = session.take_due(now) {
                if is_start {
                    self.start_session(state, index, here, BY_TIME, memory, guest);
                } else {
                    self.stop_session(state, index, here, BY_TIME);
                }
            }
        }
        while let Some(command) = self.commands.take() {
            for index in 0..self.sessions.len() {
                match &command {
                    Command::Start => {
                        self.start_session(state, index, here, BY_COMMAND, memory, guest);
                    }
                    Command::Stop => self.stop_session(state, index, here, BY_COMMAND),
                    Command::Mark { text } => self.mark(state, index, here, text.as_bytes()),
                    Command::Snapshot => self.snapshot(state, index, here, BY_COMMAND),
                    Command::End => end = Some("command"),
                }
            }
        }
        end
    }

    /// Starts what the conditions that hold start, before their event is recorded. Returns the sessions, a bit each.
    pub(crate) fn act_before(
        &self,
        state: &mut CpuRecorder,
        matched: u64,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> u64 {
        let mut started = 0;
        for index in bits(matched) {
            if let Action::Start(session) = self.watches[index].action
                && self.start_session(state, session, here, BY_CONDITION, memory, guest)
            {
                started |= 1 << session;
            }
        }
        started
    }

    /// Stops and tells what the conditions that hold stop and tell, after their event was recorded. A session that the
    /// same event has started goes on. Returns why the recording ends.
    pub(crate) fn act_after(
        &self,
        state: &mut CpuRecorder,
        matched: u64,
        started: u64,
        here: Here,
        tellings: Vec<(usize, Option<Box<MatchedEvent>>)>,
    ) -> Option<&'static str> {
        let mut end = None;
        for index in bits(matched) {
            match self.watches[index].action {
                Action::Start(_) | Action::Tell(_) => {}
                Action::Stop(session) if started >> session & 1 == 1 => {}
                Action::Stop(session) => self.stop_session(state, session, here, BY_CONDITION),
                Action::Snapshot(session) => self.snapshot(state, session, here, BY_CONDITION),
                Action::End(_) => end = Some("condition"),
            }
        }
        for (number, event) in tellings {
            self.tell(&Status::Matched { number, event });
        }
        end
    }

    /// What is to be told of the record that was fetched.
    pub(crate) fn tellings_of(
        &self,
        info: &EventInfo,
        matched: u64,
        here: Here,
        state: &CpuRecorder,
    ) -> Vec<(usize, Option<Box<MatchedEvent>>)> {
        let mut tellings = Vec::new();
        for index in bits(matched) {
            let (Action::Tell(number) | Action::End(number)) = self.watches[index].action else {
                continue;
            };
            let Some(record) = state.fetcher.record().filter(|_| info.has_fields) else {
                continue;
            };
            tellings.push((
                number,
                Some(Box::new(MatchedEvent {
                    event: record.event.0,
                    tsc: here.tsc,
                    first_tsc: self.origin_tick().unwrap_or(here.tsc),
                    cpu: u32::try_from(here.cpu).unwrap_or(u32::MAX),
                    tid: state.thread.tid,
                    pid: state.thread.pid,
                    comm: state.thread.comm().to_vec(),
                    missing: record.missing,
                    payload: record.payload.to_vec(),
                })),
            ));
        }
        tellings
    }

    /// Starts a session that is stopped. Returns whether it was.
    fn start_session(
        &self,
        state: &mut CpuRecorder,
        index: usize,
        here: Here,
        why: &[u8],
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> bool {
        let Some(session) = self.sessions.get(index) else {
            return false;
        };
        if !session.set_running(true) {
            return false;
        }
        let origin = self.origin_tick().unwrap_or(here.tsc);
        session.limit(here.tsc.saturating_sub(origin));
        session.epoch.fetch_add(1, Ordering::Relaxed);
        self.enter(state, index, here);
        if let Some(event) = session.rows.start {
            self.append_text(state, index, here, (event, why));
        }
        for (cpu, slot) in self.cpus.iter().enumerate() {
            // This CPU's own state is taken. In wall mode another's may be too: then it enters by itself.
            if let Ok(mut slot) = slot.try_lock()
                && let Some(other) = slot.as_mut()
            {
                self.enter(other, index, Here { cpu, ..here });
            }
        }
        self.record_state(state, index, here, memory, guest);
        true
    }

    /// Stops a session that runs.
    fn stop_session(&self, state: &mut CpuRecorder, index: usize, here: Here, why: &[u8]) {
        let Some(session) = self.sessions.get(index) else {
            return;
        };
        if session.set_running(false) {
            self.write_stop(state, index, here, why);
            // Nothing may come for long.
            if let Some(track) = state.tracks.get_mut(index) {
                self.flush(index, here, track);
            }
        }
    }

    /// The last row before a gap.
    pub(crate) fn write_stop(&self, state: &mut CpuRecorder, index: usize, here: Here, why: &[u8]) {
        let session = &self.sessions[index];
        session.counts.gaps.fetch_add(1, Ordering::Relaxed);
        if let Some(event) = session.rows.stop {
            self.append_text(state, index, here, (event, why));
        }
    }

    /// Writes what a flight recorder remembers; of other sessions nothing.
    fn snapshot(&self, state: &mut CpuRecorder, index: usize, here: Here, why: &[u8]) {
        let Some(session) = self.sessions.get(index) else {
            return;
        };
        let Some(event) = session.rows.snapshot.filter(|_| session.is_running()) else {
            return;
        };
        self.append_text(state, index, here, (event, why));
        session.snapshots.fetch_add(1, Ordering::Relaxed);
        let mut is_whole = true;
        for (cpu, slot) in self.cpus.iter().enumerate() {
            if cpu == here.cpu {
                continue;
            }
            // In wall mode another's state may be taken too: it writes at its next event.
            match slot.try_lock().as_deref_mut() {
                Ok(Some(other)) => self.write_snapshot(other, index, cpu, None),
                Ok(None) => {}
                Err(_) => is_whole = false,
            }
        }
        self.write_snapshot(state, index, here.cpu, is_whole.then_some(here.tsc));
    }

    /// Writes a CPU's part of a snapshot that it has not written yet; `up_to` as for `TraceSession::make_room`.
    pub(crate) fn write_snapshot(
        &self,
        state: &mut CpuRecorder,
        index: usize,
        cpu: usize,
        up_to: Option<u64>,
    ) {
        let session = &self.sessions[index];
        let snapshot = session.snapshots.load(Ordering::Relaxed);
        let track = state.tracks.get_mut(index);
        if let Some(track) = track.filter(|track| track.snapshot != snapshot) {
            track.snapshot = snapshot;
            session.write_kept(cpu, track, up_to);
        }
    }

    fn mark(&self, state: &mut CpuRecorder, index: usize, here: Here, text: &[u8]) {
        let session = &self.sessions[index];
        if let Some(event) = session.rows.mark.filter(|_| session.is_running()) {
            self.enter(state, index, here);
            self.append_text(state, index, here, (event, text));
        }
    }

    fn append_text(
        &self,
        state: &mut CpuRecorder,
        index: usize,
        here: Here,
        (event, text): (trace_format::EventId, &[u8]),
    ) {
        let session = &self.sessions[index];
        let CpuRecorder { sticky, tracks, .. } = state;
        let Some(track) = tracks.get_mut(index) else {
            return;
        };
        let put = self.put(index, here, track, |track| {
            track.append_text(here.tsc, event, text, sticky)
        });
        if put.is_some() {
            session.counts.records.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// After a start, the first thing that a CPU says is which thread it runs.
    pub(crate) fn enter(&self, state: &mut CpuRecorder, index: usize, here: Here) {
        let session = &self.sessions[index];
        let epoch = session.epoch.load(Ordering::Relaxed);
        let CpuRecorder { sticky, tracks, .. } = state;
        let Some(track) = tracks.get_mut(index).filter(|track| track.epoch != epoch) else {
            return;
        };
        track.epoch = epoch;
        let put = self.put(index, here, track, |track| {
            track.append_sticky(here.tsc, sticky)
        });
        let count = put.unwrap_or(0);
        session.counts.records.fetch_add(count, Ordering::Relaxed);
    }
}

/// Positions of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = set.trailing_zeros();
        (set != 0).then(|| {
            set &= set - 1;
            index as usize
        })
    })
}
