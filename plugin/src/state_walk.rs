//! What exists already when recording starts: walks over the guest's lists and tables, as the plan describes them.
//!
//! The guest may be in the middle of a change, or hostile: a walk ends after a number of items, and what cannot be read
//! is missing.

use probe_plan::{GuestView, Program, Register, RuntimeAddr, Steps, Walk};

use crate::cpu::{CpuRecorder, Keep};
use crate::memory::MemoryMap;
use crate::recorder::{Here, Recorder};

/// Most items that one start looks at, over all walks.
const VISITS_MAX: u32 = 200_000;

/// The guest, with an item of a walk where programs look for it.
#[derive(Debug)]
struct ItemView<'a, G> {
    guest: &'a mut G,
    place: Place,
}

/// An item, what it belongs to and its place there.
#[derive(Clone, Copy, Debug)]
struct Place {
    item: u64,
    owner: u64,
    index: u64,
}

impl<G: GuestView> GuestView for ItemView<'_, G> {
    fn register(&mut self, register: Register) -> Option<u64> {
        if register == Walk::ITEM {
            Some(self.place.item)
        } else if register == Walk::OWNER {
            Some(self.place.owner)
        } else if register == Walk::INDEX {
            Some(self.place.index)
        } else {
            self.guest.register(register)
        }
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        self.guest.read(addr, out)
    }
}

/// A walk under way.
struct Walker<'a, G> {
    recorder: &'a Recorder,
    state: &'a mut CpuRecorder,
    session: usize,
    here: Here,
    memory: &'a MemoryMap,
    guest: &'a mut G,
    visits_left: u32,
}

impl Recorder {
    /// Writes rows for everything that the plan's walks find.
    pub(crate) fn record_state(
        &self,
        state: &mut CpuRecorder,
        session: usize,
        here: Here,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) {
        let mut walker = Walker {
            recorder: self,
            state,
            session,
            here,
            memory,
            guest,
            visits_left: VISITS_MAX,
        };
        let schema = &self.sessions[session].spec.header.schema;
        for walk in &self.plan.walks {
            if is_recorded(walk, schema) {
                walker.walk(walk, 0);
            }
        }
    }
}

/// Whether a walk or one within it makes records that the trace has.
fn is_recorded(walk: &Walk, schema: &trace_format::Schema) -> bool {
    let own = walk
        .record
        .is_some_and(|(event, _)| schema.event(event).is_some());
    own || walk.inner.iter().any(|inner| is_recorded(inner, schema))
}

impl<G: GuestView> Walker<'_, G> {
    fn number(&mut self, program: &Program, place: Place) -> Option<u64> {
        let guest = &mut *self.guest;
        let mut view = ItemView { guest, place };
        self.state.walker.number(program, self.memory, &mut view)
    }

    /// Visits every item that belongs to `owner`.
    fn walk(&mut self, walk: &Walk, owner: u64) {
        let from_owner = Place {
            item: owner,
            owner,
            index: 0,
        };
        match &walk.steps {
            Steps::List { first, next, end } => {
                let mut item = self.number(first, from_owner);
                let end = self.number(end, from_owner);
                for index in 0..walk.items_max {
                    let Some(addr) = item.filter(|item| Some(*item) != end && *item != 0) else {
                        return;
                    };
                    let place = Place {
                        item: addr,
                        owner,
                        index: index.into(),
                    };
                    if !self.visit(walk, place) {
                        return;
                    }
                    item = self.number(next, place);
                }
            }
            Steps::Table { base, count } => {
                let base = self.number(base, from_owner);
                let count = self.number(count, from_owner).unwrap_or(0);
                let Some(base) = base else { return };
                for index in 0..count.min(walk.items_max.into()) {
                    let addr = base.wrapping_add(8 * index);
                    let pointer = self.state.walker.pointer(addr, self.memory, self.guest);
                    let Some(item) = pointer.filter(|item| *item != 0) else {
                        continue;
                    };
                    if !self.visit(walk, Place { item, owner, index }) {
                        return;
                    }
                }
            }
        }
    }

    /// Records an item and walks on from it. Returns whether to go on.
    fn visit(&mut self, walk: &Walk, place: Place) -> bool {
        let Some(left) = self.visits_left.checked_sub(1) else {
            return false;
        };
        self.visits_left = left;
        if let Some((event, program)) = walk.record {
            let recorder = self.recorder;
            let session = &recorder.sessions[self.session];
            let program = &recorder.plan.programs[program as usize];
            let nowhere = RuntimeAddr(0);
            let keep = session.keeps(&recorder.plan, event);
            let guest = &mut *self.guest;
            let mut view = ItemView { guest, place };
            let fetcher = &mut self.state.walker;
            if let Some(keep) = keep
                && fetcher.begin(program, nowhere, self.memory, &mut view)
            {
                fetcher.fetch(program, event, nowhere, self.memory, &mut view);
                self.append(&keep);
            }
        }
        for inner in &walk.inner {
            self.walk(inner, place.item);
        }
        true
    }

    fn append(&mut self, keep: &Keep) {
        let session = &self.recorder.sessions[self.session];
        let CpuRecorder {
            walker: fetcher,
            sticky,
            tracks,
            ..
        } = &mut *self.state;
        let (Some(record), Some(track)) = (fetcher.record(), tracks.get_mut(self.session)) else {
            return;
        };
        let schema = self.recorder.plan.schema.event(record.event);
        let layout: Vec<bool> = schema.map_or_else(Vec::new, |event| {
            event
                .fields
                .iter()
                .map(|field| field.kind.is_bytes())
                .collect()
        });
        let stamp = self.here.tsc;
        let put = self.recorder.put(self.session, self.here, track, |track| {
            track.append(stamp, &record, keep, &layout, sticky)
        });
        if put.is_some() {
            session.counts.note(fetcher.unread_count(keep));
        }
    }
}
