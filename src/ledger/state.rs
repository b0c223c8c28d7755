//! The state: a fold over entries. Whatever decides is in here, and nowhere else.

mod fold_key;
mod policies;
mod record;
mod registry;
mod sealed;
#[cfg(feature = "replay")]
pub mod sessions;
#[cfg(feature = "replay")]
mod tools;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::fold_key::FoldKey;
pub use self::policies::{ActivePolicy, SealedPolicy};
use self::registry::Change;
pub use self::registry::{Agent, CredentialDigest, Holder, Operator, Party, PartyKind, Registry};
pub use self::sealed::Sealed;
#[cfg(feature = "replay")]
use self::sessions::{Sessions, as_bytes};
#[cfg(feature = "replay")]
use self::tools::Tools;
use crate::record::chain::{Chain, LinkError};
use crate::record::entry::Entry;
#[cfg(feature = "replay")]
use crate::record::entry::PolicyMode;

/// Everything that decides, after some number of leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The links between entries.
    pub chain: Chain,
    /// Who may act, and under which policy.
    pub registry: Arc<Registry>,
    /// What the log says of sessions.
    #[cfg(feature = "replay")]
    #[serde(with = "as_bytes")]
    pub sessions: Sessions,
    /// The same, passed over: this build has no facts.
    #[cfg(not(feature = "replay"))]
    sessions: PassedOver,
    /// Of the active policy, as far as the fold needs it.
    #[cfg(feature = "replay")]
    #[serde(skip)]
    tools: Tools,
}

/// Bytes that are not looked at: any are as good as others.
#[cfg(not(feature = "replay"))]
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct PassedOver(Vec<u8>);

#[cfg(not(feature = "replay"))]
impl PartialEq for PassedOver {
    fn eq(&self, _: &Self) -> bool {
        true
    }
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
    /// Whether folding this entry next needs what was sealed with it.
    #[must_use]
    pub fn reads_payload_of(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Operator(_) => true,
            Entry::Agent(_) | Entry::Application(_) | Entry::Tool(_) | Entry::Policy(_) => {
                entry.declared().is_some()
            }
            #[cfg(feature = "replay")]
            Entry::Session(_) | Entry::Turn(_) | Entry::Outcome(_) => true,
            #[cfg(feature = "replay")]
            Entry::Intent(intent) => Sessions::reads(&self.chain, intent),
            _ => false,
        }
    }

    /// Folds from here on as if these files were the active policy's: what a candidate would have known.
    #[cfg(feature = "replay")]
    pub fn fold_by(&mut self, files: &std::collections::BTreeMap<String, Vec<u8>>) {
        self.tools.pin(files);
    }

    /// Folds the next entry, with what was sealed with it where [`State::reads_payload_of`] asks for that.
    ///
    /// # Errors
    /// [`StateError`]; the state is then as it was.
    #[cfg_attr(
        not(feature = "replay"),
        expect(unused_variables, reason = "only a build that decides folds sessions")
    )]
    pub fn apply(&mut self, entry: &Entry, sealed: &Sealed<'_>, key: &FoldKey) -> Result<(), StateError> {
        let index = self.chain.size();
        sealed.check(index, entry)?;
        let change = Change::read(index, entry, sealed.declared())?;
        self.chain.apply(entry)?;
        if let Some(change) = change {
            change.apply(index, Arc::make_mut(&mut self.registry));
        }
        #[cfg(feature = "replay")]
        {
            if matches!(entry, Entry::Policy(policy) if policy.mode == PolicyMode::Enforce) {
                self.tools.forget();
            }
            let Self { chain, registry, sessions, tools } = self;
            let tools = tools.of(registry);
            let context = sessions::Context { chain, sealed, tools: &tools, key, index };
            sessions.fold(entry, &context);
        }
        Ok(())
    }
}
