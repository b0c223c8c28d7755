//! What a ledger counts about itself since it was opened: plain numbers, for whoever watches it.
//!
//! Relaxed atomics, so that counting costs nanoseconds; two numbers read one after the other may be a moment apart.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::decision::Outcome;

/// Bounds of a histogram; values beyond the last are counted without a bound.
const BOUNDS: usize = 18;

/// Counters and distributions of one open ledger.
#[derive(Debug)]
pub struct Measures {
    /// Intents sealed, by outcome, strictest first.
    outcomes: [AtomicU64; 5],
    /// Leaves in a frame.
    pub batch_entries: Histogram,
    /// The journal's write and sync of a frame, in microseconds.
    pub journal_us: Histogram,
    /// The facts of one intent and the rules about them, in microseconds.
    pub decide_us: Histogram,
    /// From an intent's admission to its answer, in microseconds.
    pub answer_us: Histogram,
    /// Journal bytes that no snapshot covers: what a restart replays.
    pub replay_bytes: AtomicU64,
}

/// How often values fell below each bound. Bounds double.
#[derive(Debug)]
pub struct Histogram {
    first: u64,
    counts: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// How many values were at most this, and above the bound before; `None` is the last, without a bound.
    pub counts: Vec<(Option<u64>, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            outcomes: Default::default(),
            batch_entries: Histogram::from(1),
            journal_us: Histogram::from(32),
            decide_us: Histogram::from(1),
            answer_us: Histogram::from(64),
            replay_bytes: AtomicU64::new(0),
        }
    }
}

impl Measures {
    /// Intents sealed, by outcome, strictest first.
    #[must_use]
    pub fn outcomes(&self) -> [(Outcome, u64); 5] {
        let all = [Outcome::Deny, Outcome::Defer, Outcome::Hold, Outcome::Modify, Outcome::Allow];
        let mut counts = self.outcomes.iter().map(|count| count.load(Ordering::Relaxed));
        all.map(|outcome| (outcome, counts.next().unwrap_or_default()))
    }

    pub(super) fn sealed(&self, outcome: Outcome) {
        let at = self.outcomes().iter().position(|(other, _)| *other == outcome);
        if let Some(count) = at.and_then(|at| self.outcomes.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Histogram {
    /// With bounds from `first` on, doubling.
    fn from(first: u64) -> Self {
        Self { first, counts: Default::default(), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub(super) fn observe(&self, value: u64) {
        let steps = value.saturating_sub(1) / self.first;
        let at = usize::try_from(u64::BITS - steps.leading_zeros()).unwrap_or(BOUNDS).min(BOUNDS);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let bounds = (0..BOUNDS).map(|step| Some(self.first << step)).chain([None]);
        let counts = bounds.zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)));
        Distribution { counts: counts.collect(), sum: self.sum.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_once_under_the_first_bound_that_is_not_below_it() {
        for first in [1, 32, 64] {
            for value in (0..5_000).chain([first << 17, (first << 17) + 1, u64::MAX]) {
                let histogram = Histogram::from(first);
                histogram.observe(value);
                let found = histogram.distribution();
                let at = found.counts.iter().position(|(_, count)| *count == 1).unwrap();
                assert_eq!(found.counts.iter().map(|(_, count)| count).sum::<u64>(), 1);
                let fits =
                    found.counts.iter().position(|(bound, _)| bound.is_none_or(|bound| value <= bound));
                assert_eq!(Some(at), fits, "{value} from {first}");
                assert_eq!(found.sum, value);
            }
        }
    }

    #[test]
    fn outcomes_are_counted_under_their_own_name() {
        let measures = Measures::default();
        let all = measures.outcomes().map(|(outcome, _)| outcome);
        for (times, outcome) in all.into_iter().enumerate() {
            (0..=times).for_each(|_| measures.sealed(outcome));
        }
        assert_eq!(measures.outcomes().map(|(_, count)| count), [1, 2, 3, 4, 5]);
    }
}
