//! The links between entries: what must hold from one leaf to the next, whoever reads the log.
//!
//! A fold over leaves alone, without payloads or keys, so that the service, recovery and a distrustful auditor
//! run the same rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::decision::Outcome;
use super::entry::{AgentEntry, Entry, ExportEntry, IntentEntry, KeyEntry, Operation};
use super::limits;
use super::time::Timestamp;

/// The state of the links after some number of leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    size: u64,
    last_at: Option<Timestamp>,
    operators: Vec<u64>,
    agents: BTreeMap<u64, AgentLinks>,
    policy: Option<u64>,
    not_understood: u64,
    /// Of the only purpose there is.
    bundle_key: Option<u64>,
}

/// One agent's place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLinks {
    /// The `seq` of its next intent.
    pub next_seq: u64,
    /// Leaf index of its last intent.
    pub last: Option<u64>,
    /// Leaf index of the entry that registered its current signing key.
    pub signer: Option<u64>,
    /// Whether its registration has ended.
    pub revoked: bool,
}

/// A leaf that does not follow from the leaves before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("leaf {index}: {problem}")]
pub struct LinkError {
    /// The leaf.
    pub index: u64,
    /// What is broken.
    pub problem: String,
}

impl Chain {
    /// Leaves folded so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The `at` of the last leaf.
    #[must_use]
    pub fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// Leaf index of the active policy.
    #[must_use]
    pub fn policy(&self) -> Option<u64> {
        self.policy
    }

    /// Number of leaves of a type or version that is not understood here.
    #[must_use]
    pub fn not_understood(&self) -> u64 {
        self.not_understood
    }

    /// An agent's links, by the leaf index of its registration.
    #[must_use]
    pub fn agent(&self, agent: u64) -> Option<&AgentLinks> {
        self.agents.get(&agent)
    }

    /// Leaf index of the entry that announced the key which signs bundles now.
    #[must_use]
    pub fn bundle_key(&self) -> Option<u64> {
        self.bundle_key
    }

    /// Number of agents ever registered.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }

    /// Folds the next leaf.
    ///
    /// # Errors
    /// [`LinkError`]; the chain is then as it was.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), LinkError> {
        let index = self.size;
        self.check(entry).map_err(|problem| LinkError { index, problem })?;
        match entry {
            Entry::Intent(intent) => {
                if let Some(links) = self.agents.get_mut(&intent.agent) {
                    links.next_seq += 1;
                    links.last = Some(index);
                }
            }
            Entry::Operator(_) => self.operators.push(index),
            Entry::Agent(change) => self.apply_agent(index, change),
            Entry::Policy(_) => self.policy = Some(index),
            Entry::Key(_) => self.bundle_key = Some(index),
            Entry::Refused(_) | Entry::Export(_) => {}
            Entry::Unknown { .. } => self.not_understood += 1,
        }
        self.last_at = entry.at().or(self.last_at);
        self.size = index + 1;
        Ok(())
    }

    fn apply_agent(&mut self, index: u64, change: &AgentEntry) {
        let signer = change.key.map(|_| index);
        match change.agent.and_then(|agent| self.agents.get_mut(&agent)) {
            Some(links) if change.operation == Operation::Revoke => links.revoked = true,
            Some(links) => links.signer = signer.or(links.signer),
            None => {
                let links = AgentLinks { next_seq: 0, last: None, signer, revoked: false };
                self.agents.insert(index, links);
            }
        }
    }

    fn check(&self, entry: &Entry) -> Result<(), String> {
        if let (Some(at), Some(last)) = (entry.at(), self.last_at)
            && at < last
        {
            return Err(format!("its time {at} is before the previous leaf's {last}"));
        }
        match entry {
            Entry::Intent(intent) => self.check_intent(intent),
            Entry::Agent(change) => self.check_agent(change),
            Entry::Policy(policy) => self.check_operator(policy.by),
            Entry::Operator(operator) if operator.operation != Operation::Register => {
                Err("an operator can only be registered".to_owned())
            }
            Entry::Key(key) => self.check_key(key),
            Entry::Export(export) => self.check_export(export),
            Entry::Operator(_) | Entry::Refused(_) | Entry::Unknown { .. } => Ok(()),
        }
    }

    fn check_operator(&self, by: u64) -> Result<(), String> {
        if self.operators.contains(&by) { Ok(()) } else { Err(format!("leaf {by} registers no operator")) }
    }

    fn check_key(&self, key: &KeyEntry) -> Result<(), String> {
        self.check_operator(key.by)?;
        if key.replaces == self.bundle_key {
            Ok(())
        } else {
            Err(format!(
                "it replaces the key of {:?}, the present one is that of {:?}",
                key.replaces, self.bundle_key
            ))
        }
    }

    fn check_export(&self, export: &ExportEntry) -> Result<(), String> {
        self.check_operator(export.by)?;
        if export.from < export.to && export.to <= self.size {
            Ok(())
        } else {
            Err(format!(
                "leaves {} to {} are no range of the {} before it",
                export.from, export.to, self.size
            ))
        }
    }

    fn check_agent(&self, change: &AgentEntry) -> Result<(), String> {
        self.check_operator(change.by)?;
        match (change.operation, change.agent) {
            (Operation::Register, None) if change.declared.is_some() => Ok(()),
            (Operation::Register, _) => {
                Err("a registration carries its record and names no agent".to_owned())
            }
            (_, None) => Err("it names no agent".to_owned()),
            (Operation::Rotate, _) if change.declared.is_none() => {
                Err("a rotation carries its record".to_owned())
            }
            (Operation::Revoke, _) if change.declared.is_some() || change.key.is_some() => {
                Err("a revocation carries no record and no key".to_owned())
            }
            (_, Some(agent)) => match self.agents.get(&agent) {
                None => Err(format!("leaf {agent} registers no agent")),
                Some(links) if links.revoked => Err(format!("agent {agent} is revoked already")),
                Some(_) => Ok(()),
            },
        }
    }

    fn check_intent(&self, intent: &IntentEntry) -> Result<(), String> {
        let links = self
            .agents
            .get(&intent.agent)
            .ok_or_else(|| format!("leaf {} registers no agent", intent.agent))?;
        if links.revoked {
            return Err(format!("agent {} was revoked before", intent.agent));
        }
        if intent.seq != links.next_seq || intent.prev != links.last {
            return Err(format!(
                "agent {} continues at seq {} after {:?}, not at seq {} after {:?}",
                intent.agent, links.next_seq, links.last, intent.seq, intent.prev
            ));
        }
        // An agent that registered a key signs, so a missing signer is as wrong as another one.
        if intent.signer != links.signer {
            return Err(format!("its signer is not agent {}'s current key", intent.agent));
        }
        if intent.policy != self.policy {
            return Err(format!("it was decided under {:?}, active is {:?}", intent.policy, self.policy));
        }
        if intent.policy.is_none() && intent.outcome != Outcome::Deny {
            return Err("without a policy everything is denied".to_owned());
        }
        if intent.calls.is_empty() || intent.calls.len() > limits::CALLS_MAX {
            return Err(format!("it has {} calls, not 1 to {}", intent.calls.len(), limits::CALLS_MAX));
        }
        if intent.expires.is_some_and(|expires| expires < intent.at) {
            return Err("it expires before it was decided".to_owned());
        }
        let strictest = intent.calls.iter().map(|call| call.outcome).min();
        if strictest.is_none_or(|strictest| intent.outcome > strictest) {
            return Err("its outcome is milder than that of one of its calls".to_owned());
        }
        Ok(())
    }
}
