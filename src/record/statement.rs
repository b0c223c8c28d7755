//! Signed intents: the statement an agent signs, and its verification (`docs/format.md`, "Signed intents").
//!
//! The signature covers the *root* of the declared document, not its text, so it still verifies when fields
//! are withheld and after the payload is erased.

use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::canonical::to_jcs;
use super::field_tree::Commitment;
use super::intent::Intent;

/// DSSE payload type of a statement.
pub const STATEMENT_TYPE: &str = "application/vnd.foreseal.statement.v1+json";

/// An agent's Ed25519 public key, checked: on the curve and not of small order.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentKey(VerifyingKey);

/// Why a statement does not stand.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementError {
    /// The document lacks a member that a signed intent must have.
    #[error("a signed intent needs the member \"{0}\"")]
    Missing(&'static str),
    /// The public key is not 32 bytes of a usable Ed25519 point.
    #[error("the public key is not a usable Ed25519 key")]
    Key,
    /// The signature is not this key's over this statement.
    #[error("the signature does not verify under the agent's registered key")]
    Signature,
    /// The `Foreseal-Signature` header cannot be read.
    #[error("the signature header is malformed: {0}")]
    Header(&'static str),
}

impl std::fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AgentKey({})", self.key_id())
    }
}

impl AgentKey {
    /// Reads 32 public key bytes.
    ///
    /// # Errors
    /// [`StatementError::Key`] for anything but a full-order point.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StatementError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| StatementError::Key)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| StatementError::Key)?;
        if key.is_weak() {
            return Err(StatementError::Key);
        }
        Ok(Self(key))
    }

    /// The 32 public key bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Lower-case hex SHA-256 of the public key: the `keyid` hint.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }

    /// Verifies a signature over a statement, strictly (RFC 8032 with canonical encodings).
    ///
    /// # Errors
    /// [`StatementError::Signature`].
    pub fn verify(&self, statement: &[u8], signature: &[u8; 64]) -> Result<(), StatementError> {
        self.verify_typed(STATEMENT_TYPE, statement, signature)
    }

    /// Verifies a DSSE signature over a payload of any type, as strictly.
    ///
    /// # Errors
    /// [`StatementError::Signature`].
    pub fn verify_typed(
        &self,
        payload_type: &str,
        payload: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), StatementError> {
        let message = pre_authentication_encoding(payload_type, payload);
        self.0
            .verify_strict(&message, &Signature::from_bytes(signature))
            .map_err(|_| StatementError::Signature)
    }
}

/// DSSE v1 pre-authentication encoding: what is really signed.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// The statement's canonical bytes for a parsed intent, the commitment to its declared document, and the log.
///
/// # Errors
/// [`StatementError::Missing`] when `id` or `created` is absent: without them a signature could be replayed.
pub fn statement(intent: &Intent, declared: &Commitment, origin: &str) -> Result<Vec<u8>, StatementError> {
    let mut members = Map::new();
    let mut put = |key: &str, value: Value| members.insert(key.to_owned(), value);
    put("agent", intent.agent.clone().into());
    if let Some(prev) = &intent.client_prev {
        put("client_prev", prev.to_string().into());
    }
    if let Some(seq) = intent.client_seq {
        put("client_seq", seq.into());
    }
    // The text as declared, so that a verifier needs no opinion on how a time is written.
    let created = intent.document.get("created").ok_or(StatementError::Missing("created"))?;
    put("created", created.clone());
    put("declared", declared.root.to_string().into());
    put("id", intent.id.ok_or(StatementError::Missing("id"))?.to_string().into());
    put("log", origin.into());
    put("session", intent.session.clone().into());
    to_jcs(&Value::Object(members)).map_err(|_| StatementError::Missing("id"))
}

/// Reads `keyid="…", sig="…"`; returns the signature. The key id is a hint and decides nothing.
///
/// # Errors
/// [`StatementError::Header`].
pub fn parse_signature_header(header: &str) -> Result<[u8; 64], StatementError> {
    use base64::Engine as _;
    let mut signature = None;
    for part in header.split(',') {
        let (name, value) =
            part.trim().split_once('=').ok_or(StatementError::Header("expected name=\"value\""))?;
        let value = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or(StatementError::Header("values are quoted"))?;
        match name {
            "keyid" => {}
            "sig" if signature.is_none() => {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(value)
                    .map_err(|_| StatementError::Header("sig is not base64"))?;
                let bytes = <[u8; 64]>::try_from(bytes.as_slice());
                signature = Some(bytes.map_err(|_| StatementError::Header("sig is not 64 bytes"))?);
            }
            _ => return Err(StatementError::Header("only keyid and sig are known, once each")),
        }
    }
    signature.ok_or(StatementError::Header("sig is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_dsse_s() {
        // The example of the DSSE protocol document.
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn headers_are_read_strictly() {
        let sig = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [7u8; 64]);
        assert_eq!(parse_signature_header(&format!("keyid=\"ab\", sig=\"{sig}\"")), Ok([7; 64]));
        for bad in ["", "sig", "sig=x", "sig=\"!\"", "keyid=\"a\"", &format!("sig=\"{sig}\", sig=\"{sig}\"")]
        {
            assert!(parse_signature_header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn small_order_keys_are_refused() {
        let mut identity = [0u8; 32];
        identity[0] = 1;
        assert_eq!(AgentKey::from_bytes(&identity).err(), Some(StatementError::Key));
    }
}
