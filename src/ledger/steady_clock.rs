//! The machine's clock, held against one that cannot be set.
//!
//! A leaf's time cannot be taken back: after one step ahead, sealed, a clock that is put right again would stand behind
//! the log until the wrong time has come. So wall time that runs ahead of the time that has really passed is not
//! stamped with until it has proved itself by running on; a clock that is put right before that has done no harm.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::error::LedgerError;
use crate::record::limits;
use crate::record::time::Timestamp;

/// Two readings further apart than this are not of one moment: the thread was stopped in between.
const APART_MAX: Duration = Duration::from_millis(100);

/// A clock that notices its own steps. Look at it at least every few seconds, so that what adds up is not taken for a
/// step.
#[derive(Debug)]
pub(super) struct SteadyClock {
    clock: Arc<dyn Clock>,
    believed: Mutex<Believed>,
}

#[derive(Debug)]
struct Believed {
    /// The last reading that was believed.
    last: Reading,
    /// The first one of a line ahead of it, that is waited for.
    ahead: Option<Ahead>,
}

#[derive(Debug)]
struct Ahead {
    first: Reading,
    wait_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    passed: Duration,
}

impl Reading {
    fn of(clock: &dyn Clock) -> Self {
        loop {
            let before = clock.elapsed();
            let wall = clock.now();
            let passed = clock.elapsed();
            if passed.saturating_sub(before) <= APART_MAX {
                return Self { wall, passed };
            }
        }
    }

    fn passed_since_ms(&self, earlier: &Self) -> i64 {
        let passed = self.passed.saturating_sub(earlier.passed);
        i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
    }

    /// By how many milliseconds the wall clock has gained since another reading.
    fn gained_ms(&self, earlier: &Self) -> i64 {
        self.wall.millis_since(earlier.wall).saturating_sub(self.passed_since_ms(earlier))
    }
}

impl SteadyClock {
    /// Believes the clock as it stands now: who starts the service vouches for it.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let last = Reading::of(&*clock);
        Self { clock, believed: Mutex::new(Believed { last, ahead: None }) }
    }

    /// The wall clock, believed or not.
    pub(super) fn wall(&self) -> Timestamp {
        self.clock.now()
    }

    /// Now, if it is believed. A step back is: it shows against the last leaf, where it matters.
    ///
    /// # Errors
    /// [`LedgerError::ClockAhead`]
    pub(super) fn now(&self) -> Result<Timestamp, LedgerError> {
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        let here = Reading::of(&*self.clock);
        let ahead_ms = here.gained_ms(&believed.last);
        if ahead_ms <= limits::CLOCK_STEP_MAX_MS {
            *believed = Believed { last: here, ahead: None };
            return Ok(here.wall);
        }
        // As long as a wrong step would stop the service, and at most so long, a right one does.
        let on_one_line = |ahead: &&Ahead| here.gained_ms(&ahead.first).abs() <= limits::CLOCK_STEP_MAX_MS;
        let wait_ms = match believed.ahead.as_ref().filter(on_one_line) {
            Some(ahead) => ahead.wait_ms.saturating_sub(here.passed_since_ms(&ahead.first)),
            None => {
                let wait_ms = ahead_ms.min(limits::CLOCK_CONFIRM_MAX_MS);
                believed.ahead = Some(Ahead { first: here, wait_ms });
                wait_ms
            }
        };
        if wait_ms > 0 {
            return Err(LedgerError::ClockAhead { ahead_ms, wait_ms });
        }
        *believed = Believed { last: here, ahead: None };
        Ok(here.wall)
    }

    /// The time of what is sealed next: now, or the last leaf's time where now is slightly behind it.
    ///
    /// # Errors
    /// [`LedgerError::ClockAhead`], [`LedgerError::ClockBehind`].
    pub(super) fn stamp(&self, last: Option<Timestamp>) -> Result<Timestamp, LedgerError> {
        let now = self.now()?;
        match last {
            Some(last) if last.millis_since(now) > limits::CLOCK_STEP_MAX_MS => {
                Err(LedgerError::ClockBehind(last.millis_since(now)))
            }
            Some(last) => Ok(now.max(last)),
            None => Ok(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Hands {
        wall_ms: AtomicI64,
        passed_ms: AtomicI64,
    }

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_800_000_000_000 + self.wall_ms.load(Ordering::SeqCst)).unwrap()
        }

        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.passed_ms.load(Ordering::SeqCst).try_into().unwrap())
        }
    }

    impl Hands {
        fn step(&self, ms: i64) {
            self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        }

        fn pass(&self, ms: i64) {
            self.step(ms);
            self.passed_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }

    const DAY_MS: i64 = 86_400_000;

    fn steady() -> (Arc<Hands>, SteadyClock) {
        let hands = Arc::new(Hands::default());
        (hands.clone(), SteadyClock::new(hands))
    }

    #[test]
    fn a_step_ahead_and_back_stamps_nothing_and_stops_nothing() {
        let (hands, clock) = steady();
        let last = clock.stamp(None).unwrap();
        hands.step(DAY_MS);
        for _ in 0..4 {
            hands.pass(60_000);
            let refused = clock.stamp(Some(last));
            assert!(matches!(refused, Err(LedgerError::ClockAhead { .. })), "{refused:?}");
        }
        hands.step(-DAY_MS);
        assert_eq!(clock.stamp(Some(last)).unwrap().millis_since(last), 240_000);
    }

    #[test]
    fn a_step_ahead_that_stays_is_believed_after_its_own_length_or_five_minutes() {
        for (step, wait) in [(2_001, 2_001), (90_000, 90_000), (DAY_MS, 300_000)] {
            let (hands, clock) = steady();
            hands.step(step);
            assert!(clock.now().is_err());
            hands.pass(wait - 1);
            match clock.now() {
                Err(LedgerError::ClockAhead { ahead_ms, wait_ms }) => {
                    assert_eq!((ahead_ms, wait_ms), (step, 1));
                }
                other => panic!("{other:?}"),
            }
            hands.pass(1);
            clock.now().unwrap();
        }
    }

    #[test]
    fn another_step_while_waiting_begins_the_wait_anew() {
        let (hands, clock) = steady();
        hands.step(DAY_MS);
        assert!(clock.now().is_err());
        hands.pass(299_000);
        hands.step(60_000);
        assert!(clock.now().is_err());
        hands.pass(299_000);
        assert!(clock.now().is_err());
        hands.pass(1_000);
        clock.now().unwrap();
    }

    #[test]
    fn a_clock_that_is_slewed_or_steps_within_the_limit_is_believed_at_once() {
        let (hands, clock) = steady();
        for _ in 0..10_000 {
            hands.pass(1_000);
            hands.step(1);
            clock.now().unwrap();
        }
        hands.step(2_000);
        clock.now().unwrap();
        hands.step(-DAY_MS);
        clock.now().unwrap();
    }

    #[test]
    fn a_clock_behind_the_last_leaf_stamps_only_within_the_limit() {
        let (hands, clock) = steady();
        let last = clock.now().unwrap();
        hands.step(-2_000);
        assert_eq!(clock.stamp(Some(last)).unwrap(), last);
        hands.step(-1);
        assert!(matches!(clock.stamp(Some(last)), Err(LedgerError::ClockBehind(2_001))));
    }
}
