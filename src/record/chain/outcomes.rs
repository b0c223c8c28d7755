//! Whether outcomes are of calls that may run, and one of each: for whoever reads a log from its beginning.
//!
//! The service asks its index and its leaves; a reader of the log has neither, and remembers two bits a leaf.

use std::collections::BTreeMap;

use super::LinkError;
use crate::record::entry::{Entry, IntentEntry, OutcomeEntry};

/// A fold over leaves, beside the [`super::Chain`].
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    size: u64,
    /// Of each leaf: whether it is an intent whose first call may run and has no outcome yet.
    first: Bits,
    /// Calls of intents other than the first, by number, that may run and have no outcome yet.
    others: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn word(leaf: u64) -> (usize, u64) {
        (usize::try_from(leaf / 64).unwrap_or(usize::MAX), 1 << (leaf % 64))
    }

    fn push(&mut self, leaf: u64, set: bool) {
        let (word, bit) = Self::word(leaf);
        if word == self.0.len() {
            self.0.push(0);
        }
        if let Some(word) = self.0.get_mut(word).filter(|_| set) {
            *word |= bit;
        }
    }

    /// Whether it was set; it is not any more.
    fn take(&mut self, leaf: u64) -> bool {
        let (word, bit) = Self::word(leaf);
        let Some(word) = self.0.get_mut(word) else { return false };
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }
}

impl Outcomes {
    /// Folds the next leaf.
    ///
    /// # Errors
    /// [`LinkError`]: an outcome of what may not run, or that has one.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), LinkError> {
        let index = self.size;
        self.size += 1;
        let first = match entry {
            Entry::Intent(intent) => self.intent(index, intent),
            Entry::Outcome(outcome) => {
                self.outcome(outcome).map_err(|problem| LinkError { index, problem })?;
                false
            }
            _ => false,
        };
        self.first.push(index, first);
        Ok(())
    }

    fn intent(&mut self, index: u64, intent: &IntentEntry) -> bool {
        let mask = (1..intent.calls.len().min(64))
            .filter(|call| intent.may_run(*call))
            .fold(0u64, |mask, call| mask | 1 << call);
        if mask != 0 {
            self.others.insert(index, mask);
        }
        intent.may_run(0)
    }

    fn outcome(&mut self, outcome: &OutcomeEntry) -> Result<(), String> {
        let awaited = match outcome.call {
            0 => self.first.take(outcome.intent),
            call => {
                let bit = 1u64.checked_shl(call).unwrap_or(0);
                match self.others.get_mut(&outcome.intent) {
                    Some(mask) if *mask & bit != 0 => {
                        *mask &= !bit;
                        if *mask == 0 {
                            self.others.remove(&outcome.intent);
                        }
                        true
                    }
                    _ => false,
                }
            }
        };
        if awaited {
            return Ok(());
        }
        Err(format!(
            "leaf {} has no call {} that may run and has no outcome yet",
            outcome.intent, outcome.call
        ))
    }
}
