//! An event's way from the guest to the sessions: fetched once, looked at by every filter, appended where it is wanted.
//!
//! What can be decided before the fields are fetched is: by the kind of event, then by the thread that runs.
//! Budget: no allocation, unless somebody is to be told.

use std::sync::atomic::Ordering;

use guesttrace_filter::{Context, Source};
use probe_plan::{Action, Entry, GuestView, Program, Register};

use crate::cpu::CpuRecorder;
use crate::entries::{Frame, Kept};
use crate::memory::MemoryMap;
use crate::recorder::{Here, Recorder};
use crate::row::{Asked, FetchedRow};
use crate::session::TraceSession;
use crate::watch::EventInfo;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Recorder {
    /// Fetches an event, unless nobody wants it, and hands it round.
    pub(crate) fn record_site(
        &self,
        state: &mut CpuRecorder,
        index: usize,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<&'static str> {
        let site = &self.plan.sites[index];
        if let Some(pairing) = site.pairing {
            let entry = self.find_entry(state, pairing as usize, here, memory, guest)?;
            state.fetcher.set_entry(entry);
        }
        let info = self.events.get(usize::from(site.event.0))?.as_deref()?;
        if !self.is_wanted(info) {
            return None;
        }
        let program = &self.plan.programs[site.program as usize];
        if !state.fetcher.begin(program, here.addr, memory, guest) {
            return None;
        }
        state.fired[site.hook as usize] += 1;
        let mut asked = Asked::new();
        for context in &info.asks {
            self.ask(state, *context, &mut asked, memory, guest);
        }
        state.fetcher.fetch_nothing(site.event);
        let undecided = self.foresee(state, info, here, &asked);
        if !undecided {
            return None;
        }
        if info.has_fields {
            state
                .fetcher
                .fetch(program, site.event, here.addr, memory, guest);
        }
        self.hand_round(state, info, here, &asked, memory, guest)
    }

    /// A function is entered whose returns are recorded: keeps what they need, whether or not anything is recorded now.
    pub(crate) fn note_entry(
        &self,
        state: &mut CpuRecorder,
        pairing: usize,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) {
        let Some(frame) = self.frame(state, pairing, here, memory, guest) else {
            return;
        };
        let program = &self.plan.pairings[pairing].entering.program;
        let saved = state.fetcher.values(program, here.addr, memory, guest);
        let tsc = here.tsc;
        self.entries.enter(pairing, frame, Kept { tsc, saved });
    }

    /// The entry of the function that returns here; `None` when this is no return of it.
    fn find_entry(
        &self,
        state: &mut CpuRecorder,
        pairing: usize,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<Entry> {
        let frame = self.frame(state, pairing, here, memory, guest)?;
        let kept = self.entries.leave(pairing, frame)?;
        Some(Entry {
            saved: kept.saved,
            elapsed_nanos: Some(self.nanos(kept.tsc, here.tsc)),
        })
    }

    /// Nanoseconds from one stamp to a later one.
    fn nanos(&self, from: u64, to: u64) -> u64 {
        let ticks = to.saturating_sub(from);
        if self.recording.clock.tsc_hz == NANOS_PER_SECOND {
            return ticks;
        }
        let hertz = u128::from(self.recording.clock.tsc_hz.max(1));
        let nanos = u128::from(ticks) * u128::from(NANOS_PER_SECOND) / hertz;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    fn frame(
        &self,
        state: &mut CpuRecorder,
        pairing: usize,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<Frame> {
        let stack_pointer = guest.register(Register::Rsp)?;
        let program = &self.plan.pairings.get(pairing)?.task;
        let task = state.fetcher.values(program, here.addr, memory, guest)[0]?;
        Some(Frame {
            task,
            stack_pointer,
        })
    }

    /// Whether anybody may want such an event now.
    fn is_wanted(&self, info: &EventInfo) -> bool {
        let sessions = || self.sessions.iter().zip(&info.uses);
        info.is_sticky
            || !info.watches.is_empty()
            || sessions().any(|(session, wanted)| wanted.is_some() && session.is_running())
    }

    /// Whether anybody may still want the record now that all but its fields is known; counts who does not.
    fn foresee(&self, state: &CpuRecorder, info: &EventInfo, here: Here, asked: &Asked) -> bool {
        let Some(record) = state.fetcher.record() else {
            return false;
        };
        let row = FetchedRow {
            cpu: here.cpu,
            tsc: here.tsc,
            nanos: self.nanos(self.origin_tick().unwrap_or(here.tsc), here.tsc),
            thread: &state.thread,
            asked,
            record,
            layout: &info.layout,
        };
        let known = |source: Source| matches!(source, Source::Context(_));
        let may_match = |index: &usize| {
            let filter = self.watches[*index].filter.as_ref();
            filter.is_some_and(|filter| filter.foresee(&row, known) != Some(false))
        };
        let mut is_open = info.is_sticky || info.watches.iter().any(may_match);
        for (session, wanted) in self.sessions.iter().zip(&info.uses) {
            let Some(wanted) = wanted.as_ref().filter(|_| session.is_running()) else {
                continue;
            };
            let filter = session.filter.as_ref().filter(|_| wanted.is_filtered);
            is_open |= filter.is_none_or(|filter| filter.foresee(&row, known) != Some(false));
        }
        if !is_open {
            // Whoever got here was left out by a filter, and is not asked again.
            for (session, wanted) in self.sessions.iter().zip(&info.uses) {
                if wanted.is_some() && session.is_running() {
                    session.counts.filtered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        is_open
    }

    fn ask(
        &self,
        state: &mut CpuRecorder,
        context: Context,
        asked: &mut Asked,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) {
        if context == Context::Followed {
            let is_followed = self.followed.has(state.thread.pid);
            return asked.set_number(context, Some(u64::from(is_followed)));
        }
        if let Some(program) = self.context_program(context) {
            state.fetcher.ask((context, program), asked, memory, guest);
        }
    }

    fn context_program(&self, context: Context) -> Option<&Program> {
        let mut programs = self.plan.contexts.iter();
        programs
            .find(|program| program.name == context.name())
            .map(|program| &program.program)
    }

    /// The sessions and conditions take their part of what was just fetched.
    fn hand_round(
        &self,
        state: &mut CpuRecorder,
        info: &EventInfo,
        here: Here,
        asked: &Asked,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<&'static str> {
        let row = FetchedRow {
            cpu: here.cpu,
            tsc: here.tsc,
            nanos: self.nanos(self.origin_tick().unwrap_or(here.tsc), here.tsc),
            thread: &state.thread,
            asked,
            record: state.fetcher.record()?,
            layout: &info.layout,
        };
        let matched = self.matched(info, &row);
        let mut wanting = 0_u64;
        for (index, (session, wanted)) in self.sessions.iter().zip(&info.uses).enumerate() {
            let filter = session.filter.as_ref();
            let is_wanted = wanted.as_ref().is_some_and(|wanted| {
                !wanted.is_filtered || filter.is_none_or(|filter| filter.matches(&row))
            });
            if is_wanted {
                wanting |= 1 << index;
            } else if wanted.is_some() && session.is_running() {
                session.counts.filtered.fetch_add(1, Ordering::Relaxed);
            }
        }
        let tellings = self.tellings_of(info, matched, here, state);
        let started = self.act_before(state, matched, here, memory, guest);
        if info.is_thread {
            self.origin.get_or_init(|| here.tsc);
        }
        for (index, session) in self.sessions.iter().enumerate() {
            if wanting >> index & 1 == 1 {
                self.append(state, index, session, info, here);
            }
        }
        if info.is_sticky {
            state.keep_sticky();
        }
        if let (true, Some(event), Some(record)) =
            (info.is_thread, &self.plan.thread, state.fetcher.record())
        {
            state.thread.learn(event, &record, &info.layout);
        }
        self.act_after(state, matched, started, here, tellings)
    }

    /// The conditions that hold, one bit each.
    fn matched(&self, info: &EventInfo, row: &FetchedRow<'_>) -> u64 {
        let holds = |index: &&usize| {
            let filter = self.watches[**index].filter.as_ref();
            filter.is_some_and(|filter| filter.matches(row))
        };
        let holding = info.watches.iter().filter(holds);
        holding.fold(0, |matched, index| matched | 1 << index)
    }

    /// Gives a session the record that was fetched.
    fn append(
        &self,
        state: &mut CpuRecorder,
        index: usize,
        session: &TraceSession,
        info: &EventInfo,
        here: Here,
    ) {
        let opens = info.is_thread && !session.is_opened.swap(true, Ordering::Relaxed);
        if !session.is_running() && !opens {
            return;
        }
        let Some(wanted) = &info.uses[index] else {
            return;
        };
        self.enter(state, index, here);
        self.write_snapshot(state, index, here.cpu, None);
        let CpuRecorder {
            fetcher,
            sticky,
            tracks,
            ..
        } = state;
        let (Some(record), Some(track)) = (fetcher.record(), tracks.get_mut(index)) else {
            return;
        };
        let age = here.tsc.saturating_sub(track.current.first_stamp());
        let is_old = track.current.record_count() != 0 && age > self.recording.flush_interval_ticks;
        if is_old {
            self.flush(index, here, track);
        }
        let (keep, layout) = (&wanted.keep, &info.layout);
        let put = self.put(index, here, track, |track| {
            track.append(here.tsc, &record, keep, layout, sticky)
        });
        if put.is_some() {
            session.counts.note(fetcher.unread_count(keep));
        }
        if opens && !session.is_running() {
            self.write_stop(state, index, here, b"waits for its start");
        }
    }

    /// What happens when an address is reached that was looked out for.
    pub(crate) fn reach(
        &self,
        state: &mut CpuRecorder,
        watch: usize,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<&'static str> {
        let matched = 1 << watch;
        let started = self.act_before(state, matched, here, memory, guest);
        let tellings = match self.watches[watch].action {
            Action::Tell(number) | Action::End(number) => vec![(number, None)],
            Action::Start(_) | Action::Stop(_) | Action::Snapshot(_) => Vec::new(),
        };
        self.act_after(state, matched, started, here, tellings)
    }
}
