//! Administrative entries: who may act, and under which policy.
//!
//! Their declared documents are records that the state fold reads, so they are never erased.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use serde_json::json;
use uuid::Uuid;

use super::committer::{Reply, SealedLeaf};
use super::error::LedgerError;
use super::keyring::random;
use super::payload::Payload;
use super::sequencer::{Made, Sequencer, new_id};
use super::state::{CredentialDigest, PartyKind};
use crate::evidence::bundle::Scope;
use crate::merkle::Hash;
use crate::policy::{Bundle, Engine};
use crate::record::canonical::to_jcs;
use crate::record::entry::{
    AgentEntry, AgentKind, ApplicationEntry, ApplicationKind, ENTRY_VERSION, Entry, Operation, OperatorEntry,
    OperatorKind, PolicyEntry, PolicyKind, PolicyMode, ToolEntry, ToolKind,
};
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::limits;
use crate::record::time::Timestamp;

/// Something an operator does.
pub struct Admin {
    /// Leaf index of the operator's registration; nobody, for the first operator.
    pub by: Option<u64>,
    /// What.
    pub change: Change,
}

/// What an operator does.
pub enum Change {
    /// Registers an operator.
    RegisterOperator {
        /// Its name.
        name: String,
        /// Digest of its token.
        credential: CredentialDigest,
    },
    /// Registers an agent.
    RegisterAgent {
        /// Its name.
        name: String,
        /// Its roles.
        roles: Vec<String>,
        /// Digest of its token.
        credential: CredentialDigest,
        /// Its public key, if it signs.
        key: Option<[u8; 32]>,
    },
    /// Gives an agent a new token, and a new public key if there is one.
    RotateAgent {
        /// Its name.
        name: String,
        /// Digest of its new token.
        credential: CredentialDigest,
        /// Its new public key.
        key: Option<[u8; 32]>,
    },
    /// Ends an agent's registration.
    RevokeAgent {
        /// Its name.
        name: String,
    },
    /// Registers an application or a tool server.
    RegisterParty {
        /// Which of the two.
        kind: PartyKind,
        /// Its name.
        name: String,
        /// Digest of its token.
        credential: CredentialDigest,
    },
    /// Gives an application or a tool server a new token.
    RotateParty {
        /// Which of the two.
        kind: PartyKind,
        /// Its name.
        name: String,
        /// Digest of its new token.
        credential: CredentialDigest,
    },
    /// Ends the registration of an application or a tool server.
    RevokeParty {
        /// Which of the two.
        kind: PartyKind,
        /// Its name.
        name: String,
    },
    /// Makes a bundle decide.
    ActivatePolicy {
        /// The bundle, ready to decide.
        engine: Arc<Engine>,
        /// What is sealed of it.
        bundle: NewPolicy,
        /// Leaf index of the earlier entry whose bundle it is, if this is a rollback.
        restores: Option<u64>,
    },
    /// Makes a bundle watch, in place of the one that watches.
    ShadowPolicy(NewPolicy),
    /// Ends the watching.
    WithdrawShadow,
    /// Announces the key that signs bundles from here on.
    AnnounceBundleKey {
        /// The public key.
        key: [u8; 32],
    },
    /// Records that a bundle is handed out.
    Export {
        /// The range.
        scope: Scope,
        /// What is shown of it.
        record: serde_json::Value,
    },
}

/// A bundle, as it is sealed.
pub struct NewPolicy {
    /// Its files.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Who stands for it.
    pub author: String,
    /// Its digest, hex.
    pub digest: String,
    /// Number of rules.
    pub rules: u32,
    /// What was proven of it before it became active, and by which solver; where it demands that.
    pub proofs: Option<serde_json::Value>,
}

impl NewPolicy {
    /// What is sealed of a bundle that was loaded from these files.
    #[must_use]
    pub fn of(bundle: &Bundle, files: BTreeMap<String, Vec<u8>>, author: String) -> Self {
        let rules = u32::try_from(bundle.rules().len()).unwrap_or(u32::MAX);
        Self { files, author, digest: hex::encode(bundle.digest()), rules, proofs: None }
    }

    fn record(&self) -> Result<serde_json::Value, LedgerError> {
        let Self { files, author, digest, proofs, .. } = self;
        let texts: BTreeMap<&String, String> = files
            .iter()
            .map(|(path, bytes)| Ok((path, String::from_utf8(bytes.clone()).map_err(|_| not_text(path))?)))
            .collect::<Result<_, LedgerError>>()?;
        let mut record = json!({ "author": author, "digest": digest, "files": texts });
        if let (Some(proofs), Some(members)) = (proofs, record.as_object_mut()) {
            members.insert("proofs".to_owned(), proofs.clone());
        }
        Ok(record)
    }
}

impl Sequencer {
    pub(super) fn admin(&mut self, admin: &Admin, reply: Reply<SealedLeaf>) {
        let engine = match &admin.change {
            Change::ActivatePolicy { engine, .. } => Some(Arc::clone(engine)),
            _ => None,
        };
        match self.make_admin(admin) {
            Ok(made) => {
                if let Some(engine) = engine {
                    let shared = &self.shared.engine;
                    *shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&engine);
                    self.engine = engine;
                }
                self.seal(made, None, reply);
            }
            Err(error) => self.refuse(false, error, reply),
        }
    }

    fn make_admin(&mut self, admin: &Admin) -> Result<Made, LedgerError> {
        let at = self.stamp()?;
        let id = new_id(at)?;
        self.authorize(admin.by)?;
        let record = self.record(&admin.change)?;
        let seed = Seed::from_bytes(*random::<32>()?);
        let declared = match &record {
            Some(record) => Some(
                FieldTree::of_document(record, &seed)
                    .map_err(|e| LedgerError::TooLarge(e.to_string()))?
                    .commitment(),
            ),
            None => None,
        };
        if matches!(admin.change, Change::AnnounceBundleKey { .. } | Change::Export { .. }) {
            return self.make_hand_out(admin, id, at);
        }
        let entry = self.entry_of(admin, id, at, declared)?;
        let Some(record) = record else { return self.make(entry, id, at, None, None) };
        let record = to_jcs(&record).map_err(|e| LedgerError::TooLarge(e.to_string()))?;
        let payload = Payload {
            declared: record.clone(),
            evaluation: Vec::new(),
            declared_seed: seed,
            evaluation_seed: Seed::from_bytes([0; 32]),
            signature: None,
        };
        self.make(entry, id, at, Some(&payload), Some(record))
    }

    fn entry_of(
        &self,
        admin: &Admin,
        id: Uuid,
        at: Timestamp,
        declared: Option<Commitment>,
    ) -> Result<Entry, LedgerError> {
        let by = admin.by.unwrap_or_default();
        let commitment = || declared.ok_or_else(|| LedgerError::Damaged("a record is missing".to_owned()));
        let agent = |name: &str| self.active_agent(name);
        let agent_entry = |operation, agent, key: Option<[u8; 32]>| {
            let key = key.map(Hash);
            Entry::Agent(AgentEntry {
                v: ENTRY_VERSION,
                kind: AgentKind::It,
                id,
                at,
                operation,
                agent,
                by,
                declared,
                key,
            })
        };
        let party_entry = |kind, operation, of| party_entry(kind, operation, of, id, at, by, declared);
        Ok(match &admin.change {
            Change::RegisterOperator { .. } => Entry::Operator(OperatorEntry {
                v: ENTRY_VERSION,
                kind: OperatorKind::It,
                id,
                at,
                operation: Operation::Register,
                declared: commitment()?,
            }),
            Change::RegisterAgent { key, .. } => agent_entry(Operation::Register, None, *key),
            Change::RotateAgent { name, key, .. } => agent_entry(Operation::Rotate, Some(agent(name)?), *key),
            Change::RevokeAgent { name } => agent_entry(Operation::Revoke, Some(agent(name)?), None),
            Change::RegisterParty { kind, .. } => party_entry(*kind, Operation::Register, None),
            Change::RotateParty { kind, name, .. } => {
                party_entry(*kind, Operation::Rotate, Some(self.active_party(*kind, name)?))
            }
            Change::RevokeParty { kind, name } => {
                party_entry(*kind, Operation::Revoke, Some(self.active_party(*kind, name)?))
            }
            Change::ActivatePolicy { .. } | Change::ShadowPolicy(_) | Change::WithdrawShadow => {
                Entry::Policy(self.policy_entry(&admin.change, (id, at, by), declared)?)
            }
            Change::AnnounceBundleKey { .. } | Change::Export { .. } => {
                return Err(LedgerError::Damaged("a hand-out is made elsewhere".to_owned()));
            }
        })
    }

    /// What becomes of a bundle, and of the one that watches.
    fn policy_entry(
        &self,
        change: &Change,
        (id, at, by): (Uuid, Timestamp, u64),
        declared: Option<Commitment>,
    ) -> Result<PolicyEntry, LedgerError> {
        let shadow = self.state.registry.shadow();
        let watching = shadow.map(|shadow| shadow.index);
        let (mode, rules, restores, ends) = match change {
            Change::ActivatePolicy { bundle, restores, .. } => {
                let same = shadow.filter(|shadow| shadow.digest.as_ref() == Some(&bundle.digest));
                (PolicyMode::Enforce, Some(bundle.rules), *restores, same.map(|shadow| shadow.index))
            }
            Change::ShadowPolicy(bundle) => (PolicyMode::Shadow, Some(bundle.rules), None, watching),
            _ if watching.is_none() => return Err(LedgerError::NothingInShadow),
            _ => (PolicyMode::Withdraw, None, None, watching),
        };
        if let Some(restored) = restores.filter(|restored| !self.state.chain.has_decided(*restored)) {
            return Err(LedgerError::Damaged(format!("leaf {restored} made no policy decide")));
        }
        let (v, kind) = (ENTRY_VERSION, PolicyKind::It);
        Ok(PolicyEntry { v, kind, id, at, by, mode, rules, declared, restores, ends })
    }

    fn authorize(&self, by: Option<u64>) -> Result<(), LedgerError> {
        // Only leaf 0, the first operator, is nobody's doing.
        let authorized = match by {
            Some(by) => self.state.registry.operator(by).is_some(),
            None => self.state.chain.size() == 0,
        };
        if authorized { Ok(()) } else { Err(LedgerError::NotRegistered) }
    }

    fn active_agent(&self, name: &str) -> Result<u64, LedgerError> {
        let registry = &self.state.registry;
        registry
            .agent_named(name)
            .filter(|index| registry.agent(*index).is_some_and(|agent| !agent.revoked))
            .ok_or_else(|| LedgerError::NoSuchAgent(name.to_owned()))
    }

    fn active_party(&self, kind: PartyKind, name: &str) -> Result<u64, LedgerError> {
        let registry = &self.state.registry;
        registry
            .party_named(kind, name)
            .filter(|index| registry.party(kind, *index).is_some_and(|party| !party.revoked))
            .ok_or_else(|| LedgerError::NoSuchParty { kind: kind.as_str(), name: name.to_owned() })
    }

    /// Whether one more of a kind may be registered under this name.
    fn check_new_party(&self, kind: PartyKind, name: &str) -> Result<(), LedgerError> {
        let count = match kind {
            PartyKind::Application => self.state.chain.application_count(),
            PartyKind::ToolServer => self.state.chain.tool_count(),
        };
        if self.state.registry.party_named(kind, name).is_some() {
            return Err(LedgerError::NameTaken { kind: kind.as_str(), name: name.to_owned() });
        }
        if count >= limits::REGISTRATIONS_MAX { Err(LedgerError::TooManyRegistrations) } else { Ok(()) }
    }

    /// The declared document of a change; a revocation has none.
    fn record(&self, change: &Change) -> Result<Option<serde_json::Value>, LedgerError> {
        let base64 = |key: &Option<[u8; 32]>| key.map(|key| Hash(key).to_string());
        Ok(match change {
            Change::RegisterOperator { name, credential } => {
                Some(json!({ "operator": name, "credential": hex::encode(credential.0) }))
            }
            Change::RegisterAgent { name, roles, credential, key } => {
                if self.state.registry.agent_named(name).is_some() {
                    return Err(LedgerError::NameTaken { kind: "agent", name: name.clone() });
                }
                if self.state.chain.agent_count() >= limits::AGENTS_MAX {
                    return Err(LedgerError::TooManyAgents);
                }
                let credential = hex::encode(credential.0);
                Some(json!({ "agent": name, "roles": roles, "credential": credential, "key": base64(key) }))
            }
            Change::RotateAgent { name, credential, key } => {
                let credential = hex::encode(credential.0);
                Some(json!({ "agent": name, "credential": credential, "key": base64(key) }))
            }
            Change::RegisterParty { kind, name, credential } => {
                self.check_new_party(*kind, name)?;
                Some(json!({ kind.entry_type(): name, "credential": hex::encode(credential.0) }))
            }
            Change::RotateParty { kind, name, credential } => {
                Some(json!({ kind.entry_type(): name, "credential": hex::encode(credential.0) }))
            }
            Change::RevokeAgent { .. }
            | Change::RevokeParty { .. }
            | Change::WithdrawShadow
            | Change::AnnounceBundleKey { .. }
            | Change::Export { .. } => None,
            Change::ActivatePolicy { bundle, .. } | Change::ShadowPolicy(bundle) => Some(bundle.record()?),
        })
    }
}

fn not_text(path: &str) -> LedgerError {
    LedgerError::TooLarge(format!("policy file {path} is not UTF-8"))
}

fn party_entry(
    kind: PartyKind,
    operation: Operation,
    of: Option<u64>,
    id: Uuid,
    at: Timestamp,
    by: u64,
    declared: Option<Commitment>,
) -> Entry {
    match kind {
        PartyKind::Application => Entry::Application(ApplicationEntry {
            v: ENTRY_VERSION,
            kind: ApplicationKind::It,
            id,
            at,
            operation,
            application: of,
            by,
            declared,
        }),
        PartyKind::ToolServer => Entry::Tool(ToolEntry {
            v: ENTRY_VERSION,
            kind: ToolKind::It,
            id,
            at,
            operation,
            tool: of,
            by,
            declared,
        }),
    }
}
