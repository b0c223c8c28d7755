//! The range, leaf by leaf: what is counted in the manifest, which other leaves it refers to, and whether the leaves
//! follow from each other as far as a range alone can say.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::entry::{Entry, IntentEntry, PolicyMode};
use crate::record::time::Timestamp;

/// A fold over the leaves of a range. Holds two numbers an agent.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Entries by type.
    pub types: BTreeMap<String, u64>,
    /// Decisions by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Leaves that registered the agents and keys that intents of the range name.
    pub agents: BTreeSet<u64>,
    /// Leaves of the policies that decided in the range, and of those that came in it to decide or to watch.
    pub policies: BTreeSet<u64>,
    /// Intents.
    pub intents: u64,
    /// Intents that were signed.
    pub signed: u64,
    /// Entries that are not understood.
    pub not_understood: u64,
    /// The time of the first entry.
    pub first_at: Option<Timestamp>,
    /// The time of the last entry.
    pub last_at: Option<Timestamp>,
    links: BTreeMap<u64, (u64, u64)>,
    policy: Option<Option<u64>>,
}

impl Tally {
    /// Takes the next leaf.
    ///
    /// # Errors
    /// Where it does not follow from the leaves of the range before it, in words.
    pub fn add(&mut self, index: u64, entry: &Entry) -> Result<(), String> {
        *self.types.entry(entry.kind().to_owned()).or_default() += 1;
        if let Some(at) = entry.at() {
            if self.last_at.is_some_and(|last| at < last) {
                return Err(format!("leaf {index}: its time {at} is before the previous leaf's"));
            }
            self.first_at = self.first_at.or(Some(at));
            self.last_at = Some(at);
        }
        match entry {
            Entry::Intent(intent) => self.add_intent(index, intent)?,
            Entry::Policy(policy) => {
                self.policies.extend(policy.declared.map(|_| index));
                if policy.mode == PolicyMode::Enforce {
                    self.policy = Some(Some(index));
                }
            }
            Entry::Unknown { .. } => self.not_understood += 1,
            _ => {}
        }
        Ok(())
    }

    fn add_intent(&mut self, index: u64, intent: &IntentEntry) -> Result<(), String> {
        self.intents += 1;
        self.signed += u64::from(intent.signer.is_some());
        *self.outcomes.entry(intent.outcome.as_str().to_owned()).or_default() += 1;
        self.agents.insert(intent.agent);
        self.agents.extend(intent.signer);
        self.policies.extend(intent.policy);
        if self.policy.is_some_and(|policy| policy != intent.policy) {
            return Err(format!("leaf {index}: it was decided under another policy than the active one"));
        }
        self.policy = Some(intent.policy);
        let links = self.links.insert(intent.agent, (intent.seq, index));
        if let Some((seq, last)) = links
            && (intent.seq != seq + 1 || intent.prev != Some(last))
        {
            return Err(format!("leaf {index}: it does not follow its agent's leaf {last}"));
        }
        Ok(())
    }

    /// How many agents' intents are in the range.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.links.len()
    }
}
