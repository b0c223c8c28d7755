//! What of the answers that are no success is written to the log: defects each, and overload now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::service::{ServiceError, Stopwatch};

/// How long a warning of one kind stays silent after it was given.
const SILENCE: Duration = Duration::from_secs(10);

/// A warning that may come with every request, and is given once in a while with the number of times it was not.
#[derive(Debug)]
pub(super) struct RareWarning(Mutex<Option<Given>>);

#[derive(Debug, Clone, Copy)]
struct Given {
    since: Stopwatch,
    left_out: u64,
}

impl RareWarning {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether it is to be given now; then how often it was left out since the last time.
    pub(super) fn due(&self) -> Option<u64> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *given {
            Some(last) if last.since.elapsed() < SILENCE => {
                last.left_out += 1;
                None
            }
            other => {
                let left_out = other.map_or(0, |last| last.left_out);
                *other = Some(Given { since: Stopwatch::start(), left_out: 0 });
                Some(left_out)
            }
        }
    }
}

/// Logs an error that is the service's and not the client's. 503 is what it answers when it protects itself: many clients
/// see it at once, and it is counted.
pub(super) fn log_failure(error: &ServiceError) {
    static UNAVAILABLE: RareWarning = RareWarning::new();
    let (code, detail) = (error.code.as_str(), error.detail.as_str());
    match error.code.status() {
        503 => {
            if let Some(left_out) = UNAVAILABLE.due() {
                tracing::warn!(code, detail, left_out, "not taken");
            }
        }
        500.. => tracing::error!(code, detail, "not answered as asked"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_warnings_at_once_one_is_given() {
        let warning = RareWarning::new();
        assert_eq!(warning.due(), Some(0));
        assert_eq!((0..1_000).filter_map(|_| warning.due()).count(), 0);
        let mut given = warning.0.lock().unwrap();
        assert_eq!(given.as_mut().unwrap().left_out, 1_000);
    }
}
