//! How exact the stamps are: what the guest's own RDTSCs gave against what was predicted for them.

use std::sync::atomic::{AtomicU64, Ordering};

use trace_format::Exactness;

/// Largest error that the table of errors tells apart, in ticks.
const ERROR_TICKS_MAX: usize = 4096;

/// Counts RDTSCs by the error of their prediction. CPUs that run in parallel share it.
#[derive(Debug)]
pub(crate) struct Audit {
    errors: Box<[AtomicU64]>,
    error_max: AtomicU64,
}

impl Audit {
    pub(crate) fn new() -> Self {
        Self {
            errors: (0..=ERROR_TICKS_MAX).map(|_| AtomicU64::new(0)).collect(),
            error_max: AtomicU64::new(0),
        }
    }

    /// An RDTSC gave `tsc` where `predicted` was expected.
    pub(crate) fn compare(&self, predicted: u64, tsc: u64) {
        let error = tsc.abs_diff(predicted);
        let index = usize::try_from(error).unwrap_or(usize::MAX);
        self.errors[index.min(ERROR_TICKS_MAX)].fetch_add(1, Ordering::Relaxed);
        self.error_max.fetch_max(error, Ordering::Relaxed);
    }

    /// The sums so far.
    pub(crate) fn exactness(&self) -> Exactness {
        let count = |errors: &AtomicU64| errors.load(Ordering::Relaxed);
        let compared: u64 = self.errors.iter().map(count).sum();
        let mut seen = 0;
        let within_p99 = self.errors.iter().position(|errors| {
            seen += count(errors);
            seen * 100 >= compared * 99
        });
        Exactness {
            compared,
            exact: count(&self.errors[0]),
            error_p99: within_p99.unwrap_or(0) as u64,
            error_max: count(&self.error_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_either_way_are_counted_and_the_largest_is_kept() {
        let audit = Audit::new();
        assert_eq!(audit.exactness(), Exactness::default());
        for (predicted, tsc) in [(80, 80), (90, 88), (100, 1_000_000)] {
            audit.compare(predicted, tsc);
        }
        let exactness = audit.exactness();
        assert_eq!((exactness.compared, exactness.exact), (3, 1));
        assert_eq!((exactness.error_p99, exactness.error_max), (4096, 999_900));
    }
}
