//! What is decided before anything runs: for each event which session may want it, what is looked out for in it, and
//! which programs that takes. Everything here is immutable while the guest runs.

use std::sync::atomic::{AtomicU64, Ordering};

use guesttrace_filter::{BoundFilter, Context, Filter, FilterError, Source};
use probe_plan::{Action, LinkAddr, Plan, Recording, Site, WatchSpec, When};
use trace_format::EventId;

use crate::cpu::Keep;
use crate::session::TraceSession;

/// Most conditions that are looked out for.
pub(crate) const WATCHES_MAX: usize = 64;
/// Process numbers are below this on every kernel (`PID_MAX_LIMIT`); larger ones are not followed.
const PIDS_MAX: usize = 1 << 22;

/// What happens at an address.
#[derive(Clone, Debug)]
pub(crate) struct Armed {
    pub(crate) addr: LinkAddr,
    pub(crate) what: What,
}

/// What happens at an address; in the order in which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// An instruction of a program did not complete: index into the plan's retries.
    Retry(usize),
    /// A process is born: index into the plan's births.
    Birth(usize),
    /// A task ends: index into the plan's expiries.
    Expire(usize),
    /// A function is entered: index into the plan's pairings.
    Enter(usize),
    /// A watch looked out for this address.
    Reached(usize),
    /// Index into the plan's sites.
    Site(usize),
}

/// All that is known of an event beforehand.
#[derive(Clone, Debug)]
pub(crate) struct EventInfo {
    /// Which fields are runs of bytes.
    pub(crate) layout: Vec<bool>,
    pub(crate) is_sticky: bool,
    /// It says which thread runs.
    pub(crate) is_thread: bool,
    /// Whether anybody looks at its fields.
    pub(crate) has_fields: bool,
    /// By session: what it keeps of the event; `None` when it never wants it.
    pub(crate) uses: Vec<Option<Use>>,
    /// Indices of the watches for which the event matters.
    pub(crate) watches: Vec<usize>,
    /// What has to be asked of the thread.
    pub(crate) asks: Vec<Context>,
}

/// What a session wants of an event.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub(crate) keep: Keep,
    /// Whether its filter has to look at each record.
    pub(crate) is_filtered: bool,
}

/// Something that is looked out for.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) filter: Option<BoundFilter>,
    pub(crate) action: Action,
}

/// Binds the conditions.
pub(crate) fn watches(specs: &[WatchSpec], plan: &Plan) -> Result<Vec<Watch>, FilterError> {
    let watch = |spec: &WatchSpec| {
        let filter = match &spec.when {
            When::Event(text) => Some(Filter::parse(text)?.bind_for_recording(&plan.schema)?),
            When::Reached(_) => None,
        };
        let action = spec.action;
        Ok(Watch { filter, action })
    };
    specs.iter().take(WATCHES_MAX).map(watch).collect()
}

/// Everything that happens anywhere, by ascending address.
pub(crate) fn armed(plan: &Plan, recording: &Recording) -> Vec<Armed> {
    let sites = plan.sites.iter().enumerate();
    let sites = sites.map(|(index, Site { addr, .. })| (*addr, What::Site(index)));
    let births = plan.births.iter().enumerate();
    let births = births
        .filter(|_| !recording.followed.is_empty())
        .map(|(index, birth)| (birth.addr, What::Birth(index)));
    let expiries = plan.expiries.iter().enumerate();
    let expiries = expiries.map(|(index, expiry)| (expiry.addr, What::Expire(index)));
    let entering = plan.pairings.iter().enumerate();
    let entering = entering.map(|(index, pairing)| (pairing.entering.addr, What::Enter(index)));
    let retries = plan.retries.iter().enumerate();
    let retries = retries.map(|(index, retry)| (retry.addr, What::Retry(index)));
    let watches = recording.watches.iter().take(WATCHES_MAX).enumerate();
    let reached = watches.filter_map(|(index, spec)| match spec.when {
        When::Reached(addr) => Some((addr, What::Reached(index))),
        When::Event(_) => None,
    });
    let mut armed: Vec<_> = sites
        .chain(births)
        .chain(expiries)
        .chain(entering)
        .chain(retries)
        .chain(reached)
        .map(|(addr, what)| Armed { addr, what })
        .collect();
    armed.sort_by_key(|armed| (armed.addr, armed.what));
    armed
}

/// What is known of each event, by its id.
pub(crate) fn events(
    plan: &Plan,
    sessions: &[TraceSession],
    watches: &[Watch],
) -> Vec<Option<Box<EventInfo>>> {
    let last = plan.schema.events.last();
    let count = last.map_or(0, |event| usize::from(event.id.0) + 1);
    let mut infos = vec![None; count];
    for event in &plan.schema.events {
        infos[usize::from(event.id.0)] = Some(Box::new(info(plan, event.id, sessions, watches)));
    }
    infos
}

fn info(plan: &Plan, id: EventId, sessions: &[TraceSession], watches: &[Watch]) -> EventInfo {
    let schema = plan.schema.event(id);
    let is_sticky = schema.is_some_and(|event| event.sticky);
    let uses: Vec<_> = sessions
        .iter()
        .map(|session| session_use(plan, id, is_sticky, session))
        .collect();
    let concerned = |filter: &BoundFilter| filter.decided_by_event(id) != Some(false);
    let matters = watches.iter().enumerate();
    let matters = matters.filter(|(_, watch)| watch.filter.as_ref().is_some_and(concerned));
    let matters: Vec<usize> = matters.map(|(index, _)| index).collect();
    let filters = sessions
        .iter()
        .zip(&uses)
        .filter(|(_, wanted)| wanted.as_ref().is_some_and(|wanted| wanted.is_filtered))
        .filter_map(|(session, _)| session.filter.as_ref());
    let looked_at: Vec<Source> = filters
        .chain(
            matters
                .iter()
                .filter_map(|index| watches[*index].filter.as_ref()),
        )
        .flat_map(|filter| filter.sources(id))
        .collect();
    let keeps_fields = uses.iter().flatten().any(|wanted| match &wanted.keep {
        Keep::All => true,
        Keep::Some(kept) => kept.contains(&true),
    });
    // Whoever is told of an event is told its fields.
    let tells = matters
        .iter()
        .any(|index| matches!(watches[*index].action, Action::Tell(_) | Action::End(_)));
    let field = |source: &Source| matches!(source, Source::Field(_));
    let has_fields = is_sticky || keeps_fields || tells || looked_at.iter().any(field);
    let is_asked = |context: &Context| looked_at.contains(&Source::Context(*context));
    EventInfo {
        layout: schema.map_or_else(Vec::new, |event| {
            event
                .fields
                .iter()
                .map(|field| field.kind.is_bytes())
                .collect()
        }),
        is_sticky,
        is_thread: plan
            .thread
            .as_ref()
            .is_some_and(|thread| thread.event == id),
        has_fields,
        uses,
        watches: matters,
        asks: Context::RECORDING
            .iter()
            .copied()
            .filter(is_asked)
            .collect(),
    }
}

fn session_use(plan: &Plan, id: EventId, is_sticky: bool, session: &TraceSession) -> Option<Use> {
    let keep = session.keeps(plan, id)?;
    // Readers cannot do without those that say which thread runs.
    let filter = session.filter.as_ref().filter(|_| !is_sticky);
    match filter.map(|filter| filter.decided_by_event(id)) {
        Some(Some(false)) => None,
        decided => Some(Use {
            keep,
            is_filtered: decided == Some(None),
        }),
    }
}

/// Processes that are followed: one bit for each number.
#[derive(Debug)]
pub(crate) struct Followed {
    bits: Box<[AtomicU64]>,
    /// Those that were asked for: whatever process has the number.
    asked: Vec<u64>,
}

impl Followed {
    pub(crate) fn new(pids: &[u32]) -> Self {
        let words = if pids.is_empty() { 0 } else { PIDS_MAX / 64 };
        let followed = Self {
            bits: (0..words).map(|_| AtomicU64::new(0)).collect(),
            asked: pids.iter().copied().map(u64::from).collect(),
        };
        for pid in &followed.asked {
            followed.set(*pid, true);
        }
        followed
    }

    pub(crate) fn has(&self, pid: u64) -> bool {
        self.word(pid)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (pid % 64) & 1 == 1)
    }

    /// A process came into being: it is followed when its creator is. Its number may have been another's before.
    pub(crate) fn note_birth(&self, creator: u64, child: u64) {
        // A new thread of a process is no new process.
        if creator != child {
            self.set(child, self.has(creator) || self.asked.contains(&child));
        }
    }

    fn set(&self, pid: u64, followed: bool) {
        let Some(word) = self.word(pid) else { return };
        let bit = 1 << (pid % 64);
        if followed {
            word.fetch_or(bit, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    fn word(&self, pid: u64) -> Option<&AtomicU64> {
        self.bits.get(usize::try_from(pid / 64).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_the_followed_are_followed_until_their_number_is_reused() {
        let followed = Followed::new(&[100, 1 << 22]);
        followed.note_birth(100, 101);
        followed.note_birth(101, 102);
        followed.note_birth(50, 51);
        followed.note_birth(100, 100);
        let has: Vec<_> = [50, 51, 100, 101, 102, 1 << 22, u64::MAX]
            .iter()
            .map(|pid| followed.has(*pid))
            .collect();
        assert_eq!(has, [false, false, true, true, true, false, false]);
        followed.note_birth(50, 101);
        followed.note_birth(50, 100);
        assert!(followed.has(100), "asked for by its number");
        assert!(!followed.has(101) && followed.has(102));
        assert!(!Followed::new(&[]).has(0));
    }
}
