//! Who is asking.

use super::Service;
use super::error::{ErrorCode, ServiceError};
use crate::ledger::state::{CredentialDigest, Holder, PartyKind, Registry};

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// An operator, by the leaf index of its registration.
    Operator(u64),
    /// An agent.
    Agent {
        /// The leaf index of its registration.
        index: u64,
        /// Its name.
        name: String,
        /// The credential it came with.
        credential: CredentialDigest,
    },
    /// An application or a tool server.
    Party {
        /// Which of the two.
        kind: PartyKind,
        /// The leaf index of its registration.
        index: u64,
        /// The credential it came with.
        credential: CredentialDigest,
    },
}

impl Service {
    /// Who holds this bearer token.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`]
    pub fn authenticate(&self, token: Option<&str>) -> Result<Caller, ServiceError> {
        let token = token.ok_or_else(|| {
            ServiceError::new(ErrorCode::Unauthenticated, "this needs a credential")
                .hint("send Authorization: Bearer TOKEN")
        })?;
        let registry = &self.published().registry;
        match registry.holder(token) {
            Some(Holder::Operator(index)) => Ok(Caller::Operator(index)),
            Some(Holder::Agent(index)) => match registry.agent(index).filter(|agent| !agent.revoked) {
                Some(agent) => Ok(Caller::Agent {
                    index,
                    name: agent.name.clone(),
                    credential: CredentialDigest::of(token),
                }),
                None => Err(unknown_token()),
            },
            Some(Holder::Application(index)) => party(registry, PartyKind::Application, index, token),
            Some(Holder::ToolServer(index)) => party(registry, PartyKind::ToolServer, index, token),
            None => Err(unknown_token()),
        }
    }

    /// Whether this bearer token may read the log itself.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`]
    pub fn authorize_log_read(&self, token: Option<&str>) -> Result<(), ServiceError> {
        if self.is_log_public() { Ok(()) } else { self.authenticate(token).map(drop) }
    }
}

impl Caller {
    /// The operator's registration, for what only operators do.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`]
    pub fn operator(&self) -> Result<u64, ServiceError> {
        match self {
            Self::Operator(index) => Ok(*index),
            Self::Agent { .. } | Self::Party { .. } => {
                Err(ServiceError::new(ErrorCode::Forbidden, "only an operator may do this")
                    .hint("use the token in KEYS/admin.token"))
            }
        }
    }

    /// The application's registration and credential, for what only applications do.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`]
    pub fn application(&self) -> Result<(u64, CredentialDigest), ServiceError> {
        self.party(PartyKind::Application).ok_or_else(|| {
            ServiceError::new(ErrorCode::Forbidden, "only an application may do this")
                .hint("use an application's token: `foreseal application add NAME` prints one")
        })
    }

    /// The tool server's registration and credential, for what only tool servers do.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`]
    pub fn tool_server(&self) -> Result<(u64, CredentialDigest), ServiceError> {
        self.party(PartyKind::ToolServer).ok_or_else(|| {
            ServiceError::new(ErrorCode::Forbidden, "only a tool server may do this")
                .hint("use a tool server's token: `foreseal tool-server add NAME` prints one")
        })
    }

    fn party(&self, wanted: PartyKind) -> Option<(u64, CredentialDigest)> {
        match self {
            Self::Party { kind, index, credential } if *kind == wanted => Some((*index, *credential)),
            _ => None,
        }
    }
}

fn party(registry: &Registry, kind: PartyKind, index: u64, token: &str) -> Result<Caller, ServiceError> {
    registry.party(kind, index).filter(|party| !party.revoked).ok_or_else(unknown_token)?;
    Ok(Caller::Party { kind, index, credential: CredentialDigest::of(token) })
}

fn unknown_token() -> ServiceError {
    ServiceError::new(ErrorCode::Unauthenticated, "the credential belongs to no active registration")
        .hint("register an agent with `foreseal agent add NAME`, or give it a new token with `foreseal agent rotate NAME`")
}
