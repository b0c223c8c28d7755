//! What operators do to agents.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Service;
use super::caller::Caller;
use super::error::{ErrorCode, ServiceError};
use crate::ledger::state::CredentialDigest;
use crate::ledger::{Admin, Change, LedgerError, SealedLeaf, new_token};
use crate::merkle::Hash;
use crate::record::intent::is_id;
use crate::record::limits;
use crate::record::statement::AgentKey;

/// A registration, or a new credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// Its name.
    pub name: String,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Its Ed25519 public key (base64 of 32 bytes), if it signs its intents.
    #[serde(default)]
    pub public_key: Option<String>,
}

/// An agent as registered. The token is told once, to whoever registered it.
#[derive(Serialize)]
pub struct RegisteredAgent {
    /// Its name.
    pub agent: String,
    /// Leaf index of the entry.
    pub index: u64,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether its intents must be signed.
    pub signs: bool,
    /// Whether its registration has ended.
    pub revoked: bool,
    /// Its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for RegisteredAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisteredAgent")
            .field("agent", &self.agent)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Service {
    pub(super) async fn administer(&self, by: u64, change: Change) -> Result<SealedLeaf, ServiceError> {
        let (told, fate) = oneshot::channel();
        let admin = Admin { by: Some(by), change };
        self.ledger.administer(admin, Box::new(move |sealed| drop(told.send(sealed))));
        let sealed = fate.await.map_err(|_| {
            ServiceError::new(
                ErrorCode::OutcomeUnknown,
                "the ledger ended before it told what became of this",
            )
        })?;
        Ok(sealed?)
    }

    /// Registers an agent and makes its token.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::MalformedRequest`], [`ErrorCode::NameTaken`], or the ledger's.
    pub async fn register_agent(
        &self,
        caller: &Caller,
        new: NewAgent,
    ) -> Result<RegisteredAgent, ServiceError> {
        let by = caller.operator()?;
        let key = check_new_agent(&new)?;
        let token = new_token("fsk_").map_err(LedgerError::from)?;
        let change = Change::RegisterAgent {
            name: new.name.clone(),
            roles: new.roles.clone(),
            credential: CredentialDigest::of(&token),
            key,
        };
        let sealed = self.administer(by, change).await?;
        Ok(registered(new, sealed.index, &token))
    }

    /// Gives an agent a new token, and a new key if one is given. The old token ends.
    ///
    /// # Errors
    /// As [`Service::register_agent`]; [`ErrorCode::NotFound`].
    pub async fn rotate_agent(
        &self,
        caller: &Caller,
        new: NewAgent,
    ) -> Result<RegisteredAgent, ServiceError> {
        let by = caller.operator()?;
        let key = check_new_agent(&new)?;
        let token = new_token("fsk_").map_err(LedgerError::from)?;
        let change =
            Change::RotateAgent { name: new.name.clone(), credential: CredentialDigest::of(&token), key };
        let sealed = self.administer(by, change).await?;
        let registry = &self.published().registry;
        let agent = registry.agent_named(&new.name).and_then(|index| registry.agent(index));
        let (roles, signs) =
            agent.map(|agent| (agent.roles.clone(), agent.key.is_some())).unwrap_or_default();
        Ok(RegisteredAgent { roles, signs, ..registered(new, sealed.index, &token) })
    }

    /// Ends an agent's registration.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::NotFound`], or the ledger's.
    pub async fn revoke_agent(&self, caller: &Caller, name: &str) -> Result<u64, ServiceError> {
        let by = caller.operator()?;
        Ok(self.administer(by, Change::RevokeAgent { name: name.to_owned() }).await?.index)
    }

    /// Registered agents after the one registered at leaf `after`, at most a page of them.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`]
    pub fn agents(&self, caller: &Caller, after: Option<u64>) -> Result<Vec<RegisteredAgent>, ServiceError> {
        caller.operator()?;
        let published = self.published();
        let agents =
            published.registry.agents().filter(|(index, _)| after.is_none_or(|after| *index > after));
        let page = agents.take(limits::PAGE_MAX_ITEMS).map(|(index, agent)| RegisteredAgent {
            agent: agent.name.clone(),
            index,
            roles: agent.roles.clone(),
            signs: agent.key.is_some(),
            revoked: agent.revoked,
            token: None,
        });
        Ok(page.collect())
    }
}

fn registered(new: NewAgent, index: u64, token: &Zeroizing<String>) -> RegisteredAgent {
    RegisteredAgent {
        agent: new.name,
        index,
        roles: new.roles,
        signs: new.public_key.is_some(),
        revoked: false,
        token: Some(token.to_string()),
    }
}

/// Checks names and roles; returns the public key.
fn check_new_agent(new: &NewAgent) -> Result<Option<[u8; 32]>, ServiceError> {
    let malformed = |detail: String| ServiceError::new(ErrorCode::MalformedRequest, detail);
    if !is_id(&new.name) {
        return Err(malformed("/name: must be 1 to 128 characters of A-Z a-z 0-9 . _ : -".to_owned()));
    }
    if new.roles.len() > limits::ROLES_MAX {
        return Err(malformed(format!("/roles: at most {} are taken", limits::ROLES_MAX)));
    }
    if let Some(i) = new.roles.iter().position(|role| !is_id(role)) {
        return Err(malformed(format!("/roles/{i}: must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")));
    }
    let key = new.public_key.as_deref().map(Hash::from_base64).transpose();
    let key = key.map_err(|_| malformed("/public_key: must be base64 of 32 bytes".to_owned()))?;
    if let Some(key) = key {
        AgentKey::from_bytes(key.as_bytes()).map_err(|e| malformed(format!("/public_key: {e}")))?;
    }
    Ok(key.map(|key| key.0))
}
