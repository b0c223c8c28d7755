//! Applications and tool servers: their registrations.

use serde::{Deserialize, Serialize};

use super::Service;
use super::caller::Caller;
use super::error::{ErrorCode, ServiceError};
use crate::ledger::state::{CredentialDigest, PartyKind};
use crate::ledger::{Change, LedgerError, new_token};
use crate::record::intent::is_id;
use crate::record::limits;

/// An application or tool server to register.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewParty {
    /// Its name, for good.
    pub name: String,
}

/// One as registered. The token is told once, to whoever registered it.
#[derive(Serialize)]
pub struct RegisteredParty {
    /// Its name.
    pub name: String,
    /// Leaf index of the entry.
    pub index: u64,
    /// Whether its registration has ended.
    pub revoked: bool,
    /// Its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for RegisteredParty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisteredParty")
            .field("name", &self.name)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// What a token of this kind begins with, so that a leaked one is recognised.
const fn prefix(kind: PartyKind) -> &'static str {
    match kind {
        PartyKind::Application => "fsp_",
        PartyKind::ToolServer => "fst_",
    }
}

impl Service {
    /// Registers an application or a tool server and makes its token.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::MalformedRequest`], [`ErrorCode::NameTaken`], or the ledger's.
    pub async fn register_party(
        &self,
        caller: &Caller,
        kind: PartyKind,
        new: NewParty,
    ) -> Result<RegisteredParty, ServiceError> {
        let by = caller.operator()?;
        if !is_id(&new.name) {
            let detail = "/name: must be 1 to 128 characters of A-Z a-z 0-9 . _ : -";
            return Err(ServiceError::new(ErrorCode::MalformedRequest, detail));
        }
        let token = new_token(prefix(kind)).map_err(LedgerError::from)?;
        let credential = CredentialDigest::of(&token);
        let change = Change::RegisterParty { kind, name: new.name.clone(), credential };
        let index = self.administer(by, change).await?.index;
        Ok(RegisteredParty { name: new.name, index, revoked: false, token: Some(token.to_string()) })
    }

    /// Gives an application or a tool server a new token. The old one ends.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::NotFound`], or the ledger's.
    pub async fn rotate_party(
        &self,
        caller: &Caller,
        kind: PartyKind,
        name: String,
    ) -> Result<RegisteredParty, ServiceError> {
        let by = caller.operator()?;
        let token = new_token(prefix(kind)).map_err(LedgerError::from)?;
        let credential = CredentialDigest::of(&token);
        let index =
            self.administer(by, Change::RotateParty { kind, name: name.clone(), credential }).await?.index;
        Ok(RegisteredParty { name, index, revoked: false, token: Some(token.to_string()) })
    }

    /// Ends the registration of an application or a tool server.
    ///
    /// # Errors
    /// As [`Service::rotate_party`].
    pub async fn revoke_party(
        &self,
        caller: &Caller,
        kind: PartyKind,
        name: String,
    ) -> Result<RegisteredParty, ServiceError> {
        let by = caller.operator()?;
        let index = self.administer(by, Change::RevokeParty { kind, name: name.clone() }).await?.index;
        Ok(RegisteredParty { name, index, revoked: true, token: None })
    }

    /// Registered ones of a kind after the one registered at leaf `after`, at most a page of them.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`]
    pub fn parties(
        &self,
        caller: &Caller,
        kind: PartyKind,
        after: Option<u64>,
    ) -> Result<Vec<RegisteredParty>, ServiceError> {
        caller.operator()?;
        let published = self.published();
        let parties = published.registry.parties(kind);
        let parties = parties.filter(|(index, _)| after.is_none_or(|after| *index > after));
        let page = parties.take(limits::PAGE_MAX_ITEMS).map(|(index, party)| RegisteredParty {
            name: party.name.clone(),
            index,
            revoked: party.revoked,
            token: None,
        });
        Ok(page.collect())
    }
}
