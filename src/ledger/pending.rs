//! What waits: whether there is a place for one more intent, and whether one is on its way.

use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::error::LedgerError;
use super::running::Ledger;
use crate::record::limits;

impl Ledger {
    /// Whether an intent would be admitted now, as far as that is known before it is read.
    ///
    /// # Errors
    /// [`LedgerError::Overloaded`], [`LedgerError::Poisoned`].
    pub fn check_admission(&self) -> Result<(), LedgerError> {
        if let Some(reason) = self.shared.poisoned() {
            return Err(LedgerError::Poisoned(reason.to_owned()));
        }
        if self.shared.in_hand.load(Ordering::Acquire) >= limits::QUEUE_MAX_INTENTS {
            return Err(LedgerError::Overloaded);
        }
        Ok(())
    }

    /// Whether an intent with this id, of this agent or of any, has its place in the log and is not published yet. Reads
    /// no file.
    #[must_use]
    pub fn is_pending(&self, id: Uuid, agent: Option<u64>) -> bool {
        self.shared.index.has_pending(id, agent, self.published().size)
    }
}
