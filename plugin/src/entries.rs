//! Entries of functions that have not returned yet, one bounded table for each pairing of the plan.
//!
//! An entry goes when its return is seen, when its task is seen further up the same stack (it was left by a jump past its
//! frame), or when its task ends. Tables are not shared, so that what one event finds does not depend on another.
//! Budget: no allocation after the start; as many steps as entries are open in tasks of the same bucket.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use probe_plan::{Pairing, SAVED_MAX};

use crate::recorder::lock;

const BUCKET_COUNT: usize = 256;
/// No entry.
const NONE: usize = usize::MAX;

/// What is kept of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) tsc: u64,
    pub(crate) saved: [Option<u64>; SAVED_MAX],
}

/// Who entered, and where on its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) task: u64,
    pub(crate) stack_pointer: u64,
}

/// The tables.
#[derive(Debug)]
pub(crate) struct Entries {
    tables: Vec<Mutex<Table>>,
    lost: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    frame: Frame,
    kept: Kept,
    /// The one before it in its bucket, or the next free place.
    next: usize,
}

#[derive(Debug)]
struct Table {
    /// The newest of each bucket.
    buckets: [usize; BUCKET_COUNT],
    open: Vec<Open>,
    free: usize,
    entries_max: usize,
    stack_bytes: u64,
}

impl Entries {
    pub(crate) fn new(pairings: &[Pairing]) -> Self {
        let tables = pairings.iter().map(Table::new).map(Mutex::new).collect();
        Self {
            tables,
            lost: AtomicU64::new(0),
        }
    }

    /// Keeps an entry until its return.
    pub(crate) fn enter(&self, pairing: usize, frame: Frame, kept: Kept) {
        let table = self.tables.get(pairing);
        if table.is_some_and(|table| !lock(table).enter(frame, kept)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the entry that returns now; `None` where the function was not entered with this stack pointer.
    pub(crate) fn leave(&self, pairing: usize, frame: Frame) -> Option<Kept> {
        lock(self.tables.get(pairing)?).leave(frame)
    }

    /// A task ends.
    pub(crate) fn expire(&self, task: u64) {
        for table in &self.tables {
            lock(table).remove(task, |_| true);
        }
    }

    /// Entries that found no place.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Table {
    fn new(pairing: &Pairing) -> Self {
        let entries_max = usize::try_from(pairing.entries_max).unwrap_or(0);
        Self {
            buckets: [NONE; BUCKET_COUNT],
            open: Vec::with_capacity(entries_max),
            free: NONE,
            entries_max,
            stack_bytes: pairing.stack_bytes.max(1),
        }
    }

    fn enter(&mut self, frame: Frame, kept: Kept) -> bool {
        // What is at the same place or below was left without a return.
        self.remove_below(frame, true);
        let bucket = bucket(frame.task);
        let open = Open {
            frame,
            kept,
            next: self.buckets[bucket],
        };
        let index = if self.free != NONE {
            let index = self.free;
            self.free = self.open[index].next;
            self.open[index] = open;
            index
        } else if self.open.len() < self.entries_max {
            self.open.push(open);
            self.open.len() - 1
        } else {
            return false;
        };
        self.buckets[bucket] = index;
        true
    }

    fn leave(&mut self, frame: Frame) -> Option<Kept> {
        self.remove_below(frame, false);
        let mut found = None;
        self.remove_where(bucket(frame.task), |open| {
            let is_it = open.frame == frame;
            if is_it {
                found = Some(open.kept);
            }
            is_it
        });
        found
    }

    fn remove_below(&mut self, at: Frame, inclusive: bool) {
        let stack = at.stack_pointer / self.stack_bytes;
        let stack_bytes = self.stack_bytes;
        self.remove(at.task, |open| {
            let pointer = open.frame.stack_pointer;
            let is_below = pointer < at.stack_pointer || inclusive && pointer == at.stack_pointer;
            is_below && pointer / stack_bytes == stack
        });
    }

    fn remove(&mut self, task: u64, mut goes: impl FnMut(&Open) -> bool) {
        self.remove_where(bucket(task), |open| open.frame.task == task && goes(open));
    }

    fn remove_where(&mut self, bucket: usize, mut goes: impl FnMut(&Open) -> bool) {
        let mut before = NONE;
        let mut index = self.buckets[bucket];
        while let Some(open) = self.open.get(index) {
            let next = open.next;
            if goes(open) {
                if before == NONE {
                    self.buckets[bucket] = next;
                } else {
                    self.open[before].next = next;
                }
                self.open[index].next = self.free;
                self.free = index;
            } else {
                before = index;
            }
            index = next;
        }
    }
}

/// Tasks are aligned objects some kilobytes apart: the middle bits differ, a product mixes them.
fn bucket(task: u64) -> usize {
    let mixed = task.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 56).unwrap_or(0) % BUCKET_COUNT
}

#[cfg(test)]
mod tests {
    use probe_plan::{Entering, LinkAddr, Program};

    use super::*;

    const STACK: u64 = 0xffff_c900_0001_0000;

    fn entries(entries_max: u32) -> Entries {
        Entries::new(&[Pairing {
            task: Program::default(),
            entering: Entering {
                addr: LinkAddr(0),
                program: Program::default(),
            },
            entries_max,
            stack_bytes: 16 << 10,
        }])
    }

    /// Steps such as `+1@300=5` (task 1 enters at 0x300 of its stack, tsc 5), `-1@300` and `x1`; what the returns found.
    fn check(entries_max: u32, steps: &str, expected: &str) {
        let entries = entries(entries_max);
        let mut found = Vec::new();
        for step in steps.split_whitespace() {
            let (kind, rest) = step.split_at(1);
            if kind == "x" {
                entries.expire(rest.parse().unwrap());
                continue;
            }
            let (task, place) = rest.split_once('@').unwrap();
            let (place, tsc) = place.split_once('=').unwrap_or((place, "0"));
            let frame = Frame {
                task: task.parse().unwrap(),
                stack_pointer: STACK + u64::from_str_radix(place, 16).unwrap(),
            };
            if kind == "+" {
                let tsc = tsc.parse().unwrap();
                let saved = [None; SAVED_MAX];
                entries.enter(0, frame, Kept { tsc, saved });
            } else {
                let kept = entries.leave(0, frame);
                found.push(kept.map_or("none".to_owned(), |kept| kept.tsc.to_string()));
            }
        }
        found.push(format!("lost {}", entries.lost()));
        assert_eq!(found.join(" "), expected, "{steps}");
    }

    #[test]
    fn recursion_returns_innermost_first_and_each_once() {
        check(
            9,
            "+1@300=1 +1@200=2 +1@100=3 -1@100 -1@200 -1@200 -1@300",
            "3 2 none 1 lost 0",
        );
    }

    #[test]
    fn tasks_do_not_take_each_others_entries() {
        check(
            9,
            "+1@300=1 +2@300=2 -2@300 -1@300 -3@300",
            "2 1 none lost 0",
        );
    }

    #[test]
    fn frames_that_were_jumped_over_are_gone() {
        check(
            2,
            "+1@200=1 +1@100=2 -1@300 +1@80=3 +1@40=4 -1@40 -1@80",
            "none 4 3 lost 0",
        );
        check(9, "+1@200=1 +1@200=2 -1@200 -1@200", "2 none lost 0");
    }

    #[test]
    fn another_stack_of_the_task_says_nothing_about_this_one() {
        check(9, "+1@300=1 +1@8300=2 -1@8300 -1@300", "2 1 lost 0");
    }

    #[test]
    fn a_task_that_ends_leaves_room() {
        check(
            2,
            "+1@300=1 +1@200=2 x1 +2@300=3 +2@200=4 -1@200 -2@200",
            "none 4 lost 0",
        );
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        check(
            2,
            "+1@300=1 +1@200=2 +1@100=3 -1@100 -1@200 +1@100=4 -1@100",
            "none 2 4 lost 1",
        );
    }
}
