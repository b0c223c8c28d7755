//! The links between entries: what must hold from one leaf to the next, whoever reads the log.
//!
//! A fold over leaves alone, without payloads or keys, so that the service, recovery and a distrustful auditor
//! run the same rules.

mod outcomes;
mod policies;
mod sessions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::outcomes::Outcomes;
use self::policies::Policies;
pub use self::sessions::OpenSession;
use self::sessions::OpenSessions;
use super::decision::Outcome;
use super::entry::{
    AgentEntry, Entry, ExportEntry, IntentEntry, KeyEntry, Operation, OutcomeEntry, SessionEntry, SessionTag,
    TurnEntry,
};
use super::limits;
use super::time::Timestamp;

/// The state of the links after some number of leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    size: u64,
    last_at: Option<Timestamp>,
    operators: Vec<u64>,
    agents: BTreeMap<u64, AgentLinks>,
    /// Whether their registration has ended.
    applications: BTreeMap<u64, bool>,
    tools: BTreeMap<u64, bool>,
    sessions: OpenSessions,
    policies: Policies,
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
        self.policies.active()
    }

    /// Leaf index of the policy in shadow.
    #[must_use]
    pub fn shadow(&self) -> Option<u64> {
        self.policies.shadow()
    }

    /// Whether this leaf made a policy decide.
    #[must_use]
    pub fn has_decided(&self, policy: u64) -> bool {
        self.policies.has_decided(policy)
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

    /// Number of applications ever registered.
    #[must_use]
    pub fn application_count(&self) -> usize {
        self.applications.len()
    }

    /// Number of tool servers ever registered.
    #[must_use]
    pub fn tool_count(&self) -> usize {
        self.tools.len()
    }

    /// The session of this tag, if it is open at that time.
    #[must_use]
    pub fn session(&self, tag: &SessionTag, at: Timestamp) -> Option<&OpenSession> {
        self.sessions.get(tag, at)
    }

    /// Whether one more session may be opened at that time.
    #[must_use]
    pub fn has_room_for_a_session(&self, at: Timestamp) -> bool {
        self.sessions.has_room(at)
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
                self.sessions.touch(&intent.session, intent.at);
            }
            Entry::Operator(_) => self.operators.push(index),
            Entry::Agent(change) => self.apply_agent(index, change),
            Entry::Application(change) => {
                let application = change.application.unwrap_or(index);
                self.applications.insert(application, change.operation == Operation::Revoke);
                if change.operation == Operation::Revoke {
                    self.sessions.close_all(|session| session.application == application);
                }
            }
            Entry::Tool(change) => {
                let revoked = change.operation == Operation::Revoke;
                self.tools.insert(change.tool.unwrap_or(index), revoked);
            }
            Entry::Session(SessionEntry { agent, application, session, at, .. }) => {
                let (agent, application) = (*agent, *application);
                let opened = OpenSession { agent, application, opened: index, last_at: *at };
                self.sessions.open(*session, opened);
            }
            Entry::Turn(turn) => self.sessions.touch(&turn.session, turn.at),
            Entry::Outcome(outcome) => self.sessions.touch(&outcome.session, outcome.at),
            Entry::Policy(policy) => self.policies.apply(index, policy),
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
            Some(links) if change.operation == Operation::Revoke => {
                links.revoked = true;
                self.sessions.close_all(|session| Some(session.agent) == change.agent);
            }
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
            Entry::Application(change) => {
                let known = |of| self.applications.get(&of).copied();
                let (operation, recorded) = (change.operation, change.declared.is_some());
                self.check_registration(
                    "application",
                    change.by,
                    operation,
                    change.application,
                    recorded,
                    known,
                )
            }
            Entry::Tool(change) => {
                let known = |of| self.tools.get(&of).copied();
                let (operation, recorded) = (change.operation, change.declared.is_some());
                self.check_registration("tool server", change.by, operation, change.tool, recorded, known)
            }
            Entry::Session(session) => self.check_session(session),
            Entry::Turn(turn) => self.check_turn(turn),
            Entry::Outcome(outcome) => self.check_outcome(outcome),
            Entry::Policy(policy) => {
                self.check_operator(policy.by)?;
                self.policies.check(policy)
            }
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
        if change.operation == Operation::Revoke && change.key.is_some() {
            return Err("a revocation carries no record and no key".to_owned());
        }
        let known = |of| self.agents.get(&of).map(|links| links.revoked);
        let recorded = change.declared.is_some();
        self.check_registration("agent", change.by, change.operation, change.agent, recorded, known)
    }

    /// What holds of registrations of every kind. `known` says of an earlier one whether it is revoked.
    fn check_registration(
        &self,
        what: &str,
        by: u64,
        operation: Operation,
        of: Option<u64>,
        recorded: bool,
        known: impl Fn(u64) -> Option<bool>,
    ) -> Result<(), String> {
        self.check_operator(by)?;
        match (operation, of) {
            (Operation::Register, None) if recorded => Ok(()),
            (Operation::Register, _) => Err(format!("a registration carries its record and names no {what}")),
            (_, None) => Err(format!("it names no {what}")),
            (Operation::Rotate, _) if !recorded => Err("a rotation carries its record".to_owned()),
            (Operation::Revoke, _) if recorded => Err("a revocation carries no record and no key".to_owned()),
            (_, Some(of)) => Self::check_active(what, of, known(of)),
        }
    }

    fn check_active(what: &str, of: u64, revoked: Option<bool>) -> Result<(), String> {
        match revoked {
            None => Err(format!("leaf {of} registers no {what}")),
            Some(true) => Err(format!("{what} {of} was revoked before")),
            Some(false) => Ok(()),
        }
    }

    fn check_session(&self, session: &SessionEntry) -> Result<(), String> {
        let agent = self.agents.get(&session.agent).map(|links| links.revoked);
        Self::check_active("agent", session.agent, agent)?;
        let application = self.applications.get(&session.application).copied();
        Self::check_active("application", session.application, application)?;
        if let Some(open) = self.sessions.get(&session.session, session.at) {
            return Err(format!("its session is open since leaf {}", open.opened));
        }
        if !self.sessions.has_room(session.at) {
            return Err(format!("{} sessions are open", limits::SESSIONS_MAX));
        }
        Ok(())
    }

    fn check_turn(&self, turn: &TurnEntry) -> Result<(), String> {
        match self.sessions.get(&turn.session, turn.at) {
            None => Err("its session is not open".to_owned()),
            Some(open) if open.opened != turn.opened => {
                Err(format!("its session was opened by leaf {}, not by leaf {}", open.opened, turn.opened))
            }
            // An application that was revoked has no open session.
            Some(open) if open.application != turn.application => {
                Err(format!("its session is application {}'s", open.application))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_outcome(&self, outcome: &OutcomeEntry) -> Result<(), String> {
        Self::check_active("tool server", outcome.tool, self.tools.get(&outcome.tool).copied())?;
        if outcome.intent >= self.size {
            return Err(format!("its intent, leaf {}, is not before it", outcome.intent));
        }
        if usize::try_from(outcome.call).is_ok_and(|call| call < limits::CALLS_MAX) {
            Ok(())
        } else {
            Err(format!("no intent has a call {}", outcome.call))
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
        if let Some(open) = self.sessions.get(&intent.session, intent.at)
            && open.agent != intent.agent
        {
            return Err(format!("its session is agent {}'s", open.agent));
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
        let active = self.policy();
        if intent.policy != active {
            return Err(format!("it was decided under {:?}, active is {active:?}", intent.policy));
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
