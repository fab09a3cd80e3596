//! The numbers of the events that pass a filter, however many they are.

/// Numbers that are kept; of more than these every second one is, or every fourth, and so on.
const KEPT_MAX: usize = 1 << 20;

/// Ascending numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    kept: Vec<u64>,
    shift: u32,
    total: u64,
}

impl Numbers {
    /// Adds one that is larger than all before.
    pub(super) fn push(&mut self, number: u64) {
        if self.total & ((1 << self.shift) - 1) == 0 {
            self.kept.push(number);
            if self.kept.len() > KEPT_MAX {
                let mut index = 0_usize;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.shift += 1;
            }
        }
        self.total += 1;
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// All of them, if all are kept.
    pub(super) fn all(&self) -> Option<&[u64]> {
        (self.shift == 0).then_some(self.kept.as_slice())
    }

    /// The last one kept that is not behind the `position`-th, with its own position.
    pub(super) fn near(&self, position: u64) -> Option<(u64, u64)> {
        let last = self.kept.len().checked_sub(1)?;
        let at = usize::try_from(position >> self.shift).map_or(last, |at| at.min(last));
        Some((self.kept[at], self.position(at)))
    }

    /// The last one kept that is smaller than `number`, with its position.
    pub(super) fn below(&self, number: u64) -> Option<(u64, u64)> {
        let at = self
            .kept
            .partition_point(|own| *own < number)
            .checked_sub(1)?;
        Some((self.kept[at], self.position(at)))
    }

    fn position(&self, at: usize) -> u64 {
        u64::try_from(at).unwrap_or(u64::MAX) << self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_numbers_than_can_be_kept_are_still_found() {
        let mut numbers = Numbers::default();
        let count = u64::try_from(KEPT_MAX).unwrap() * 5 + 3;
        for number in 0..count {
            numbers.push(number * 3);
        }
        assert_eq!((numbers.total(), numbers.all()), (count, None));
        for position in [0, 1, 7, 8, 9, 1 << 20, count - 1] {
            let (number, at) = numbers.near(position).unwrap();
            assert!(at <= position && position - at < 8 && number == at * 3);
        }
        assert_eq!(numbers.below(0), None);
        assert_eq!(numbers.below(25), Some((24, 8)));
        assert!(numbers.kept.len() <= KEPT_MAX);
    }
}
