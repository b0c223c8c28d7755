//! The clock, as something that can be handed in: the only place that asks the machine for the time.
//!
//! What is sealed takes its time from a [`Clock`]; how long something took, which decides nothing, from a [`Stopwatch`].

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use crate::record::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, UTC. May step either way; the ledger refuses to decide when it does.
    fn now(&self) -> Timestamp;

    /// The time that has passed since some moment of this process; nobody can set it.
    fn elapsed(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock that cannot be told reads as 1970: then every leaf is ahead of it and nothing is decided.
        Timestamp::from_system_time(SystemTime::now()).unwrap_or(Timestamp::MIN)
    }

    fn elapsed(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
