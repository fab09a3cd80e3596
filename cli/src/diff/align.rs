//! Aligns the events of two traces thread by thread, in bounded memory.
//!
//! A thread's events come in an order of their own, whatever other threads do between them: so two runs whose
//! threads took turns in another way still match event by event. What is alike at the same time is paired first, then
//! what is alike; between two such pairs, events of the same name are the same event with other fields. What cannot be
//! paired is in one trace only.
//!
//! Bounds: so many events wait for their counterpart at most, of a thread and of all; so many differences are looked
//! for at once. Where a bound was hit there may be a better alignment, and it is said.

use std::collections::{BTreeMap, VecDeque};

/// Events of a thread that are aligned at once.
const WINDOW_EVENTS: usize = 1000;
/// Events that wait of all threads, and their bytes.
const WAITING_EVENTS_MAX: usize = 200_000;
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Differences between two anchors that are looked for.
const EDITS_MAX: usize = 1200;

/// An event as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Thread, or a number beyond all threads for what is of none.
    pub(super) thread: u64,
    pub(super) tsc: u64,
    /// Its name.
    pub(super) name: String,
    /// What it says besides its time, place and thread.
    pub(super) content: String,
    /// As it is shown.
    pub(super) line: String,
}

impl Event {
    fn bytes(&self) -> usize {
        self.name.len() + self.content.len() + self.line.len()
    }
}

/// What became of one or two events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Both have it, at another time: so many ticks later in B.
    Moved(Event, Event),
    /// Both have it, with other fields.
    Changed(Event, Event),
    OnlyA(Event),
    OnlyB(Event),
}

/// Which trace an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    A,
    B,
}

/// Whether a thread may have events that were not pushed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HasMore {
    Maybe,
    No,
}

/// Aligns what is pushed.
#[derive(Debug, Default)]
pub(super) struct Aligner {
    threads: BTreeMap<u64, Waiting>,
    waiting_events: usize,
    waiting_bytes: usize,
    /// Events that both have at the same time.
    pub(super) same: u64,
    /// Whether a bound was hit.
    pub(super) is_bounded: bool,
}

/// Events of one thread that wait for their counterpart.
#[derive(Debug, Default)]
struct Waiting {
    a: VecDeque<Event>,
    b: VecDeque<Event>,
}

impl Aligner {
    /// Takes the next event of a trace; `tell` hears what it settles.
    pub(super) fn push(&mut self, of: Of, event: Event, tell: &mut impl FnMut(Change)) {
        let thread = event.thread;
        self.waiting_events += 1;
        self.waiting_bytes += event.bytes();
        let waiting = self.threads.entry(thread).or_default();
        match of {
            Of::A => waiting.a.push_back(event),
            Of::B => waiting.b.push_back(event),
        }
        self.pair_heads(thread, tell);
        let Some(waiting) = self.threads.get(&thread) else {
            return;
        };
        if waiting.a.len() >= WINDOW_EVENTS && waiting.b.len() >= WINDOW_EVENTS {
            self.align(thread, HasMore::Maybe, tell);
            self.pair_heads(thread, tell);
        }
        while self.waiting_events > WAITING_EVENTS_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            self.is_bounded = true;
            let longest = self.threads.iter().max_by_key(|(_, waiting)| waiting.len());
            let Some(thread) = longest.map(|(thread, _)| *thread) else {
                return;
            };
            self.align(thread, HasMore::Maybe, tell);
            self.pair_heads(thread, tell);
        }
    }

    /// Settles all that waits.
    pub(super) fn finish(&mut self, tell: &mut impl FnMut(Change)) {
        while let Some(thread) = self.threads.keys().next().copied() {
            self.align(thread, HasMore::No, tell);
            self.pair_heads(thread, tell);
        }
    }

    /// Pairs the first events of a thread as long as they are alike.
    fn pair_heads(&mut self, thread: u64, tell: &mut impl FnMut(Change)) {
        let Some(waiting) = self.threads.get_mut(&thread) else {
            return;
        };
        while let (Some(a), Some(b)) = (waiting.a.front(), waiting.b.front())
            && a.content == b.content
        {
            let (Some(a), Some(b)) = (waiting.a.pop_front(), waiting.b.pop_front()) else {
                break;
            };
            self.waiting_events -= 2;
            self.waiting_bytes -= a.bytes() + b.bytes();
            if a.tsc == b.tsc {
                self.same += 1;
            } else {
                tell(Change::Moved(a, b));
            }
        }
        if waiting.len() == 0 {
            self.threads.remove(&thread);
        }
    }

    /// Settles the first window of a thread, up to the last pair in it.
    fn align(&mut self, thread: u64, has_more: HasMore, tell: &mut impl FnMut(Change)) {
        let Some(waiting) = self.threads.get_mut(&thread) else {
            return;
        };
        let window = |events: &mut VecDeque<Event>| {
            let count = events.len().min(WINDOW_EVENTS);
            let more = events.len() > count;
            (events.drain(..count).collect::<Vec<Event>>(), more)
        };
        let ((a, more_a), (b, more_b)) = (window(&mut waiting.a), window(&mut waiting.b));
        let more = more_a || more_b || has_more == HasMore::Maybe;
        let anchors = same_instants(&a, &b);
        let (pairs, is_bounded) = match anchors.last() {
            // What is behind the last of them has its counterpart among what is still to come.
            Some((at_a, at_b)) if more => between(&anchors, &a[..=*at_a], &b[..=*at_b]),
            _ => between(&anchors, &a, &b),
        };
        self.is_bounded |= is_bounded;
        // Behind the last pair more may match what is still to come.
        let (keep_a, keep_b) = match (pairs.last(), a.last(), b.last()) {
            (Some((at_a, at_b)), _, _) if more => (at_a + 1, at_b + 1),
            // Nothing is alike: what is later than all of the other may yet be.
            (None, Some(last_a), Some(last_b)) if more => {
                let until = last_a.tsc.min(last_b.tsc);
                let count = |events: &[Event]| events.partition_point(|event| event.tsc <= until);
                (count(&a), count(&b))
            }
            _ => (a.len(), b.len()),
        };
        let mut settled = |event: &Event| {
            self.waiting_events -= 1;
            self.waiting_bytes -= event.bytes();
        };
        a.iter().take(keep_a).for_each(&mut settled);
        b.iter().take(keep_b).for_each(&mut settled);
        let (mut at_a, mut at_b) = (0, 0);
        for (next_a, next_b) in pairs.iter().copied().chain([(keep_a, keep_b)]) {
            let bounded = tell_between(&a[at_a..next_a], &b[at_b..next_b], tell);
            self.is_bounded |= bounded;
            if let (Some(a), Some(b)) = (a.get(next_a), b.get(next_b))
                && next_a < keep_a
            {
                if a.tsc == b.tsc {
                    self.same += 1;
                } else {
                    tell(Change::Moved(a.clone(), b.clone()));
                }
            }
            (at_a, at_b) = (next_a + 1, next_b + 1);
        }
        for (queue, rest, keep) in [(&mut waiting.a, a, keep_a), (&mut waiting.b, b, keep_b)] {
            for event in rest.into_iter().skip(keep).rev() {
                queue.push_front(event);
            }
        }
        if waiting.len() == 0 {
            self.threads.remove(&thread);
        }
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.a.len() + self.b.len()
    }
}

/// Tells of events between two that are alike; whether a bound was hit.
fn tell_between(a: &[Event], b: &[Event], tell: &mut impl FnMut(Change)) -> bool {
    let (pairs, is_bounded) = common(a, b, |a, b| a.name == b.name);
    let (mut at_a, mut at_b) = (0, 0);
    for (next_a, next_b) in pairs.into_iter().chain([(a.len(), b.len())]) {
        for event in &a[at_a..next_a] {
            tell(Change::OnlyA(event.clone()));
        }
        for event in &b[at_b..next_b] {
            tell(Change::OnlyB(event.clone()));
        }
        if let (Some(a), Some(b)) = (a.get(next_a), b.get(next_b)) {
            tell(Change::Changed(a.clone(), b.clone()));
        }
        (at_a, at_b) = (next_a + 1, next_b + 1);
    }
    is_bounded
}

/// Positions of events that are alike and have a time that only they have, in ascending order.
fn same_instants(a: &[Event], b: &[Event]) -> Vec<(usize, usize)> {
    let is_alone = |events: &[Event], at: usize| {
        let tsc = events.get(at).map(|event| event.tsc);
        let before = at.checked_sub(1).and_then(|at| events.get(at));
        let others = [before, events.get(at + 1)];
        !others
            .into_iter()
            .flatten()
            .any(|other| Some(other.tsc) == tsc)
    };
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut at_b = 0;
    for (at_a, event) in a.iter().enumerate() {
        while b.get(at_b).is_some_and(|other| other.tsc < event.tsc) {
            at_b += 1;
        }
        let is_same = b
            .get(at_b)
            .is_some_and(|other| (other.tsc, &other.content) == (event.tsc, &event.content));
        if is_same && is_alone(a, at_a) && is_alone(b, at_b) {
            pairs.push((at_a, at_b));
            at_b += 1;
        }
    }
    pairs
}

/// The anchors, and what is alike between them; whether a bound was hit.
fn between(anchors: &[(usize, usize)], a: &[Event], b: &[Event]) -> (Vec<(usize, usize)>, bool) {
    let (mut pairs, mut is_bounded) = (Vec::new(), false);
    let (mut from_a, mut from_b) = (0, 0);
    for (at_a, at_b) in anchors.iter().copied().chain([(a.len(), b.len())]) {
        let (part_a, part_b) = (&a[from_a..at_a], &b[from_b..at_b]);
        let (found, bounded) = common(part_a, part_b, |a, b| a.content == b.content);
        is_bounded |= bounded;
        pairs.extend(found.into_iter().map(|(a, b)| (from_a + a, from_b + b)));
        if at_a < a.len() {
            pairs.push((at_a, at_b));
        }
        (from_a, from_b) = (at_a + 1, at_b + 1);
    }
    (pairs, is_bounded)
}

/// Positions of what two lists have in common in the same order, by Myers' algorithm: fewest events are left over.
///
/// The second value says that there were more differences than are looked for: then only a beginning is paired.
fn common(
    a: &[Event],
    b: &[Event],
    is_same: impl Fn(&Event, &Event) -> bool,
) -> (Vec<(usize, usize)>, bool) {
    // `furthest[k]` is how far in `a` the diagonal `k` (of `a` less `b`, plus an offset) was followed.
    let most = EDITS_MAX.min(a.len() + b.len());
    let offset = most + 1;
    let mut furthest = vec![0usize; 2 * offset + 1];
    let mut history: Vec<Vec<usize>> = Vec::new();
    let mut best = (0, offset, 0);
    for edits in 0..=most {
        history.push(furthest.clone());
        for diagonal in (offset - edits..=offset + edits).step_by(2) {
            let down = diagonal == offset - edits
                || (diagonal != offset + edits && furthest[diagonal - 1] < furthest[diagonal + 1]);
            let mut at_a = if down {
                furthest[diagonal + 1]
            } else {
                furthest[diagonal - 1] + 1
            };
            // On this diagonal `at_b` is `at_a + offset - diagonal`.
            let Some(mut at_b) = (at_a + offset).checked_sub(diagonal) else {
                continue;
            };
            while at_a < a.len() && at_b < b.len() && is_same(&a[at_a], &b[at_b]) {
                (at_a, at_b) = (at_a + 1, at_b + 1);
            }
            furthest[diagonal] = at_a;
            if at_a <= a.len() && at_b <= b.len() && at_a + at_b > best.2 {
                best = (edits, diagonal, at_a + at_b);
            }
            if at_a >= a.len() && at_b >= b.len() {
                return (walk_back(&history, (edits, diagonal), at_a, offset), false);
            }
        }
    }
    let (edits, diagonal, _) = best;
    let at_a = (best.2 + diagonal).saturating_sub(offset) / 2;
    (walk_back(&history, (edits, diagonal), at_a, offset), true)
}

/// The pairs on the way to a place.
fn walk_back(
    history: &[Vec<usize>],
    (edits, mut diagonal): (usize, usize),
    mut at_a: usize,
    offset: usize,
) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for edits in (0..=edits).rev() {
        let Some(furthest) = history.get(edits) else {
            break;
        };
        let down = diagonal == offset - edits
            || (diagonal != offset + edits && furthest[diagonal - 1] < furthest[diagonal + 1]);
        let (before, start) = if edits == 0 {
            (diagonal, 0)
        } else if down {
            (diagonal + 1, furthest[diagonal + 1])
        } else {
            (diagonal - 1, furthest[diagonal - 1] + 1)
        };
        while at_a > start {
            at_a -= 1;
            pairs.push((at_a, at_a + offset - diagonal));
        }
        if edits > 0 {
            at_a = furthest[before];
            diagonal = before;
        }
    }
    pairs.reverse();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a b` are events of thread 1, `2:a` one of thread 2, `a=3` has a field; `@` shifts all that follow by a tick.
    fn events(script: &str) -> Vec<Event> {
        let mut shift = 0;
        let mut events = Vec::new();
        for word in script.split_whitespace() {
            if word == "@" {
                shift += 1000;
                continue;
            }
            let (thread, content) = word.split_once(':').unwrap_or(("1", word));
            events.push(Event {
                thread: thread.parse().unwrap(),
                tsc: shift,
                name: content.split('=').next().unwrap().to_owned(),
                content: content.to_owned(),
                line: word.to_owned(),
            });
        }
        events
    }

    fn told(a: &[Event], b: &[Event]) -> (u64, Vec<String>, bool) {
        let mut aligner = Aligner::default();
        let mut changes = Vec::new();
        let mut tell = |change| {
            changes.push(match change {
                Change::Moved(a, _) => format!("~{}", a.line),
                Change::Changed(a, b) => format!("{}>{}", a.line, b.line),
                Change::OnlyA(event) => format!("-{}", event.line),
                Change::OnlyB(event) => format!("+{}", event.line),
            });
        };
        let (mut a, mut b) = (a.iter(), b.iter());
        loop {
            let (next_a, next_b) = (a.next(), b.next());
            for (of, event) in [(Of::A, next_a), (Of::B, next_b)] {
                if let Some(event) = event {
                    aligner.push(of, event.clone(), &mut tell);
                }
            }
            if next_a.is_none() && next_b.is_none() {
                break;
            }
        }
        aligner.finish(&mut tell);
        assert_eq!((aligner.waiting_events, aligner.waiting_bytes), (0, 0));
        (aligner.same, changes, aligner.is_bounded)
    }

    #[track_caller]
    fn check(a: &str, b: &str, same: u64, changes: &str) {
        let found = told(&events(a), &events(b));
        assert_eq!(
            (found.0, found.1.join(" "), found.2),
            (same, changes.to_owned(), false)
        );
    }

    #[test]
    fn what_is_alike_is_paired() {
        check("a b c", "a b c", 3, "");
        check("a b c", "a c", 2, "-b");
        check("a c", "a b c", 2, "+b");
        check("a b=1 c", "a b=2 c", 2, "b=1>b=2");
        check("a @ b c", "a b c", 1, "~b ~c");
        check("a b c d e", "x b c e", 3, "-a +x -d");
        check("", "a", 0, "+a");
        check("a", "", 0, "-a");
        check("", "", 0, "");
    }

    #[test]
    fn threads_that_take_turns_in_another_way_still_match() {
        check("1:a 2:x 1:b 2:y", "2:x 2:y 1:a 1:b", 4, "");
        check("1:a 2:x 1:b 2:y", "2:x 1:a 1:b 2:z", 3, "-2:y +2:z");
    }

    #[test]
    fn long_traces_are_aligned_in_windows() {
        let long = |skip: usize| -> String {
            let words = (0..5000)
                .filter(|n| *n != skip)
                .map(|n| format!("e{} ", n % 97));
            words.collect()
        };
        check(&long(9999), &long(2500), 4999, &format!("-e{}", 2500 % 97));
        // Nothing in common at all: said to be so, within the bounds.
        let other: String = (0..5000).map(|n| format!("f{n} ")).collect();
        let (same, changes, is_bounded) = told(&events(&long(9999)), &events(&other));
        assert_eq!((same, changes.len(), is_bounded), (0, 10_000, true));
    }

    #[test]
    fn a_trace_of_fewer_events_lacks_just_these() {
        // Also where a window has nothing but what the other lacks.
        for (count, period) in [(10, 7), (1300, 7), (2300, 7), (9000, 7), (9000, 4000)] {
            let is_kept = |n: &u64| n % period < 3;
            let at = |n: u64| Event {
                thread: 1,
                tsc: n,
                name: "e".to_owned(),
                content: format!("{}", if is_kept(&n) { n % 3 } else { 7 }),
                line: String::new(),
            };
            let all: Vec<Event> = (0..count).map(at).collect();
            let few: Vec<Event> = (0..count).filter(is_kept).map(at).collect();
            let (same, changes, is_bounded) = told(&all, &few);
            assert_eq!(same, few.len() as u64, "{count} {period}");
            assert_eq!((changes.len(), is_bounded), (all.len() - few.len(), false));
        }
    }

    #[test]
    fn fewest_events_are_left_over() {
        // The longest common part by the textbook, for all short words.
        let words = |bits: u32| -> String {
            (0..6)
                .map(|at| if bits >> at & 1 == 0 { "a " } else { "b " })
                .collect()
        };
        for (x, y) in (0..64).flat_map(|x| (0..64).map(move |y| (x, y))) {
            let (a, b) = (events(&words(x)), events(&words(y)));
            let mut table = vec![vec![0u64; b.len() + 1]; a.len() + 1];
            for (i, one) in a.iter().enumerate() {
                for (j, other) in b.iter().enumerate() {
                    table[i + 1][j + 1] = if one.content == other.content {
                        table[i][j] + 1
                    } else {
                        table[i][j + 1].max(table[i + 1][j])
                    };
                }
            }
            let (pairs, is_bounded) = common(&a, &b, |a, b| a.content == b.content);
            assert!(!is_bounded);
            assert_eq!(pairs.len() as u64, table[a.len()][b.len()], "{x} {y}");
            assert!(pairs.iter().all(|(i, j)| a[*i].content == b[*j].content));
            assert!(pairs.is_sorted_by(|one, other| one.0 < other.0 && one.1 < other.1));
        }
    }
}
