//! What each chunk holds, for the index: kinds of events, and threads.
//!
//! Threads are what the unsigned fields of sticky records say: the format knows of no thread, only of what stays true
//! until it is said anew. A chunk has those of its own records, and those that were true when it began.

use std::collections::BTreeMap;

use crate::chunk::{Chunk, Value};
use crate::schema::{EventId, FieldKind, Schema};

/// A chunk with more threads is listed with none, which says that nothing is known.
const THREADS_MAX: usize = 1000;

/// What a chunk holds; an empty list says that nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Ids of its events, ascending.
    pub(crate) kinds: Vec<u64>,
    /// Numbers in its sticky records and those before it, ascending.
    pub(crate) threads: Vec<u64>,
}

impl Contents {
    /// Whether a chunk may hold what is looked for.
    pub(crate) fn may_have(&self, kinds: &[EventId], threads: &[u64]) -> bool {
        let has = |list: &[u64], number: u64| list.binary_search(&number).is_ok();
        let kind = |event: &EventId| has(&self.kinds, u64::from(event.0));
        let thread = |thread: &u64| has(&self.threads, *thread);
        (kinds.is_empty() || self.kinds.is_empty() || kinds.iter().any(kind))
            && (threads.is_empty() || self.threads.is_empty() || threads.iter().any(thread))
    }

    /// Whether it lists all that another does.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let all = |list: &[u64], of: &[u64]| {
            list.is_empty() || of.iter().all(|number| list.binary_search(number).is_ok())
        };
        all(&self.kinds, &other.kinds) && all(&self.threads, &other.threads)
    }
}

/// The sticky events of a schema, each with the positions of its unsigned fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct StickyFields(pub(crate) BTreeMap<EventId, Vec<usize>>);

impl StickyFields {
    pub(crate) fn of(schema: &Schema) -> Self {
        let sticky = schema.events.iter().filter(|event| event.sticky);
        let fields = sticky.map(|event| {
            let fields = event.fields.iter().enumerate();
            let fields = fields.filter(|(_, field)| field.kind == FieldKind::Unsigned);
            (event.id, fields.map(|(index, _)| index).collect())
        });
        Self(fields.collect())
    }
}

/// What was true on a CPU when its last chunk ended.
///
/// The newest record and the one before it: what a sticky record says may hold only from the event after it on.
pub(crate) type Carried = BTreeMap<EventId, [Vec<u64>; 2]>;

/// Gathers the contents of one chunk.
#[derive(Debug)]
pub(crate) struct Gatherer<'a> {
    carried: &'a mut Carried,
    contents: Contents,
}

impl<'a> Gatherer<'a> {
    /// Begins with what was true before.
    pub(crate) fn new(carried: &'a mut Carried) -> Self {
        let threads = carried.values().flatten().flatten().copied().collect();
        let kinds = Vec::new();
        Self {
            carried,
            contents: Contents { kinds, threads },
        }
    }

    /// A kind of event, and the numbers in each of its sticky records in their order.
    pub(crate) fn add_kind(&mut self, event: EventId, rows: impl Iterator<Item = Vec<u64>>) {
        self.contents.kinds.push(u64::from(event.0));
        for row in rows {
            if self.contents.threads.len() > 2 * THREADS_MAX {
                self.contents.threads.sort_unstable();
                self.contents.threads.dedup();
            }
            // Beyond twice the limit it is exceeded in any case: no need to remember more.
            if self.contents.threads.len() <= 2 * THREADS_MAX {
                self.contents.threads.extend(&row);
            }
            let carried = self.carried.entry(event).or_default();
            carried.rotate_left(1);
            carried[1] = row;
        }
    }

    pub(crate) fn finish(mut self) -> Contents {
        self.contents.kinds.sort_unstable();
        self.contents.threads.sort_unstable();
        self.contents.threads.dedup();
        if self.contents.threads.len() > THREADS_MAX {
            self.contents.threads.clear();
        }
        self.contents
    }
}

/// The contents of a decoded chunk.
pub(crate) fn of_chunk(chunk: &Chunk, sticky: &StickyFields, carried: &mut Carried) -> Contents {
    let mut gatherer = Gatherer::new(carried);
    for kind in &chunk.kinds {
        let fields = sticky.0.get(&kind.event);
        let records = chunk
            .records()
            .filter(|record| fields.is_some() && record.event() == kind.event);
        let rows = records.map(|record| {
            let numbers = fields
                .into_iter()
                .flatten()
                .map(|index| record.field(*index));
            numbers
                .filter_map(|value| match value {
                    Value::Number(number) => Some(number),
                    Value::Bytes(_) | Value::Missing => None,
                })
                .collect()
        });
        if fields.is_some() {
            gatherer.add_kind(kind.event, rows);
        } else {
            gatherer.add_kind(kind.event, std::iter::empty());
        }
    }
    gatherer.finish()
}
