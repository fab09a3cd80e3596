//! Stretches of a row, and how several that are too short to be seen become one.

use super::states::{StateId, States};

/// All of a piece's time.
pub const WHOLE: u16 = u16::MAX;

/// A stretch of a row: one state, or several in their proportion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First instant, in nanoseconds since the start of the trace.
    pub start: u64,
    /// First instant after it.
    pub end: u64,
    /// State that most of the busy time went to.
    pub busy: StateId,
    /// State that most of the other time went to.
    pub rest: StateId,
    /// Part of the time that was busy, of [`WHOLE`].
    pub part: u16,
}

impl Piece {
    /// A stretch of one state.
    #[must_use]
    pub fn of(start: u64, end: u64, state: StateId, states: &States) -> Self {
        Self {
            start,
            end,
            busy: state,
            rest: state,
            part: if states.kind(state).runs() { WHOLE } else { 0 },
        }
    }

    /// Its length in nanoseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// How many states of a group are told apart on each side.
const CANDIDATES: usize = 4;

/// The states that most of some time goes to: an exact count of the few that lead, by the Space-Saving rule (Metwally and
/// others, 2005). One with more than a fourth of the time is always among them.
#[derive(Clone, Copy, Debug, Default)]
struct Leaders {
    slots: [(StateId, u64); CANDIDATES],
    used: usize,
    sum: u64,
}

impl Leaders {
    fn add(&mut self, state: StateId, nanos: u64) {
        if nanos == 0 {
            return;
        }
        self.sum = self.sum.saturating_add(nanos);
        let used = &mut self.slots[..self.used];
        if let Some(slot) = used.iter_mut().find(|slot| slot.0 == state) {
            slot.1 = slot.1.saturating_add(nanos);
        } else if self.used < CANDIDATES {
            self.slots[self.used] = (state, nanos);
            self.used += 1;
        } else if let Some(least) = used.iter_mut().min_by_key(|slot| slot.1) {
            *least = (state, least.1.saturating_add(nanos));
        }
    }

    fn first(&self) -> Option<StateId> {
        let used = &self.slots[..self.used];
        used.iter().max_by_key(|slot| slot.1).map(|slot| slot.0)
    }
}

/// Puts short pieces together until a piece is as long as can be seen.
///
/// Of what it gives, no two pieces in a row are both shorter than the shortest that can be seen: at most two pieces for
/// each such length.
#[derive(Clone, Debug)]
pub struct Merger {
    /// Shortest length that can be seen, in nanoseconds.
    shortest: u64,
    group: Option<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    first: Piece,
    end: u64,
    count: usize,
    busy: Leaders,
    rest: Leaders,
}

impl Group {
    fn new(piece: Piece) -> Self {
        let mut group = Self {
            first: piece,
            end: piece.start,
            count: 0,
            busy: Leaders::default(),
            rest: Leaders::default(),
        };
        group.add(&piece);
        group
    }

    fn add(&mut self, piece: &Piece) {
        let length = piece.length();
        let busy = part_of(length, piece.part);
        self.busy.add(piece.busy, busy);
        self.rest.add(piece.rest, length - busy);
        self.end = self.end.max(piece.end);
        self.count += 1;
    }

    fn piece(&self) -> Piece {
        if self.count == 1 {
            return self.first;
        }
        let (busy, rest) = (self.busy.first(), self.rest.first());
        let all = u128::from(self.busy.sum) + u128::from(self.rest.sum);
        let part = u128::from(self.busy.sum) * u128::from(WHOLE);
        let part = u16::try_from(part.checked_div(all).unwrap_or(0)).unwrap_or(WHOLE);
        Piece {
            start: self.first.start,
            end: self.end,
            busy: busy.or(rest).unwrap_or(self.first.busy),
            rest: rest.or(busy).unwrap_or(self.first.rest),
            // Something that was busy is never drawn as nothing, nor the other way round.
            part: match (self.busy.sum, self.rest.sum) {
                (0, _) => 0,
                (_, 0) => WHOLE,
                _ => part.clamp(1, WHOLE - 1),
            },
        }
    }
}

/// What part of `length` is `part` of [`WHOLE`].
fn part_of(length: u64, part: u16) -> u64 {
    let busy = u128::from(length) * u128::from(part) / u128::from(WHOLE);
    u64::try_from(busy).unwrap_or(length)
}

impl Merger {
    /// Leaves pieces of that many nanoseconds and more as they are.
    #[must_use]
    pub fn new(shortest: u64) -> Self {
        Self {
            shortest,
            group: None,
        }
    }

    /// Takes the next piece; what is ready goes to `out`.
    pub fn push(&mut self, piece: Piece, mut out: impl FnMut(Piece)) {
        if piece.length() >= self.shortest {
            self.finish(&mut out);
            out(piece);
            return;
        }
        let group = match &mut self.group {
            Some(group) => {
                group.add(&piece);
                group
            }
            None => self.group.insert(Group::new(piece)),
        };
        if group.end.saturating_sub(group.first.start) >= self.shortest {
            self.finish(out);
        }
    }

    /// Gives what is left.
    pub fn finish(&mut self, mut out: impl FnMut(Piece)) {
        if let Some(group) = self.group.take() {
            out(group.piece());
        }
    }
}
