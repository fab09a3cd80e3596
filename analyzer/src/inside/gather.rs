//! The events of a trace that another trace of the same run may have too.

use std::collections::BTreeMap;

use super::align::Clocks;
use super::pair::sooner;
use crate::model::{CpuId, GuestNanos, KernelEvent, Reading, Tid, model_events};
use crate::sources::{Finding, Item, Loss, Range, Trace, TraceError};

/// Where and by whom an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) cpu: CpuId,
    pub(super) tid: Tid,
}

/// A change from one thread to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    pub(super) at: GuestNanos,
    pub(super) prev: Tid,
    pub(super) next: Tid,
}

/// Times of events, by CPU and thread.
pub(super) type Times = BTreeMap<Lane, Vec<GuestNanos>>;

/// What a trace has.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    by_kind: BTreeMap<&'static str, Times>,
    /// By CPU.
    pub(super) switches: BTreeMap<CpuId, Vec<Switch>>,
    pub(super) losses: Vec<Loss>,
    pub(super) damage: Vec<Finding>,
    /// Number of all events, those of kinds that only this trace has included.
    pub(super) all: u64,
}

/// Calls of 32-bit programs, which some tracers tell apart from other calls.
const COMPAT: [(&str, &str); 2] = [
    ("syscall_entry", "compat_syscall_entry"),
    ("syscall_exit", "compat_syscall_exit"),
];

/// The model's events that both traces have kinds of; calls of 32-bit programs are calls.
pub(super) fn kinds_of_both(a: &Trace, b: &Trace) -> Vec<&'static str> {
    // Records that readers need and kernels do not write.
    const NOT_OF_THE_KERNEL: [&str; 3] = ["thread_context", "recording_start", "recording_stop"];
    let is_compat = |kind: &str| COMPAT.iter().any(|(_, compat)| *compat == kind);
    let has = |trace: &Trace, kind: &str| !trace.events_of(kind).is_empty();
    let names = model_events().map(|names| names.event);
    let of_both = names.filter(|kind| has(a, kind) && has(b, kind));
    of_both
        .filter(|kind| !NOT_OF_THE_KERNEL.contains(kind) && !is_compat(kind))
        .collect()
}

/// Reads a trace.
pub(super) fn gather(trace: &Trace, kinds: &[&'static str]) -> Result<Gathered, TraceError> {
    let mut kind_of: BTreeMap<u16, &'static str> = BTreeMap::new();
    for kind in kinds {
        let compat = COMPAT.iter().find(|(native, _)| native == kind);
        let mut ids = trace.events_of(kind);
        ids.extend(
            compat
                .into_iter()
                .flat_map(|(_, compat)| trace.events_of(compat)),
        );
        kind_of.extend(ids.into_iter().map(|id| (id.0, *kind)));
    }
    let binding = trace.binding();
    let mut found = Gathered::default();
    let mut stream = trace.stream(&Range::default())?;
    while let Some(item) = stream.next_item()? {
        let record = match item {
            Item::Loss(loss) => {
                found.losses.push(loss);
                continue;
            }
            Item::Record(record) if record.is_repeated || record.is_context => continue,
            Item::Record(record) => record,
        };
        found.all += 1;
        let Some(kind) = kind_of.get(&record.event.0) else {
            continue;
        };
        let lane = Lane {
            cpu: record.cpu,
            tid: record.context.tid,
        };
        let times = found.by_kind.entry(kind).or_default();
        times.entry(lane).or_default().push(record.at);
        if let Reading::Event(KernelEvent::SchedSwitch(switch)) =
            binding.read(record.event, &record.fields)
        {
            let switches = found.switches.entry(record.cpu).or_default();
            switches.push(Switch {
                at: record.at,
                prev: switch.prev_pid,
                next: switch.next_pid,
            });
        }
    }
    found.damage = stream.damage();
    Ok(found)
}

impl Gathered {
    /// Times of one kind of event.
    pub(super) fn of(&self, kind: &str) -> Option<&Times> {
        self.by_kind.get(kind)
    }

    /// Number of events.
    pub(super) fn count(&self) -> u64 {
        let lanes = self.by_kind.values().flat_map(BTreeMap::values);
        lanes.map(|times| times.len() as u64).sum()
    }

    /// How much sooner than `clocks` has it the stamps of the quickest kind of event come.
    pub(super) fn sooner(&self, inside: &Self, clocks: &Clocks) -> i128 {
        let kinds = self.by_kind.iter();
        let both = kinds.filter_map(|(kind, ours)| Some((ours, inside.of(kind)?)));
        both.map(|(ours, theirs)| sooner(ours, theirs, clocks))
            .max()
            .unwrap_or(0)
    }

    /// Forgets what was before and after.
    pub(super) fn keep_between(&mut self, first: GuestNanos, last: GuestNanos) {
        for times in self.by_kind.values_mut().flat_map(BTreeMap::values_mut) {
            times.retain(|at| (first..=last).contains(at));
        }
    }
}
