//! Use cases, and who may do them.
//!
//! Does: authenticate callers, read and verify what they send, hand it to the ledger, put answers together, and say in
//! one error type what happened and whether anything was sealed.
//!
//! Does not: know HTTP, decide (the ledger does, by policy), or keep state of its own.
//!
//! May use: ledger and every room below it.
//!
//! Invariants:
//! - Nothing is answered to a caller whose credential is not registered, but for what is public by configuration.
//! - An answer to the same id and body is the same bytes, whenever and however often it is asked for.
//! - Every error says whether something was sealed: no, or not known.

mod administration;
mod answers;
mod caller;
mod error;
mod export_stream;
mod exports;
mod following;
mod parties;
mod policies;
mod proofs;
mod reads;
mod room;
mod submission;
mod testimony;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

pub use administration::{NewAgent, RegisteredAgent};
pub use caller::Caller;
pub use error::{ErrorCode, SealedState, ServiceError};
pub use export_stream::BundleStream;
pub use exports::ExportRequest;
pub use following::Growth;
pub use parties::{NewParty, RegisteredParty};
pub use policies::{PolicyRow, PolicySummary, RollbackTo};
pub use reads::{ConsistencyProof, InclusionProof, PayloadView};
pub use room::Room;
pub use submission::{HandedIn, SubmissionHeaders};
pub use testimony::SealedRecord;

pub use crate::ledger::Distribution;
pub use crate::ledger::clock::Stopwatch;
pub use crate::ledger::state::PartyKind;
use crate::ledger::{Ledger, LedgerError, News, Published};
pub use crate::policy::Mode as PolicyMode;

/// The use cases over one running ledger.
#[derive(Debug)]
pub struct Service {
    ledger: Arc<Ledger>,
    public_log: bool,
    refused: Vec<AtomicU64>,
    /// Whose bundles may become active; nobody named: anybody's.
    policy_authors: Vec<[u8; 32]>,
    /// Who proves what bundles demand, one bundle at a time.
    #[cfg(feature = "prove")]
    solver: tokio::sync::Mutex<Option<Arc<dyn crate::policy::prove::Solver>>>,
    /// What bodies may take of the memory.
    rooms: room::Rooms,
    /// Held while the key of bundles is made or announced.
    bundle_key: tokio::sync::Mutex<()>,
    /// Sent whenever more is published.
    grown: watch::Sender<()>,
    /// Whether streams must end: the service is about to stop, or nothing is sealed any more.
    ending: watch::Sender<bool>,
}

impl Service {
    /// The service over a ledger. `public_log` opens the log's own reads to everyone.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, public_log: bool) -> Self {
        let refused = ErrorCode::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        let (grown, ending) = (watch::Sender::new(()), watch::Sender::new(false));
        let (grew, ends) = (grown.clone(), ending.clone());
        ledger.watch(move |news| match news {
            News::Published => grew.send_modify(|()| {}),
            News::Poisoned => drop(ends.send_replace(true)),
        });
        let (rooms, bundle_key) = (room::Rooms::new(), tokio::sync::Mutex::default());
        let policy_authors = Vec::new();
        Self {
            ledger,
            public_log,
            refused,
            policy_authors,
            #[cfg(feature = "prove")]
            solver: tokio::sync::Mutex::default(),
            rooms,
            bundle_key,
            grown,
            ending,
        }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Whether the log's own reads need no credential.
    #[must_use]
    pub fn is_log_public(&self) -> bool {
        self.public_log
    }

    /// What is durable and signed.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.ledger.published()
    }

    /// Whether intents would be sealed now; if not, why.
    ///
    /// # Errors
    /// [`ErrorCode::Poisoned`], [`ErrorCode::ClockBehind`], [`ErrorCode::ClockAhead`].
    pub fn readiness(&self) -> Result<(), ServiceError> {
        if let Some(reason) = self.ledger.poisoned() {
            return Err(LedgerError::Poisoned(reason.to_owned()).into());
        }
        Ok(self.ledger.check_clock()?)
    }

    /// Requests refused since the start, by code.
    pub fn refused(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        ErrorCode::ALL.iter().copied().zip(counts)
    }

    /// Counts a request that was refused before anything was sealed; the counts are sealed from time to time.
    pub fn count_refused(&self, code: ErrorCode) {
        let at = ErrorCode::ALL.iter().position(|other| *other == code);
        if let Some(count) = at.and_then(|at| self.refused.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.ledger.count_refused(|counts| match code.status() {
            401 => counts.unauthenticated += 1,
            403 => counts.forbidden += 1,
            409 => counts.conflict += 1,
            413 => counts.too_large += 1,
            429 => counts.too_many += 1,
            503 => counts.unavailable += 1,
            400..=499 => counts.malformed += 1,
            _ => {}
        });
    }
}

/// Runs what may read the disk, or takes long, where it does not hold up other requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(ServiceError::new(ErrorCode::Damaged, "the work ended without a result")))
}
