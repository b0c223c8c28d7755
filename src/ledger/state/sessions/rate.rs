//! How many calls were decided lately.

use serde::{Deserialize, Serialize};

use crate::record::time::Timestamp;

/// The width of a bucket, in milliseconds.
const STEP_MS: i64 = 10_000;
/// One more than a minute has: what is counted is never less than the last sixty seconds, and at most the last seventy.
const BUCKETS: usize = 7;

/// Calls in the last buckets of ten seconds, by the entries' own times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rate {
    /// The number of the newest bucket since 1970.
    newest: i64,
    /// The newest first.
    counts: [u32; BUCKETS],
}

fn bucket(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(STEP_MS)
}

impl Rate {
    pub(super) fn add(&mut self, at: Timestamp, calls: u32) {
        // Times never step back in the log.
        let now = bucket(at).max(self.newest);
        let passed = usize::try_from(now.saturating_sub(self.newest)).unwrap_or(BUCKETS).min(BUCKETS);
        self.counts.rotate_right(passed);
        self.counts.iter_mut().take(passed).for_each(|count| *count = 0);
        self.newest = now;
        if let Some(count) = self.counts.first_mut() {
            *count = count.saturating_add(calls);
        }
    }

    /// Calls up to that time.
    pub(super) fn lately(&self, at: Timestamp) -> u32 {
        let passed = usize::try_from(bucket(at).saturating_sub(self.newest)).unwrap_or(0).min(BUCKETS);
        self.counts.iter().take(BUCKETS - passed).fold(0, |sum: u32, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_counted_is_the_last_minute_and_at_most_ten_seconds_more(
            steps in prop::collection::vec((0i64..25_000, 0u32..9), 1..40),
        ) {
            let (mut rate, mut now, mut all) = (Rate::default(), 1_800_000_000_000, Vec::new());
            for (passed, calls) in steps {
                now += passed;
                let at = Timestamp::from_millis(now).unwrap();
                let within = |span: i64| all.iter().filter(|(t, _)| now - t < span).map(|(_, n)| n).sum::<u32>();
                let lately = rate.lately(at);
                prop_assert!(within(60_000) <= lately && lately <= within(70_000), "{lately}");
                rate.add(at, calls);
                all.push((now, calls));
            }
        }
    }
}
