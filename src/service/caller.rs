//! Who is asking.

use super::Service;
use super::error::{ErrorCode, ServiceError};
use crate::ledger::state::{CredentialDigest, Holder};

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
            Self::Agent { .. } => {
                Err(ServiceError::new(ErrorCode::Forbidden, "only an operator may do this")
                    .hint("use the token in KEYS/admin.token"))
            }
        }
    }
}

fn unknown_token() -> ServiceError {
    ServiceError::new(ErrorCode::Unauthenticated, "the credential belongs to no active registration")
        .hint("register an agent with `foreseal agent add NAME`, or give it a new token with `foreseal agent rotate NAME`")
}
