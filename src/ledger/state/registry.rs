//! Who may act, and under which policy: folded from administrative entries and their records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::layered_map::LayeredMap;
use super::StateError;
use super::policies::{ActivePolicy, Policies, SealedPolicy};
use super::record::Record;
use crate::record::entry::{AgentEntry, ApplicationEntry, Entry, Operation, ToolEntry};

/// Who is registered, and the active policy. A copy is cheap, and so is a change to one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    operators: LayeredMap<u64, Operator>,
    agents: LayeredMap<u64, Arc<Agent>>,
    names: LayeredMap<String, u64>,
    applications: Roster,
    tool_servers: Roster,
    credentials: LayeredMap<CredentialDigest, Holder>,
    policies: Policies,
    /// Every bundle key ever announced, the present one last.
    bundle_keys: Vec<(u64, [u8; 32])>,
}

/// A registered operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its name.
    pub name: String,
}

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its name, unique among all agents ever registered.
    pub name: String,
    /// Its roles, sorted.
    pub roles: Vec<String>,
    /// Its public key, if it signs.
    pub key: Option<[u8; 32]>,
    /// Digest of its current token.
    pub credential: CredentialDigest,
    /// Whether its registration has ended.
    pub revoked: bool,
}

/// Parties of one kind that have a name and a credential.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Roster {
    parties: LayeredMap<u64, Arc<Party>>,
    names: LayeredMap<String, u64>,
}

/// A registered application or tool server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its name, unique among all of its kind ever registered. A tool server's is what calls name as their `server`.
    pub name: String,
    /// Digest of its current token.
    pub credential: CredentialDigest,
    /// Whether its registration has ended.
    pub revoked: bool,
}

/// Kinds of parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyKind {
    /// Opens sessions, and says what the user said.
    Application,
    /// Says what became of calls.
    ToolServer,
}

impl PartyKind {
    /// The kind in a sentence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::ToolServer => "tool server",
        }
    }

    /// Its entries' type, and the member of its records that holds its name.
    #[must_use]
    pub const fn entry_type(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::ToolServer => "tool",
        }
    }

    fn holder(self, index: u64) -> Holder {
        match self {
            Self::Application => Holder::Application(index),
            Self::ToolServer => Holder::ToolServer(index),
        }
    }
}

impl Roster {
    /// What a change replaces, if anything: its credential must no longer be taken.
    fn change(&mut self, at: u64, change: &PartyChange) -> Option<CredentialDigest> {
        let known = self.parties.get(&at).cloned();
        let party = match (change, known.as_deref()) {
            (PartyChange::Registered { name, credential }, _) => {
                self.names.insert(name.clone(), at);
                Party { name: name.clone(), credential: *credential, revoked: false }
            }
            (PartyChange::Rotated { credential }, Some(party)) => {
                Party { credential: *credential, ..party.clone() }
            }
            (PartyChange::Revoked, Some(party)) => Party { revoked: true, ..party.clone() },
            // The chain lets no change of what is not registered through.
            (PartyChange::Rotated { .. } | PartyChange::Revoked, None) => return None,
        };
        self.parties.insert(at, Arc::new(party));
        known.map(|party| party.credential)
    }
}

/// Who holds a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// An operator, by the leaf index of its registration.
    Operator(u64),
    /// An agent, by the leaf index of its registration.
    Agent(u64),
    /// An application, by the leaf index of its registration.
    Application(u64),
    /// A tool server, by the leaf index of its registration.
    ToolServer(u64),
}

/// SHA-256 over a token of 256 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CredentialDigest(pub [u8; 32]);

impl std::fmt::Debug for CredentialDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialDigest(…)")
    }
}

impl CredentialDigest {
    /// The digest of a token as presented.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::new().chain_update(b"foreseal.token.v1\0").chain_update(token).finalize().into())
    }
}

impl Registry {
    /// Who holds this token. The token is digested first, so how long the look-up takes says nothing about it.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<Holder> {
        self.credentials.get(&CredentialDigest::of(token)).copied()
    }

    /// An agent, by the leaf index of its registration.
    #[must_use]
    pub fn agent(&self, agent: u64) -> Option<&Agent> {
        self.agents.get(&agent).map(Arc::as_ref)
    }

    /// The leaf index of an agent's registration, by its name.
    #[must_use]
    pub fn agent_named(&self, name: &str) -> Option<u64> {
        self.names.get(&name.to_owned()).copied()
    }

    /// All agents, in the order of registration.
    pub fn agents(&self) -> impl Iterator<Item = (u64, &Agent)> {
        self.agents.iter().map(|(index, agent)| (*index, agent.as_ref()))
    }

    fn roster(&self, kind: PartyKind) -> &Roster {
        match kind {
            PartyKind::Application => &self.applications,
            PartyKind::ToolServer => &self.tool_servers,
        }
    }

    fn roster_mut(&mut self, kind: PartyKind) -> &mut Roster {
        match kind {
            PartyKind::Application => &mut self.applications,
            PartyKind::ToolServer => &mut self.tool_servers,
        }
    }

    /// An application or tool server, by the leaf index of its registration.
    #[must_use]
    pub fn party(&self, kind: PartyKind, index: u64) -> Option<&Party> {
        self.roster(kind).parties.get(&index).map(Arc::as_ref)
    }

    /// The leaf index of an application's or tool server's registration, by its name.
    #[must_use]
    pub fn party_named(&self, kind: PartyKind, name: &str) -> Option<u64> {
        self.roster(kind).names.get(&name.to_owned()).copied()
    }

    /// All parties of a kind, in the order of registration.
    pub fn parties(&self, kind: PartyKind) -> impl Iterator<Item = (u64, &Party)> {
        self.roster(kind).parties.iter().map(|(index, party)| (*index, party.as_ref()))
    }

    /// An operator, by the leaf index of its registration.
    #[must_use]
    pub fn operator(&self, operator: u64) -> Option<&Operator> {
        self.operators.get(&operator)
    }

    /// Every bundle key ever announced, by the leaf index of its entry; the present one last.
    #[must_use]
    pub fn bundle_keys(&self) -> &[(u64, [u8; 32])] {
        &self.bundle_keys
    }

    /// The active policy.
    #[must_use]
    pub fn policy(&self) -> Option<&Arc<ActivePolicy>> {
        self.policies.active()
    }

    /// The policy in shadow: it watches, and decides nothing.
    #[must_use]
    pub fn shadow(&self) -> Option<&Arc<SealedPolicy>> {
        self.policies.shadow()
    }

    /// The entries of policies in the order of the log: the last
    /// [`POLICIES_KEPT_MAX`](crate::record::limits::POLICIES_KEPT_MAX) of them.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<SealedPolicy>> {
        self.policies.sealed()
    }

    /// One of [`Registry::policies`].
    #[must_use]
    pub fn sealed_policy(&self, index: u64) -> Option<&Arc<SealedPolicy>> {
        self.policies.at(index)
    }
}

/// What an entry changes in the registry.
pub(super) enum Change {
    Operator { name: String, credential: CredentialDigest },
    AgentRegistered(Agent),
    AgentRotated { agent: u64, credential: CredentialDigest, key: Option<[u8; 32]> },
    AgentRevoked { agent: u64 },
    Party { kind: PartyKind, at: u64, change: PartyChange },
    Policy { sealed: Box<SealedPolicy>, files: BTreeMap<String, Vec<u8>> },
    BundleKey { key: [u8; 32] },
}

/// What an entry changes of a party.
pub(super) enum PartyChange {
    Registered { name: String, credential: CredentialDigest },
    Rotated { credential: CredentialDigest },
    Revoked,
}

impl Change {
    pub(super) fn read(index: u64, entry: &Entry, record: Option<&[u8]>) -> Result<Option<Self>, StateError> {
        match entry {
            Entry::Operator(_) => {
                let record = Record::parse(index, "operator", record)?;
                let change =
                    Self::Operator { name: record.text("operator")?, credential: record.credential()? };
                Ok(Some(change))
            }
            Entry::Agent(change) => Self::read_agent(index, change, record).map(Some),
            Entry::Application(ApplicationEntry { operation, application: of, .. }) => {
                Self::read_party(index, PartyKind::Application, *operation, *of, record).map(Some)
            }
            Entry::Tool(ToolEntry { operation, tool: of, .. }) => {
                Self::read_party(index, PartyKind::ToolServer, *operation, *of, record).map(Some)
            }
            Entry::Policy(entry) => {
                let (sealed, files) = SealedPolicy::read(index, entry, record)?;
                Ok(Some(Self::Policy { sealed: Box::new(sealed), files }))
            }
            Entry::Key(announced) => Ok(Some(Self::BundleKey { key: announced.key.0 })),
            _ => Ok(None),
        }
    }

    fn read_agent(index: u64, change: &AgentEntry, record: Option<&[u8]>) -> Result<Self, StateError> {
        if let (Operation::Revoke, Some(agent)) = (change.operation, change.agent) {
            return Ok(Self::AgentRevoked { agent });
        }
        let record = Record::parse(index, "agent", record)?;
        let key = change.key.map(|key| key.0);
        let credential = record.credential()?;
        Ok(match change.agent {
            Some(agent) => Self::AgentRotated { agent, credential, key },
            None => Self::AgentRegistered(Agent {
                name: record.text("agent")?,
                roles: record.roles()?,
                key,
                credential,
                revoked: false,
            }),
        })
    }

    fn read_party(
        index: u64,
        kind: PartyKind,
        operation: Operation,
        of: Option<u64>,
        record: Option<&[u8]>,
    ) -> Result<Self, StateError> {
        let at = of.unwrap_or(index);
        if operation == Operation::Revoke {
            return Ok(Self::Party { kind, at, change: PartyChange::Revoked });
        }
        let record = Record::parse(index, kind.entry_type(), record)?;
        let credential = record.credential()?;
        let change = match of {
            Some(_) => PartyChange::Rotated { credential },
            None => PartyChange::Registered { name: record.text(kind.entry_type())?, credential },
        };
        Ok(Self::Party { kind, at, change })
    }

    pub(super) fn apply(self, index: u64, registry: &mut Registry) {
        match self {
            Self::Operator { name, credential } => {
                registry.operators.insert(index, Operator { name });
                registry.credentials.insert(credential, Holder::Operator(index));
            }
            Self::AgentRegistered(agent) => {
                registry.credentials.insert(agent.credential, Holder::Agent(index));
                registry.names.insert(agent.name.clone(), index);
                registry.agents.insert(index, Arc::new(agent));
            }
            Self::AgentRotated { agent: at, credential, key } => {
                if let Some(agent) = registry.agents.get(&at).cloned() {
                    registry.credentials.remove(&agent.credential);
                    registry.credentials.insert(credential, Holder::Agent(at));
                    let key = key.or(agent.key);
                    registry.agents.insert(at, Arc::new(Agent { credential, key, ..Agent::clone(&agent) }));
                }
            }
            Self::AgentRevoked { agent: at } => {
                if let Some(agent) = registry.agents.get(&at).cloned() {
                    registry.credentials.remove(&agent.credential);
                    registry.agents.insert(at, Arc::new(Agent { revoked: true, ..Agent::clone(&agent) }));
                }
            }
            Self::Party { kind, at, change } => {
                if let Some(replaced) = registry.roster_mut(kind).change(at, &change) {
                    registry.credentials.remove(&replaced);
                }
                if let PartyChange::Registered { credential, .. } | PartyChange::Rotated { credential } =
                    change
                {
                    registry.credentials.insert(credential, kind.holder(at));
                }
            }
            Self::Policy { sealed, files } => registry.policies.apply(*sealed, files),
            Self::BundleKey { key } => registry.bundle_keys.push((index, key)),
        }
    }
}
