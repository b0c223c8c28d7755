//! The state: a fold over entries. Whatever decides is in here, and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::layered_map::LayeredMap;
use crate::record::chain::{Chain, LinkError};
use crate::record::entry::{AgentEntry, Entry, Operation};
use crate::record::json;

/// Everything that decides, after some number of leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The links between entries.
    pub chain: Chain,
    /// Who may act, and under which policy.
    pub registry: Arc<Registry>,
}

/// Registered operators and agents, and the active policy. A copy is cheap, and so is a change to one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    operators: LayeredMap<u64, Operator>,
    agents: LayeredMap<u64, Arc<Agent>>,
    names: LayeredMap<String, u64>,
    credentials: LayeredMap<CredentialDigest, Holder>,
    policy: Option<Arc<ActivePolicy>>,
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

/// The bundle that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivePolicy {
    /// Leaf index of its entry.
    pub index: u64,
    /// Digest of the bundle's bytes.
    pub digest: String,
    /// Its files.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Who holds a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// An operator, by the leaf index of its registration.
    Operator(u64),
    /// An agent, by the leaf index of its registration.
    Agent(u64),
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

/// What an entry changes in the registry.
enum Change {
    Operator { name: String, credential: CredentialDigest },
    AgentRegistered(Agent),
    AgentRotated { agent: u64, credential: CredentialDigest, key: Option<[u8; 32]> },
    AgentRevoked { agent: u64 },
    Policy { digest: String, files: BTreeMap<String, Vec<u8>> },
    BundleKey { key: [u8; 32] },
}

impl Change {
    fn read(index: u64, entry: &Entry, record: Option<&[u8]>) -> Result<Option<Self>, StateError> {
        match entry {
            Entry::Operator(_) => {
                let record = Record::parse(index, "operator", record)?;
                let change =
                    Self::Operator { name: record.text("operator")?, credential: record.credential()? };
                Ok(Some(change))
            }
            Entry::Agent(change) => Self::read_agent(index, change, record).map(Some),
            Entry::Policy(_) => {
                let record = Record::parse(index, "policy", record)?;
                Ok(Some(Self::Policy { digest: record.text("digest")?, files: record.files()? }))
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

    fn apply(self, index: u64, registry: &mut Registry) {
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
            Self::Policy { digest, files } => {
                registry.policy = Some(Arc::new(ActivePolicy { index, digest, files }));
            }
            Self::BundleKey { key } => registry.bundle_keys.push((index, key)),
        }
    }
}

/// The declared document of an administrative entry.
struct Record {
    index: u64,
    kind: &'static str,
    members: serde_json::Map<String, Value>,
}

impl Record {
    fn parse(index: u64, kind: &'static str, bytes: Option<&[u8]>) -> Result<Self, StateError> {
        let problem = |problem| StateError::Record { index, kind, problem };
        let bytes = bytes.ok_or_else(|| problem("is missing"))?;
        let limits = json::JsonLimits { max_bytes: RECORD_MAX_BYTES, ..json::JsonLimits::default() };
        match json::parse_with(bytes, &limits) {
            Ok(Value::Object(members)) => Ok(Self { index, kind, members }),
            _ => Err(problem("is no JSON object")),
        }
    }

    fn problem(&self, problem: &'static str) -> StateError {
        StateError::Record { index: self.index, kind: self.kind, problem }
    }

    fn text(&self, key: &str) -> Result<String, StateError> {
        let text = self.members.get(key).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| self.problem("lacks a name or digest"))
    }

    fn credential(&self) -> Result<CredentialDigest, StateError> {
        let text = self.members.get("credential").and_then(Value::as_str).unwrap_or_default();
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| self.problem("lacks its credential digest"))?;
        Ok(CredentialDigest(digest))
    }

    fn roles(&self) -> Result<Vec<String>, StateError> {
        let roles = self.members.get("roles").and_then(Value::as_array);
        let roles = roles.ok_or_else(|| self.problem("lacks its roles"))?;
        let mut roles: Vec<String> = roles.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        roles.sort();
        Ok(roles)
    }

    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, StateError> {
        let files = self.members.get("files").and_then(Value::as_object);
        let files = files.ok_or_else(|| self.problem("lacks its files"))?;
        let text = |(path, text): (&String, &Value)| {
            text.as_str().map(|text| (path.clone(), text.as_bytes().to_vec()))
        };
        files
            .iter()
            .map(text)
            .collect::<Option<_>>()
            .ok_or_else(|| self.problem("has a file that is no text"))
    }
}

/// A policy bundle with every byte escaped stays below this.
pub(super) const RECORD_MAX_BYTES: usize = 8 << 20;

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
        self.policy.as_ref()
    }
}
