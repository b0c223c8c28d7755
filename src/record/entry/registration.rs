//! Entries of registrations: who may act, whatever it is.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::merkle::Hash;
use crate::record::field_tree::Commitment;
use crate::record::time::Timestamp;

kind!(OperatorKind = "operator", AgentKind = "agent", ApplicationKind = "application", ToolKind = "tool",);

/// Registration of an operator. Leaf 0 is the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorEntry {
    /// Format version.
    pub v: u8,
    /// Always `operator`.
    #[serde(rename = "type")]
    pub kind: OperatorKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub operation: Operation,
    /// Commitment to the operator's record (name, credential digest).
    pub declared: Commitment,
}

/// A change of an agent's registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentEntry {
    /// Format version.
    pub v: u8,
    /// Always `agent`.
    #[serde(rename = "type")]
    pub kind: AgentKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub operation: Operation,
    /// Leaf index of the entry that registered the agent; absent when this is that entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<u64>,
    /// Leaf index of the operator who did it.
    pub by: u64,
    /// Commitment to the agent's record (name, roles, credential digest, public key); absent on `revoke`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub declared: Option<Commitment>,
    /// The agent's Ed25519 public key (base64 of 32 bytes) when it signs its intents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Hash>,
}

/// A change of an application's registration: who may open sessions and say what the user said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationEntry {
    /// Format version.
    pub v: u8,
    /// Always `application`.
    #[serde(rename = "type")]
    pub kind: ApplicationKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub operation: Operation,
    /// Leaf index of the entry that registered the application; absent when this is that entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application: Option<u64>,
    /// Leaf index of the operator who did it.
    pub by: u64,
    /// Commitment to the application's record (name, credential digest); absent on `revoke`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub declared: Option<Commitment>,
}

/// A change of a tool server's registration: who may report what its tools answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolEntry {
    /// Format version.
    pub v: u8,
    /// Always `tool`.
    #[serde(rename = "type")]
    pub kind: ToolKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub operation: Operation,
    /// Leaf index of the entry that registered the tool server; absent when this is that entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool: Option<u64>,
    /// Leaf index of the operator who did it.
    pub by: u64,
    /// Commitment to the server's record (name, credential digest); absent on `revoke`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub declared: Option<Commitment>,
}

/// What happened to a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Made.
    Register,
    /// Given a new credential or key.
    Rotate,
    /// Ended; its credential is refused from here on.
    Revoke,
}
