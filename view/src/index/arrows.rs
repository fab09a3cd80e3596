//! Wake-ups: who ended whose wait.

use rustc_hash::FxHashMap;

use super::column::Column;

/// Ways to be woken that have a name are no more than this.
const WAYS_MAX: usize = 1 << 15;

/// One wake-up.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// When.
    pub at: u64,
    /// Row of who woke.
    pub from: u32,
    /// Row of who was woken.
    pub to: u32,
    /// By what.
    pub via: u16,
}

/// All wake-ups, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Arrows {
    /// When.
    pub times: Column<u64>,
    /// Rows of who woke.
    pub from: Column<u32>,
    /// Rows of who was woken.
    pub to: Column<u32>,
    /// By what, of the ways.
    pub via: Column<u16>,
}

impl Arrows {
    /// Adds one.
    pub fn push(&mut self, arrow: &Arrow) {
        let at = arrow.at.max(self.times.last().copied().unwrap_or(0));
        self.times.push(at);
        self.from.push(arrow.from);
        self.to.push(arrow.to);
        self.via.push(arrow.via);
    }

    /// Those from `from` to `to`.
    pub fn within(&self, from: u64, to: u64) -> impl Iterator<Item = Arrow> + '_ {
        let first = self.times.partition_point(|at| *at < from);
        let last = self.times.partition_point(|at| *at < to);
        (first..last.max(first)).map(|index| self.nth(index))
    }

    /// The one that ended a wait of a row at that time.
    #[must_use]
    pub fn that_woke(&self, row: u32, at: u64) -> Option<Arrow> {
        let first = self.times.partition_point(|time| *time < at);
        let here = self.times[first..].iter().take_while(|time| **time == at);
        let found = here
            .zip(first..)
            .find(|(_, index)| self.to[*index] == row)?;
        Some(self.nth(found.1))
    }

    fn nth(&self, index: usize) -> Arrow {
        Arrow {
            at: self.times[index],
            from: self.from[index],
            to: self.to[index],
            via: self.via[index],
        }
    }
}

/// Names of the ways to be woken, by number.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    names: Vec<String>,
    numbers: FxHashMap<String, u16>,
}

impl Ways {
    /// Number of a way; of the first one when there are too many.
    pub fn number(&mut self, name: String) -> u16 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        if self.names.len() >= WAYS_MAX {
            return 0;
        }
        let number = u16::try_from(self.names.len()).unwrap_or(0);
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    /// All of them, by number.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}
