//! Following the log as it grows, and being told when that ends.

use std::sync::Arc;

use tokio::sync::watch;

use super::Service;
use super::error::{ErrorCode, ServiceError};
use crate::ledger::LedgerError;
use crate::record::limits;

/// Wakes whoever waits for the log to grow.
#[derive(Debug)]
pub struct Growth(watch::Receiver<()>);

impl Growth {
    /// Waits until more was published than when this was last called, or than at [`Service::growth`].
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The service is gone, and with it everyone who would wait here.
            std::future::pending::<()>().await;
        }
    }
}

impl Service {
    /// Wakes whoever waits for the log to grow from now on.
    #[must_use]
    pub fn growth(&self) -> Growth {
        Growth(self.grown.subscribe())
    }

    /// Tells everyone who follows or streams that the service is about to stop. What was handed in is still answered.
    pub fn begin_to_stop(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until streams must end, and says why: [`ErrorCode::Poisoned`] or [`ErrorCode::Stopping`].
    pub async fn ending(&self) -> ServiceError {
        let mut ending = self.ending.subscribe();
        // The sender is this service's own, so that it cannot be gone.
        let _ = ending.wait_for(|ending| *ending).await;
        self.check_going_on().err().unwrap_or_else(|| LedgerError::Stopping.into())
    }

    /// Waits until nothing is sealed any more because a write failed.
    pub(super) async fn until_poisoned(&self) {
        let mut ending = self.ending.subscribe();
        while self.ledger.poisoned().is_none() {
            // The sender is this service's own, so that it cannot be gone.
            if ending.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether streams may go on.
    ///
    /// # Errors
    /// [`ErrorCode::Poisoned`], [`ErrorCode::Stopping`].
    pub fn check_going_on(&self) -> Result<(), ServiceError> {
        if let Some(reason) = self.ledger.poisoned() {
            return Err(LedgerError::Poisoned(reason.to_owned()).into());
        }
        if *self.ending.borrow() { Err(LedgerError::Stopping.into()) } else { Ok(()) }
    }

    /// Published leaves from `from` on and below `to`, each checked against the tree: at most 256, and as many
    /// as have [`limits::STREAM_ENTRIES_MAX_BYTES`] together, but at least one.
    ///
    /// # Errors
    /// [`ErrorCode::NotInLog`] where `from` is not published or not below `to`; [`ErrorCode::Damaged`].
    pub fn entries(&self, from: u64, to: u64) -> Result<Vec<Arc<[u8]>>, ServiceError> {
        let entries = self.ledger.entries(from, to, limits::STREAM_ENTRIES_MAX_BYTES)?;
        if entries.is_empty() {
            let detail = format!("leaves {from} to {to}: the log has size {}", self.published().size);
            return Err(ServiceError::new(ErrorCode::NotInLog, detail));
        }
        Ok(entries)
    }
}
