//! What one row does, at every scale.
//!
//! The finest level has every state. Each coarser one has the pieces of the one before it, put together until none is shorter
//! than eight times as much. A question is answered from the coarsest level that is fine enough, so its cost depends on
//! the number of pixels and not on that of events.
//!
//! Invariant: a level's pieces follow one another without gaps, and end at or before those of the next finer level.

use super::column::Column;
use super::kind::{KIND_COUNT, Kind};
use super::piece::{Merger, Piece};
use super::states::{StateId, States};

/// Shortest piece of the first coarse level, in nanoseconds: a screen of the finest level is then less than two seconds of
/// a machine, whose spans are put together in some milliseconds.
const FIRST_SHORTEST: u64 = 1 << 19;
/// From level to level, pieces are longer by this.
const STEP_BITS: u32 = 3;
/// Levels beyond this would be longer than 2^55 ns.
const LEVELS_MAX: usize = 13;
/// Spans between two running totals.
const SUMS_STRIDE: usize = 256;

/// Time of each kind, in nanoseconds.
pub type Sums = [u64; KIND_COUNT];

/// What a row does.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Starts of spans; each ends where the next one starts.
    pub starts: Column<u64>,
    /// Their states.
    pub states: Column<StateId>,
    /// Running totals before every [`SUMS_STRIDE`]th span, one kind after the other.
    pub totals: Column<u64>,
    /// Coarser and coarser.
    pub levels: Vec<Level>,
    /// Where the last span ends.
    pub end: u64,
    /// Time of each kind.
    pub sums: Sums,
}

/// A row's pieces of some length and more.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// Starts; each piece ends where the next one starts.
    pub starts: Column<u64>,
    /// States of most of the busy time.
    pub busy: Column<StateId>,
    /// States of most of the other time.
    pub rest: Column<StateId>,
    /// Busy parts.
    pub parts: Column<u16>,
    /// Where the last piece ends.
    pub end: u64,
    merger: Option<Merger>,
}

fn shortest(level: usize) -> u64 {
    let bits = u32::try_from(level)
        .unwrap_or(u32::MAX)
        .saturating_mul(STEP_BITS);
    FIRST_SHORTEST.checked_shl(bits).unwrap_or(u64::MAX)
}

impl Level {
    /// One that is complete: starts, then busy states, other states and busy parts.
    #[must_use]
    pub fn of(starts: Column<u64>, [busy, rest, parts]: [Column<u16>; 3], end: u64) -> Self {
        Self {
            starts,
            busy,
            rest,
            parts,
            end,
            merger: None,
        }
    }

    fn push(&mut self, piece: Piece) {
        self.starts.push(piece.start);
        self.busy.push(piece.busy);
        self.rest.push(piece.rest);
        self.parts.push(piece.part);
        self.end = piece.end;
    }

    /// The piece at that position.
    fn piece(&self, index: usize) -> Option<Piece> {
        Some(Piece {
            start: *self.starts.get(index)?,
            end: self.starts.get(index + 1).copied().unwrap_or(self.end),
            busy: *self.busy.get(index)?,
            rest: *self.rest.get(index)?,
            part: *self.parts.get(index)?,
        })
    }
}

impl Timeline {
    /// Adds a state at the end. What overlaps what is there is cut off; what is between is nothing.
    pub fn push(&mut self, start: u64, end: u64, state: StateId, states: &States) {
        let start = start.max(self.end);
        if end <= start {
            return;
        }
        if start > self.end {
            self.append(self.end, start, States::plain(Kind::Nothing), states);
        }
        self.append(start, end, state, states);
    }

    fn append(&mut self, start: u64, end: u64, state: StateId, states: &States) {
        if self.starts.len().is_multiple_of(SUMS_STRIDE) {
            for sum in self.sums {
                self.totals.push(sum);
            }
        }
        self.starts.push(start);
        self.states.push(state);
        self.end = end;
        self.sums[usize::from(states.kind(state).number())] += end - start;
        self.lift(0, Piece::of(start, end, state, states));
    }

    /// Hands a piece to a level, and what becomes of it to the one above.
    fn lift(&mut self, level: usize, piece: Piece) {
        if level == LEVELS_MAX {
            return;
        }
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let own = &mut self.levels[level];
        // A piece that is longer than anything the merger holds gives two.
        let mut ready = [None; 2];
        let mut count = 0;
        let merger = own
            .merger
            .get_or_insert_with(|| Merger::new(shortest(level)));
        merger.push(piece, |piece| {
            ready[count] = Some(piece);
            count += 1;
        });
        for piece in ready.into_iter().flatten() {
            self.levels[level].push(piece);
            self.lift(level + 1, piece);
        }
    }

    /// What it does from `from` to `to`, nothing shorter than `nanos` apart from its neighbours; `open` is what it does
    /// since its last span, up to some time.
    pub fn pieces(
        &self,
        (from, to): (u64, u64),
        nanos: u64,
        open: Option<(StateId, u64)>,
        states: &States,
        mut out: impl FnMut(Piece),
    ) {
        let mut merger = Merger::new(nanos);
        let coarsest = (0..self.levels.len())
            .take_while(|level| shortest(*level) <= nanos)
            .count();
        // What the coarser levels have not put together yet is still in the finer ones.
        let mut at = from;
        for level in self.levels[..coarsest].iter().rev() {
            let first = before(&level.starts, at);
            for index in first.. {
                match level.piece(index) {
                    Some(piece) if piece.start < to => {
                        if piece.end > at || piece.end == piece.start {
                            merger.push(piece, &mut out);
                        }
                    }
                    _ => break,
                }
            }
            at = at.max(level.end);
        }
        if at < to {
            let first = before(&self.starts, at);
            for index in first..self.starts.len() {
                let (start, end, state) = self.span(index);
                if start >= to {
                    break;
                }
                if end > at {
                    merger.push(Piece::of(start, end, state, states), &mut out);
                }
            }
        }
        if let Some((state, end)) = open
            && end > self.end
            && self.end < to
        {
            merger.push(Piece::of(self.end, end, state, states), &mut out);
        }
        merger.finish(&mut out);
    }

    /// Start, end and state of a span.
    fn span(&self, index: usize) -> (u64, u64, StateId) {
        let end = self.starts.get(index + 1).copied().unwrap_or(self.end);
        (self.starts[index], end, self.states[index])
    }

    /// The span at that time.
    #[must_use]
    pub fn at(&self, at: u64) -> Option<(u64, u64, StateId)> {
        let index = self.index_at(at)?;
        let span = self.span(index);
        (at < span.1).then_some(span)
    }

    fn index_at(&self, at: u64) -> Option<usize> {
        self.starts
            .partition_point(|start| *start <= at)
            .checked_sub(1)
    }

    /// Start of the first span behind that time.
    #[must_use]
    pub fn next_start(&self, at: u64) -> Option<u64> {
        let next = self.starts.partition_point(|start| *start <= at);
        self.starts.get(next).copied()
    }

    /// Start of the last span before that time.
    #[must_use]
    pub fn previous_start(&self, at: u64) -> Option<u64> {
        let next = self.starts.partition_point(|start| *start < at);
        self.starts.get(next.checked_sub(1)?).copied()
    }

    /// Time of each kind from `from` to `to`, and how many spans begin in it.
    #[must_use]
    pub fn sums_of(&self, (from, to): (u64, u64), states: &States) -> (Sums, u64) {
        let mut sums = self.sums_up_to(to.max(from), states);
        for (sum, before) in sums.iter_mut().zip(self.sums_up_to(from, states)) {
            *sum = sum.saturating_sub(before);
        }
        let begun = |at: u64| self.starts.partition_point(|start| *start < at);
        let count = begun(to).saturating_sub(begun(from));
        (sums, u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn sums_up_to(&self, at: u64, states: &States) -> Sums {
        let mut sums = [0; KIND_COUNT];
        if at >= self.end {
            return self.sums;
        }
        let Some(last) = self.index_at(at) else {
            return sums;
        };
        let stride = last / SUMS_STRIDE;
        let totals = self.totals.iter().skip(stride * KIND_COUNT);
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = *total;
        }
        for index in stride * SUMS_STRIDE..=last {
            let (start, end, state) = self.span(index);
            let nanos = end.min(at).saturating_sub(start);
            sums[usize::from(states.kind(state).number())] += nanos;
        }
        sums
    }
}

/// Position of the piece that holds `at`, or of the first one.
fn before(starts: &[u64], at: u64) -> usize {
    starts
        .partition_point(|start| *start <= at)
        .saturating_sub(1)
}
