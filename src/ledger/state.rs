//! The state: a fold over entries. Whatever decides is in here, and nowhere else.

mod record;
mod registry;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::registry::Change;
pub use self::registry::{
    ActivePolicy, Agent, CredentialDigest, Holder, Operator, Party, PartyKind, Registry,
};
use crate::record::chain::{Chain, LinkError};
use crate::record::entry::Entry;

/// Everything that decides, after some number of leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The links between entries.
    pub chain: Chain,
    /// Who may act, and under which policy.
    pub registry: Arc<Registry>,
}

/// A record (the declared document of an administrative entry) that cannot be folded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The entry does not follow from those before it.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The record is missing or has another form.
    #[error("leaf {index}: the {kind} record {problem}")]
    Record {
        /// The leaf.
        index: u64,
        /// The entry's type.
        kind: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
}

impl State {
    /// Whether folding this entry next needs its declared document.
    #[must_use]
    pub fn reads_record_of(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Operator(_) | Entry::Policy(_) => true,
            Entry::Agent(_) | Entry::Application(_) | Entry::Tool(_) => entry.declared().is_some(),
            _ => false,
        }
    }

    /// Folds the next entry. `record` is its declared document, which entries other than intents and refusal
    /// counts need.
    ///
    /// # Errors
    /// [`StateError`]; the state is then as it was.
    pub fn apply(&mut self, entry: &Entry, record: Option<&[u8]>) -> Result<(), StateError> {
        let index = self.chain.size();
        let change = Change::read(index, entry, record)?;
        self.chain.apply(entry)?;
        if let Some(change) = change {
            change.apply(index, Arc::make_mut(&mut self.registry));
        }
        Ok(())
    }
}
